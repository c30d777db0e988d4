//! Files that cannot be used are told apart, by name, and left as they are.
#![expect(clippy::panic, reason = "a file that opens although it must not fails the case")]

use std::{fs, path::Path};

use mcp_batch::{
    clock::Clock,
    local::{Database, OpenError},
};
use rusqlite::{Connection, Row};

use super::{Bench, count};
use crate::lease_helpers::{START, TestJob, completed};

fn refusal(path: &Path) -> OpenError {
    match Database::open(path, Clock::new(|| START)) {
        Ok(_) => panic!("{} was opened", path.display()),
        Err(error) => {
            let text = error.to_string();
            assert!(text.contains(&*path.to_string_lossy()), "which file? {text}");
            error
        }
    }
}

#[test]
fn a_file_of_a_newer_program_is_refused_with_both_versions_and_left_as_it_is() {
    let bench = Bench::new();
    drop(bench.process());
    let connection = Connection::open(bench.path()).expect("the file");
    connection.pragma_update(None, "user_version", 4711).expect("a version");
    let content = || {
        let schema = "SELECT group_concat(sql) || (SELECT group_concat(id) FROM workers),
                      (SELECT user_version FROM pragma_user_version) FROM sqlite_schema";
        let row = |row: &Row<'_>| Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?));
        connection.query_row(schema, (), row).expect("its content")
    };
    let before = content();
    assert_eq!(before.1, 4711);

    let error = refusal(&bench.path());

    assert!(matches!(error, OpenError::Newer { found: 4711, .. }), "{error:?}");
    let text = error.to_string();
    assert!(text.contains("4711") && text.contains("newer mcp-batch"), "{text}");
    assert_eq!(content(), before);
}

#[test]
fn a_file_that_is_no_database_is_refused_and_left_as_it_is() {
    let bench = Bench::new();
    let text = "id,text\n".repeat(1000);
    fs::write(bench.path(), &text).expect("a file");

    let error = refusal(&bench.path());

    assert!(matches!(error, OpenError::Sqlite { .. }), "{error:?}");
    assert!(error.to_string().contains("not a database"), "{error}");
    assert_eq!(fs::read_to_string(bench.path()).expect("the file"), text);
}

#[test]
fn a_database_of_another_program_is_refused_and_left_as_it_is() {
    let bench = Bench::new();
    let connection = Connection::open(bench.path()).expect("a file");
    connection
        .execute_batch("CREATE TABLE theirs (x); INSERT INTO theirs VALUES (1)")
        .expect("made");

    assert!(matches!(refusal(&bench.path()), OpenError::Foreign { .. }));

    let query = "SELECT group_concat(name) FROM sqlite_schema";
    let tables: String = connection.query_row(query, (), |row| row.get(0)).expect("its tables");
    assert_eq!(tables, "theirs");
}

#[test]
fn a_path_in_a_folder_that_does_not_exist_is_refused_and_no_folder_is_made() {
    let bench = Bench::new();
    let folder = bench.folder.path().join("no such folder");

    let error = refusal(&folder.join("mcp-batch.db"));

    assert!(matches!(error, OpenError::Sqlite { .. }), "{error:?}");
    assert!(error.to_string().contains("a path where it may make one"), "{error}");
    assert!(!folder.exists());
}

#[test]
fn a_folder_is_no_file() {
    let bench = Bench::new();
    let error = refusal(bench.folder.path());
    assert!(matches!(error, OpenError::Sqlite { .. }), "{error:?}");
}

#[tokio::test]
async fn a_file_is_opened_again_with_all_that_was_in_it() {
    let bench = Bench::new();
    let job = TestJob::new("a").member_of("batch", 0, 1);
    let first = bench.process();
    let lease = first.ledger.own(job.claim()).await;
    let record = first.ledger.save(&lease, completed("yes"), START).await;
    let batch = first.ledger.batch("batch").await;
    drop(first);

    let second = bench.process();

    assert_eq!(second.ledger.record(&job).await, record);
    assert_eq!(second.ledger.batch("batch").await, batch);
}

#[test]
fn eight_workers_may_make_the_same_new_file_at_once() {
    let bench = Bench::new();
    std::thread::scope(|scope| {
        let openings: Vec<_> =
            (0..8).map(|_| scope.spawn(|| bench.clock.open(&bench.path()))).collect();
        let databases: Vec<_> =
            openings.into_iter().map(|opening| opening.join().expect("it opens")).collect();
        assert_eq!(count(&bench.path(), "workers").expect("a count"), 8);
        drop(databases);
    });
}

/// A file as the first version made it, with a job and a batch in it.
const FIRST_VERSION: &str = "
    INSERT INTO batches VALUES (zeroblob(32), 'batch', 2, 1, 'http://127.0.0.1/', 'pending', 0, 0, 1, 5);
    INSERT INTO batch_members VALUES (zeroblob(32), 0, zeroblob(32), 1);
    INSERT INTO jobs VALUES (zeroblob(32), 'default', 'a', 'summarize', NULL, NULL, 'held',
        zeroblob(16), 1, 1, NULL, NULL, NULL, NULL, '{}', 0, NULL, NULL, NULL, 'none', 1, 2, 3, 4);
    PRAGMA user_version = 1;";

#[test]
fn a_file_of_the_first_version_is_brought_up_to_date() {
    let bench = Bench::new();
    let connection = Connection::open(bench.path()).expect("a file");
    let schema = include_str!("../../../src/local/schema/1.sql");
    connection.execute_batch(&format!("{schema}{FIRST_VERSION}")).expect("made");
    drop(connection);

    let process = bench.process();

    let attention: String = Connection::open(bench.path())
        .and_then(|file| {
            let query =
                "SELECT (SELECT attention FROM jobs) || ' ' || (SELECT attention FROM batches)
                 || ' ' || (SELECT look_after_ms FROM batches) || ' ' || user_version
                 FROM pragma_user_version";
            file.query_row(query, (), |row| row.get(0))
        })
        .expect("its content");
    assert_eq!(attention, "held batch 5 9");
    drop(process);
}
