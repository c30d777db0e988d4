//! SIGKILL in the middle of the sending, and the same command again.

use std::{collections::BTreeSet, fs};

use mcp_batch_testkit::{Receiver, wait_until, wait_until_async};
use serde_json::Value;

use super::worlds::World;
use crate::helpers::{Folder, json_lines, summarize};

const JOBS: usize = 240;

/// Jobs a second, and so the size of a group.
const RATE: usize = 40;

fn noted(folder: &Folder) -> usize {
    let text = fs::read_to_string(folder.path("jobs.jsonl.journal")).unwrap_or_default();
    text.lines().count()
}

#[tokio::test]
async fn a_kill_and_a_resume_lose_no_job_and_send_none_for_work_twice() {
    for mut world in World::all().await {
        let (name, receiver) = (world.name(), Receiver::start().await);
        let worker = world.start_worker().await;
        let jobs: Vec<_> =
            (0..JOBS).map(|n| summarize(&format!("job-{n}"), &format!("Text {n}."))).collect();
        world.folder.jobs(&jobs);
        let url = receiver.url("/");
        let enqueue = || {
            let args = ["jobs.jsonl", "--batch", "b", "--batch-callback", &url];
            world.command("enqueue").args(args)
        };
        for lines in [3, 5] {
            // One is the journal's head.
            let running = enqueue().args(["--rate", &RATE.to_string()]).start();
            wait_until("groups are noted", || noted(&world.folder) >= lines).await;
            running.kill();
        }
        let sent_by_then = noted(&world.folder) - 1;

        let resumed = enqueue().summary().await;

        assert_eq!(resumed["passed"], JOBS, "{name}: {resumed}");
        let resumed_at = resumed["resumed_at"].as_u64().expect("a number");
        assert!(resumed_at >= (RATE * (sent_by_then - 1)) as u64, "{name}: {resumed}");
        assert!(resumed_at < JOBS as u64 && !world.folder.path("jobs.jsonl.journal").exists());
        let watched = world.command("batch").args(["b", "--watch", "--json"]).finish().await;
        assert_eq!(json_lines(&watched.stdout)[0]["ended"], JOBS, "{name}: {}", watched.stderr);
        wait_until_async("it is told", async || receiver.count() > 0).await;
        let results = json_lines(&world.command("results").args(["b"]).finish().await.stdout);
        let ids: BTreeSet<_> = results.iter().filter_map(|it| it["id"].as_str()).collect();
        let is_done = |result: &Value| result["status"] == "succeeded";
        assert!(ids.len() == JOBS && results.iter().all(is_done), "{name}");
        assert_eq!(world.llm.calls(), JOBS, "{name}");
        drop(worker);
    }
}

#[tokio::test]
async fn a_journal_is_for_one_file_and_one_command() {
    let folder = Folder::new();
    let jobs: Vec<_> = (0..300).map(|n| summarize(&format!("job-{n}"), "One.")).collect();
    folder.jobs(&jobs);
    let running = folder.command("enqueue").args(["jobs.jsonl", "--rate", "100"]).start();
    wait_until("a group is noted", || noted(&folder) >= 2).await;
    let other = folder.command("enqueue").args(["jobs.jsonl"]).finish().await;
    assert!(other.stderr.contains("another process is at it"), "{}", other.stderr);
    running.kill();
    // A line that was cut off in the middle.
    let mut journal = fs::read(folder.path("jobs.jsonl.journal")).expect("a journal");
    journal.extend(b"{\"passed\": 2");
    folder.write("jobs.jsonl.journal", &journal);

    let options = folder.command("enqueue").args(["jobs.jsonl", "--model", "m"]).finish().await;
    assert_eq!(options.code, Some(2), "{}", options.stdout);
    assert!(options.stderr.contains("--restart"), "{}", options.stderr);
    let resumed = folder.command("enqueue").args(["jobs.jsonl"]).summary().await;
    assert_eq!(resumed["passed"], 300);
    assert!(resumed["resumed_at"].as_u64().is_some_and(|at| (100..300).contains(&at)), "{resumed}");

    folder.write("jobs.jsonl.journal", "a shopping list\n");
    let foreign = folder.command("enqueue").args(["jobs.jsonl"]).finish().await;
    assert_eq!(foreign.code, Some(2));
    assert!(foreign.stderr.contains("it is no journal"), "{}", foreign.stderr);
    let anew = folder.command("enqueue").args(["jobs.jsonl", "--restart"]).summary().await;
    assert_eq!((&anew["accepted"], &anew["resumed_at"]), (&300.into(), &0.into()));
}

#[tokio::test]
async fn an_interrupt_says_how_to_go_on() {
    let folder = Folder::new();
    let jobs: Vec<_> = (0..300).map(|n| summarize(&format!("job-{n}"), "One.")).collect();
    folder.jobs(&jobs);
    let running = folder.command("enqueue").args(["jobs.jsonl", "--rate", "100"]).start();
    wait_until("a group is noted", || noted(&folder) >= 2).await;
    running.interrupt();
    let ended = running.finish().await;
    assert_eq!(ended.code, Some(1));
    assert!(ended.stdout.contains("the same command goes on"), "{}", ended.stdout);
    let resumed = folder.command("enqueue").args(["jobs.jsonl"]).summary().await;
    assert_eq!((&resumed["passed"], &resumed["exit"]), (&300.into(), &0.into()));
}
