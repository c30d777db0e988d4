//! The queue's port on SQLite: visibility timeout, receive count and receipts as SQS has them.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use rusqlite::{Connection, Row};
use tokio::sync::Notify;
use uuid::Uuid;

use super::{sqlite::Database, workers::private_queue};
use crate::{
    clock::UnixMs,
    job::{JobKey, Namespace},
    queue::{Burial, DeadLetter, Message, NewMessage, Queue, QueueError, Receipt},
    trace::Destination,
};

/// How often a waiting receive looks for what another process may have sent.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// The queue that everything but a private run uses.
pub(super) const SHARED_QUEUE: &str = "jobs";

/// One queue in the table `messages`; the dead letters are common to all queues of the file.
#[derive(Clone)]
pub struct SqliteQueue {
    database: Database,
    name: Arc<str>,
    sent: Arc<Notify>,
}

impl SqliteQueue {
    /// The queue that all processes share.
    pub fn shared(database: Database) -> Self {
        Self::named(database, SHARED_QUEUE.into())
    }

    /// A queue of this process alone, gone with it.
    pub fn private(database: Database) -> Self {
        let name = private_queue(database.worker_id()).into();
        Self::named(database, name)
    }

    /// As traces name it.
    pub fn destination() -> Destination {
        Destination { system: "sqlite", name: SHARED_QUEUE.to_owned() }
    }

    fn named(database: Database, name: Arc<str>) -> Self {
        Self { database, name, sent: Arc::default() }
    }

    /// How long until a message may be visible, as far as this process knows.
    async fn next_look(&self) -> Result<Duration, QueueError> {
        let name = Arc::clone(&self.name);
        let earliest = move |connection: &Connection| {
            connection
                .prepare_cached("SELECT min(visible_at_ms) FROM messages WHERE queue = ?1")?
                .query_row([&*name], |row| row.get::<_, Option<i64>>(0))
        };
        let earliest = self.database.write(earliest).await.map_err(QueueError::of)?;
        let wait = earliest.map(|at| UnixMs(at).since(self.database.now()));
        Ok(wait.unwrap_or(LOOK_AGAIN).min(LOOK_AGAIN).max(Duration::from_millis(1)))
    }

    async fn receive_now(
        &self,
        max: usize,
        visibility_timeout: Duration,
    ) -> Result<Vec<Message>, QueueError> {
        let name = Arc::clone(&self.name);
        let worker = self.database.worker_id().to_owned();
        let now = self.database.now();
        let max = i64::try_from(max).unwrap_or(i64::MAX);
        let receive = move |connection: &Connection| {
            connection
                .prepare_cached(
                    "UPDATE messages
                     SET visible_at_ms = ?1, receive_count = receive_count + 1,
                         receipt = ?2 || id, worker = ?3
                     WHERE id IN (SELECT id FROM messages
                                  WHERE queue = ?4 AND visible_at_ms <= ?5
                                  ORDER BY visible_at_ms, id LIMIT ?6)
                     RETURNING id, receipt, body, receive_count, first_seen_ms, message_group,
                         namespace, replay_of",
                )?
                .query_map(
                    (
                        now.plus(visibility_timeout).0,
                        format!("{}-", Uuid::new_v4().simple()),
                        worker,
                        &*name,
                        now.0,
                        max,
                    ),
                    message,
                )?
                .collect()
        };
        self.database.write(receive).await.map_err(QueueError::of)
    }
}

fn message(row: &Row<'_>) -> rusqlite::Result<Message> {
    Ok(Message {
        id: row.get::<_, i64>(0)?.to_string(),
        receipt: Receipt(row.get(1)?),
        body: Bytes::from(row.get::<_, Vec<u8>>(2)?),
        receive_count: row.get(3)?,
        first_seen: UnixMs(row.get(4)?),
        group: row.get(5)?,
        namespace: row.get::<_, Option<String>>(6)?.and_then(|name| name.parse().ok()),
        replay_of: row.get::<_, Option<i64>>(7)?.map(i64::cast_unsigned),
        trace: None,
        others: Box::default(),
        problems: Vec::new(),
    })
}

impl Queue for SqliteQueue {
    async fn send(&self, messages: Vec<NewMessage>) -> Result<Vec<String>, QueueError> {
        let name = Arc::clone(&self.name);
        let now = self.database.now();
        let send = move |connection: &Connection| {
            let mut insert = connection.prepare_cached(
                "INSERT INTO messages (queue, body, namespace, job, message_group, first_seen_ms,
                     visible_at_ms, replay_of)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            )?;
            let insert_one = |message: NewMessage| {
                let visible_at = now.plus(message.delay).0;
                insert
                    .insert((
                        &*name,
                        &*message.body,
                        message.namespace.as_ref().map(Namespace::as_str),
                        message.job.as_ref().map(JobKey::as_bytes),
                        message.group,
                        message.first_seen.0,
                        visible_at,
                        message.replay_of.map(u64::cast_signed),
                    ))
                    .map(|id| id.to_string())
            };
            messages.into_iter().map(insert_one).collect()
        };
        let ids = self.database.write(send).await.map_err(QueueError::of)?;
        self.sent.notify_waiters();
        Ok(ids)
    }

    async fn holds(&self, job: JobKey) -> Result<Option<bool>, QueueError> {
        let name = Arc::clone(&self.name);
        let holds = move |connection: &Connection| {
            connection
                .prepare_cached(
                    "SELECT EXISTS (SELECT 1 FROM messages WHERE job = ?1 AND queue = ?2)",
                )?
                .query_row((job.as_bytes(), &*name), |row| row.get(0))
        };
        self.database.write(holds).await.map(Some).map_err(QueueError::of)
    }

    async fn receive(
        &self,
        max: usize,
        wait: Duration,
        visibility_timeout: Duration,
    ) -> Result<Vec<Message>, QueueError> {
        let give_up = Instant::now() + wait;
        loop {
            let sent = self.sent.notified();
            let messages = self.receive_now(max, visibility_timeout).await?;
            let left = give_up.saturating_duration_since(Instant::now());
            if !messages.is_empty() || left.is_zero() {
                return Ok(messages);
            }
            // Either way it is time to look again.
            let _ = tokio::time::timeout(self.next_look().await?.min(left), sent).await;
        }
    }

    async fn delete(&self, receipts: Vec<Receipt>) -> Result<(), QueueError> {
        let delete = move |connection: &Connection| {
            let mut delete =
                connection.prepare_cached("DELETE FROM messages WHERE id = ?1 AND receipt = ?2")?;
            for receipt in receipts {
                delete.execute((id_of(&receipt), &receipt.0))?;
            }
            Ok(())
        };
        self.database.write(delete).await.map_err(QueueError::of)
    }

    async fn defer(&self, messages: Vec<(Message, Duration)>) -> Result<Vec<Receipt>, QueueError> {
        let now = self.database.now();
        let defer = move |connection: &Connection| {
            let mut defer = connection.prepare_cached(
                "UPDATE messages SET visible_at_ms = ?3, receipt = NULL, worker = NULL
                 WHERE id = ?1 AND receipt = ?2",
            )?;
            for (Message { receipt, .. }, time) in messages {
                defer.execute((id_of(&receipt), &receipt.0, now.plus(time).0))?;
            }
            Ok(())
        };
        self.database.write(defer).await.map_err(QueueError::of)?;
        self.sent.notify_waiters();
        Ok(Vec::new())
    }

    async fn extend(
        &self,
        receipts: Vec<Receipt>,
        visibility_timeout: Duration,
    ) -> Result<(), QueueError> {
        let until = self.database.now().plus(visibility_timeout).0;
        let extend = move |connection: &Connection| {
            let mut extend = connection.prepare_cached(
                "UPDATE messages SET visible_at_ms = ?3 WHERE id = ?1 AND receipt = ?2",
            )?;
            for receipt in receipts {
                extend.execute((id_of(&receipt), &receipt.0, until))?;
            }
            Ok(())
        };
        self.database.write(extend).await.map_err(QueueError::of)
    }

    async fn bury(&self, letter: DeadLetter) -> Result<Burial, QueueError> {
        let attributes = serde_json::to_string(&letter.attributes()).map_err(QueueError::of)?;
        let now = self.database.now();
        let bury = move |connection: &Connection| {
            connection
                .prepare_cached(
                    "INSERT INTO dead_letters (body, message_group, attributes, buried_ms)
                     VALUES (?1, ?2, ?3, ?4)",
                )?
                .execute((&*letter.body, letter.group, attributes, now.0))
                .map(|_| Burial::Taken)
        };
        self.database.write(bury).await.map_err(QueueError::of)
    }
}

/// A receipt ends in its message's id, which finds the row without an index on receipts.
fn id_of(receipt: &Receipt) -> Option<i64> {
    receipt.0.rsplit('-').next()?.parse().ok()
}
