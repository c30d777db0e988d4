//! What the function tells of itself: lines that Lambda and CloudWatch read.

use std::{collections::BTreeMap, time::Duration};

use mcp_batch_testkit::wait_until;
use serde_json::{Value, json};

use crate::{
    event::{Record, event},
    rig::{Rig, Setup, job},
};

/// Far longer than any invocation here takes.
const LONG: Duration = Duration::from_secs(60);

/// The lines of its log, each a JSON object, once so many invocations have told their metrics.
async fn lines(rig: &Rig, invocations: usize) -> Vec<Value> {
    let told = || rig.lambda.logs().matches("\"_aws\"").count() >= invocations;
    wait_until("the metrics are told", told).await;
    rig.lambda.logs().lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

/// The metrics among them.
fn metrics(lines: &[Value]) -> Vec<&Value> {
    lines.iter().filter(|line| line.get("_aws").is_some()).collect()
}

#[tokio::test]
async fn each_invocation_tells_its_jobs_its_batch_and_its_metrics_once() {
    let Some(rig) = Rig::start().await else { return };
    let mut failing = job("b");
    failing["input"]["text"] = "[[400]]".into();
    let records = [Record::new("1", &job("a")), Record::new("2", &failing)];
    rig.lambda.invoke(&event(&records), LONG).await.json();
    rig.lambda.invoke(&event(&[Record::new("3", &job("a"))]), LONG).await.json();
    let lines = lines(&rig, 2).await;
    for line in &lines {
        let has = |name: &str| line[name].is_string();
        assert!(has("timestamp") && has("level") && has("message"), "{line}");
    }
    let mut outcomes = BTreeMap::<_, Vec<_>>::new();
    for line in lines.iter().filter(|line| line["outcome"].is_string()) {
        assert!(line["request_id"].is_string() && line["level"] == "INFO", "{line}");
        let outcome = (line["outcome"].as_str(), line["duplicate"].as_bool());
        outcomes.entry(line["job_id"].as_str().expect("an id")).or_default().push(outcome);
    }
    let succeeded = |duplicate| (Some("succeeded"), Some(duplicate));
    let expected = BTreeMap::from([
        ("a", vec![succeeded(false), succeeded(true)]),
        ("b", vec![(Some("failed"), Some(false))]),
    ]);
    assert_eq!(outcomes, expected, "{lines:#?}");

    let metrics = metrics(&lines);
    assert_eq!(metrics.len(), 2, "one object an invocation: {metrics:#?}");
    let expected = json!({
        "level": "INFO", "function": "mcp-batch", "class": "permanent", "tool": "summarize", "JobsSucceeded": 1.0,
        "JobsFailed": 1.0, "BatchSize": 2.0, "ColdStart": 1.0, "DeadLetters": 1.0,
    });
    for (name, value) in expected.as_object().expect("an object") {
        assert_eq!(&metrics[0][name], value, "{name} in {}", metrics[0]);
    }
    assert_eq!(metrics[0]["ToolLatency"].as_array().map(Vec::len), Some(2));
    assert_eq!(metrics[1]["Duplicates"], 1.0);
    assert!(metrics[1].get("ColdStart").is_none(), "the process is the same");
    let of = |message: &str| -> Vec<String> {
        lines.iter().filter(|line| line["message"] == message).map(golden).collect()
    };
    let (ended, batches) = (of("job ended"), of("batch worked off"));
    assert_eq!((ended.len(), batches.len()), (2, 2), "{lines:#?}");
    assert_eq!(
        batches[0],
        concat!(
            r#"{"timestamp":"…","level":"INFO","message":"batch worked off","messages":2,"finished":2,"#,
            r#""returned":0,"left":0,"duration_ms":"…","request_id":"…"}"#
        )
    );
    // Field for field what docs/observability.md promises, in this order.
    let succeeded = ended.iter().find(|line| line.contains(r#""job_id":"a""#)).expect("of a");
    assert_eq!(
        succeeded,
        concat!(
            r#"{"timestamp":"…","level":"INFO","message":"job ended","outcome":"succeeded","duplicate":false,"#,
            r#""attempt":1,"epoch":1,"duration_ms":"…","input_tokens":21,"output_tokens":3,"#,
            r#""model":"claude-sonnet-4-5","message_id":"1","job_id":"a","tool":"summarize","request_id":"…"}"#
        )
    );
    let failed = ended.iter().find(|line| line.contains(r#""job_id":"b""#)).expect("of b");
    assert_eq!(
        failed,
        concat!(
            r#"{"timestamp":"…","level":"INFO","message":"job ended","outcome":"failed","duplicate":false,"#,
            r#""attempt":1,"epoch":1,"error_class":"permanent","error_code":"http_400","#,
            r#""error":"the LLM answered 400 Bad Request","#,
            r#""duration_ms":"…","input_tokens":0,"output_tokens":0,"message_id":"2","job_id":"b","#,
            r#""tool":"summarize","request_id":"…"}"#
        )
    );
}

/// A line as it was written, but for what differs each time.
fn golden(line: &Value) -> String {
    let mut line = line.clone();
    for name in ["timestamp", "duration_ms", "request_id", "trace_id"] {
        if let Some(value) = line.get_mut(name) {
            *value = "…".into();
        }
    }
    line.to_string()
}

#[tokio::test]
async fn lambdas_own_control_sets_the_level_and_lets_metrics_pass() {
    for (set, told) in [("WARN", false), ("INFO", true)] {
        let Some(rig) = Setup::default().env("AWS_LAMBDA_LOG_LEVEL", set).start().await else {
            return;
        };
        // By this id `scripts/logs` knows that it sees the function's log.
        let canary = job("canary-of-the-function");
        rig.lambda.invoke(&event(&[Record::new("1", &canary)]), LONG).await.json();
        let lines = lines(&rig, 1).await;
        let is_told = lines.iter().any(|line| line["outcome"].is_string());
        assert_eq!(is_told, told, "{set}: {lines:#?}");
        assert_eq!(metrics(&lines)[0]["level"], set, "Lambda drops lines below its level");
    }
}
