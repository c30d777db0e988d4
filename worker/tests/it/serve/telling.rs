//! What the server tells of itself: its log, and the page for Prometheus.

use mcp_batch_testkit::{Method, Receiver};
use serde_json::{Value, json};

use super::rig::{Serve, send};
use crate::helpers::{Folder, summarize};

/// The lines of its log, and it says nothing else.
fn lines(stderr: &str) -> Vec<Value> {
    stderr.lines().map(|line| serde_json::from_str(line).expect(line)).collect()
}

/// Every value of the page.
async fn metrics(serve: &Serve) -> String {
    let answer = serve.get("/metrics").await;
    assert_eq!((answer.status, &*answer.kind), (200, "text/plain; version=0.0.4; charset=utf-8"));
    answer.text
}

fn is_line_of_prometheus(line: &str) -> bool {
    let Some((series, value)) = line.rsplit_once(' ') else { return false };
    let name = series.split('{').next().unwrap_or_default();
    let is_name = name.chars().all(|c| c.is_ascii_lowercase() || c == '_');
    let labels = series.strip_prefix(name).unwrap_or_default();
    let is_labelled = labels.is_empty() || labels.starts_with('{') && labels.ends_with("\"}");
    is_name && is_labelled && value.parse::<f64>().is_ok()
}

#[tokio::test]
async fn each_job_has_one_line_and_each_batch_too() {
    let receiver = Receiver::start().await;
    let mut serve = Serve::start().await;
    let mut sound = summarize("sound", "One. Two. Three.");
    sound["tenant"] = "acme".into();
    sound["batch"] = json!({"id": "b-1", "index": 0, "size": 2, "callback": receiver.url("/")});
    let mut refused = summarize("refused", "Nobody takes this. [[400]]");
    refused["batch"] = json!({"id": "b-1", "index": 1, "size": 2, "callback": receiver.url("/")});
    serve.post("/v1/jobs", &json!({"jobs": [sound, refused]})).await.expect(202);
    serve.until_ended("b-1", 2).await;
    receiver.wait_for(1).await;
    serve.terminate();
    let lines = lines(&serve.finish().await.stderr);
    for line in &lines {
        let flat = line.as_object().expect("an object").values();
        assert!(flat.clone().all(|value| !value.is_object() && !value.is_array()), "{line}");
        assert!(["timestamp", "level", "message"].iter().all(|name| line[name].is_string()));
    }
    let ended = |id: &str| {
        let of_job = |line: &&Value| line["job_id"] == id && line["outcome"].is_string();
        let ended: Vec<_> = lines.iter().filter(of_job).collect();
        assert_eq!(ended.len(), 1, "{lines:#?}");
        ended[0]
    };
    let told = ended("sound");
    let expected = json!({
        "level": "INFO", "message": "job ended", "outcome": "succeeded", "batch_id": "b-1",
        "tool": "summarize", "tenant": "acme", "attempt": 1, "epoch": 1,
    });
    for (name, value) in expected.as_object().expect("an object") {
        assert_eq!(&told[name], value, "{name} in {told}");
    }
    let told = ended("refused");
    assert_eq!((&told["outcome"], &told["error_class"]), (&"failed".into(), &"permanent".into()));
    let batches = lines.iter().filter(|line| line["message"] == "batch worked off");
    let messages: u64 = batches.map(|line| line["messages"].as_u64().expect("a number")).sum();
    assert_eq!(messages, 2, "{lines:#?}");
}

#[tokio::test]
async fn prometheus_is_told_what_happened_without_a_key_on_loopback() {
    let keys = "k:default:enqueue+read+call:the-key-for-metrics";
    let serve = Serve::with(&[("MCP_BATCH_API_KEYS", keys)]).await;
    let before = metrics(&serve).await;
    assert!(before.contains("\nmcp_batch_jobs_succeeded_total 0\n"), "{before}");
    let jobs = json!({"jobs": [
        summarize("a", "One. Two."), summarize("b", "Three. Four."), summarize("c", "Five. [[400]]"),
    ]});
    let request =
        serve.request(Method::POST, "/v1/jobs").header("content-type", "application/json");
    let request = request.header("authorization", "Bearer the-key-for-metrics");
    send(request.body(jobs.to_string())).await.expect(202);
    let mut page = String::new();
    mcp_batch_testkit::wait_until_async("all jobs have ended", async || {
        page = metrics(&serve).await;
        page.contains("jobs_succeeded_total 2\n")
            && page.contains("jobs_failed_total{class=\"permanent\"} 1\n")
            // It is laid there after it has ended.
            && page.contains("dead_letters_total 1\n")
    })
    .await;
    for said in [
        "mcp_batch_tool_latency_seconds_count{tool=\"summarize\"} 3\n",
        "mcp_batch_ledger_latency_seconds_count 6\n",
        "mcp_batch_input_tokens_total{tool=\"summarize\"} ",
        "# TYPE mcp_batch_tool_latency_seconds histogram\n",
    ] {
        assert!(page.contains(said), "{said} in {page}");
    }
    let values = page.lines().filter(|line| !line.starts_with("# "));
    values.for_each(|line| assert!(is_line_of_prometheus(line), "{line}"));
    assert_eq!(serve.get("/v1/jobs/a").await.status, 401, "nothing else is open");
}

#[tokio::test]
async fn where_others_reach_the_server_metrics_need_a_key() {
    // A second start in one process keeps the first.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let folder = Folder::new();
    let run = folder.command("serve").args(["--offline", "--listen", "0.0.0.0:0"]);
    let run = run.env("MCP_BATCH_API_KEYS", "k:default:read:the-key-for-metrics");
    let running = run.start();
    running.wait_until_it_says("Serving http://").await;
    let said = running.stderr();
    let port = said.split("0.0.0.0:").nth(1).and_then(|said| said.split(' ').next());
    let url = format!("http://127.0.0.1:{}/metrics", port.expect("a port"));
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let asked = client.get(&url).send().await.expect("an answer");
    assert_eq!(asked.status(), 401);
    let asked = client.get(&url).bearer_auth("the-key-for-metrics").send().await;
    assert_eq!(asked.expect("an answer").status(), 200);
}

#[tokio::test]
async fn where_no_terminal_is_what_people_are_told_is_in_lines_of_the_log() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let folder = Folder::new();
    let run = folder.command("serve").args(["--offline", "--listen", "127.0.0.1:0"]);
    let running = run.start();
    running.wait_until_it_says("Serving http://").await;
    let said = running.stderr();
    let base = said.split("Serving ").nth(1).and_then(|said| said.split(' ').next());
    // Once it answers, it listens to signals.
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let url = format!("{}/metrics", base.expect("where it listens"));
    assert_eq!(client.get(&url).send().await.expect("an answer").status(), 200);
    running.terminate();
    let lines = lines(&running.finish().await.stderr);
    for said in ["The offline model answers, as asked", "Serving http://", "Finishing what runs"] {
        let is_said =
            |line: &Value| line["message"].as_str().is_some_and(|it| it.starts_with(said));
        assert_eq!(lines.iter().filter(|line| is_said(line)).count(), 1, "{said}: {lines:#?}");
    }
}

#[tokio::test]
async fn a_level_of_the_log_that_is_none_ends_a_command_before_it_begins() {
    let folder = Folder::new();
    folder.jobs(&[summarize("a", "One.")]);
    let ended = folder.run("jobs.jsonl").env("MCP_BATCH_LOG", "loud").finish().await;
    assert_eq!((ended.code, &*ended.stdout), (Some(2), ""));
    let levels = "one of error, warn, info, debug, trace";
    assert_eq!(ended.stderr, format!("error: MCP_BATCH_LOG: expected {levels}, found “loud”\n"));
}
