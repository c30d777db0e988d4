//! How a run ends, what becomes of its outcome, and what people decide.

use std::time::Duration;

use serde_json::Value;

use super::{Delivery, Outcome, Record, Repeat, Usage};
use crate::{
    error::JobError,
    job::{Callback, PayloadHash},
};

/// How a run ended.
#[derive(Clone, Debug)]
pub enum Settlement {
    /// The tool answered: RUNNING → DONE.
    Complete(Outcome),
    /// The job is given up: RUNNING → FAILED, a dead letter pending.
    Fail(JobError, Usage, Attempt),
    /// Another try later: RUNNING → RETRY.
    Release(JobError, Usage, Attempt),
    /// Stopped while running: RUNNING → RETRY, or HELD where the tool must not be repeated.
    Interrupt(JobError, Usage, Repeat),
}

/// Whether a try counts towards the attempts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attempt {
    /// It was the job's own.
    Counted,
    /// No call was made; or the upstream's state, not the job, made it fail.
    NotCounted,
}

/// The answer to a settlement.
#[derive(Clone, Debug)]
pub enum Settled {
    /// It stands, as this record.
    Saved(Box<Record>),
    /// Somebody else owns the job by now: drop the result, send nothing.
    Fenced,
    /// There is no place for its result at the moment, and nothing was changed. The same again may
    /// be saved; whoever gives up settles the job as failed for this reason.
    Unkept(JobError),
}

/// What became of a hand-off of the outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mark {
    /// A try to deliver to a callback. Of another one than the record's it changes nothing.
    Callback {
        /// Where it went.
        callback: Callback,
        /// How it ended.
        delivery: Delivery,
        /// When the next one is due, if it failed.
        again_after: Duration,
        /// One before it may have got through, as whoever made it knows.
        may_have_arrived: bool,
    },
    /// The dead letter lies in its queue.
    DeadLetterSent,
}

/// What a person decides about a job that is not running.
#[derive(Clone, Debug)]
pub enum Decision {
    /// Run it again, attempts from 0, the epoch kept: FAILED, HELD, CANCELLED → RETRY. Another
    /// payload may come with it. Refused if it has run since the run that was seen.
    Replay {
        /// The run that was seen to have ended.
        epoch: u64,
        /// Of the payload it is run with.
        payload_hash: PayloadHash,
    },
    /// It failed: HELD → FAILED.
    Fail(JobError),
    /// It succeeded, with this result: HELD → DONE.
    Succeed(Value),
    /// Its outcome is told again, whatever became of its callback: DONE and FAILED stay as they are.
    Resend,
}
