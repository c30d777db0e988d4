//! The embedded file: what becomes of it when its workers die, and as time passes.

mod dead_workers;
mod keys;
mod kill;
mod opening;
mod pruning;

use std::path::{Path, PathBuf};

use mcp_batch::local::{Database, SqliteLedger, SqliteQueue};
use rusqlite::Connection;
use tempfile::TempDir;

use crate::{
    lease_helpers::{HandClock, Worker, folder_in_memory},
    queue::store::{QueueStore, Receiver, SqliteStore},
};

/// A file for a case, and its clock.
struct Bench {
    folder: TempDir,
    clock: HandClock,
}

impl Bench {
    fn new() -> Self {
        Self { folder: folder_in_memory(), clock: HandClock::new() }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("mcp-batch.db")
    }

    /// Another worker process. It dies when this is dropped.
    fn process(&self) -> Process {
        let database = self.clock.open(&self.path());
        Process {
            ledger: Worker::new(SqliteLedger::new(database.clone())),
            shared: Receiver::new(SqliteQueue::shared(database.clone()), SqliteStore::HIDDEN),
            private: Receiver::new(SqliteQueue::private(database.clone()), SqliteStore::HIDDEN),
            database,
        }
    }

    fn count(&self, what: &str) -> i64 {
        count(&self.path(), what).expect("a count")
    }
}

/// A worker process on the file.
struct Process {
    ledger: Worker<SqliteLedger>,
    shared: Receiver<SqliteQueue>,
    private: Receiver<SqliteQueue>,
    database: Database,
}

/// How many rows there are of `what`, a table with or without conditions.
fn count(path: &Path, what: &str) -> rusqlite::Result<i64> {
    let connection = Connection::open(path)?;
    connection.query_row(&format!("SELECT count(*) FROM {what}"), (), |row| row.get(0))
}
