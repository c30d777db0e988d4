//! Commands that only look: what they say where there is nothing, and what they leave as it is.

use std::{
    collections::BTreeMap,
    fs,
    hash::{DefaultHasher, Hash, Hasher},
    path::Path,
};

use mcp_batch::{
    clock::Clock,
    local::{Database, SqliteLedger},
};
use rusqlite::Connection;
use serde_json::{Value, json};

use crate::{
    helpers::{Folder, json_lines, summarize},
    lease_helpers::{TestJob, Worker, completed},
};

/// Every command that only looks.
const LOOKS: [&[&str]; 9] = [
    &["status", "a"],
    &["batch", "b"],
    &["results", "b"],
    &["held", "list"],
    &["callbacks", "list"],
    &["cost"],
    &["dlq", "list"],
    &["dlq", "show", "a"],
    &["dlq", "replay"],
];

/// The files below a folder, by hashes of what they hold; neither what a command printed, nor what
/// SQLite keeps beside a file for those who have it open.
fn files(folder: &Path) -> BTreeMap<String, u64> {
    let entries = fs::read_dir(folder).expect("the folder").flatten();
    let named = entries.map(|entry| (entry.file_name().to_string_lossy().into_owned(), entry));
    let is_ours =
        |name: &str| !name.starts_with("std") && !name.ends_with("-wal") && !name.ends_with("-shm");
    let hash = |path: &Path| {
        let mut hasher = DefaultHasher::new();
        fs::read(path).unwrap_or_default().hash(&mut hasher);
        hasher.finish()
    };
    let ours = named.filter(|(name, _)| is_ours(name));
    ours.map(|(name, entry)| (name, hash(&entry.path()))).collect()
}

#[tokio::test]
async fn whoever_looks_neither_makes_a_ledger_nor_changes_one() {
    let folder = Folder::new();
    for look in LOOKS {
        let run = look[1..].iter().fold(folder.command(look[0]), |run, arg| run.args([arg]));
        let ended = run.args(["--db", "none.db"]).finish().await;
        assert_eq!(ended.code, Some(2), "{look:?}: {ended:?}");
        assert!(ended.stderr.contains("none.db: there is no ledger"), "{look:?}: {ended:?}");
    }
    assert!(files(&folder.path("")).is_empty());

    let path = folder.path("mcp-batch.db");
    drop(Database::open(&path, Clock::system()).expect("it opens"));
    // As an older program left it, whose worker died.
    let file = Connection::open(&path).expect("the file");
    file.execute("INSERT INTO workers (id) VALUES ('dead')", ()).expect("a worker");
    let version = file.pragma_query_value(None, "user_version", |row| row.get(0));
    let version: i64 = version.expect("a version");
    file.pragma_update(None, "user_version", version - 1).expect("an older version");
    drop(file);
    let before = files(&folder.path(""));
    for look in LOOKS {
        let run = look[1..].iter().fold(folder.command(look[0]), |run, arg| run.args([arg]));
        let ended = run.finish().await;
        assert_eq!(ended.code, Some(2), "{look:?}: {ended:?}");
        assert!(ended.stderr.contains("this program reads"), "{ended:?}");
    }
    assert_eq!(files(&folder.path("")), before);
    let file = Connection::open(&path).expect("the file");
    file.pragma_update(None, "user_version", version).expect("written");
    drop(file);
    let before = files(&folder.path(""));
    for look in LOOKS {
        let run = look[1..].iter().fold(folder.command(look[0]), |run, arg| run.args([arg]));
        assert!(run.finish().await.code.is_some_and(|code| code < 2), "{look:?}");
    }
    assert_eq!(files(&folder.path("")), before);
}

#[tokio::test]
async fn where_there_is_nothing_people_are_told_so_beside_the_results_and_programs_get_nothing() {
    let folder = Folder::new();
    drop(Database::open(&folder.path("mcp-batch.db"), Clock::system()).expect("it opens"));
    for (look, said, json) in [
        (&["callbacks", "list"][..], "No callback failed.", ""),
        (&["callbacks", "list", "--dead"], "No callback was given up.", ""),
        (&["held", "list"], "No job waits for a person.", "{\"jobs\":[],\"truncated\":false}\n"),
        (&["dlq", "list"], "No dead letters.", "\"groups\":[]"),
        (&["dlq", "replay"], "No dead letters.", "\"groups\":[]"),
        (&["dlq", "purge"], "No dead letters.", "\"groups\":[]"),
        (&["cost"], "No jobs.", "\"groups\":[]"),
    ] {
        let run = || look[1..].iter().fold(folder.command(look[0]), |run, arg| run.args([arg]));
        let ended = run().finish().await;
        assert_eq!((ended.code, &*ended.stdout), (Some(0), ""), "{look:?}: {ended:?}");
        assert_eq!(ended.stderr, format!("{said}\n"), "{look:?}");
        let ended = run().args(["--json"]).finish().await;
        assert_eq!((ended.code, &*ended.stderr), (Some(0), ""), "{look:?}: {ended:?}");
        assert!(ended.stdout.contains(json) && (json.is_empty() == ended.stdout.is_empty()));
    }
}

#[tokio::test]
async fn where_a_server_is_of_no_use_it_is_said_what_is() {
    let folder = Folder::new();
    drop(Database::open(&folder.path("mcp-batch.db"), Clock::system()).expect("it opens"));
    let server = ("MCP_BATCH_API_URL", "http://127.0.0.1:8080");
    let callbacks = [&["callbacks", "list"][..], &["callbacks", "resend", "a"]];
    for command in [&["dlq", "list"][..], &["cost"], &["sweep"]].into_iter().chain(callbacks) {
        let run =
            || command[1..].iter().fold(folder.command(command[0]), |run, arg| run.args([arg]));
        let ended = run().env(server.0, server.1).finish().await;
        assert_eq!(ended.code, Some(2), "{command:?}: {ended:?}");
        assert!(ended.stderr.contains("a server is not asked for this by HTTP"), "{ended:?}");
        let named = run().env(server.0, server.1).args(["--db", "mcp-batch.db"]).finish().await;
        assert!(named.code.is_some_and(|code| code < 2), "{command:?}: {named:?}");
        let named =
            run().env(server.0, server.1).env("MCP_BATCH_DB", "mcp-batch.db").finish().await;
        assert!(named.code.is_some_and(|code| code < 2), "{command:?}: {named:?}");
    }
    assert_eq!(folder.command("dlq").args(["list", "--limit", "0"]).finish().await.code, Some(2));
    for command in [&["dlq", "list"][..], &["dlq", "replay"], &["callbacks", "list"], &["cost"]] {
        let run = command[1..].iter().fold(folder.command(command[0]), |run, arg| run.args([arg]));
        let ended = run.args(["--api", "http://127.0.0.1:8080"]).finish().await;
        assert_eq!(ended.code, Some(2), "{ended:?}");
        assert!(ended.stderr.contains("a server is not asked for this by HTTP"), "{ended:?}");
        assert!(ended.stderr.contains("--db"), "{ended:?}");
    }
}

#[tokio::test]
async fn one_is_told_as_one() {
    let folder = Folder::new();
    folder.jobs(&[summarize("a", "One.")]);
    let sent = folder.command("enqueue").args(["jobs.jsonl"]).finish().await;
    assert!(sent.stdout.starts_with("Sent 1 job in "), "{sent:?}");
    let ran = folder.run(folder.path("jobs.jsonl")).args(["--offline"]).finish().await;
    assert!(ran.stdout.contains("1 item in ") && ran.stdout.contains(", 1 tool call, "), "{ran:?}");
}

#[tokio::test]
async fn a_call_that_was_not_made_took_no_time() {
    let folder = Folder::new();
    let unknown = folder.command("call").args(["sumarize", "--offline"]).finish().await;
    assert_eq!(unknown.code, Some(2));
    assert!(unknown.stderr.ends_with("found “sumarize”\n"), "{unknown:?}");
    let input = ["summarize", "--offline", "--input", "{\"text\": \"One. Two.\"}"];
    let made = folder.command("call").args(input).finish().await;
    assert!(made.code == Some(0) && made.stderr.ends_with(" s\n"), "{made:?}");
}

#[tokio::test]
async fn jobs_that_called_nothing_are_none_without_a_known_cost() {
    let folder = Folder::new();
    let database = Database::open(&folder.path("mcp-batch.db"), Clock::system());
    let worker = Worker::new(SqliteLedger::new(database.expect("it opens")));
    let now = Clock::system().now();
    let cancelled = TestJob::new("cancelled").claim_at(now);
    worker.cancel(cancelled).await.expect("nobody knows it");
    let lease = worker.own(TestJob::new("done").claim_at(now)).await;
    worker.save(&lease, completed("yes"), now).await;

    let cost = || folder.command("cost");
    let all = &json_lines(&cost().args(["--json"]).finish().await.stdout)[0]["all"];
    assert_eq!((&all["jobs"], &all["unpriced_jobs"]), (&json!(2), &json!(0)), "{all}");
    let table = cost().finish().await.stdout;
    assert!(!table.contains("lower bound"), "{table}");

    let lost = TestJob::new("lost").never_repeated();
    let lease = worker.own(lost.claim_at(now)).await;
    let end = crate::lease_helpers::interrupted(mcp_batch::lease::Repeat::Never);
    worker.save(&lease, end, now).await;
    let all: Value = json_lines(&cost().args(["--json"]).finish().await.stdout)[0]["all"].clone();
    assert_eq!(all["unpriced_jobs"], 1, "nobody knows what the call cost: {all}");
    let table = cost().finish().await.stdout;
    assert!(table.contains("A lower bound: of calls of 1 job no cost is known."), "{table}");
    assert!(table.contains("≥ $"), "{table}");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_ledger_can_be_looked_at_where_nothing_can_be_written() {
    use std::os::unix::fs::PermissionsExt;

    let folder = Folder::new();
    let ledger = folder.path("archive?1").join("mcp-batch.db");
    fs::create_dir(folder.path("archive?1")).expect("a folder");
    let sent = folder.command("enqueue").args(["-", "--db", ledger.to_str().expect("text")]);
    let sent = sent.stdin(summarize("a", "One.").to_string()).finish().await;
    assert_eq!(sent.code, Some(0), "{sent:?}");
    let mode =
        |mode| fs::set_permissions(folder.path("archive?1"), PermissionsExt::from_mode(mode));
    // Root may write there all the same.
    mode(0o555).expect("it is closed");
    let shown = folder.command("status").args(["a", "--db", ledger.to_str().expect("text")]);
    let shown = shown.finish().await;
    mode(0o755).expect("it is opened");
    assert!(shown.code == Some(0) && shown.stdout.contains("queued"), "{shown:?}");
    let inside = folder.command("status").args(["a", "--db", "archive?1"]).finish().await;
    assert!(inside.stderr.contains("archive?1: it is a folder"), "{inside:?}");
}
