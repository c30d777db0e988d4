//! The queue's port, with SQS's terms: what is sent comes back until it is deleted.

mod attribute;

use std::{collections::BTreeMap, future::Future, time::Duration};

use bytes::Bytes;

pub use self::attribute::{Attribute, AttributeValue};
use crate::{
    batch::Order,
    clock::UnixMs,
    error::JobError,
    job::{Job, JobKey, Namespace, Problem},
};

/// The most messages one call hands over.
pub const MAX_BATCH_MESSAGES: usize = 10_000;

/// A message to send.
#[derive(Clone, Debug)]
pub struct NewMessage {
    /// The job's text.
    pub body: Bytes,
    /// Whose job it is; `None`: that of whoever works it off.
    pub namespace: Option<Namespace>,
    /// The job's key, for queues in which a job can be looked for.
    pub job: Option<JobKey>,
    /// Whose fair share it is (SQS: `MessageGroupId`).
    pub group: Option<String>,
    /// When the job was first sent; a message sent again keeps it.
    pub first_seen: UnixMs,
    /// How long it stays hidden at first.
    pub delay: Duration,
    /// It asks for the run that ended in this epoch to be run again, if it still stands when the
    /// message is received.
    pub replay_of: Option<u64>,
}

impl NewMessage {
    /// The message of a job, to be run as soon as may be.
    pub fn of(namespace: &Namespace, job: &Job, body: Bytes, now: UnixMs) -> Self {
        Self {
            body,
            namespace: Some(namespace.clone()),
            job: Some(JobKey::of(namespace, job.id())),
            group: job.tenant().map(|tenant| tenant.as_str().to_owned()),
            first_seen: now,
            delay: Duration::ZERO,
            replay_of: None,
        }
    }
}

/// A message that was received and not yet deleted.
#[derive(Clone, Debug)]
pub struct Message {
    /// The queue's own id for it. A redrive changes it: never a job's identity.
    pub id: String,
    /// Proves this very receive to delete and defer.
    pub receipt: Receipt,
    /// The job's text, whatever was sent.
    pub body: Bytes,
    /// Whose job it is, if the sender said so. A queue hands on what it was told: whoever may send
    /// to it may name any.
    pub namespace: Option<Namespace>,
    /// Receives so far, this one included.
    pub receive_count: u32,
    /// When the job was first sent.
    pub first_seen: UnixMs,
    /// Whose fair share it is.
    pub group: Option<String>,
    /// It asks for a replay of the run that ended in this epoch: it was that run's dead letter, which somebody redrove, or
    /// a person who knows of it sent the job again.
    pub replay_of: Option<u64>,
    /// The trace it belongs to, as the queue hands it over (SQS: `AWSTraceHeader`).
    pub trace: Option<String>,
    /// The producer's own attributes. Most messages have none.
    pub others: Box<[Attribute]>,
    /// What could not be read of it, its body aside: with any, it is no job.
    pub problems: Vec<Problem>,
}

/// A receipt handle.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Receipt(pub String);

/// A job that will not be run again, with its reason.
#[derive(Clone, Debug)]
pub struct DeadLetter {
    /// The original body.
    pub body: Bytes,
    /// The namespace it was sent with.
    pub namespace: Option<Namespace>,
    /// The group it was sent with.
    pub group: Option<String>,
    /// Why it is dead.
    pub error: JobError,
    /// The job's id, if the body had one.
    pub job_id: Option<String>,
    /// Its tool, if the body named one.
    pub tool: Option<String>,
    /// Calls begun.
    pub attempts: u32,
    /// The epoch in which the ledger settled it; `None` for what never became a run.
    pub epoch: Option<u64>,
    /// When the job was first sent.
    pub first_seen: UnixMs,
    /// The trace its message belongs to.
    pub trace: Option<String>,
    /// The producer's own attributes of its message.
    pub others: Box<[Attribute]>,
}

impl DeadLetter {
    /// The attribute that makes a message a dead letter.
    pub const ERROR_CLASS: &str = "error_class";
    /// The attribute with the epoch of the run it tells of.
    pub const EPOCH: &str = "epoch";
    /// The attribute with the moment the job was first sent, RFC 3339.
    pub const FIRST_SEEN: &str = "first_seen";
    /// The attribute that says whose job it is, of messages and dead letters alike.
    pub const NAMESPACE: &str = "namespace";
    /// The attribute of a message that is to run the failed run of this epoch again.
    pub const REPLAY_OF: &str = "replay_of";
    /// The attribute with the stable word for what happened.
    pub const ERROR_CODE: &str = "error_code";
    /// The attribute with the sentence for people.
    pub const ERROR_MESSAGE: &str = "error_message";
    /// The attribute with the calls begun.
    pub const ATTEMPTS: &str = "attempts";
    /// The attribute with the job's tool.
    pub const TOOL: &str = "tool";
    /// The attribute with the job's id.
    pub const JOB_ID: &str = "job_id";
    /// The attribute that says what was done to a body which the queue would have refused.
    pub const BODY_ALTERED: &str = "body_altered";

    /// The attributes that a dead letter has and a job has not.
    pub const REASON: [&str; 8] = [
        Self::ERROR_CLASS,
        Self::ERROR_CODE,
        Self::ERROR_MESSAGE,
        Self::ATTEMPTS,
        Self::TOOL,
        Self::JOB_ID,
        Self::EPOCH,
        Self::BODY_ALTERED,
    ];

    /// The attributes that go beside the body: why, of what, since when.
    pub fn attributes(&self) -> BTreeMap<&'static str, String> {
        let mut attributes = BTreeMap::from([
            (Self::ERROR_CLASS, self.error.class.to_string()),
            (Self::ERROR_CODE, self.error.code.to_string()),
            (Self::ERROR_MESSAGE, self.error.message.clone()),
            (Self::ATTEMPTS, self.attempts.to_string()),
            (Self::FIRST_SEEN, self.first_seen.rfc3339()),
        ]);
        let namespace = self.namespace.as_ref().map(|namespace| namespace.as_str().to_owned());
        attributes.extend(namespace.map(|namespace| (Self::NAMESPACE, namespace)));
        attributes.extend(self.tool.clone().map(|tool| (Self::TOOL, tool)));
        attributes.extend(self.job_id.clone().map(|id| (Self::JOB_ID, id)));
        attributes.extend(self.epoch.map(|epoch| (Self::EPOCH, epoch.to_string())));
        attributes
    }
}

/// Whether a queue takes dead letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Burial {
    /// The letter lies with the dead letters, durable.
    Taken,
    /// The queue knows no place for them, or the letter has no room for its reason. The message must neither be deleted nor deferred: its
    /// receives are counted until the queue's own redrive policy takes it.
    LeftToQueue,
}

/// The queue is out of reach or refuses. What was received comes back by itself.
#[derive(Clone, Debug, thiserror::Error)]
#[error("queue: {message}")]
pub struct QueueError {
    message: String,
    cause: Cause,
}

/// What a queue's refusal comes from, and so whether it makes sense to ask again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The state of things: it may pass.
    Passing,
    /// This very message: the queue will never take it.
    Message,
    /// The settings or the rights: no message is taken before somebody mends them.
    Settings,
}

impl QueueError {
    /// Any error of a queue that may pass, as text.
    pub fn of(error: impl std::fmt::Display) -> Self {
        Self { message: error.to_string(), cause: Cause::Passing }
    }

    /// The same, from this cause.
    #[must_use]
    pub fn because(self, cause: Cause) -> Self {
        Self { cause, ..self }
    }

    /// The same, told of this.
    #[must_use]
    pub fn under(self, what: &str) -> Self {
        Self { message: format!("{what}: {}", self.message), ..self }
    }

    /// What it comes from.
    pub fn cause(&self) -> Cause {
        self.cause
    }
}

/// A queue of jobs.
///
/// - Delivery is at least once, in no order. A message that was received stays hidden for the
///   visibility timeout and then comes back, unless it is deleted first.
/// - A receipt of an older receive deletes and defers nothing, and that is no error: the message
///   is somebody else's by now.
/// - An empty list is a success that does nothing.
pub trait Queue: Send + Sync + 'static {
    /// Sends all of them, durable on return; the ids come in the same order.
    fn send(
        &self,
        messages: Vec<NewMessage>,
    ) -> impl Future<Output = Result<Vec<String>, QueueError>> + Send;

    /// The same where one message that is not taken is no reason to keep the others back: one
    /// answer a message, in the same order.
    fn send_each(
        &self,
        messages: Vec<NewMessage>,
    ) -> impl Future<Output = Vec<Result<String, QueueError>>> + Send {
        async {
            let count = messages.len();
            match self.send(messages).await {
                Ok(ids) => ids.into_iter().map(Ok).collect(),
                Err(error) => vec![Err(error); count],
            }
        }
    }

    /// Whether a message with this job lies in the queue; `None` where a queue cannot be searched,
    /// as SQS.
    fn holds(&self, _job: JobKey) -> impl Future<Output = Result<Option<bool>, QueueError>> + Send {
        async { Ok(None) }
    }

    /// Receives up to `max` messages; waits up to `wait` for the first one (a long poll) and then
    /// answers with what there is, perhaps nothing.
    fn receive(
        &self,
        max: usize,
        wait: Duration,
        visibility_timeout: Duration,
    ) -> impl Future<Output = Result<Vec<Message>, QueueError>> + Send;

    /// Deletes messages: their jobs are settled.
    fn delete(&self, receipts: Vec<Receipt>)
    -> impl Future<Output = Result<(), QueueError>> + Send;

    /// Lets each message come back after its own time. A queue may send a message anew instead, as
    /// SQS does for long times: it answers the receipts of those that are then to be deleted. What
    /// cannot be deferred comes back when its visibility timeout ends, and is no error.
    fn defer(
        &self,
        messages: Vec<(Message, Duration)>,
    ) -> impl Future<Output = Result<Vec<Receipt>, QueueError>> + Send;

    /// Keeps messages hidden for `visibility_timeout` from now on.
    fn extend(
        &self,
        receipts: Vec<Receipt>,
        visibility_timeout: Duration,
    ) -> impl Future<Output = Result<(), QueueError>> + Send;

    /// Puts a job with the dead letters.
    fn bury(&self, letter: DeadLetter) -> impl Future<Output = Result<Burial, QueueError>> + Send;

    /// In which order the messages of one receive are to be run.
    fn order(&self) -> Order {
        Order::Any
    }
}
