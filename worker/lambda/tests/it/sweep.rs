//! The function in its other role: an event of a schedule is one pass.

use std::time::Duration;

use mcp_batch_testkit::{Function, Receiver, RuntimeApi};
use serde_json::json;

use crate::{
    event::{Record, event},
    rig::{Rig, Setup, job},
};

const TIMEOUT: Duration = Duration::from_secs(20);

const SCHEDULED: &str = r#"{"version":"0","detail-type":"Scheduled Event","source":"aws.scheduler",
    "time":"2026-11-25T12:00:00Z","resources":[],"detail":{}}"#;

/// The same binary on the same table, without a queue and an LLM.
async fn sweeper(rig: &Rig) -> RuntimeApi {
    let function = Function::new(env!("CARGO_BIN_EXE_mcp-batch-lambda"));
    let table = rig.aws.table().to_owned();
    let variables = [
        ("MCP_BATCH_TABLE", table),
        ("MCP_BATCH_ROLE", "sweep".to_owned()),
        ("MCP_BATCH_CALLBACK_HOSTS", "127.0.0.1".to_owned()),
    ];
    RuntimeApi::start(function.envs(rig.proxy.env()).envs(variables)).await
}

#[tokio::test]
async fn a_batch_past_its_time_is_told_by_the_scheduled_role_once() {
    let Some(rig) = Setup::default().start().await else { return };
    let receiver = Receiver::start().await;
    let mut member = job("a");
    member["batch"] = json!({"id": "b", "index": 0, "size": 2, "callback": receiver.url("/batch"),
        "expires_at": "2026-01-01T00:00:00Z"});
    // Its own end closes the batch, so it is still running when the sweep comes.
    rig.llm.set_default(mcp_batch_testkit::Behaviour::Hold);
    let lambda = &rig.lambda;
    let events = event(&[Record::new("m", &member)]);
    let running = lambda.invoke(&events, TIMEOUT);
    let sweeping = async {
        rig.llm.wait_for_calls(1).await;
        let sweeper = sweeper(&rig).await;
        let first = sweeper.invoke(SCHEDULED, TIMEOUT).await.json();
        let second = sweeper.invoke(SCHEDULED, TIMEOUT).await.json();
        rig.llm.release(1);
        (first, second)
    };
    let (_, (first, second)) = tokio::join!(running, sweeping);

    assert_eq!((&first["batches_expired"], &first["callbacks_sent"]), (&json!(1), &json!(1)));
    assert_eq!((&second["batches_expired"], &second["callbacks_sent"]), (&json!(0), &json!(0)));
    assert_eq!(receiver.count(), 1);
    let data = &receiver.deliveries()[0].json()["data"];
    assert_eq!((&data["missing"], &data["missing_indexes"]), (&json!(2), &json!([0, 1])));
}
