//! A call's time, its end, and what the server is told of it.

use std::time::Duration;

use mcp_batch::{error::ErrorClass, lease::Repeat};
use mcp_batch_testkit::{FakeMcp, McpEra, ModernMcp, wait_until};
use serde_json::json;
use tokio::time::{Instant, timeout};

use super::rig::{SOON, call, catalog, check, text};

#[tokio::test]
async fn progress_puts_off_the_idle_timeout_and_not_the_whole_one() {
    for era in [McpEra::Legacy, McpEra::Modern] {
        let server = FakeMcp::builder().era(era).start().await;
        let patient = catalog(&server.url(), "idle_timeout_s = 0.4\ntimeout_s = 60");
        let outcome = call(&patient, "progress", &json!({"text": "tea"})).await.expect("in time");
        assert_eq!(outcome.result, text("tea"));

        let impatient = catalog(&server.url(), "idle_timeout_s = 0.25\ntimeout_s = 0.3");
        let failure = call(&impatient, "progress", &json!({})).await.expect_err("too long");
        assert_eq!((&*failure.error.code, failure.is_ambiguous), ("timeout", true));
        assert!(failure.error.message.contains("within 0.3 s"), "{}", failure.error.message);

        let silent = catalog(&server.url(), "idle_timeout_s = 0.2\ntimeout_s = 60");
        let failure = call(&silent, "hang_event", &json!({})).await.expect_err("silence");
        assert_eq!(failure.error.class, ErrorClass::Transient);
        assert!(failure.error.message.contains("neither answer nor progress within 0.2 s"));
    }
}

#[tokio::test]
async fn a_call_that_is_given_up_is_cancelled_at_its_server() {
    for era in [McpEra::Legacy, McpEra::Modern] {
        let server = FakeMcp::builder().era(era).start().await;
        let catalog = catalog(&server.url(), "");
        for tool in ["hang", "hang_event"] {
            let left = server.clients_left();
            let cancels = server.count("notifications/cancelled");
            let input = json!({});
            let calling = call(&catalog, tool, &input);
            timeout(Duration::from_millis(300), calling).await.expect_err("it hangs");
            match era {
                McpEra::Legacy => {
                    let what = "the server is told that the call was cancelled";
                    wait_until(what, || server.count("notifications/cancelled") > cancels).await;
                }
                _ => wait_until("the stream is closed", || server.clients_left() > left).await,
            }
        }
        let outcome = call(&catalog, "echo", &json!({"text": "still there"})).await;
        assert_eq!(outcome.expect("the connection is fine").result, text("still there"));
    }
}

#[tokio::test]
async fn a_real_server_stops_a_call_that_ran_out_of_its_time() {
    let server = ModernMcp::start().await;
    let catalog = catalog(&server.url(), "timeout_s = 0.5");
    let began = Instant::now();
    let failure = call(&catalog, "slow", &json!({"ms": 60_000})).await.expect_err("too slow");
    assert_eq!(failure.error.code, "timeout");
    assert!(began.elapsed() < SOON);
    wait_until("the server stops it", || server.cancelled() == 1).await;
}

#[tokio::test]
async fn the_server_is_told_whose_call_it_is() {
    let server = FakeMcp::start().await;
    let catalog = catalog(&server.url(), "");
    call(&catalog, "echo", &json!({"text": "tea"})).await.expect("a result");
    let calls = server.requests("tools/call");
    let meta = &calls[0].json()["params"]["_meta"];
    assert_eq!(meta["mcp-batch/jobId"], "job-of-echo");
    assert_eq!(meta["mcp-batch/epoch"], 7);
    assert!(!meta["progressToken"].is_null());
}

#[tokio::test]
async fn a_tool_may_be_called_again_if_it_says_so_or_the_catalog_does() {
    use Repeat::{Never, Safe};
    let server = FakeMcp::start().await;
    let tool = |name: &str, annotations: serde_json::Value| json!({"name": name, "inputSchema": {"type": "object"}, "annotations": annotations});
    server.set_tools([
        tool("reads", json!({"readOnlyHint": true})),
        tool("sets", json!({"idempotentHint": true})),
        tool("pays", json!({"readOnlyHint": false})),
        json!({"name": "silent", "inputSchema": {"type": "object"}}),
    ]);
    let repeats = async |rest: &str| {
        let catalog = catalog(&server.url(), rest);
        let mut repeats = Vec::new();
        for tool in ["reads", "sets", "pays", "silent"] {
            repeats.push(check(&catalog, tool, &json!({})).await.expect("a plan").repeat);
        }
        repeats
    };
    assert_eq!(repeats("").await, [Safe, Safe, Never, Never]);
    assert_eq!(repeats("retry = \"safe\"").await, [Safe; 4]);
    assert_eq!(repeats("retry = \"never\"").await, [Never; 4]);
    let one =
        "[servers.s.tools.pays]\nretry = \"safe\"\n[servers.s.tools.reads]\nretry = \"never\"";
    assert_eq!(repeats(one).await, [Never, Safe, Safe, Never]);
}
