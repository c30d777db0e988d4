//! A run after another, or beside it: whatever ended the first, each job is paid once.

use std::collections::BTreeMap;

use mcp_batch_testkit::{Behaviour, FakeLlm, Receiver, Reply};
use serde_json::{Value, json};

use crate::helpers::{Folder, summarize};

#[tokio::test]
async fn after_two_kills_the_third_run_does_just_what_is_left() {
    let llm = FakeLlm::builder().default_behaviour(Behaviour::Hold).start().await;
    let folder = Folder::new();
    let jobs: Vec<Value> = (0..10).map(|n| summarize(&format!("job-{n}"), "One.")).collect();
    let jobs = folder.jobs(&jobs);
    let start = || folder.run(&jobs).llm(&llm).args(["--concurrency", "4"]);

    // A permit is held until the outcome is saved: where three more calls have begun, three of the
    // first four are finished.
    let first = start().start();
    llm.wait_for_calls(4).await;
    llm.release(3);
    llm.wait_for_calls(4 + 3).await;
    first.kill();
    llm.wait_for_clients_left(4).await;

    let second = start().start();
    llm.wait_for_calls(7 + 4).await;
    llm.release(2);
    llm.wait_for_calls(11 + 2).await;
    second.kill();
    llm.wait_for_clients_left(8).await;
    let before = llm.calls_by_id();

    llm.set_default(Behaviour::Echo);
    let third = start().summary().await;

    assert_eq!(third["exit"], 0, "{third}");
    assert_eq!((&third["already_done"], &third["tool_calls"]), (&json!(5), &json!(5)));
    let calls = llm.calls_by_id();
    for (id, result) in folder.results_by_id() {
        let (earlier, all) = (before.get(&id).copied().unwrap_or(0), calls[&id]);
        assert_eq!(result["status"], "succeeded");
        assert_eq!(result["attempts"], all, "{id}: each call is an attempt in the ledger");
        match result.get("already_done") {
            Some(_) => assert_eq!(all, earlier, "{id}: a finished job is not called again"),
            None => assert_eq!(all, earlier + 1, "{id}: a job left over is called once more"),
        }
    }
    assert_eq!(llm.calls(), 18);
}

#[tokio::test]
async fn a_callback_that_a_kill_cut_off_is_sent_by_the_next_run_without_a_call() {
    let (llm, receiver) = (FakeLlm::start().await, Receiver::start().await);
    receiver.set_default(Reply::hang());
    let folder = Folder::new();
    let mut job = summarize("a", "One.");
    job["callback"] = receiver.url("/").into();
    let jobs = folder.jobs(&[job]);
    let start = || folder.run(&jobs).llm(&llm).env("MCP_BATCH_CALLBACK_HOSTS", "127.0.0.1");

    let first = start().start();
    receiver.wait_for(1).await;
    first.kill();
    receiver.set_default(Reply::status(204));
    let second = start().summary().await;
    let third = start().summary().await;

    for again in [second, third] {
        assert_eq!((&again["exit"], &again["already_done"]), (&json!(0), &json!(1)));
    }
    assert_eq!((llm.calls(), receiver.count(), receiver.distinct_ids()), (1, 2, 1));
}

#[tokio::test]
async fn a_signal_lets_running_jobs_end_and_begins_no_more() {
    let llm = FakeLlm::builder().default_behaviour(Behaviour::Hold).start().await;
    let folder = Folder::new();
    let jobs: Vec<Value> = (0..6).map(|n| summarize(&format!("job-{n}"), "One.")).collect();
    let jobs = folder.jobs(&jobs);

    let running = folder.run(&jobs).llm(&llm).args(["--concurrency", "2"]).start();
    llm.wait_for_calls(2).await;
    running.interrupt();
    running.wait_until_it_says("finishing the running jobs").await;
    llm.release(2);
    let ended = running.finish().await;

    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert_eq!(statuses(&folder), BTreeMap::from([("succeeded", 2), ("waiting", 4)]));
    assert_eq!((llm.calls(), llm.clients_left()), (2, 0));
    assert!(ended.stdout.contains("4 jobs wait; the same command goes on with them."));

    llm.set_default(Behaviour::Echo);
    let next = folder.run(&jobs).llm(&llm).summary().await;
    assert_eq!((&next["exit"], &next["tool_calls"]), (&json!(0), &json!(4)));
}

#[tokio::test]
async fn a_second_signal_interrupts_what_runs_and_counts_its_cost_as_unknown() {
    let llm = FakeLlm::builder().default_behaviour(Behaviour::Hang).start().await;
    let folder = Folder::new();
    let jobs = folder.jobs(&[summarize("a", "One."), summarize("b", "Two.")]);

    let running = folder.run(&jobs).llm(&llm).start();
    llm.wait_for_calls(2).await;
    running.interrupt();
    running.wait_until_it_says("finishing the running jobs").await;
    running.interrupt();
    let ended = running.finish().await;

    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert_eq!(statuses(&folder), BTreeMap::from([("waiting", 2)]));
    assert_eq!(folder.results()[0]["error"]["class"], "interrupted");
    llm.wait_for_clients_left(2).await;

    llm.set_default(Behaviour::Echo);
    let next = folder.run(&jobs).llm(&llm).summary().await;
    assert_eq!((&next["exit"], &next["tool_calls"]), (&json!(0), &json!(2)));
    let result = &folder.results()[0];
    assert_eq!((&result["attempts"], &result["usage"]["unpriced_calls"]), (&json!(2), &json!(2)));
}

fn statuses(folder: &Folder) -> BTreeMap<&'static str, usize> {
    let mut counts = BTreeMap::new();
    for result in folder.results() {
        let names = ["succeeded", "failed", "waiting", "duplicate"];
        let name = names.into_iter().find(|name| result["status"] == *name);
        *counts.entry(name.expect("a known status")).or_default() += 1;
    }
    counts
}

#[tokio::test]
async fn an_offline_outcome_is_replaced_by_an_llms_and_not_the_other_way_round() {
    let llm = FakeLlm::builder().default_behaviour(Behaviour::answer("An LLM's.")).start().await;
    let folder = Folder::new();
    let jobs = folder.jobs(&[summarize("a", "One. Two. Three. Four.")]);

    let offline = folder.run(&jobs).summary().await;
    assert_eq!((&offline["exit"], &offline["tool_calls"]), (&json!(0), &json!(1)));
    assert_eq!(folder.results()[0]["usage"]["model"], "offline-extractive");

    let asked = folder.run(&jobs).llm(&llm).summary().await;
    assert_eq!((&asked["tool_calls"], llm.calls()), (&json!(1), 1));
    assert_eq!(folder.results()[0]["result"], "An LLM's.");

    for args in [[].as_slice(), &["--offline"]] {
        let mut run = folder.run(&jobs);
        for arg in args {
            run = run.env("MCP_BATCH_LLM_URL", &llm.url()).args([*arg]);
        }
        let again = run.summary().await;
        assert_eq!((&again["tool_calls"], &again["already_done"]), (&json!(0), &json!(1)));
        assert_eq!(folder.results()[0]["result"], "An LLM's.");
    }
    assert_eq!(llm.calls(), 1);
}

#[tokio::test]
async fn failed_jobs_are_run_again_only_when_asked() {
    let llm = FakeLlm::start().await;
    llm.script("bad", [Behaviour::status(400), Behaviour::answer("Now it is good.")]);
    let folder = Folder::new();
    let jobs = folder.jobs(&[summarize("good", "A good one."), summarize("bad", "A bad one.")]);

    let first = folder.run(&jobs).llm(&llm).summary().await;
    assert_eq!((&first["exit"], &first["failed"], llm.calls()), (&json!(1), &json!(1), 2));

    let second = folder.run(&jobs).llm(&llm).summary().await;
    assert_eq!((&second["exit"], &second["tool_calls"]), (&json!(1), &json!(0)));
    assert_eq!(folder.results()[1]["error"]["code"], "http_400");

    let third = folder.run(&jobs).llm(&llm).args(["--retry-failed"]).summary().await;
    assert_eq!((&third["exit"], &third["tool_calls"], llm.calls()), (&json!(0), &json!(1), 3));
    assert_eq!(folder.results()[1]["result"], "Now it is good.");
}

#[tokio::test]
async fn two_runs_at_once_on_one_ledger_pay_each_job_once() {
    let llm = FakeLlm::builder().default_behaviour(Behaviour::Hold).start().await;
    let folder = Folder::new();
    let jobs: Vec<Value> = (0..12).map(|n| summarize(&format!("job-{n}"), "One.")).collect();
    let jobs = folder.jobs(&jobs);
    // A short timeout makes for short leases: each run waits for those of the other.
    let start = |out| {
        let run = folder.run(&jobs).llm(&llm).args(["--concurrency", "4", "--llm-timeout-s", "4"]);
        run.args(["--out", out, "--json"]).start()
    };

    let one = start("one.jsonl");
    llm.wait_for_calls(4).await;
    let two = start("two.jsonl");
    llm.wait_for_calls(8).await;
    llm.release(12);

    for running in [one, two] {
        let ended = running.finish().await;
        assert_eq!(ended.code, Some(0), "{ended:?}");
        let summary: Value = serde_json::from_str(&ended.stdout).expect("a summary");
        assert_eq!(summary["succeeded"], 12);
    }
    assert_eq!(llm.calls_by_id().len(), 12);
    assert!(llm.calls_by_id().values().all(|calls| *calls == 1), "{:?}", llm.calls_by_id());
}
