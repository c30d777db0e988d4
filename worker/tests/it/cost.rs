//! `mcp-batch cost`: what a ledger says was spent, and what a month would cost.

use mcp_batch::{lease::Ledger, spending::Books};
use mcp_batch_testkit::Receiver;
use serde_json::{Value, json};

use crate::{
    helpers::{Folder, summarize},
    lease_helpers::{START, SqliteStore, Store, TestJob, Worker, completed, failed},
};

#[tokio::test]
async fn what_was_spent_is_added_up_by_tool_batch_tenant_day_and_model() {
    let (folder, receiver) = (Folder::new(), Receiver::start().await);
    let jobs: Vec<Value> = (0..6)
        .map(|n| {
            let mut job = summarize(&format!("job-{n}"), "One. Two.");
            job["tenant"] = format!("tenant-{}", n % 2).into();
            if n < 3 {
                let callback = receiver.url("/");
                job["batch"] =
                    json!({"id": "nightly", "index": n, "size": 4, "callback": callback});
            }
            job
        })
        .collect();
    let ran = folder.run(folder.jobs(&jobs)).args(["--offline"]);
    let ran = ran.env("MCP_BATCH_CALLBACK_HOSTS", "127.0.0.1").finish().await;
    assert!(ran.code.is_some(), "{ran:?}");

    for (by, groups) in [
        ("tool", vec![(json!("summarize"), 6)]),
        ("batch", vec![(Value::Null, 3), (json!("nightly"), 3)]),
        ("tenant", vec![(json!("tenant-0"), 3), (json!("tenant-1"), 3)]),
    ] {
        let told = folder.command("cost").args(["--by", by, "--json"]).finish().await;
        let told: Value = serde_json::from_str(&told.stdout).expect("one JSON object");
        assert_eq!((&told["all"]["jobs"], &told["all"]["done"]), (&json!(6), &json!(6)), "{told}");
        let found = told["groups"].as_array().expect("groups").iter();
        let found: Vec<_> = found.map(|it| (it[by].clone(), it["jobs"].as_u64())).collect();
        let groups: Vec<_> = groups.into_iter().map(|(name, jobs)| (name, Some(jobs))).collect();
        assert_eq!(found, groups, "by {by}");
    }
    let told = folder.command("cost").args(["--by", "model", "--json"]).finish().await;
    let told: Value = serde_json::from_str(&told.stdout).expect("one JSON object");
    let names = ["model", "requested_model"].map(|name| told["all"].get(name).is_some());
    assert_eq!(names, [false; 2], "a sum of several models names none: {told}");
    assert!(told["groups"][0].get("model").is_some(), "{told}");
    let table = folder.command("cost").args(["--by", "day", "--days", "2"]).finish().await;
    assert_eq!(table.code, Some(0));
    assert!(table.stdout.contains("in all"), "{}", table.stdout);
    let none = folder.command("cost").args(["--own", "--namespace", "other", "--json"]);
    let none: Value = serde_json::from_str(&none.finish().await.stdout).expect("one object");
    assert_eq!((&none["all"]["jobs"], &none["groups"]), (&json!(0), &json!([])));
}

/// Reads a store to its end.
async fn spent<L: Ledger + Books>(worker: &Worker<L>) -> (usize, u64, f64) {
    let (mut jobs, mut tokens, mut usd, mut after) = (0, 0, 0.0, None);
    loop {
        let page = worker.ledger().page(after).await.expect("the ledger answers");
        jobs += page.jobs.len();
        tokens += page.jobs.iter().map(|spent| spent.usage.input_tokens).sum::<u64>();
        usd += page.jobs.iter().filter_map(|spent| spent.usage.cost_usd).sum::<f64>();
        match page.next {
            None => return (jobs, tokens, usd),
            next => after = next,
        }
    }
}

async fn every_job_is_read_once<S: Store>(store: S)
where
    S::Ledger: Books,
{
    let worker = store.worker();
    for n in 0..40_u64 {
        let job = TestJob::new(&format!("job-{n}")).member("batch", n);
        let lease = worker.own(job.claim()).await;
        let how = if n % 4 == 0 { failed("no") } else { completed("a result") };
        worker.save(&lease, how, START).await;
    }
    let (jobs, tokens, usd) = spent(&worker).await;
    assert_eq!((jobs, tokens), (40, 400));
    assert!((usd - 10.0).abs() < 1e-9, "{usd}");
}

#[tokio::test]
async fn a_file_is_read_from_one_end_to_the_other() {
    let Some(store) = SqliteStore::open().await else { return };
    every_job_is_read_once(store).await;
}

#[tokio::test]
async fn a_table_is_read_from_one_end_to_the_other() {
    let Some(store) = crate::dynamo::DynamoStore::open().await else { return };
    every_job_is_read_once(store).await;
}

#[tokio::test]
async fn the_guides_scenario_comes_to_what_its_own_arithmetic_says() {
    let folder = Folder::new();
    let told = folder.command("cost").args(["forecast", "--json"]).finish().await;
    assert_eq!(told.code, Some(0), "{told:?}");
    let told: Value = serde_json::from_str(&told.stdout).expect("one JSON object");
    let usd = |month: usize, part: &str| -> f64 {
        let lines = told["months"][month]["lines"].as_array().expect("lines");
        let line = lines.iter().find(|line| line["part"] == part).expect("a line");
        line["usd"].as_f64().expect("dollars")
    };
    let is = |found: f64, expected: f64| (found - expected).abs() < expected * 1e-3;
    // 12,000 × (800 × 3 + 400 × 15) / 1,000,000 = 12,000 × 0.0084.
    assert!(is(usd(0, "LLM"), 100.8) && is(usd(1, "LLM"), 100.8));
    // 12,000 × 8 s × 0.5 GB = 48,000 GB-s; in batches of 100: 120 × 8.1 s × 0.25 GB = 243 GB-s.
    assert!(is(usd(0, "Lambda, compute"), 0.64) && is(usd(1, "Lambda, compute"), 0.003_24));
    assert!(is(usd(1, "DynamoDB"), 0.0225) && is(usd(1, "SQS, empty polls"), 0.2592));
    assert_eq!(told["guide"]["usd"], 6.78);

    let table = folder.command("cost").args(["forecast"]).finish().await.stdout;
    for words in ["the guide", "12000 × $0.0084", "as of 2026-03-21", "3.60", "100.80"] {
        assert!(table.contains(words), "{words}: {table}");
    }
    let other = folder.command("cost").args(["forecast", "--jobs", "1000000", "--tenants"]);
    let other = other.finish().await.stdout;
    assert!(!other.contains("the guide") && other.contains("SQS, fair queues"), "{other}");
    let unknown = folder.command("cost").args(["forecast", "--model", "gpt-0"]).finish().await;
    assert_eq!(unknown.code, Some(2));
    assert!(unknown.stderr.contains("--model: expected one of claude"), "{}", unknown.stderr);
}
