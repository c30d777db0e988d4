//! `POST /mcp`, as old and new clients use it.

use mcp_batch_testkit::Method;
use serde_json::{Value, json};

use super::rig::{Answer, Serve, send};

const NEW: &str = "2026-07-28";

/// A request of the stateless era.
async fn ask(serve: &Serve, key: Option<&str>, method: &str, mut params: Value) -> Answer {
    params["_meta"] = json!({
        "io.modelcontextprotocol/protocolVersion": NEW,
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    let name = params["name"].as_str().map(str::to_owned);
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
    let mut request =
        posted(serve, &body).header("mcp-protocol-version", NEW).header("mcp-method", method);
    if let Some(name) = name {
        request = request.header("mcp-name", name);
    }
    if let Some(key) = key {
        request = request.header("authorization", format!("Bearer {key}"));
    }
    send(request).await
}

fn posted(serve: &Serve, body: &Value) -> reqwest::RequestBuilder {
    serve
        .request(Method::POST, "/mcp")
        .header("content-type", "application/json")
        .header("accept", "application/json, text/event-stream")
        .body(body.to_string())
}

async fn call(serve: &Serve, name: &str, arguments: Value) -> Value {
    let answer =
        ask(serve, None, "tools/call", json!({"name": name, "arguments": arguments})).await;
    answer.expect(200)["result"].clone()
}

fn names(list: &Value) -> Vec<String> {
    let tools = list["result"]["tools"].as_array().expect("tools").iter();
    tools.map(|tool| tool["name"].as_str().expect("a name").to_owned()).collect()
}

#[tokio::test]
async fn the_catalogs_tools_and_four_of_our_own_are_listed_and_called() {
    let serve = Serve::start().await;
    let list = ask(&serve, None, "tools/list", json!({})).await.expect(200);
    assert_eq!(
        names(&list),
        ["enqueue_jobs", "job_status", "batch_status", "batch_results", "classify", "summarize"]
    );
    assert_eq!(list["result"]["tools"][5]["inputSchema"]["required"], json!(["text"]));
    assert_eq!(list["result"]["tools"][1]["annotations"]["readOnlyHint"], true);

    let result = call(&serve, "summarize", json!({"text": "One."})).await;
    assert_eq!(result["content"][0], json!({"type": "text", "text": "Echo: One."}));
    let wrong = call(&serve, "summarize", json!({"text": 1})).await;
    assert_eq!(wrong["isError"], true);
    assert!(wrong["content"][0]["text"].as_str().expect("text").contains("input.text"), "{wrong}");
    let unknown =
        ask(&serve, None, "tools/call", json!({"name": "nothing", "arguments": {}})).await;
    assert_eq!(unknown.json()["error"]["code"], -32602);
}

#[tokio::test]
async fn an_agent_sends_jobs_and_looks_after_them() {
    let serve = Serve::start().await;
    let jobs = json!([{"tool": "summarize", "input": {"text": "One."}}]);
    let arguments = json!({"jobs": jobs, "idempotency_key": "agent-1"});
    let sent = call(&serve, "enqueue_jobs", arguments.clone()).await["structuredContent"].clone();
    assert_eq!(sent["accepted"], 1, "{sent}");
    let id = sent["jobs"][0]["id"].as_str().expect("an id").to_owned();
    serve.until(&id, "succeeded").await;

    let status = call(&serve, "job_status", json!({"id": id})).await;
    assert_eq!(status["structuredContent"]["result"], "Echo: One.");
    let again = call(&serve, "enqueue_jobs", arguments).await;
    assert_eq!(again["structuredContent"]["duplicates"], 1);
    let none = call(&serve, "batch_status", json!({"id": "none"})).await;
    assert_eq!(none["isError"], true);
    assert_eq!(call(&serve, "job_status", json!({})).await["isError"], true);
    assert_eq!(serve.llm.calls(), 1);
}

#[tokio::test]
async fn an_old_client_shakes_hands_first() {
    let serve = Serve::start().await;
    let hello = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "old", "version": "1"},
    }});
    let answer = send(posted(&serve, &hello)).await.expect(200);
    assert_eq!(answer["result"]["serverInfo"]["name"], "mcp-batch");
    assert_eq!(answer["result"]["protocolVersion"], "2025-11-25");
    let ready = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
    assert_eq!(send(posted(&serve, &ready)).await.status, 202);
    let list = json!({"jsonrpc": "2.0", "id": 2, "method": "tools/list"});
    let list = posted(&serve, &list).header("mcp-protocol-version", "2025-11-25");
    assert_eq!(names(&send(list).await.expect(200)).len(), 6);
    assert_eq!(serve.get("/mcp").await.status, 405);
}

#[tokio::test]
async fn a_key_sees_and_calls_the_tools_of_its_scopes_alone() {
    let keys = "r:default:read:0123456789abcdef-r c:default:call:0123456789abcdef-c";
    let serve = Serve::with(&[("MCP_BATCH_API_KEYS", keys)]).await;
    let reader = Some("0123456789abcdef-r");
    let list = ask(&serve, reader, "tools/list", json!({})).await.expect(200);
    assert_eq!(names(&list), ["job_status", "batch_status", "batch_results"]);
    let list = ask(&serve, Some("0123456789abcdef-c"), "tools/list", json!({})).await.expect(200);
    assert_eq!(names(&list), ["classify", "summarize"]);
    for (key, name) in [
        (reader, "summarize"),
        (reader, "enqueue_jobs"),
        (Some("0123456789abcdef-c"), "job_status"),
    ] {
        let refused =
            ask(&serve, key, "tools/call", json!({"name": name, "arguments": {"text": "x"}})).await;
        assert_eq!(refused.json()["error"]["code"], -32602, "{name}");
    }
    assert_eq!(ask(&serve, None, "tools/list", json!({})).await.problem(401), "unauthorized");
    assert_eq!(serve.llm.calls(), 0);
}
