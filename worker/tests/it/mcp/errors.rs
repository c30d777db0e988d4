//! Every way a call can fail, and what it means for the job.

use std::time::Duration;

use mcp_batch::{
    error::ErrorClass::{self, Configuration, Permanent, Throttled, Transient},
    tool::ToolError,
};
use mcp_batch_testkit::{FakeMcp, McpEra};
use serde_json::json;

use super::rig::{attempt, call, catalog, text};

/// What a failure should be: its class, its code, and whether the call may have had its effect.
type Expected = (&'static str, ErrorClass, &'static str, bool);

const ALIKE_IN_BOTH_ERAS: [Expected; 53] = [
    ("status_302", Configuration, "http_302", false),
    ("status_400", Permanent, "http_400", false),
    ("status_401", Configuration, "http_401", false),
    ("status_403", Configuration, "http_403", false),
    ("status_405", Configuration, "http_405", false),
    ("status_408", Transient, "http_408", true),
    ("status_409", Transient, "http_409", false),
    ("status_410", Configuration, "http_410", false),
    ("status_413", Permanent, "http_413", false),
    ("status_418", Permanent, "http_418", false),
    ("status_425", Transient, "http_425", false),
    ("status_429", Throttled, "http_429", false),
    ("status_500", Transient, "http_500", true),
    ("status_502", Transient, "http_502", true),
    ("status_503", Transient, "http_503", true),
    ("status_504", Transient, "http_504", true),
    ("wait_429", Throttled, "http_429", false),
    ("wait_503", Throttled, "http_503", false),
    ("rpc_32700", Permanent, "mcp_32700", false),
    ("rpc_32600", Permanent, "mcp_32600", false),
    ("rpc_32601", Permanent, "mcp_32601", false),
    ("rpc_32602", Permanent, "invalid_params", false),
    ("rpc_32020", Permanent, "mcp_32020", false),
    ("rpc_32021", Permanent, "mcp_32021", false),
    ("rpc_32022", Permanent, "mcp_32022", false),
    ("rpc_1", Permanent, "mcp_1", false),
    // Codes by which our own failures are known inside.
    ("rpc_31998", Permanent, "mcp_31998", false),
    ("rpc_31999", Permanent, "mcp_31999", false),
    ("rpc_32603", Transient, "mcp_32603", true),
    ("rpc_32000", Transient, "mcp_32000", true),
    ("rpc_32019", Transient, "mcp_32019", true),
    ("rpc_500_32603", Transient, "mcp_32603", true),
    ("rpc_500_32602", Permanent, "invalid_params", false),
    ("session_400", Transient, "mcp_32000", true),
    ("session_500", Transient, "mcp_32000", true),
    ("idless", Permanent, "mcp_32600", false),
    ("idless_null", Permanent, "mcp_32600", false),
    ("idless_event", Permanent, "mcp_32600", false),
    ("broken_json", Transient, "unusable_answer", true),
    ("broken_event", Transient, "unusable_answer", true),
    ("html", Transient, "unusable_answer", true),
    ("other_id", Transient, "unusable_answer", true),
    ("huge", Permanent, "result_too_large", false),
    ("huge_event", Permanent, "result_too_large", false),
    ("reset", Transient, "connection", true),
    ("cut", Transient, "connection", true),
    ("hang", Transient, "timeout", true),
    ("hang_event", Transient, "timeout", true),
    ("input_required", Permanent, "input_required", false),
    ("ts_refusal", Permanent, "invalid_params", false),
    ("nothing_like_it", ErrorClass::Invalid, "unknown_tool", false),
    ("once_html", Transient, "unusable_answer", true),
    ("task", Permanent, "task", false),
];

const SHORT: &str = "[servers.s.tools.hang]\ntimeout_s = 0.3\n\
                     [servers.s.tools.hang_event]\ntimeout_s = 0.3\n\
                     [servers.s.tools.accepted]\ntimeout_s = 0.3\n";

fn seen(failure: &ToolError) -> (ErrorClass, &str, bool) {
    (failure.error.class, &failure.error.code, failure.is_ambiguous)
}

async fn shown_by(era: McpEra, expected: &[Expected]) {
    let server = FakeMcp::builder().era(era).start().await;
    let catalog = catalog(&server.url(), SHORT);
    for (tool, class, code, is_ambiguous) in expected {
        let failure = call(&catalog, tool, &json!({})).await.expect_err(tool);
        assert_eq!(seen(&failure), (*class, *code, *is_ambiguous), "{tool}: {failure:?}");
        assert!(failure.error.message.contains("MCP server s"), "{tool}: {failure:?}");
        let waits = failure.retry_after.map(|wait| wait.as_secs());
        assert_eq!(waits, tool.starts_with("wait_").then_some(7), "{tool}");
    }
    let handshakes = server.count("initialize") + server.count("server/discover");
    assert!(handshakes <= 4, "no failure of a call costs the connection: {handshakes}");
}

#[tokio::test]
async fn each_failure_has_its_class_in_the_era_of_sessions() {
    shown_by(McpEra::Legacy, &ALIKE_IN_BOTH_ERAS).await;
}

#[tokio::test]
async fn each_failure_has_its_class_in_the_era_without_sessions() {
    shown_by(McpEra::Modern, &ALIKE_IN_BOTH_ERAS).await;
}

#[tokio::test]
async fn a_404_is_a_lost_session_where_there_are_sessions_and_a_wrong_address_where_there_are_none()
{
    shown_by(McpEra::Legacy, &[("status_404", Transient, "session", true)]).await;
    shown_by(McpEra::Modern, &[("status_404", Configuration, "http_404", false)]).await;
}

#[tokio::test]
async fn an_error_that_answers_the_call_is_no_lost_session_whatever_it_speaks_of() {
    let server = FakeMcp::start().await;
    let catalog = catalog(&server.url(), "");
    for tool in ["session_400", "session_500"] {
        call(&catalog, tool, &json!({})).await.expect_err(tool);
        assert_eq!(server.calls(tool), 1, "{tool}: it is not sent again");
    }
    assert_eq!(server.count("initialize"), 1);
}

#[tokio::test]
async fn a_202_is_waited_for_where_a_session_may_bring_the_answer() {
    shown_by(McpEra::Legacy, &[("accepted", Transient, "timeout", true)]).await;
    shown_by(McpEra::Modern, &[("accepted", Transient, "unusable_answer", true)]).await;
}

#[tokio::test]
async fn what_is_no_answer_gets_one_more_try_and_is_final_then() {
    let server = FakeMcp::start().await;
    let catalog = catalog(&server.url(), "");
    for tool in ["broken_json", "broken_event", "html", "other_id"] {
        let failure = attempt(&catalog, tool, &json!({}), 2).await.expect_err(tool);
        assert_eq!(seen(&failure), (Permanent, "unusable_answer", false), "{tool}");
    }
    call(&catalog, "once_html", &json!({})).await.expect_err("a page");
    let outcome = attempt(&catalog, "once_html", &json!({"text": "tea"}), 2).await;
    assert_eq!(outcome.expect("the second answer").result, text("tea"));
}

#[tokio::test]
async fn nobody_is_blamed_for_a_server_that_is_not_there() {
    let nobody = crate::helpers::closed_port();
    let catalog = catalog(&nobody, "");
    let failure = call(&catalog, "echo", &json!({})).await.expect_err("nobody listens");
    assert_eq!(seen(&failure), (Transient, "connect", false), "{failure:?}");
    assert!(failure.retry_after > Some(Duration::ZERO), "nobody tries again at once");
}

#[tokio::test]
async fn a_messages_own_words_are_told_unless_they_repeat_the_input() {
    let server = FakeMcp::start().await;
    let catalog = catalog(&server.url(), "");
    let secret = "my most private thoughts about the matter";
    let failure = call(&catalog, "quotes", &json!({"text": secret})).await.expect_err("an error");
    assert!(!failure.error.message.contains("private"), "{}", failure.error.message);

    let failure =
        call(&catalog, "rpc_32603", &json!({"text": secret})).await.expect_err("an error");
    assert!(failure.error.message.ends_with(": “as its name says”"), "{}", failure.error.message);
}
