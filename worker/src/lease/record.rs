//! One job as the ledger keeps it.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{CallbackSlot, OwnerToken, Usage};
use crate::{
    clock::UnixMs,
    error::JobError,
    job::{JobId, JobKey, Namespace, PayloadHash, Tenant, ToolName},
};

/// One job: who it is, where it stands, what it used.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// The ledger's key.
    pub key: JobKey,
    /// Whose job it is.
    pub namespace: Namespace,
    /// The caller's id.
    pub job_id: JobId,
    /// The tool it calls.
    pub tool: ToolName,
    /// Whose fair share it is.
    pub tenant: Option<Tenant>,
    /// What it is called with; `None` for a job cancelled before it was seen.
    pub payload_hash: Option<PayloadHash>,
    /// Where it stands.
    pub state: State,
    /// The token of the latest claim.
    pub token: OwnerToken,
    /// Grows with each claim.
    pub epoch: u64,
    /// Calls begun.
    pub attempts: u32,
    /// What all attempts used.
    pub usage: Usage,
    /// The callback of the latest message, once there is an outcome.
    pub callback: Option<CallbackSlot>,
    /// Whether a dead letter is due.
    pub dead_letter: DeadLetterState,
    /// The outcome is the offline model's.
    pub offline: bool,
    /// When it was first seen in a queue.
    pub first_seen: UnixMs,
    /// When the latest claim was made.
    pub claimed: UnixMs,
    /// When it came to its present state, RUNNING aside.
    pub settled: UnixMs,
    /// When the record may be deleted.
    pub expires: UnixMs,
    /// What the caller gets back, if the job has a callback or is in a batch.
    pub metadata: Option<Value>,
    /// Somebody waits for its outcome, or did: a callback, or a batch.
    pub is_awaited: bool,
    /// When its callback was deferred last, if it was.
    pub deferred: Option<UnixMs>,
    /// Ends that were left again, the first ones: batches that counted the job with one of them tell
    /// that one for ever.
    pub past: Vec<PastEnd>,
}

/// The most that is remembered of ends a job was brought back from. A person did so each time.
const MAX_PAST: usize = 8;

/// An end that a job was brought back from, with all that is told of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PastEnd {
    state: EndState,
    attempts: u32,
    usage: Usage,
    first_seen: UnixMs,
    claimed: UnixMs,
    settled: UnixMs,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    metadata: Option<Value>,
}

/// The states in which a job has ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum EndState {
    Done(Value),
    Failed(JobError),
    Held(JobError),
    Cancelled,
}

impl Record {
    /// How often the job was brought back from an end before this one: by that number a batch
    /// remembers with which one it counted the job.
    pub fn end_number(&self) -> u32 {
        u32::try_from(self.past.len()).unwrap_or(u32::MAX)
    }

    /// The record as it was at the end with this number.
    #[must_use]
    pub fn at_end(self, number: u32) -> Self {
        let past = usize::try_from(number).ok().and_then(|number| self.past.get(number));
        let Some(end) = past.cloned() else { return self };
        Self {
            state: match end.state {
                EndState::Done(result) => State::Done(result),
                EndState::Failed(error) => State::Failed(error),
                EndState::Held(error) => State::Held(error),
                EndState::Cancelled => State::Cancelled,
            },
            attempts: end.attempts,
            usage: end.usage,
            first_seen: end.first_seen,
            claimed: end.claimed,
            settled: end.settled,
            metadata: end.metadata,
            ..self
        }
    }

    /// The past of a record that is about to leave its end, if it has come to one.
    pub(super) fn past_and_end(&self) -> Vec<PastEnd> {
        let state = match &self.state {
            State::Done(result) => EndState::Done(result.clone()),
            State::Failed(error) => EndState::Failed(error.clone()),
            State::Held(error) => EndState::Held(error.clone()),
            State::Cancelled => EndState::Cancelled,
            State::Running { .. } | State::Retry(_) => return self.past.clone(),
        };
        let end = PastEnd {
            state,
            attempts: self.attempts,
            usage: self.usage.clone(),
            first_seen: self.first_seen,
            claimed: self.claimed,
            settled: self.settled,
            metadata: self.metadata.clone(),
        };
        let mut past = self.past.clone();
        if past.len() < MAX_PAST {
            past.push(end);
        }
        past
    }
}

/// Where a job stands; `lease/transition.rs` says how it moves on.
#[derive(Clone, Debug, PartialEq)]
pub enum State {
    /// Owned by a worker until the lease ends.
    Running {
        /// When others may take it over.
        lease_ends: UnixMs,
        /// It was taken over from a lost worker and runs alone, so that it can be blamed if this
        /// one is lost as well.
        alone: bool,
    },
    /// Free to be claimed; why the last try failed, if there was one.
    Retry(Option<JobError>),
    /// Finished, with its result.
    Done(Value),
    /// Given up.
    Failed(JobError),
    /// Waits for a person.
    Held(JobError),
    /// Not to be run.
    Cancelled,
}

impl State {
    /// Whether a batch counts the job as ended.
    pub fn is_counted(&self) -> bool {
        matches!(self, Self::Done(_) | Self::Failed(_) | Self::Held(_) | Self::Cancelled)
    }

    /// The state's name, as stores and people see it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Running { alone: false, .. } => "running",
            Self::Running { alone: true, .. } => "running_alone",
            Self::Retry(_) => "retry",
            Self::Done(_) => "done",
            Self::Failed(_) => "failed",
            Self::Held(_) => "held",
            Self::Cancelled => "cancelled",
        }
    }
}

/// Whether a failed job lies with the dead letters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeadLetterState {
    /// None is due.
    #[default]
    None,
    /// It is due.
    Pending,
    /// It was sent.
    Sent,
}
