//! Starts, stops and kills.

use mcp_batch_testkit::Behaviour;
use serde_json::Value;

use super::rig::{Serve, nameless};
use crate::helpers::summarize;

#[tokio::test]
async fn what_was_accepted_is_done_though_the_process_is_killed() {
    let mut serve = Serve::with(&[("MCP_BATCH_CONCURRENCY", "4")]).await;
    serve.llm.set_default(Behaviour::Hold);
    let jobs: Vec<_> =
        (0..20).map(|n| summarize(&format!("job-{n}"), &format!("Text {n}."))).collect();
    serve.post("/v1/jobs", &jobs.into()).await.expect(202);
    serve.llm.wait_for_calls(4).await;
    serve.llm.release(2);
    serve.llm.wait_for_calls(6).await;

    serve.kill();
    serve.llm.set_default(Behaviour::Echo);
    serve.llm.release(20);
    serve.start_again().await;

    for n in 0..20 {
        let told = serve.until(&format!("job-{n}"), "succeeded").await;
        assert_eq!(told["result"], format!("Echo: Text {n}."));
    }
    // Those whose calls were under way are called again, the others once.
    assert!(serve.llm.calls() <= 24, "{}", serve.llm.calls());
}

#[tokio::test]
async fn after_sigterm_running_jobs_end_and_the_rest_waits_for_the_next_start() {
    let mut serve = Serve::with(&[("MCP_BATCH_CONCURRENCY", "2")]).await;
    serve.llm.set_default(Behaviour::Hold);
    let jobs: Vec<_> = (0..6).map(|n| summarize(&format!("job-{n}"), "One.")).collect();
    serve.post("/v1/jobs", &jobs.into()).await.expect(202);
    serve.llm.wait_for_calls(2).await;

    serve.terminate();
    serve.llm.release(2);
    assert_eq!(serve.finish().await.code, Some(0));
    assert_eq!(serve.llm.calls(), 2);
    serve.llm.set_default(Behaviour::Echo);
    serve.start_again().await;

    for n in 0..6 {
        serve.until(&format!("job-{n}"), "succeeded").await;
    }
    assert_eq!(serve.llm.calls(), 6);
}

#[tokio::test]
async fn a_call_under_way_is_answered_though_the_server_stops() {
    let mut serve = Serve::start().await;
    serve.llm.set_default(Behaviour::Hold);
    let body = nameless("One.");
    let stop = async {
        serve.llm.wait_for_calls(1).await;
        serve.terminate();
        serve.llm.release(1);
    };
    let (answer, ()) = tokio::join!(serve.post("/v1/call", &body), stop);
    assert_eq!(answer.expect(200)["result"], "Echo: One.");
    assert_eq!(serve.finish().await.code, Some(0));
}

#[tokio::test]
async fn it_says_that_it_is_well_and_ready() {
    let serve = Serve::start().await;
    assert_eq!(serve.get("/healthz").await.text, "ok\n");
    assert_eq!(serve.get("/readyz").await.text, "ready\n");
    assert_eq!(serve.get("/openapi.json").await.expect(200)["openapi"], "3.1.0");
    assert_eq!(serve.get("/nowhere").await.problem(404), "not_found");
    assert_eq!(serve.delete("/v1/tools").await.problem(405), "method");
}

#[tokio::test]
async fn a_thousand_jobs_go_in_by_one_request() {
    let serve = Serve::start().await;
    let jobs: Vec<Value> = (0..1_000).map(|n| nameless(&format!("Text {n}."))).collect();
    let sent = serve.post("/v1/jobs", &jobs.clone().into()).await.expect(202);
    assert_eq!(sent["accepted"], 1_000);
    let more = [jobs, vec![nameless("One more.")]].concat();
    assert_eq!(serve.post("/v1/jobs", &more.into()).await.problem(400), "too_many_jobs");
}
