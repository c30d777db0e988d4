//! Servers that do what none should.

use mcp_batch::error::ErrorClass;
use mcp_batch_testkit::{FakeMcp, McpEra, wait_until};
use serde_json::{Value, json};

use super::rig::{call, catalog, check, text};

fn tool(name: &str, schema: &Value) -> Value {
    json!({"name": name, "inputSchema": schema, "annotations": {"readOnlyHint": true}})
}

#[tokio::test]
async fn what_a_server_asks_in_the_middle_of_a_call_is_refused_and_the_call_goes_on() {
    let server = FakeMcp::start().await;
    let catalog = catalog(&server.url(), "");
    let outcome = call(&catalog, "asks", &json!({"text": "tea"})).await.expect("a result");
    assert_eq!(outcome.result, text("tea"));
    // Answers bear no method: the ping's and four errors.
    wait_until("each is answered", || server.count("") == 5).await;
}

#[tokio::test]
async fn a_server_that_asks_without_end_is_not_listened_to_faster_than_it_is_answered() {
    let server = FakeMcp::start().await;
    let catalog = catalog(&server.url(), "[servers.s.tools.asks_on]\ntimeout_s = 1");
    let failure = call(&catalog, "asks_on", &json!({})).await.expect_err("no result");
    assert_eq!(&*failure.error.code, "timeout");
    let answers = server.count("");
    assert!((1..=110).contains(&answers), "a hundred a second: {answers}");
}

#[tokio::test]
async fn a_flood_of_notifications_neither_keeps_a_call_nor_holds_up_its_result() {
    let server = FakeMcp::start().await;
    let catalog = catalog(&server.url(), "[servers.s.tools.flood]\ntimeout_s = 0.5");
    let failure = call(&catalog, "flood", &json!({})).await.expect_err("no result");
    assert_eq!(&*failure.error.code, "timeout");
    let outcome = call(&catalog, "goes_on", &json!({"text": "tea"})).await.expect("a result");
    assert_eq!(outcome.result, text("tea"));
    wait_until("both streams are left", || server.clients_left() == 2).await;
}

#[tokio::test]
async fn a_handshake_that_answers_another_question_is_a_matter_of_the_catalog() {
    let server = FakeMcp::builder().initialize_id(json!(987)).start().await;
    let catalog = catalog(&server.url(), "era = \"legacy\"");
    let failure = call(&catalog, "echo", &json!({})).await.expect_err("no answer");
    assert_eq!(failure.error.class, ErrorClass::Configuration);
    assert!(failure.error.message.contains("another request"), "{}", failure.error.message);
}

#[tokio::test]
async fn what_stands_beside_the_tools_of_a_list_costs_nobody_the_tools() {
    for era in [McpEra::Legacy, McpEra::Modern] {
        for (name, member) in [
            ("ttlMs", json!(-5)),
            ("ttlMs", json!(1.5)),
            ("ttlMs", json!("soon")),
            ("cacheScope", json!("galactic")),
            ("nextCursor", json!(7)),
            ("nextCursor", json!("")),
            ("_meta", json!(7)),
        ] {
            let server = FakeMcp::builder().era(era).start().await;
            server.set_beside_tools(name, member.clone());
            let catalog = catalog(&server.url(), "");
            let outcome = call(&catalog, "echo", &json!({"text": "tea"})).await;
            assert_eq!(outcome.expect("a result").result, text("tea"), "{name} {member}");
            assert_eq!(server.count("tools/list"), 1, "{name} {member}");
        }
    }
}

#[tokio::test]
async fn a_list_that_names_itself_as_the_next_is_read_no_further() {
    let server = FakeMcp::start().await;
    server.set_beside_tools("nextCursor", json!("again"));
    let catalog = catalog(&server.url(), "");
    check(&catalog, "echo", &json!({})).await.expect("it is listed");
    assert_eq!(server.count("tools/list"), 2);
}

#[tokio::test]
async fn nothing_that_a_schema_refers_to_is_fetched() {
    let (server, elsewhere) = (FakeMcp::start().await, FakeMcp::start().await);
    let url = elsewhere.url();
    server.set_tools([
        tool("a", &json!({"type": "object", "properties": {"a": {"$ref": url}}})),
        tool("b", &json!({"$schema": url, "type": "object"})),
        tool("c", &json!({"$id": url, "type": "object", "$ref": "other"})),
        tool("d", &json!({"$dynamicRef": url})),
        tool("e", &json!({"$ref": "file:///etc/passwd"})),
    ]);
    let catalog = catalog(&server.url(), "");
    for name in ["a", "b", "c", "d", "e"] {
        call(&catalog, name, &json!({"a": 1})).await.expect("the server judges");
    }
    let (listing, problems) = catalog.examine().await;
    assert_eq!((listing.tools.len(), problems.len()), (5, 5), "{problems:?}");
    assert_eq!(elsewhere.connections(), 0);
}

#[tokio::test]
async fn a_schema_that_unfolds_for_ever_is_the_servers_to_apply() {
    let next = |n: usize| json!({"$ref": format!("#/$defs/d{n}")});
    let mut defs = json!({"d40": {"type": "object"}});
    for n in 0..40 {
        defs[format!("d{n}")] = json!({"allOf": [next(n + 1), next(n + 1)]});
    }
    let server = FakeMcp::start().await;
    server.set_tools([
        tool("doubles", &json!({"type": "object", "$defs": defs, "$ref": "#/$defs/d0"})),
        tool("holds_itself", &json!({"type": "object", "allOf": [{"$ref": "#"}, {"$ref": "#"}]})),
    ]);
    let catalog = catalog(&server.url(), "");
    for name in ["doubles", "holds_itself"] {
        call(&catalog, name, &json!({"text": "tea"})).await.expect("the server judges");
    }
    let (_, problems) = catalog.examine().await;
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].to_string().contains("unfolds"), "{problems:?}");
}

#[tokio::test]
async fn a_server_of_a_thousand_oddly_named_tools_is_one_of_a_thousand_tools() {
    let server = FakeMcp::start().await;
    let odd = ["../up", "two words", "\u{1b}[31mred", "", "größe", "line\nbreak", "\u{202e}txet"];
    let names = (0..1_000).map(|n| format!("tool-{n}")).chain(odd.map(str::to_owned));
    server.set_tools(names.map(|name| tool(&name, &json!({"type": "object"}))));
    let catalog = catalog(&server.url(), "");
    call(&catalog, "tool-999", &json!({"text": "tea"})).await.expect("a result");
    let error = check(&catalog, "none", &json!({})).await.expect_err("it is not listed");
    let message = error.message;
    assert!(
        message.len() < 1_000 && !message.contains(['\u{1b}', '\n', '\u{202e}']),
        "{message:?}"
    );
    let (listing, problems) = catalog.examine().await;
    assert_eq!((listing.tools.len(), problems.len()), (1_007, 7), "no job can name the odd ones");
    assert!(problems.iter().all(|it| it.problem.contains("no job can name it")), "{problems:?}");
}
