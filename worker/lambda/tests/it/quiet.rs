//! What happens every day is told as it is, and as no warning: whoever looks for warnings finds what
//! a person should see to.

use std::time::Duration;

use mcp_batch_testkit::{Behaviour, EventSource, Mapping, RuntimeApi, wait_until};
use serde_json::Value;

use crate::rig::{Rig, Setup, job, text_of};

/// Fails unless the function tells, after so many invocations, of messages that came back for `code`,
/// and warns of nothing.
async fn assert_tells_and_does_not_warn(function: &RuntimeApi, invocations: usize, code: &str) {
    let told = || function.logs().matches("\"_aws\"").count() >= invocations;
    wait_until("the metrics are told", told).await;
    let logs = function.logs();
    let lines = logs.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    let lines: Vec<_> = lines.collect();
    let loud: Vec<_> = lines.iter().filter(|line| line["level"] != "INFO").collect();
    assert!(loud.is_empty(), "{code}: {loud:#?}");
    let is_told = lines
        .iter()
        .any(|line| line["error_code"] == code || line["class"] == code || line["message"] == code);
    assert!(is_told, "{code}: {lines:#?}");
}

#[tokio::test]
async fn a_throttled_job_is_no_warning() {
    let Some(mut rig) = Rig::start().await else { return };
    rig.llm.script(text_of("a"), [Behaviour::throttled("1"), Behaviour::Echo]);
    rig.aws.send([job("a")]).await;
    let invocations = rig.work_off().await.len();
    assert_eq!(rig.llm.calls(), 2);
    assert_tells_and_does_not_warn(&rig.lambda, invocations, "http_429").await;
}

#[tokio::test]
async fn a_copy_of_a_job_that_another_process_runs_is_no_warning() {
    let timeout = Duration::from_secs(30);
    let setup = Setup::default().timeout(timeout).env("MCP_BATCH_LLM_TIMEOUT_S", "20");
    let Some(mut rig) = setup.batch_size(1).start().await else { return };
    rig.llm.set_default(Behaviour::Hold);
    let other = RuntimeApi::start(rig.function.clone()).await;
    let mapping = Mapping::default().function_timeout(timeout).batch_size(1);
    let mut copies = EventSource::create(rig.aws.impatient().await, mapping).expect("sound");
    rig.aws.send([job("a"), job("a")]).await;

    let look = async {
        rig.llm.wait_for_calls(1).await;
        copies.batches(&other, 1).await;
        rig.llm.release(1);
    };
    let (report, ()) = tokio::join!(rig.source.poll(&rig.lambda), look);
    assert_eq!(report.expect("a batch").deleted.len(), 1);
    copies.until_empty(&other).await;
    assert_eq!(rig.llm.calls(), 1);
    assert_tells_and_does_not_warn(&other, 2, "busy").await;
    assert_tells_and_does_not_warn(&rig.lambda, 1, "job ended").await;
}

#[tokio::test]
async fn a_job_that_there_was_no_time_for_is_no_warning() {
    let Some(rig) = Setup::default().env("MCP_BATCH_CONCURRENCY", "1").start().await else {
        return;
    };
    let slow = |id: &str| {
        let mut job = job(id);
        job["input"]["text"] = "[[slow:1.5]]".into();
        job
    };
    rig.aws.send(["a", "b", "c", "d"].map(slow)).await;
    // Enough for some of them.
    let mapping = Mapping::default().function_timeout(Duration::from_secs(7));
    let mut hasty = EventSource::create(rig.aws.impatient().await, mapping).expect("sound");
    let reports = hasty.batches(&rig.lambda, 1).await;
    assert!((1..4).contains(&reports[0].deleted.len()), "{reports:?}");
    assert_tells_and_does_not_warn(&rig.lambda, 1, "not_started").await;
}

#[tokio::test]
async fn a_job_behind_another_of_its_fifo_group_is_no_warning() {
    let Some(mut rig) = Setup::default().fifo().start().await else { return };
    rig.llm.script(text_of("head"), [Behaviour::throttled("1"), Behaviour::Echo]);
    for id in ["head", "follower"] {
        rig.aws.send_to_group("all", &job(id).to_string()).await;
    }
    let invocations = rig.work_off().await.len();
    assert_eq!(rig.llm.calls(), 3);
    assert_tells_and_does_not_warn(&rig.lambda, invocations, "http_429").await;
}

#[tokio::test]
async fn a_duplicate_of_a_finished_job_is_no_warning() {
    let Some(mut rig) = Rig::start().await else { return };
    rig.aws.send([job("a")]).await;
    rig.work_off().await;
    rig.aws.send([job("a")]).await;
    rig.work_off().await;
    assert_eq!(rig.llm.calls(), 1);
    assert_tells_and_does_not_warn(&rig.lambda, 2, "job had ended before").await;
}
