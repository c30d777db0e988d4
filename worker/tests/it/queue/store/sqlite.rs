//! The embedded queue.

use std::{path::PathBuf, time::Duration};

use mcp_batch::local::SqliteQueue;
use rusqlite::Connection;
use tempfile::TempDir;

use super::{Letter, QueueStore, Receiver};
use crate::lease_helpers::{HandClock, folder_in_memory};

const MOMENT: Duration = Duration::from_millis(1);

/// The shared queue of the embedded file, with a clock that is moved by hand.
pub(crate) struct SqliteStore {
    folder: TempDir,
    clock: HandClock,
}

impl SqliteStore {
    fn path(&self) -> PathBuf {
        self.folder.path().join("mcp-batch.db")
    }
}

impl QueueStore for SqliteStore {
    type Queue = SqliteQueue;

    const HIDDEN: Duration = Duration::from_secs(30);

    async fn open() -> Option<Self> {
        Some(Self { folder: folder_in_memory(), clock: HandClock::new() })
    }

    fn worker(&self) -> Receiver<SqliteQueue> {
        Receiver::new(SqliteQueue::shared(self.clock.open(&self.path())), Self::HIDDEN)
    }

    async fn almost(&self, time: Duration) {
        self.clock.pass(time.saturating_sub(MOMENT));
    }

    async fn until_visible(&self, _: usize) {
        self.clock.pass(MOMENT);
    }

    async fn letters(&self) -> Vec<Letter> {
        let connection = Connection::open(self.path()).expect("the file");
        let mut letters = connection
            .prepare("SELECT body, message_group, attributes FROM dead_letters ORDER BY id")
            .expect("a table of dead letters");
        let letters = letters.query_map((), |row| {
            let attributes: String = row.get(2)?;
            let attributes = serde_json::from_str(&attributes).expect("JSON");
            Ok(Letter { body: row.get(0)?, group: row.get(1)?, attributes })
        });
        letters.expect("rows").collect::<Result<_, _>>().expect("letters")
    }
}
