//! More messages than may run at once, on an AWS that does not hold them up.

use std::time::Duration;

use mcp_batch_testkit::{Behaviour, FakeAws, FakeLlm, Function, MiniStack, RuntimeApi};
use serde_json::json;

use crate::{
    event::{Record, event},
    rig::job,
};

const RECORDS: usize = 5_000;

const AT_ONCE: usize = 50;

/// Far longer than it takes.
const LONG: Duration = Duration::from_secs(600);

#[tokio::test]
async fn of_5000_records_no_more_are_run_at_once_than_the_bound_says() {
    let (aws, llm) = (FakeAws::start().await, FakeLlm::start().await);
    let function = Function::new(env!("CARGO_BIN_EXE_mcp-batch-lambda"))
        .open_files(1_024)
        .envs(MiniStack::env_at(&aws.endpoint()))
        .env("MCP_BATCH_TABLE", "jobs")
        .env("MCP_BATCH_QUEUE_URL", format!("{}/jobs", aws.endpoint()))
        .env("MCP_BATCH_LLM_URL", llm.url())
        .env("MCP_BATCH_CONCURRENCY", AT_ONCE.to_string());
    let lambda = RuntimeApi::start(function).await;
    let record = |n| Record::new(&format!("m-{n}"), job(&format!("job-{n}")));
    let event = event(&(0..RECORDS).map(record).collect::<Vec<_>>());
    assert!(event.len() < 6 * 1024 * 1024, "Lambda hands over no more");

    llm.set_default(Behaviour::Hold);
    let release = async {
        llm.wait_for_calls(AT_ONCE).await;
        assert_eq!(llm.in_flight(), AT_ONCE);
        llm.set_default(Behaviour::Echo);
        llm.release(AT_ONCE);
    };
    let (answer, ()) = tokio::join!(lambda.invoke(&event, LONG), release);
    assert_eq!(answer.json(), json!({"batchItemFailures": []}));
    assert_eq!((llm.calls(), llm.calls_by_id().len(), aws.items()), (RECORDS, RECORDS, RECORDS));
    assert_eq!(llm.max_in_flight(), AT_ONCE);
}
