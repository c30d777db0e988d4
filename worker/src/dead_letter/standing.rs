//! Where a dead letter's job stands, as the ledger knows it.

use serde::Serialize;

use super::Letter;
use crate::{
    clock::UnixMs,
    job::Job,
    lease::{Record, State},
};

/// Where a dead letter's job stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// The letter holds no job.
    Unreadable,
    /// The ledger knows no such job: it never became a run, or its record is gone.
    NeverStarted,
    /// It may be claimed: it waits for another try, or the worker that ran it was lost.
    Retry,
    /// Somebody runs it.
    Running,
    /// It failed, and this is the letter of that run.
    Failed,
    /// It was run again since: what became of that is told elsewhere.
    Superseded,
    /// Its id belongs to a job with another tool, input or model.
    Conflict,
    /// It waits for a person.
    Held,
    /// It succeeded.
    Done,
    /// It was cancelled.
    Cancelled,
}

impl Standing {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Unreadable,
        Self::NeverStarted,
        Self::Retry,
        Self::Running,
        Self::Failed,
        Self::Superseded,
        Self::Conflict,
        Self::Held,
        Self::Done,
        Self::Cancelled,
    ];

    /// Its name, for people and programs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unreadable => "unreadable",
            Self::NeverStarted => "never_started",
            Self::Retry => "retry",
            Self::Running => "running",
            Self::Failed => "failed",
            Self::Superseded => "superseded",
            Self::Conflict => "conflict",
            Self::Held => "held",
            Self::Done => "done",
            Self::Cancelled => "cancelled",
        }
    }

    /// Where the job in a letter stands, given what the ledger has under its key.
    pub(super) fn of(letter: &Letter, job: &Job, record: Option<&Record>, now: UnixMs) -> Self {
        let Some(record) = record.filter(|record| !record.has_expired(now)) else {
            return Self::NeverStarted;
        };
        let epoch = letter.reason.as_ref().and_then(|reason| reason.epoch);
        let was_run_since = epoch.is_some_and(|epoch| epoch < record.epoch);
        if record.payload_hash.is_some_and(|hash| hash != job.payload_hash()) {
            let is_over = was_run_since && record.state.is_counted();
            return if is_over { Self::Superseded } else { Self::Conflict };
        }
        match record.state {
            State::Running { lease_ends, .. } if now < lease_ends => Self::Running,
            State::Running { .. } | State::Retry(_) => Self::Retry,
            State::Done(_) => Self::Done,
            State::Failed(_) if was_run_since => Self::Superseded,
            State::Failed(_) => Self::Failed,
            State::Held(_) => Self::Held,
            State::Cancelled => Self::Cancelled,
        }
    }
}
