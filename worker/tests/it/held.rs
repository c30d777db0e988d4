//! `mcp-batch held`: what waits for a person, and the decision.

mod killed;

use std::fs;

use mcp_batch::{
    clock::Clock,
    lease::Repeat,
    local::{Database, SqliteLedger},
};
use mcp_batch_testkit::{FakeLlm, Received, Receiver};
use serde_json::{Value, json};

use crate::{
    helpers::{Folder, Run, json_lines, summarize},
    lease_helpers::{TestJob, Worker, interrupted},
};

const WHY: [&str; 4] = ["--reason", "the ticket system says so", "--who", "me"];

/// A folder whose ledger holds jobs of these ids.
async fn holding(ids: &[&str], receiver: &Receiver) -> Folder {
    let folder = Folder::new();
    let database = Database::open(&folder.path("mcp-batch.db"), Clock::system());
    let worker = Worker::new(SqliteLedger::new(database.expect("it opens")));
    for id in ids {
        let now = Clock::system().now();
        let job = TestJob::new(id).callback(&receiver.url("/"));
        let lease = worker.own(job.claim_at(now)).await;
        worker.save(&lease, interrupted(Repeat::Never), now).await;
    }
    folder
}

fn held<'a, const N: usize>(folder: &'a Folder, args: [&str; N]) -> Run<'a> {
    folder.command("held").args(args).env("MCP_BATCH_CALLBACK_HOSTS", "127.0.0.1")
}

async fn listed(folder: &Folder) -> Vec<String> {
    let ended = held(folder, ["list", "--json"]).finish().await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let told: Value = serde_json::from_str(&ended.stdout).expect("one JSON object");
    let jobs = told["jobs"].as_array().expect("jobs").iter();
    jobs.map(|job| job["id"].as_str().expect("an id").to_owned()).collect()
}

#[tokio::test]
async fn held_jobs_are_listed_and_decided_about_and_their_callbacks_told() {
    let receiver = Receiver::start().await;
    let folder = holding(&["a", "b", "c"], &receiver).await;
    assert_eq!(listed(&folder).await, ["a", "b", "c"]);
    let table = held(&folder, ["list"]).finish().await.stdout;
    assert!(table.contains("it failed: stopped"), "{table}");

    folder.write("result.json", r#"{"ticket": 7}"#);
    let ended = held(&folder, ["succeed", "a", "--result", "result.json", "--json"]);
    let ended = ended.args(WHY).finish().await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let job: Value = serde_json::from_str(&ended.stdout).expect("one JSON object");
    assert_eq!((&job["state"], &job["callback"]), (&json!("succeeded"), &json!("sent")), "{job}");
    let failed = held(&folder, ["fail", "b"]).args(WHY).finish().await;
    assert_eq!(failed.code, Some(0), "{failed:?}");
    assert!(failed.stdout.contains("the ticket system says so"), "{}", failed.stdout);

    let events: Vec<Value> = receiver.deliveries().iter().map(Received::json).collect();
    let told: Vec<_> = events.iter().map(|it| (&it["type"], &it["data"]["id"])).collect();
    let expected = [(json!("job.succeeded"), json!("a")), (json!("job.failed"), json!("b"))];
    assert_eq!(told, expected.iter().map(|(kind, id)| (kind, id)).collect::<Vec<_>>());
    assert_eq!(events[0]["data"]["result"], json!({"ticket": 7}));
    assert_eq!(listed(&folder).await, ["c"]);

    // The answer was lost, and the same is asked once more.
    for again in
        [held(&folder, ["fail", "b"]), held(&folder, ["succeed", "a", "--result", "result.json"])]
    {
        let again = again.args(WHY).finish().await;
        assert_eq!(again.code, Some(0), "{again:?}");
    }
    assert_eq!(receiver.count(), 2);
    let other = held(&folder, ["fail", "b", "--message", "for another reason"]);
    assert_eq!(other.args(WHY).finish().await.code, Some(1));
    let again = held(&folder, ["fail", "a"]).args(WHY).finish().await;
    assert_eq!((again.code, &*again.stderr), (Some(1), "a: the job is done\n"));
    let unsaid = held(&folder, ["fail", "c", "--message", "x"]).finish().await;
    assert_eq!(unsaid.code, Some(2));
    assert!(unsaid.stderr.contains("--reason"), "{}", unsaid.stderr);

    let audit = json_lines(&fs::read_to_string(folder.path("mcp-batch-audit.jsonl")).expect("it"));
    let lines: Vec<_> = audit.iter().map(|line| (&line["action"], &line["job_id"])).collect();
    let expected = [(json!("held succeed"), json!("a")), (json!("held fail"), json!("b"))];
    assert_eq!(lines, expected.iter().map(|(action, id)| (action, id)).collect::<Vec<_>>());
    let hash = audit[0]["result_hash"].as_str().expect("the result's hash");
    assert!(hash.len() == 64 && audit[1].get("result_hash").is_none(), "{audit:?}");
    assert!(audit.iter().all(|line| line["namespace"] == "default"), "{audit:?}");
    assert!(audit.iter().all(|line| line["who"] == "me" && !line.to_string().contains("ticket\"")));
}

#[tokio::test]
async fn a_held_job_is_run_again_with_the_job_that_comes_along() {
    let (receiver, llm) = (Receiver::start().await, FakeLlm::start().await);
    let folder = holding(&["a"], &receiver).await;
    let mut job = summarize("a", "Better.");
    job["callback"] = receiver.url("/").into();
    folder.write("job.json", job.to_string());
    folder.write("other.json", summarize("b", "One.").to_string());

    let other = held(&folder, ["retry", "a", "--job", "other.json"]).args(WHY).finish().await;
    assert_eq!(other.code, Some(2), "{other:?}");
    assert!(other.stderr.contains("id: expected a, or none"), "{}", other.stderr);
    for _ in 0..2 {
        // Cut off before the job was sent, it is just done again.
        let ended = held(&folder, ["retry", "a", "--job", "job.json"]).args(WHY).finish().await;
        assert_eq!(ended.code, Some(0), "{ended:?}");
    }
    let audit = json_lines(&fs::read_to_string(folder.path("mcp-batch-audit.jsonl")).expect("it"));
    assert_eq!((audit.len(), &audit[0]["action"]), (2, &json!("held retry")));
    assert_ne!(audit[0]["payload_hash_before"], audit[0]["payload_hash_after"]);
    assert_eq!(audit[1]["payload_hash_before"], audit[0]["payload_hash_after"]);
    let serve = folder.command("serve").args(["--listen", "127.0.0.1:0"]).llm(&llm);
    let _serve = serve.env("MCP_BATCH_CALLBACK_HOSTS", "127.0.0.1").start();
    receiver.wait_for(1).await;
    assert_eq!(receiver.deliveries()[0].json()["type"], "job.succeeded");
    assert_eq!((llm.calls(), listed(&folder).await.len()), (1, 0));
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn no_decision_is_made_whose_audit_line_cannot_be_written() {
    let receiver = Receiver::start().await;
    let folder = holding(&["a"], &receiver).await;
    let ended = held(&folder, ["fail", "a", "--audit", "/dev/full"]).args(WHY).finish().await;
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert_eq!((listed(&folder).await, receiver.count()), (vec!["a".to_owned()], 0));
}
