//! `mcp-batch batch` and `mcp-batch sweep` on a file.

use mcp_batch_testkit::{Receiver, Reply};
use rusqlite::Connection;
use serde_json::{Value, json};

use crate::helpers::{Folder, json_lines, summarize};

/// Where callbacks may go.
const HOSTS: (&str, &str) = ("MCP_BATCH_CALLBACK_HOSTS", "127.0.0.1");

fn member(id: &str, index: u64, size: Option<u64>, receiver: &Receiver) -> Value {
    let mut job = summarize(id, "One. Two.");
    job["metadata"] = json!({"row": index});
    job["batch"] = json!({"id": "b", "index": index, "callback": receiver.url("/batch")});
    if let Some(size) = size {
        job["batch"]["size"] = size.into();
    }
    job
}

#[tokio::test]
async fn a_batch_is_shown_closed_and_printed() {
    let (folder, receiver) = (Folder::new(), Receiver::start().await);
    let jobs = [member("a", 0, None, &receiver), member("b", 1, None, &receiver)];
    folder.run(folder.jobs(&jobs)).args(["--offline"]).env(HOSTS.0, HOSTS.1).finish().await;
    assert_eq!(receiver.count(), 0);

    let shown = folder.command("batch").args(["b", "--json"]).finish().await;
    let shown = &json_lines(&shown.stdout)[0];
    assert_eq!((&shown["ended"], &shown["size"]), (&json!(2), &Value::Null));
    assert_eq!(
        (&shown["callback"], &shown["callback_host"]),
        (&json!("pending"), &json!("127.0.0.1"))
    );

    let refused = folder.command("batch").args(["close", "b", "--size", "1"]).finish().await;
    assert_eq!(refused.code, Some(2), "{}", refused.stderr);
    assert!(refused.stderr.contains("size: expected more than the index 1"), "{}", refused.stderr);

    let closed = folder
        .command("batch")
        .args(["close", "b", "--size", "2", "--json"])
        .env(HOSTS.0, HOSTS.1)
        .finish()
        .await;
    assert_eq!(closed.code, Some(0), "{}", closed.stderr);
    assert_eq!(json_lines(&closed.stdout)[0]["callback"], "sent");
    assert_eq!(receiver.deliveries()[0].json()["data"]["succeeded"], 2);

    let results = folder.command("results").args(["b", "--from", "1"]).finish().await;
    assert_eq!(results.code, Some(0), "{}", results.stderr);
    let results = json_lines(&results.stdout);
    assert_eq!(results.len(), 1);
    assert_eq!((&results[0]["index"], &results[0]["status"]), (&json!(1), &json!("succeeded")));
    assert_eq!(results[0]["metadata"], json!({"row": 1}));
}

#[tokio::test]
async fn a_file_with_a_bad_job_completes_its_batch() {
    let (folder, receiver) = (Folder::new(), Receiver::start().await);
    receiver.respond_with([Reply::status(503)]);
    let mut unknown = member("b", 1, Some(3), &receiver);
    unknown["tool"] = "no_such_tool".into();
    let mut unreadable = member("c", 2, Some(3), &receiver);
    unreadable["typo"] = true.into();
    let jobs = [member("a", 0, Some(3), &receiver), unknown, unreadable];

    folder.run(folder.jobs(&jobs)).args(["--offline"]).env(HOSTS.0, HOSTS.1).finish().await;

    assert_eq!((receiver.count(), receiver.distinct_ids()), (2, 1));
    let data = &receiver.deliveries()[1].json()["data"];
    assert_eq!((&data["succeeded"], &data["rejected"]), (&json!(1), &json!(2)));
    assert_eq!(data["results"][2]["error"]["code"], "unknown_field");
    assert_eq!(data["results"][2]["metadata"], json!({"row": 2}));
}

#[tokio::test]
async fn a_sweep_tells_what_it_did() {
    let (folder, receiver) = (Folder::new(), Receiver::start().await);
    let job = member("a", 0, Some(2), &receiver);
    folder.run(folder.jobs(&[job])).args(["--offline"]).env(HOSTS.0, HOSTS.1).finish().await;

    let swept = folder.command("sweep").args(["--json"]).finish().await;

    assert_eq!(swept.code, Some(0), "{}", swept.stderr);
    let swept = &json_lines(&swept.stdout)[0];
    assert_eq!((&swept["batches_expired"], &swept["held"]), (&json!(0), &json!(0)));
    let text = folder.command("sweep").finish().await.stdout;
    assert!(text.contains("0  batches closed at their expires_at"), "{text}");
}

#[tokio::test]
async fn a_ledger_or_batch_that_is_not_there_is_named() {
    let folder = Folder::new();
    let missing = folder.command("sweep").args(["--db", "none.db"]).finish().await;
    assert_eq!(missing.code, Some(2));
    assert!(missing.stderr.contains("none.db: there is no ledger"), "{}", missing.stderr);
    assert!(!folder.path("none.db").exists());
}

#[tokio::test]
async fn the_results_are_written_though_a_batchs_callback_cannot_be_looked_after() {
    let (folder, receiver) = (Folder::new(), Receiver::start().await);
    let sound = summarize("sound", "One.");
    folder.run(folder.jobs(std::slice::from_ref(&sound))).args(["--offline"]).finish().await;
    Connection::open(folder.path("mcp-batch.db"))
        .and_then(|file| {
            file.execute_batch(
                "CREATE TRIGGER no_delivery BEFORE INSERT ON batches WHEN NEW.delivery_ends_ms > 0
                 BEGIN SELECT RAISE(ABORT, 'no delivery may be taken'); END",
            )
        })
        .expect("a trigger");
    std::fs::remove_file(folder.path("results.jsonl")).expect("the first results");
    let mut unknown = member("unknown", 0, Some(1), &receiver);
    unknown["tool"] = "no_such_tool".into();

    let ended = folder
        .run(folder.jobs(&[sound, unknown]))
        .args(["--offline"])
        .env(HOSTS.0, HOSTS.1)
        .finish()
        .await;

    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    assert!(ended.stderr.contains("left to the sweep"), "{}", ended.stderr);
    let statuses: Vec<_> = folder.results().iter().map(|it| it["status"].clone()).collect();
    assert_eq!(statuses, ["succeeded", "failed"]);
    assert_eq!(receiver.count(), 0);
}
