//! A decision that is cut off by a kill.

use mcp_batch::{
    aws::dynamo::{DynamoLedger, DynamoSettings, create_table},
    clock::Clock,
    lease::Repeat,
};
use mcp_batch_testkit::{AwsProxy, FakeLlm, MiniStack, Receiver, Rule};
use serde_json::json;

use super::WHY;
use crate::{
    aws::clients_at,
    helpers::{Folder, Run, json_lines, summarize},
    lease_helpers::{TestJob, Worker, interrupted},
};

#[tokio::test]
async fn a_job_that_is_run_again_is_not_lost_whenever_the_decision_is_killed_and_called_once() {
    let Some(stack) = MiniStack::start().await else { return };
    let clients = clients_at(stack.endpoint()).await;
    let queue = clients.sqs.create_queue().queue_name(MiniStack::unique("jobs"));
    let queue_url = queue.send().await.expect("a queue").queue_url.expect("its URL");
    let table = MiniStack::unique("ledger");
    create_table(&clients.dynamodb, &table).await.expect("a table");
    let ledger = Worker::new(DynamoLedger::new(&clients, DynamoSettings::of_table(&table)));
    let (folder, llm) = (Folder::new(), FakeLlm::start().await);
    let receiver = Receiver::start().await;
    let command = |name: &str, env: [(&'static str, String); 5]| -> Run<'_> {
        let run = folder.command(name).env("MCP_BATCH_QUEUE_URL", &queue_url);
        let run = run.env("MCP_BATCH_TABLE", &table).env("MCP_BATCH_CALLBACK_HOSTS", "127.0.0.1");
        env.into_iter().fold(run, |run, (name, value)| run.env(name, &value))
    };

    // Before the queue has it, and before the ledger is told of it.
    for (id, held_up) in [("unsent", "SendMessageBatch"), ("untold", "PutItem")] {
        let now = Clock::system().now();
        let lease = ledger.own(TestJob::new(id).claim_at(now)).await;
        ledger.save(&lease, interrupted(Repeat::Never), now).await;
        let mut job = summarize(id, "One.");
        job["callback"] = receiver.url("/").into();
        folder.write("job.json", job.to_string());
        let retry = |env| command("held", env).args(["retry", id, "--job", "job.json"]).args(WHY);

        let proxy = AwsProxy::start(stack.endpoint()).await;
        let cut_off = proxy.rule(Rule::before(held_up).nth(1).hold());
        let running = retry(proxy.env()).start();
        cut_off.wait_for_hits(1).await;
        running.kill();
        drop(proxy);

        let listed = command("held", stack.env()).args(["list", "--json"]).finish().await;
        let listed = &json_lines(&listed.stdout)[0]["jobs"];
        assert_eq!(listed[0]["id"], json!(id), "it is still to be seen: {listed}");
        if id == "unsent" {
            assert_eq!(retry(stack.env()).finish().await.code, Some(0));
        }
    }
    let worker = command("poll", stack.env()).args(["--health", "127.0.0.1:0"]).llm(&llm).start();
    receiver.wait_for(2).await;
    let told: Vec<_> = receiver.deliveries().iter().map(|it| it.json()["type"].clone()).collect();
    assert_eq!((told, llm.calls()), (vec![json!("job.succeeded"), json!("job.succeeded")], 2));
    let again = command("held", stack.env()).args(["retry", "untold", "--job", "job.json"]);
    assert_eq!(again.args(WHY).finish().await.code, Some(1), "it has been run");
    assert_eq!(llm.calls(), 2);
    drop(worker);
}
