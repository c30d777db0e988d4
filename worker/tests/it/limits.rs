//! Limits toward an upstream: a backlog behind them is received and claimed about once a job.

use std::time::Duration;

use mcp_batch_testkit::{FakeLlm, RateLimit};
use serde_json::{Value, json};

use crate::helpers::{Folder, summarize};

/// The default catalog's `summarize`, and these tables behind it.
fn catalog(tables: &str) -> String {
    format!(
        "model = \"m\"\n[tools.summarize]\ndescription = \"\"\nuser = \"{{{{ text }}}}\"\n\
         input_schema = {{}}\n{tables}"
    )
}

fn jobs(count: usize) -> Vec<Value> {
    (0..count).map(|n| summarize(&format!("job-{n}"), "One.")).collect()
}

/// Runs so many jobs with these tables in the catalog against such an LLM; gives the summary.
async fn run(count: usize, tables: &str, llm: &FakeLlm) -> Value {
    let folder = Folder::new();
    folder.write("tools.toml", catalog(tables));
    let run = folder.run(folder.jobs(&jobs(count))).llm(llm);
    let summary = run.args(["--tools", "tools.toml", "--max-attempts", "1"]).summary().await;
    assert_eq!((&summary["exit"], &summary["succeeded"]), (&json!(0), &json!(count)), "{summary}");
    summary
}

#[tokio::test]
async fn a_rate_in_the_catalog_is_kept_and_no_job_is_claimed_twice() {
    // Half as many again as the 50 a second below: what a busy machine holds back comes in a heap.
    let limit = RateLimit { calls: 75, within: Duration::from_secs(1) };
    let llm = FakeLlm::builder().rate_limit(limit).start().await;

    let summary = run(300, "[models.m]\nrate_per_minute = 3000", &llm).await;

    assert_eq!(llm.calls(), 300, "not one was refused");
    assert!(summary["elapsed_s"].as_f64() > Some(4.0), "{summary}");
}

#[tokio::test]
async fn a_bound_in_the_catalog_is_kept() {
    let builder = FakeLlm::builder().latency(Duration::from_millis(5));
    let llm = builder.start().await;
    for tables in ["[models.m]\nconcurrency = 3", "concurrency = 3"] {
        run(60, tables, &llm).await;
        assert_eq!(llm.max_in_flight(), 3, "{tables}");
    }
}

#[tokio::test]
async fn a_limit_that_nobody_told_us_is_found_out() {
    let limit = RateLimit { calls: 50, within: Duration::from_secs(1) };
    let llm = FakeLlm::builder().rate_limit(limit).start().await;

    run(500, "", &llm).await;

    assert!(llm.calls() < 2 * 500, "{}", llm.calls());
}

#[tokio::test]
async fn a_slow_upstream_does_not_hold_up_the_others() {
    let llm = FakeLlm::start().await;
    let folder = Folder::new();
    folder.write("tools.toml", catalog("[models.slow]\nrate_per_minute = 60"));
    let mut all = jobs(400);
    for job in &mut all[..300] {
        job["model"] = "slow".into();
    }
    let run = folder.run(folder.jobs(&all)).llm(&llm).args(["--tools", "tools.toml"]).start();
    let of = |model: &str| llm.calls_by_model().get(model).copied().unwrap_or_default();
    mcp_batch_testkit::wait_until("the others are done", || of("m") == 100).await;
    assert!(of("slow") < 100, "most of them are still to come");
    run.interrupt();
    run.finish().await;
}
