//! What a tool answers is a job's result as it is.

use mcp_batch_testkit::{FakeMcp, McpEra, ModernMcp};
use serde_json::json;

use super::rig::{call, catalog, text};

#[tokio::test]
async fn text_images_links_and_structured_content_come_back_as_they_are() {
    for era in [McpEra::Legacy, McpEra::Modern] {
        let server = FakeMcp::builder().era(era).start().await;
        let catalog = catalog(&server.url(), "");
        let outcome = call(&catalog, "everything", &json!({})).await.expect("a result");
        let expected = json!({
            "content": [
                {"type": "text", "text": "see below", "annotations": {"audience": ["user"]}},
                {"type": "image", "data": "iVBORw0KGgo=", "mimeType": "image/png"},
                {"type": "resource_link", "uri": "file:///a.txt", "name": "a.txt"},
                {"type": "resource", "resource": {"uri": "file:///b.txt", "text": "b"}},
            ],
            "structuredContent": {"z": 1, "a": [1.10, null]},
        });
        assert_eq!(outcome.result, expected);
        assert_eq!((outcome.usage.cost_usd, outcome.usage.unpriced_calls), (None, 0));
        assert!(!outcome.offline);
    }
}

#[tokio::test]
async fn a_tools_own_error_is_a_finished_outcome() {
    let server = FakeMcp::start().await;
    let outcome = call(&catalog(&server.url(), ""), "is_error", &json!({})).await;
    let mut expected = text("the disk is full");
    expected["isError"] = true.into();
    assert_eq!(outcome.expect("an outcome").result, expected);
}

#[tokio::test]
async fn a_result_without_content_is_one_and_unknown_content_is_kept() {
    let server = FakeMcp::start().await;
    let catalog = catalog(&server.url(), "");
    let outcome = call(&catalog, "nothing", &json!({})).await.expect("a result");
    assert_eq!(outcome.result, json!({"content": []}));
    let outcome = call(&catalog, "unknown_content", &json!({})).await.expect("a result");
    assert_eq!(outcome.result, json!({"content": [{"type": "smell", "of": "tea"}]}));
}

#[tokio::test]
async fn a_real_server_without_sessions_is_spoken_to_in_its_era() {
    let server = ModernMcp::start().await;
    for era in ["auto", "modern"] {
        let catalog = catalog(&server.url(), &format!("era = \"{era}\""));
        let outcome = call(&catalog, "echo", &json!({"text": "tea"})).await.expect("a result");
        assert_eq!(outcome.result, text("tea"), "{era}");
    }
}

#[tokio::test]
async fn a_result_within_its_bound_comes_back_and_one_beyond_it_does_not() {
    let server = FakeMcp::start().await;
    let wide = catalog(&server.url(), "max_result_bytes = 8388608");
    for tool in ["huge", "huge_event"] {
        let outcome = call(&wide, tool, &json!({})).await.expect(tool);
        let length = outcome.result["content"][0]["text"].as_str().map_or(0, str::len);
        assert!(length > 6_000_000, "{tool}: {length}");
    }
    let narrow = catalog(&server.url(), "max_result_bytes = 16384");
    let long = "x".repeat(17_000);
    let failure = call(&narrow, "echo", &json!({"text": long})).await.expect_err("too much");
    assert_eq!(failure.error.code, "result_too_large");
    assert!(failure.error.message.contains("max_result_bytes"), "{}", failure.error.message);
}
