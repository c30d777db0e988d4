//! A tool's answer at once.

use mcp_batch_testkit::Behaviour;
use serde_json::{Value, json};

use super::rig::Serve;

fn call(text: &str) -> Value {
    json!({"tool": "summarize", "input": {"text": text}})
}

#[tokio::test]
async fn a_call_is_answered_with_result_and_usage_by_either_route() {
    let serve = Serve::start().await;
    let by_path = serve.post("/v1/tools/summarize", &json!({"text": "One."})).await.expect(200);
    let by_body = serve.post("/v1/call", &call("One.")).await.expect(200);
    assert_eq!((&by_path["result"], &by_path), (&"Echo: One.".into(), &by_body));
    assert!(by_path["usage"]["input_tokens"].is_u64() && by_path.get("id").is_none(), "{by_path}");
}

#[tokio::test]
async fn what_is_asked_wrongly_is_a_400_that_names_the_field() {
    let serve = Serve::start().await;
    for (path, body, code, field) in [
        ("/v1/tools/nothing", json!({}), "unknown_tool", json!("tool")),
        ("/v1/tools/a/b", json!({}), "unknown_tool", json!("tool")),
        ("/v1/tools/a/b/c", json!({}), "invalid_field", json!("tool")),
        ("/v1/tools/summarize", json!({"text": 1}), "input_schema", json!("input.text")),
        ("/v1/tools/summarize", json!([]), "invalid_field", json!("input")),
        ("/v1/call", json!({"tool": "summarize"}), "missing_field", json!("input")),
        (
            "/v1/call",
            json!({"tool": "summarize", "input": {}, "inputs": {}}),
            "unknown_field",
            json!("inputs"),
        ),
        ("/v1/call", json!([]), "not_an_object", Value::Null),
        (
            "/v1/call",
            json!({"tool": "summarize", "input": {"text": "x"}, "callback": "https://a.b"}),
            "invalid_field",
            json!("callback"),
        ),
    ] {
        let answer = serve.post(path, &body).await;
        assert_eq!(
            (answer.problem(400).as_str(), &answer.json()["field"]),
            (code, &field),
            "{path} {body}"
        );
    }
    // One value, and not the beginning of a job's other fields.
    let smuggled = serve.post_text("/v1/tools/summarize", r#"{"text":"x"},"model":"dear""#).await;
    assert_eq!(smuggled.problem(400), "not_json");
    assert_eq!(serve.llm.calls(), 0);
}

#[tokio::test]
async fn an_upstreams_failure_is_a_502_and_its_silence_a_504() {
    let serve = Serve::with(&[("MCP_BATCH_LLM_TIMEOUT_S", "1")]).await;
    let model = |name: &str, text: &str| json!({"tool": "summarize", "model": name, "input": {"text": text}});
    for (marker, status, code) in [
        ("[[500]]", 502, "http_500"),
        ("[[400]]", 502, "http_400"),
        ("[[401]]", 502, "http_401"),
        ("[[garbage]]", 502, "answer_malformed"),
        ("[[hang]]", 504, "timeout"),
    ] {
        let answer = serve.post("/v1/call", &model(&format!("model-{code}"), marker)).await;
        assert_eq!(answer.problem(status), code, "{marker}");
    }
    let busy = serve.post("/v1/call", &model("busy", "[[429:7]]")).await;
    assert_eq!((busy.problem(503).as_str(), busy.retry_after.as_deref()), ("http_429", Some("8")));
    let paused = serve.post("/v1/call", &model("busy", "One.")).await;
    assert_eq!(
        (paused.problem(503).as_str(), paused.retry_after.is_some()),
        ("upstream_paused", true)
    );
    assert!(serve.is_alive().await);
}

#[tokio::test]
async fn no_more_calls_run_at_once_than_may() {
    let serve = Serve::with(&[("MCP_BATCH_CONCURRENCY", "1")]).await;
    serve.llm.set_default(Behaviour::Hold);
    let (slow, body) = (call("Slow."), call("Quick."));
    let both = async {
        serve.llm.wait_for_calls(1).await;
        let refused = serve.post("/v1/call", &body).await;
        serve.llm.release(1);
        refused
    };
    let (answered, refused) = tokio::join!(serve.post("/v1/call", &slow), both);
    assert_eq!((answered.status, refused.problem(503).as_str()), (200, "busy"));
    assert!(refused.retry_after.is_some());
}

#[tokio::test]
async fn a_call_with_an_idempotency_key_is_paid_once() {
    let serve = Serve::start().await;
    let first = serve.post_named("/v1/call", "call-1", &call("One.")).await.expect(200);
    let second = serve.post_named("/v1/call", "call-1", &call("One.")).await.expect(200);
    assert_eq!((&first, &first["result"]), (&second, &"Echo: One.".into()));
    assert_eq!(serve.llm.calls(), 1);
    let job = serve.get(&format!("/v1/jobs/{}", first["id"].as_str().expect("an id"))).await;
    assert_eq!(job.expect(200)["result"], "Echo: One.");
    let other = serve.post_named("/v1/call", "call-1", &call("Two.")).await;
    assert_eq!(other.problem(422), "idempotency_key");
    let failed = serve.post_named("/v1/call", "call-2", &call("[[400]]")).await;
    assert_eq!(failed.problem(502), "http_400");
    assert_eq!(serve.post_named("/v1/call", "call-2", &call("[[400]]")).await.status, 502);
    assert_eq!(serve.llm.calls(), 2);
}

#[tokio::test]
async fn a_caller_that_left_a_named_call_finds_its_outcome() {
    let serve = Serve::start().await;
    serve.llm.set_default(Behaviour::Hold);
    let body = call("One.");
    {
        let left = serve.post_named("/v1/call", "call-1", &body);
        tokio::select! {
            _ = left => unreachable!("the call is held"),
            () = serve.llm.wait_for_calls(1) => {}
        }
    }
    serve.llm.release(1);
    let answer = serve.post_named("/v1/call", "call-1", &body).await.expect(200);
    assert_eq!((&answer["result"], serve.llm.calls()), (&"Echo: One.".into(), 1));
}

#[tokio::test]
async fn the_tools_are_listed_with_their_schemas() {
    let serve = Serve::start().await;
    let list = serve.get("/v1/tools").await.expect(200);
    let tools = list["tools"].as_array().expect("tools");
    let names: Vec<_> = tools.iter().map(|tool| tool["name"].as_str().expect("a name")).collect();
    assert_eq!(names, ["classify", "summarize"]);
    assert_eq!(tools[1]["input_schema"]["required"], json!(["text"]));
    assert_eq!(tools[1]["retry"], "safe");
}
