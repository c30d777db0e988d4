//! What a call meets, by the name of its tool.

use std::time::Duration;

use bytes::Bytes;
use hyper::Response;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::Mcp;
use super::answer::{self, Call};
use crate::server::{Body, Closed, Visit, lock};

/// More than any client should read.
const HUGE: usize = 6 * 1024 * 1024;

const NAMES: [&str; 66] = [
    "echo",
    "everything",
    "nothing",
    "unknown_content",
    "is_error",
    "ts_refusal",
    "status_302",
    "status_400",
    "status_401",
    "status_403",
    "status_404",
    "status_405",
    "status_408",
    "status_409",
    "status_410",
    "status_413",
    "status_418",
    "status_425",
    "status_429",
    "status_500",
    "status_502",
    "status_503",
    "status_504",
    "wait_429",
    "wait_503",
    "rpc_32700",
    "rpc_32600",
    "rpc_32601",
    "rpc_32602",
    "rpc_32603",
    "rpc_32020",
    "rpc_32021",
    "rpc_32022",
    "rpc_32000",
    "rpc_32019",
    "rpc_1",
    "rpc_31998",
    "rpc_31999",
    "rpc_500_32603",
    "rpc_500_32602",
    "session_400",
    "session_500",
    "idless",
    "idless_null",
    "idless_event",
    "broken_json",
    "broken_event",
    "html",
    "other_id",
    "accepted",
    "once_html",
    "huge",
    "huge_event",
    "reset",
    "cut",
    "hang",
    "hang_event",
    "hold",
    "progress",
    "flood",
    "asks_on",
    "asks",
    "goes_on",
    "input_required",
    "task",
    "quotes",
];

/// All of them, safe to call again.
pub(super) fn tools() -> Vec<Value> {
    let tool = |name: &str| {
        json!({
            "name": name,
            "description": "What its name says.",
            "inputSchema": {"type": "object", "properties": {"text": {"type": "string"}}},
            "annotations": {"readOnlyHint": true},
        })
    };
    NAMES.into_iter().map(tool).collect()
}

/// Answers a call, or does not.
pub(super) async fn behave(mcp: &Mcp, call: Call, visit: Visit) -> Result<Response<Body>, Closed> {
    match call.tool.as_str() {
        "hang" => std::future::pending().await,
        "hang_event" => return Ok(stream(visit, silence)),
        "hold" => {
            if let Ok(permit) = mcp.releases.acquire().await {
                permit.forget();
            }
        }
        "progress" => return Ok(stream(visit, |events| progress(events, call))),
        "flood" => return Ok(stream(visit, |events| flood(events, call, None))),
        "asks_on" => return Ok(stream(visit, |events| asks(events, call, usize::MAX))),
        "asks" => return Ok(stream(visit, |events| asks(events, call, 5))),
        "goes_on" => {
            let result = echoed(&call);
            return Ok(stream(visit, |events| flood(events, call, Some(result))));
        }
        "reset" => {
            visit.end();
            return Err(Closed);
        }
        _ => {}
    }
    let is_first = lock(&mcp.calls).get(&call.tool).copied() == Some(1);
    visit.end();
    Ok(at_once(&call, is_first))
}

fn at_once(call: &Call, is_first: bool) -> Response<Body> {
    let Call { id, tool, arguments, .. } = call;
    let number = |text: &str| text.parse::<i64>().expect("a number in the tool's name");
    if let Some(status) = tool.strip_prefix("status_") {
        let response =
            answer::typed(status.parse().expect("a status"), "text/plain", "as its name says");
        return match status {
            "302" => answer::with(response, "location", "/elsewhere"),
            "401" => answer::with(response, "www-authenticate", "Bearer realm=\"fake\""),
            _ => response,
        };
    }
    if let Some(status) = tool.strip_prefix("wait_") {
        return answer::with(answer::status(status.parse().expect("a status")), "retry-after", "7");
    }
    if let Some(code) = tool.strip_prefix("rpc_500_") {
        return answer::json(500, &answer::error_message(id, -number(code), "as its name says"));
    }
    if let Some(status) = tool.strip_prefix("session_") {
        let status = status.parse().expect("a status");
        return answer::json(status, &answer::error_message(id, -32000, "the session is locked"));
    }
    if let Some(code) = tool.strip_prefix("rpc_") {
        return answer::error(id, -number(code), "as its name says");
    }
    let idless = |code| json!({"jsonrpc": "2.0", "error": {"code": code, "message": "no id"}});
    match tool.as_str() {
        "everything" => answer::result(id, &everything()),
        "nothing" => answer::result(id, &json!({})),
        "unknown_content" => {
            answer::result(id, &json!({"content": [{"type": "smell", "of": "tea"}]}))
        }
        "is_error" => {
            let mut result = answer::text("the disk is full");
            result["isError"] = true.into();
            answer::result(id, &result)
        }
        "ts_refusal" => {
            let mut result = answer::text("MCP error -32602: Input validation error");
            result["isError"] = true.into();
            answer::result(id, &result)
        }
        "quotes" => answer::error(id, -32603, &format!("cannot do {}", arguments["text"])),
        "idless" => answer::json(400, &idless(-32600)),
        "idless_null" => {
            let mut error = idless(-32600);
            error["id"] = Value::Null;
            answer::json(200, &error)
        }
        "idless_event" => events(&answer::event(&idless(-32600))),
        "broken_json" => answer::typed(200, "application/json", "{\"jsonrpc\": \"2.0\", "),
        "broken_event" => events("event: message\ndata: {\"jsonrpc\": \n\n"),
        "once_html" if !is_first => echo(call),
        "html" | "once_html" => answer::typed(200, "text/html", "<h1>It works!</h1>"),
        "other_id" => answer::result(&json!(987_654), &answer::text("not yours")),
        "accepted" => answer::status(202),
        "huge" => {
            let mut response = answer::typed(200, "application/json", "");
            *response.body_mut() = huge(id, "");
            response
        }
        "huge_event" => {
            let mut response = events("");
            *response.body_mut() = huge(id, "data: ");
            response
        }
        "cut" => events("event: message\ndata:\n\n"),
        "input_required" => answer::result(
            id,
            &json!({"resultType": "input_required", "inputRequests": {}, "requestState": "x"}),
        ),
        "task" => answer::result(
            id,
            &json!({"resultType": "task", "taskId": "1", "status": "working",
                    "createdAt": "2026-11-25T00:00:00Z", "lastUpdatedAt": "2026-11-25T00:00:00Z",
                    "ttlMs": 1000}),
        ),
        _ => echo(call),
    }
}

fn echo(call: &Call) -> Response<Body> {
    answer::json(200, &echoed(call))
}

fn echoed(call: &Call) -> Value {
    let text = call.arguments["text"].as_str().unwrap_or_default();
    answer::message(&call.id, &answer::text(text))
}

fn everything() -> Value {
    json!({
        "content": [
            {"type": "text", "text": "see below", "annotations": {"audience": ["user"]}},
            {"type": "image", "data": "iVBORw0KGgo=", "mimeType": "image/png"},
            {"type": "resource_link", "uri": "file:///a.txt", "name": "a.txt"},
            {"type": "resource", "resource": {"uri": "file:///b.txt", "text": "b"}},
        ],
        "structuredContent": {"z": 1, "a": [1.10, null]},
    })
}

fn huge(id: &Value, prefix: &str) -> Body {
    let head = format!(
        "{prefix}{{\"jsonrpc\":\"2.0\",\"id\":{id},\"result\":{{\"content\":[{{\"type\":\"text\",\"text\":\""
    );
    Body::huge(head.into(), HUGE, Bytes::from_static(b"\"}]}}\n\n"))
}

fn events(text: &str) -> Response<Body> {
    answer::typed(200, "text/event-stream", text)
}

/// A stream that `feed` feeds, until the client leaves.
fn stream<F: Future<Output = ()> + Send + 'static>(
    visit: Visit,
    feed: impl FnOnce(mpsc::Sender<Bytes>) -> F,
) -> Response<Body> {
    let (sender, receiver) = mpsc::channel(1);
    let mut response = events("");
    let feeding = tokio::spawn(feed(sender));
    *response.body_mut() = Body::Fed { receiver, feeding, visit: Some(visit) };
    response
}

/// The stream stays open, and nothing comes.
async fn silence(_events: mpsc::Sender<Bytes>) {
    std::future::pending::<()>().await;
}

async fn progress(events: mpsc::Sender<Bytes>, call: Call) {
    for step in 1..=10 {
        tokio::time::sleep(Duration::from_millis(50)).await;
        send(&events, &made(&call, step)).await;
    }
    send(&events, &echoed(&call)).await;
}

/// Progress without end, after the result if there is one.
async fn flood(events: mpsc::Sender<Bytes>, call: Call, result: Option<Value>) {
    if let Some(result) = result {
        send(&events, &result).await;
    }
    let much = answer::event(&made(&call, 1)).repeat(100);
    while events.send(much.clone().into()).await.is_ok() {}
}

/// What nobody is there to answer, so many times, then the result.
async fn asks(events: mpsc::Sender<Bytes>, call: Call, times: usize) {
    let methods = ["ping", "roots/list", "sampling/createMessage", "elicitation/create", "no/such"];
    for (id, method) in methods.into_iter().cycle().take(times).enumerate() {
        let request = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": {}});
        if !send(&events, &request).await {
            return;
        }
    }
    send(&events, &echoed(&call)).await;
}

fn made(call: &Call, progress: u64) -> Value {
    json!({
        "jsonrpc": "2.0",
        "method": "notifications/progress",
        "params": {"progressToken": call.progress_token, "progress": progress, "total": 10},
    })
}

/// Whether the client was still there; if not, the body sees it as well.
async fn send(events: &mpsc::Sender<Bytes>, message: &Value) -> bool {
    events.send(answer::event(message).into()).await.is_ok()
}
