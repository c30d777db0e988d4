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
