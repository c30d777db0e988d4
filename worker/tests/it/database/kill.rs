//! SIGKILL in the middle of writing.

use mcp_batch_testkit::wait_until;
use rusqlite::Connection;
use serde_json::{Value, json};

use super::count;
use crate::{
    helpers::{Folder, summarize},
    lease_helpers::{START, open_database},
};

const JOBS: usize = 1000;

#[tokio::test]
async fn a_kill_in_mid_write_leaves_a_sound_file_that_lacks_nothing() {
    let folder = Folder::new();
    let jobs: Vec<Value> =
        (0..JOBS).map(|n| summarize(&format!("job-{n}"), "One. Two. Three.")).collect();
    let jobs = folder.jobs(&jobs);
    let file = folder.path("mcp-batch.db");
    let done = || count(&file, "jobs WHERE state = 'done'").unwrap_or(0);

    let mut least = 0;
    for kill in 1..=3 {
        let running = folder.run(&jobs).args(["--offline", "--db", "mcp-batch.db"]).start();
        wait_until("some more are done", || done() >= kill * 100).await;
        least = done();
        running.kill();

        let connection = Connection::open(&file).expect("the file");
        let check: String = connection
            .pragma_query_value(None, "integrity_check", |row| row.get(0))
            .expect("a check");
        assert_eq!(check, "ok");
        assert!(done() >= least, "what was done stays done");
    }

    let summary = folder.run(&jobs).args(["--offline", "--db", "mcp-batch.db"]).summary().await;

    assert_eq!(summary["exit"], 0, "{summary}");
    assert!(summary["already_done"].as_i64() >= Some(least), "{summary}");
    assert_eq!(summary["succeeded"], json!(JOBS), "{summary}");
    drop(open_database(&file, START));
    assert_eq!(count(&file, "messages").expect("a count"), 0, "the next one tidies up");
    assert_eq!(count(&file, "workers").expect("a count"), 1, "and is the only one left");
}
