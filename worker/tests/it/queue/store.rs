//! Queues under test.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};

use mcp_batch::{
    local::SqliteQueue,
    queue::{DeadLetter, Message, NewMessage, Queue, Receipt},
};
use rusqlite::Connection;
use tempfile::TempDir;

use crate::lease_helpers::{HandClock, START, folder_in_memory};

/// How long the messages of these cases stay hidden.
pub(crate) const HIDDEN: Duration = Duration::from_secs(30);

/// A millisecond less.
pub(crate) const NOT_YET: Duration = Duration::from_millis(29_999);

/// A queue, new for each case: what a further implementation has to bring.
pub(crate) trait QueueStore {
    type Queue: Queue;

    /// An empty queue.
    fn open() -> Self;

    /// Another worker process on the same queue.
    fn worker(&self) -> Receiver<Self::Queue>;

    /// Lets so much time pass for the queue.
    fn pass(&self, time: Duration);

    /// The dead letters, the oldest first.
    fn letters(&self) -> Vec<Letter>;
}

/// A dead letter as it lies there.
#[derive(Debug, PartialEq)]
pub(crate) struct Letter {
    pub(crate) body: Vec<u8>,
    pub(crate) group: Option<String>,
    pub(crate) attributes: BTreeMap<String, String>,
}

/// The shared queue of the embedded file.
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

    fn open() -> Self {
        Self { folder: folder_in_memory(), clock: HandClock::new() }
    }

    fn worker(&self) -> Receiver<SqliteQueue> {
        Receiver::new(SqliteQueue::shared(self.clock.open(&self.path())))
    }

    fn pass(&self, time: Duration) {
        self.clock.pass(time);
    }

    fn letters(&self) -> Vec<Letter> {
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

/// One worker's view of the queue; an error of the queue fails the case.
pub(crate) struct Receiver<Q>(Arc<Q>);

impl<Q> Clone for Receiver<Q> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<Q: Queue> Receiver<Q> {
    pub(crate) fn new(queue: Q) -> Self {
        Self(Arc::new(queue))
    }

    pub(crate) async fn bury(&self, letter: DeadLetter) {
        self.0.bury(letter).await.expect("it is buried");
    }

    pub(crate) async fn send(&self, messages: Vec<NewMessage>) -> Vec<String> {
        self.0.send(messages).await.expect("the queue takes them")
    }

    /// What can be received at once.
    pub(crate) async fn receive(&self, max: usize) -> Vec<Message> {
        self.wait_for(max, Duration::ZERO).await
    }

    pub(crate) async fn wait_for(&self, max: usize, wait: Duration) -> Vec<Message> {
        self.0.receive(max, wait, HIDDEN).await.expect("the queue answers")
    }

    /// The one message that can be received at once.
    pub(crate) async fn one(&self) -> Message {
        let mut messages = self.receive(10).await;
        assert_eq!(messages.len(), 1, "{messages:?}");
        messages.remove(0)
    }

    pub(crate) async fn assert_empty(&self) {
        let messages = self.receive(10).await;
        assert!(messages.is_empty(), "{messages:?}");
    }

    pub(crate) async fn delete(&self, receipts: &[&Receipt]) {
        let receipts = receipts.iter().copied().cloned().collect();
        self.0.delete(receipts).await.expect("the queue answers");
    }

    pub(crate) async fn defer(&self, receipt: &Receipt, time: Duration) {
        self.defer_all(vec![(receipt.clone(), time)]).await;
    }

    pub(crate) async fn defer_all(&self, receipts: Vec<(Receipt, Duration)>) {
        let message = |(receipt, time)| (received(receipt), time);
        let messages = receipts.into_iter().map(message).collect();
        self.0.defer(messages).await.expect("the queue answers");
    }
}

/// A message of which only the receipt matters.
fn received(receipt: Receipt) -> Message {
    Message {
        id: String::new(),
        receipt,
        body: Vec::new().into(),
        receive_count: 1,
        first_seen: START,
        group: None,
        replay_of: None,
        trace: None,
    }
}

pub(crate) fn message(body: impl Into<Vec<u8>>) -> NewMessage {
    NewMessage { body: body.into().into(), group: None, first_seen: START, delay: Duration::ZERO }
}
