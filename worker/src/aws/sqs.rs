//! The queue's port on SQS, standard and FIFO.

mod attributes;
mod dead_letters;
mod envelope;
mod failure;
mod letter;
mod outgoing;
mod receive;
mod send;
mod tens;
mod text;
mod visibility;

use std::{sync::Arc, time::Duration};

use aws_sdk_sqs::Client;
use tokio::sync::Semaphore;

pub use self::{
    dead_letters::SqsDeadLetters,
    envelope::{Envelope, SystemAttributes},
};
use self::{letter::outgoing_letter, outgoing::Outgoing};
use crate::{
    batch::Order,
    config::QueueUrl,
    queue::{Burial, DeadLetter, Message, NewMessage, Queue, QueueError, Receipt},
    trace::Destination,
};

/// The most requests that one process has under way at SQS: each holds a connection.
pub const MAX_REQUESTS: usize = 16;

/// Where the queue is, and how long messages may be kept hidden in it.
#[derive(Clone, Debug)]
pub struct SqsSettings {
    /// The queue.
    pub queue_url: QueueUrl,
    /// The queue of dead letters. Without one a job that will not be run again is only reported as
    /// failed; its message stays until the queue's own redrive policy takes it. A FIFO queue should
    /// have one: a message that stays keeps its group from being worked off.
    pub dead_letter_url: Option<QueueUrl>,
    /// Longer deferrals send the message anew with a delay, on a standard queue: hidden messages
    /// count towards SQS's 120,000 in flight, delayed ones do not.
    pub visibility_budget: Duration,
    /// A message older than this is never sent anew: that would reset its receives and its
    /// retention, and what never gets as far as a call would come back for ever. The queue's redrive
    /// policy takes it at last.
    pub sent_anew_until: Duration,
}

impl SqsSettings {
    /// Settings for the queue at `queue_url`: no dead letters, a budget of 120 seconds, messages of
    /// any age sent anew.
    pub fn new(queue_url: QueueUrl) -> Self {
        Self {
            queue_url,
            dead_letter_url: None,
            visibility_budget: Duration::from_secs(120),
            sent_anew_until: Duration::MAX,
        }
    }
}

/// A queue in SQS. Clones are the same queue, under one bound of requests.
///
/// - Bodies are texts of the characters that SQS takes; with its attributes a message has 1 MiB at
///   most. Others are refused before anything is sent.
/// - A FIFO queue keeps the order of a group: it is never sent anew what was received, and what is
///   sent with a delay comes without.
#[derive(Clone, Debug)]
pub struct SqsQueue {
    client: Client,
    settings: Arc<SqsSettings>,
    requests: Arc<Semaphore>,
}

impl SqsQueue {
    /// The queue of `settings`, asked through `client`, which brings timeouts and retries.
    pub fn new(client: Client, settings: SqsSettings) -> Self {
        let requests = Arc::new(Semaphore::new(MAX_REQUESTS));
        Self { client, settings: Arc::new(settings), requests }
    }

    /// As traces name it.
    pub fn destination(&self) -> Destination {
        let name = self.settings.queue_url.name();
        Destination { system: "aws_sqs", name: name.to_owned() }
    }

    /// Whether messages of the queue of that ARN are this one's.
    pub fn origin(&self, arn: &str) -> Origin {
        let SqsSettings { queue_url, dead_letter_url, .. } = &*self.settings;
        if queue_url.is_queue_of(arn) {
            return Origin::Own;
        }
        match dead_letter_url.as_ref().is_some_and(|url| url.is_queue_of(arn)) {
            true => Origin::DeadLetters,
            false => Origin::Other,
        }
    }

    /// The queue's URL.
    pub fn url(&self) -> &QueueUrl {
        &self.settings.queue_url
    }

    fn is_fifo(&self) -> bool {
        self.settings.queue_url.is_fifo()
    }
}

/// From which queue messages come, as a queue sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// From itself.
    Own,
    /// From the one of its dead letters.
    DeadLetters,
    /// From any other: their receipts are none of its own.
    Other,
}

/// The order that a queue keeps, by its ARN: "The name of a FIFO queue must end with the `.fifo`
/// suffix" (`CreateQueue`, API reference). A group tells nothing: fair queues have them on standard
/// queues.
pub fn order_of(arn: &str) -> Order {
    match arn.strip_suffix(".fifo") {
        Some(_) => Order::WithinGroups,
        None => Order::Any,
    }
}

impl Queue for SqsQueue {
    async fn send(&self, messages: Vec<NewMessage>) -> Result<Vec<String>, QueueError> {
        let outgoing = messages.into_iter().map(Outgoing::new).collect();
        self.send_all(&self.settings.queue_url, outgoing).await
    }

    async fn send_each(&self, messages: Vec<NewMessage>) -> Vec<Result<String, QueueError>> {
        let outgoing = messages.into_iter().map(Outgoing::new).collect();
        self.send_what_can_be(&self.settings.queue_url, outgoing).await
    }

    async fn receive(
        &self,
        max: usize,
        wait: Duration,
        visibility_timeout: Duration,
    ) -> Result<Vec<Message>, QueueError> {
        self.receive_up_to(max, wait, visibility_timeout).await
    }

    async fn delete(&self, receipts: Vec<Receipt>) -> Result<(), QueueError> {
        self.delete_all(receipts).await
    }

    /// Never an error: what cannot be deferred is logged.
    async fn defer(&self, messages: Vec<(Message, Duration)>) -> Result<Vec<Receipt>, QueueError> {
        Ok(self.defer_all(messages).await)
    }

    async fn extend(
        &self,
        receipts: Vec<Receipt>,
        visibility_timeout: Duration,
    ) -> Result<(), QueueError> {
        self.hide(receipts.into_iter().map(|receipt| (receipt, visibility_timeout)).collect()).await
    }

    async fn bury(&self, letter: DeadLetter) -> Result<Burial, QueueError> {
        let Some(url) = &self.settings.dead_letter_url else { return Ok(Burial::LeftToQueue) };
        let Some(outgoing) = outgoing_letter(&letter) else { return Ok(Burial::LeftToQueue) };
        self.send_all(url, vec![outgoing]).await?;
        Ok(Burial::Taken)
    }

    fn order(&self) -> Order {
        if self.is_fifo() { Order::WithinGroups } else { Order::Any }
    }
}
