//! A queue that counts its dead letters, and can be without a place for them.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use bytes::Bytes;
use mcp_batch::{
    local::SqliteQueue,
    queue::{Burial, DeadLetter, Message, NewMessage, Queue, QueueError, Receipt},
};

type Answer<T> = Result<T, QueueError>;

/// Everything else is the queue's own.
pub(super) struct Graves {
    queue: SqliteQueue,
    is_missing: AtomicBool,
    is_out_of_reach: AtomicBool,
    letters: AtomicUsize,
    latest: Mutex<Option<Bytes>>,
}

impl Graves {
    pub(super) fn new(queue: SqliteQueue) -> Self {
        Self {
            queue,
            is_missing: AtomicBool::new(false),
            is_out_of_reach: AtomicBool::new(false),
            letters: AtomicUsize::new(0),
            latest: Mutex::default(),
        }
    }

    /// From now on dead letters are left to the queue.
    pub(super) fn take_away(&self) {
        self.is_missing.store(true, SeqCst);
    }

    /// Whether dead letters cannot be sent now.
    pub(super) fn put_out_of_reach(&self, is_out: bool) {
        self.is_out_of_reach.store(is_out, SeqCst);
    }

    /// Letters that were taken.
    pub(super) fn letters(&self) -> usize {
        self.letters.load(SeqCst)
    }

    /// The body of the latest.
    pub(super) fn latest_letter(&self) -> Option<Bytes> {
        self.latest.lock().expect("nobody panics with it").clone()
    }
}

impl Queue for Graves {
    async fn send(&self, messages: Vec<NewMessage>) -> Answer<Vec<String>> {
        self.queue.send(messages).await
    }

    async fn receive(
        &self,
        max: usize,
        wait: Duration,
        visibility_timeout: Duration,
    ) -> Answer<Vec<Message>> {
        self.queue.receive(max, wait, visibility_timeout).await
    }

    async fn delete(&self, receipts: Vec<Receipt>) -> Answer<()> {
        self.queue.delete(receipts).await
    }

    async fn defer(&self, messages: Vec<(Message, Duration)>) -> Answer<Vec<Receipt>> {
        self.queue.defer(messages).await
    }

    async fn extend(&self, receipts: Vec<Receipt>, visibility_timeout: Duration) -> Answer<()> {
        self.queue.extend(receipts, visibility_timeout).await
    }

    async fn bury(&self, letter: DeadLetter) -> Answer<Burial> {
        if self.is_missing.load(SeqCst) {
            return Ok(Burial::LeftToQueue);
        }
        if self.is_out_of_reach.load(SeqCst) {
            return Err(QueueError::of("out of reach"));
        }
        self.letters.fetch_add(1, SeqCst);
        *self.latest.lock().expect("nobody panics with it") = Some(letter.body.clone());
        self.queue.bury(letter).await
    }
}
