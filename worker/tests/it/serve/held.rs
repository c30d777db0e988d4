//! Held jobs, and what a person decides about them.

use mcp_batch::tool::Catalog;
use serde_json::{Value, json};

use super::rig::Serve;

const CATALOG: &str = r#"
[tools.once]
description = "Must not be repeated."
user = "{{ text }}"
retry = "never"
input_schema = { type = "object", required = ["text"] }
"#;

fn job(id: &str, text: &str) -> Value {
    json!({"id": id, "tool": "once", "input": {"text": text}})
}

async fn with_held(ids: &[&str]) -> Serve {
    with_held_by(ids, "once", &[]).await
}

/// A server whose jobs of these ids are held: nobody saw how their calls of a tool, which is there
/// beside the usual ones, ended.
pub(super) async fn with_held_by(ids: &[&str], tool: &str, more: &[(&str, &str)]) -> Serve {
    let catalog = tempfile::NamedTempFile::new().expect("a file");
    let tools = [Catalog::default_text(), &CATALOG.replace("once", tool)].concat();
    std::fs::write(catalog.path(), tools).expect("it is written");
    let path = catalog.path().to_str().expect("text");
    let settings = [("MCP_BATCH_TOOLS", path), ("MCP_BATCH_LLM_MODEL", "m")];
    let serve = Serve::with(&[&settings, more].concat()).await;
    for id in ids {
        let job = json!({"id": id, "tool": tool, "input": {"text": "[[drop]]"}});
        serve.post("/v1/jobs", &job).await.expect(202);
        serve.until(id, "held").await;
    }
    serve
}

#[tokio::test]
async fn a_held_job_is_run_again_given_up_or_told_to_have_succeeded() {
    let serve = with_held(&["again", "lost", "known"]).await;
    let held = serve.get("/v1/held").await.expect(200);
    let ids = held["jobs"].as_array().expect("jobs").iter();
    let ids: Vec<_> = ids.map(|job| job["id"].as_str().expect("an id")).collect();
    assert_eq!((ids, &held["truncated"]), (vec!["again", "lost", "known"], &false.into()));
    let body = json!({"tool": "once", "input": {"text": "Now."}});
    serve.post("/v1/held/again/retry", &body).await.expect(202);
    let failed = serve.post("/v1/held/lost/fail", &json!({"message": "it was never made"})).await;
    let known = serve.post("/v1/held/known/succeed", &json!({"result": {"paid": true}})).await;

    assert_eq!(failed.expect(200)["error"]["message"], "it was never made");
    assert_eq!(known.expect(200)["result"], json!({"paid": true}));
    assert_eq!(serve.until("again", "succeeded").await["result"], "Echo: Now.");
    assert_eq!(serve.until("lost", "failed").await["error"]["code"], "decided");
    assert_eq!(serve.until("known", "succeeded").await["attempts"], 1);
    assert_eq!(serve.get("/v1/held").await.expect(200)["jobs"], json!([]));
}

#[tokio::test]
async fn what_is_not_held_or_not_said_is_refused() {
    let serve = with_held(&["held"]).await;
    serve.post("/v1/jobs", &job("done", "Fine.")).await.expect(202);
    serve.until("done", "succeeded").await;
    let result = json!({"result": null});
    assert_eq!(serve.post("/v1/held/done/succeed", &result).await.problem(409), "job_state");
    assert_eq!(serve.post("/v1/held/none/succeed", &result).await.problem(404), "not_found");
    assert_eq!(
        serve.post("/v1/held/none/retry", &job("none", "x")).await.problem(404),
        "not_found"
    );
    let other = serve.post("/v1/held/held/retry", &job("other", "x")).await;
    assert_eq!(
        (other.problem(400).as_str(), &other.json()["field"]),
        ("invalid_field", &"id".into())
    );
    let unfit = serve.post("/v1/held/held/retry", &json!({"tool": "once", "input": {}})).await;
    assert_eq!(unfit.problem(400), "input_schema");
    for body in [json!({}), json!({"message": ""}), json!({"message": 1}), json!([])] {
        assert_eq!(serve.post("/v1/held/held/fail", &body).await.status, 400, "{body}");
    }
    assert_eq!(serve.post("/v1/held/held/succeed", &json!({})).await.status, 400);
    assert_eq!(serve.post("/v1/held/held/forget", &json!({})).await.problem(404), "not_found");
    serve.until("held", "held").await;
}
