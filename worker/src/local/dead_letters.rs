//! The dead letters of the embedded file, and the queue that all processes share. Nothing is hidden: one
//! pass reads the letters that were there when it began, by their number.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Mutex,
    time::Duration,
};

use rusqlite::{Connection, Row};

use super::{queue::SHARED_QUEUE, sqlite::Database};
use crate::{
    clock::UnixMs,
    dead_letter::{DeadLetters, Letter, LetterId, Replay},
    job::Namespace,
    queue::{Attribute, AttributeValue, QueueError, Receipt},
};

/// The dead letters of a file, for one pass.
pub struct SqliteDeadLetters {
    database: Database,
    path: PathBuf,
    /// Numbers that are still to be read: above the one, up to the other.
    range: Mutex<Option<(i64, i64)>>,
}

impl SqliteDeadLetters {
    /// Those in `database`, which is the file at `path`.
    pub fn new(database: Database, path: &Path) -> Self {
        Self { database, path: path.to_owned(), range: Mutex::default() }
    }

    /// What is left to be read; the first time all that is there.
    async fn range(&self) -> Result<(i64, i64), QueueError> {
        if let Some(range) = *self.range.lock().unwrap_or_else(std::sync::PoisonError::into_inner) {
            return Ok(range);
        }
        let last = |connection: &Connection| {
            let last = "SELECT coalesce(max(id), 0) FROM dead_letters";
            connection.prepare_cached(last)?.query_row((), |row| row.get(0))
        };
        Ok((0, self.database.write(last).await.map_err(QueueError::of)?))
    }
}

impl DeadLetters for SqliteDeadLetters {
    fn name(&self) -> String {
        self.path.display().to_string()
    }

    async fn take(&self, max: usize) -> Result<Vec<Letter>, QueueError> {
        let (after, last) = self.range().await?;
        let max = i64::try_from(max).unwrap_or(i64::MAX);
        let read = move |connection: &Connection| {
            connection
                .prepare_cached(
                    "SELECT id, body, message_group, attributes, buried_ms FROM dead_letters
                     WHERE id > ?1 AND id <= ?2 ORDER BY id LIMIT ?3",
                )?
                .query_map((after, last, max), |row| Ok((row.get(0)?, letter(row)?)))?
                .collect::<rusqlite::Result<Vec<(i64, Letter)>>>()
        };
        let read = self.database.write(read).await.map_err(QueueError::of)?;
        let after = read.last().map_or(after, |(id, _)| *id);
        *self.range.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some((after, last));
        Ok(read.into_iter().map(|(_, letter)| letter).collect())
    }

    async fn hidden(&self) -> Result<usize, QueueError> {
        Ok(0)
    }

    fn hidden_for(&self) -> Duration {
        Duration::ZERO
    }

    async fn put_back(&self, _: Vec<Receipt>) -> Result<(), QueueError> {
        Ok(())
    }

    async fn send(&self, replays: Vec<Replay>) -> Vec<Result<(), QueueError>> {
        let (count, now) = (replays.len(), self.database.now());
        let insert_all = move |connection: &Connection| {
            let mut insert = connection.prepare_cached(
                "INSERT INTO messages (queue, body, namespace, job, message_group, first_seen_ms,
                     visible_at_ms, replay_of)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6, ?7)",
            )?;
            for replay in replays {
                insert.execute((
                    SHARED_QUEUE,
                    &*replay.body,
                    replay.namespace.as_ref().map(Namespace::as_str),
                    replay.job.as_bytes(),
                    replay.group,
                    now.0,
                    replay.replay_of.map(u64::cast_signed),
                ))?;
            }
            Ok(())
        };
        let sent = self.database.write(insert_all).await.map_err(QueueError::of);
        vec![sent; count]
    }

    async fn delete(&self, receipts: Vec<Receipt>) -> Result<(), QueueError> {
        let delete = move |connection: &Connection| {
            let mut delete = connection.prepare_cached("DELETE FROM dead_letters WHERE id = ?1")?;
            for receipt in receipts {
                delete.execute([receipt.0.parse::<i64>().ok()])?;
            }
            Ok(())
        };
        self.database.write(delete).await.map_err(QueueError::of)
    }
}

fn letter(row: &Row<'_>) -> rusqlite::Result<Letter> {
    let id = row.get::<_, i64>("id")?.to_string();
    let attributes: String = row.get("attributes")?;
    // Written by this program; of a letter whose reason cannot be read the body is what counts.
    let attributes: BTreeMap<String, String> =
        serde_json::from_str(&attributes).unwrap_or_default();
    let attribute = |(name, text)| Attribute {
        name,
        kind: "String".to_owned(),
        value: AttributeValue::Text(text),
    };
    let letter = Letter {
        receipt: Receipt(id.clone()),
        id: LetterId(id),
        body: row.get::<_, Vec<u8>>("body")?.into(),
        buried: UnixMs(row.get("buried_ms")?),
        group: row.get("message_group")?,
        trace: None,
        namespace: None,
        reason: None,
        others: Vec::new(),
    };
    Ok(letter.with_attributes(attributes.into_iter().map(attribute).collect()))
}
