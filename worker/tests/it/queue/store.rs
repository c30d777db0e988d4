//! Queues under test.

mod sqlite;
mod sqs;

use std::{collections::BTreeMap, future::Future, sync::Arc, time::Duration};

use mcp_batch::{
    job::JobKey,
    queue::{Burial, DeadLetter, Message, NewMessage, Queue, QueueError, Receipt},
};

pub(crate) use self::{
    sqlite::SqliteStore,
    sqs::{SqsRig, SqsStore},
};
use crate::lease_helpers::START;

/// A queue, new for each case: what a further implementation has to bring.
pub(crate) trait QueueStore: Sized {
    type Queue: Queue;

    /// How long the messages of these cases stay hidden.
    const HIDDEN: Duration;

    /// An empty queue; `None` on a machine that has none.
    fn open() -> impl Future<Output = Option<Self>>;

    /// Another worker process on the same queue.
    fn worker(&self) -> Receiver<Self::Queue>;

    /// Lets time pass for the queue, but less than `time`.
    async fn almost(&self, time: Duration);

    /// Lets the rest pass, until so many messages can be received.
    async fn until_visible(&self, messages: usize);

    /// Lets `time` pass, after which so many messages can be received.
    async fn pass(&self, time: Duration, messages: usize) {
        self.almost(time).await;
        self.until_visible(messages).await;
    }

    /// The dead letters, the oldest first.
    async fn letters(&self) -> Vec<Letter>;
}

/// A dead letter as it lies there.
#[derive(Debug, PartialEq)]
pub(crate) struct Letter {
    pub(crate) body: Vec<u8>,
    pub(crate) group: Option<String>,
    pub(crate) attributes: BTreeMap<String, String>,
}

/// One worker's view of the queue; an error of the queue fails the case.
pub(crate) struct Receiver<Q> {
    queue: Arc<Q>,
    hidden: Duration,
}

impl<Q> Clone for Receiver<Q> {
    fn clone(&self) -> Self {
        Self { queue: Arc::clone(&self.queue), hidden: self.hidden }
    }
}

impl<Q: Queue> Receiver<Q> {
    pub(crate) fn new(queue: Q, hidden: Duration) -> Self {
        Self { queue: Arc::new(queue), hidden }
    }

    pub(crate) async fn bury(&self, letter: DeadLetter) {
        let burial = self.queue.bury(letter).await.expect("it is buried");
        assert_eq!(burial, Burial::Taken);
    }

    pub(crate) async fn send(&self, messages: Vec<NewMessage>) -> Vec<String> {
        self.queue.send(messages).await.expect("the queue takes them")
    }

    pub(crate) async fn send_each(
        &self,
        messages: Vec<NewMessage>,
    ) -> Vec<Result<String, QueueError>> {
        self.queue.send_each(messages).await
    }

    /// Whether a message of the job lies there.
    pub(crate) async fn holds(&self, job: JobKey) -> Option<bool> {
        self.queue.holds(job).await.expect("the queue answers")
    }

    /// What can be received at once.
    pub(crate) async fn receive(&self, max: usize) -> Vec<Message> {
        self.wait_for(max, Duration::ZERO).await
    }

    pub(crate) async fn wait_for(&self, max: usize, wait: Duration) -> Vec<Message> {
        self.queue.receive(max, wait, self.hidden).await.expect("the queue answers")
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
        self.queue.delete(receipts).await.expect("the queue answers");
    }

    pub(crate) async fn defer(&self, receipt: &Receipt, time: Duration) {
        self.defer_all(vec![(receipt.clone(), time)]).await;
    }

    pub(crate) async fn defer_all(&self, receipts: Vec<(Receipt, Duration)>) {
        let message = |(receipt, time)| (received(receipt), time);
        let messages = receipts.into_iter().map(message).collect();
        self.queue.defer(messages).await.expect("the queue answers");
    }
}

/// A message of which only the receipt matters.
fn received(receipt: Receipt) -> Message {
    Message {
        namespace: None,
        id: String::new(),
        receipt,
        body: Vec::new().into(),
        receive_count: 1,
        first_seen: START,
        group: None,
        replay_of: None,
        trace: None,
        others: Box::default(),
        problems: Vec::new(),
    }
}

pub(crate) fn message(body: impl Into<Vec<u8>>) -> NewMessage {
    NewMessage {
        body: body.into().into(),
        namespace: None,
        job: None,
        group: None,
        first_seen: START,
        delay: Duration::ZERO,
        replay_of: None,
    }
}
