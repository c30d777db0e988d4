//! The list of a server's tools: when it is asked for, how long it is used, what is checked by it.

use std::time::Duration;

use mcp_batch::{error::ErrorClass, tool::Tools};
use mcp_batch_testkit::{FakeMcp, McpEra};
use serde_json::{Value, json};
use tokio::time::timeout;

use super::rig::{SOON, call, catalog, check, job};
use crate::helpers::Log;

fn tool(name: &str, schema: &Value) -> Value {
    json!({"name": name, "inputSchema": schema, "annotations": {"readOnlyHint": true}})
}

#[tokio::test]
async fn an_input_is_checked_against_the_servers_own_schema_before_the_call() {
    let server = FakeMcp::start().await;
    let schema = json!({
        "type": "object",
        "required": ["city"],
        "additionalProperties": false,
        "properties": {"city": {"type": "string", "minLength": 2}},
    });
    server.set_tools([tool("weather", &schema)]);
    let catalog = catalog(&server.url(), "");
    let cases = [
        (json!({}), "input.city"),
        (json!({"city": 7}), "input.city"),
        (json!({"city": "x"}), "input.city"),
        (json!({"city": "Ulm", "country": "DE"}), "input.country"),
        (json!({"city": null}), "input.city"),
    ];
    for (input, field) in cases {
        let error = check(&catalog, "weather", &input).await.expect_err("it does not fit");
        assert_eq!((error.class, &*error.code), (ErrorClass::Invalid, "input_schema"));
        assert_eq!(error.field.as_deref(), Some(field));
    }
    call(&catalog, "weather", &json!({"city": "Ulm"})).await.expect("it fits");
    let without = json!({"city": "Ulm", "country": null});
    call(&catalog, "weather", &without).await.expect("what is null is left out");
    assert_eq!((server.calls("weather"), server.count("tools/list")), (2, 1));
}

#[tokio::test]
async fn a_schema_that_cannot_be_used_is_the_servers_to_apply() {
    let server = FakeMcp::start().await;
    let hostile = [
        json!({"type": "object", "$ref": "https://example.com/elsewhere.json"}),
        json!({"type": 12}),
        json!({"type": "object", "patternProperties": {"(": {}}}),
    ];
    for schema in hostile {
        server.set_tools([tool("odd", &schema)]);
        let catalog = catalog(&server.url(), "");
        call(&catalog, "odd", &json!({"text": "tea"})).await.expect("the server takes it");
        let (_, problems) = catalog.examine().await;
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(problems[0].to_string().starts_with("s/odd: its input schema cannot be used"));
    }
}

#[tokio::test]
async fn a_tool_that_cannot_be_read_is_left_out_of_the_list_alone() {
    for era in [McpEra::Legacy, McpEra::Modern] {
        let server = FakeMcp::builder().era(era).start().await;
        let bad = [json!({"name": "bad", "inputSchema": 7}), json!({"name": 5}), json!("odd")];
        server.set_tools([tool("good", &json!({"type": "object"}))].into_iter().chain(bad));
        let catalog = catalog(&server.url(), "");
        call(&catalog, "good", &json!({})).await.expect("its neighbours do not matter");
        let error = check(&catalog, "bad", &json!({})).await.expect_err("it is left out");
        assert_eq!(&*error.code, "unknown_tool");
        let (_, problems) = catalog.examine().await;
        let said: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert_eq!(said.len(), 3, "{said:?}");
        let left_out = "s: a tool of its list cannot be read and is left out: ";
        assert!(said.iter().all(|line| line.starts_with(left_out)), "{said:?}");
        assert!(said[0].ends_with("bad") && said[1].ends_with("without a name"), "{said:?}");
    }
}

#[tokio::test]
async fn a_name_that_a_list_has_twice_is_told() {
    let server = FakeMcp::start().await;
    let schema = json!({"type": "object"});
    server.set_tools([tool("same", &schema), tool("same", &schema), tool("other", &schema)]);
    let (listing, problems) = catalog(&server.url(), "").examine().await;
    assert_eq!(listing.tools.len(), 2);
    let said: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(said, ["s: its list has the tool same twice: the latter holds"]);
}

#[tokio::test]
async fn a_list_is_cut_off_where_it_would_take_too_much_memory() {
    let server = FakeMcp::builder().page(1).start().await;
    let names: Vec<String> = (0..8).map(|n| format!("tool-{n}")).collect();
    let long = "x".repeat(3 * 1024 * 1024);
    server.set_tools(names.iter().map(|name| {
        let mut tool = tool(name, &json!({"type": "object"}));
        tool["description"] = long.as_str().into();
        tool
    }));
    let written = Log::start();
    let catalog = catalog(&server.url(), "");
    check(&catalog, "tool-4", &json!({})).await.expect("there is room for it");
    let error = check(&catalog, "tool-5", &json!({})).await.expect_err("16 MiB are over");
    assert!(error.message.contains("cut off after 5"), "{}", error.message);
    assert_eq!(server.count("tools/list"), 6, "no page is asked for in vain");
    assert!(written.text().contains("a server's list of tools is cut off"), "it is warned of");
    let (_, problems) = catalog.examine().await;
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].to_string().starts_with("s: its list of tools is too long"));
}

#[tokio::test]
async fn all_pages_of_a_list_are_read_but_not_for_ever() {
    let server = FakeMcp::builder().page(2).start().await;
    let names: Vec<String> = (0..7).map(|n| format!("tool-{n}")).collect();
    server.set_tools(names.iter().map(|name| tool(name, &json!({"type": "object"}))));
    let catalog = catalog(&server.url(), "");
    for name in &names {
        check(&catalog, name, &json!({})).await.expect("it is listed");
    }
    assert_eq!(server.count("tools/list"), 4);

    server.list_for_ever();
    let catalog = super::rig::catalog(&server.url(), "");
    timeout(SOON, check(&catalog, "tool-0", &json!({}))).await.expect("it ends").expect("a plan");
    assert!(server.count("tools/list") <= 104);
}

#[tokio::test]
async fn a_list_is_used_as_long_as_its_server_says_and_then_asked_for_beside_the_jobs() {
    let server = FakeMcp::builder().ttl_ms(3_600_000).start().await;
    let catalog = catalog(&server.url(), "");
    for _ in 0..50 {
        check(&catalog, "echo", &json!({})).await.expect("it is listed");
    }
    assert_eq!(server.count("tools/list"), 1);
}

#[tokio::test]
async fn a_tool_that_nobody_lists_is_the_jobs_fault_and_no_storm_of_questions() {
    let server = FakeMcp::start().await;
    let catalog = catalog(&server.url(), "");
    for _ in 0..50 {
        let error = check(&catalog, "no_such", &json!({})).await.expect_err("nobody lists it");
        assert_eq!((error.class, &*error.code), (ErrorClass::Invalid, "unknown_tool"));
        assert!(error.message.contains("echo") && error.message.len() < 1000, "{}", error.message);
    }
    assert_eq!(server.count("tools/list"), 1);
}

#[tokio::test]
async fn what_the_catalog_forbids_is_not_called_whatever_the_server_lists() {
    let server = FakeMcp::start().await;
    let catalog =
        catalog(&server.url(), "allow = [\"echo\", \"status_*\"]\ndeny = [\"status_500\"]");
    for (tool, is_allowed) in
        [("echo", true), ("status_418", true), ("status_500", false), ("hang", false)]
    {
        let checked = check(&catalog, tool, &json!({})).await;
        assert_eq!(checked.is_ok(), is_allowed, "{tool}: {checked:?}");
    }
    let listing = catalog.list().await;
    let names: Vec<&str> = listing.tools.iter().map(|tool| tool.name.as_str()).collect();
    assert!(names.contains(&"s/echo") && !names.contains(&"s/status_500"), "{names:?}");
}

#[tokio::test]
async fn before_its_list_is_known_a_server_says_nothing_against_a_job() {
    let catalog = catalog(&crate::helpers::closed_port(), "");
    let plan = catalog.check(&job("anything", &json!({}))).expect("nobody knows better yet");
    assert_eq!(plan.timeout, Duration::from_secs(60));
}

#[tokio::test]
async fn a_server_that_the_catalog_does_not_know_is_an_error_that_names_those_it_knows() {
    let catalog = catalog(&crate::helpers::closed_port(), "");
    let job = json!({"id": "a", "tool": "other/echo", "input": {}});
    let job = mcp_batch::job::Job::parse(&job.to_string().into()).expect("a sound job");
    let error = catalog.check(&job).expect_err("there is no such server");
    assert_eq!(&*error.code, "unknown_tool");
    assert!(error.message.contains("s/…"), "{}", error.message);
}
