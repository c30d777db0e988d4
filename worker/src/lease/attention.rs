//! What somebody has to look at: it stands in a sparse index of the store, so that the sweep and
//! people find it without reading everything.

use std::time::Duration;

use super::{CallbackState, Record, State};
use crate::{
    clock::UnixMs,
    fan_in::{BatchKey, BatchRecord},
};

/// A hand-off that was deferred is looked after once its message has not come back for this long:
/// longer than any message is put off, so that it must be gone.
pub const MESSAGE_IS_GONE_AFTER: Duration = Duration::from_secs(2 * 3_600);

/// Why a job or a batch is to be looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Attention {
    /// A job's callback is still owed; due [`MESSAGE_IS_GONE_AFTER`] it was deferred last, or the job
    /// ended. A store may leave one out that nobody has deferred yet: its message is there.
    Callback,
    /// A job's callback was given up.
    DeadCallback,
    /// A job waits for a person.
    Held,
    /// A batch whose callback is owed: due when it expires, or a minute after its next try is due or
    /// the time of whoever delivers it is over. What is closed for its time has no message.
    Batch,
    /// A batch's callback was given up.
    DeadBatchCallback,
}

impl Attention {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Callback, Self::DeadCallback, Self::Held, Self::Batch, Self::DeadBatchCallback];

    /// Its name in stores.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Callback => "callback",
            Self::DeadCallback => "dead_callback",
            Self::Held => "held",
            Self::Batch => "batch",
            Self::DeadBatchCallback => "dead_batch_callback",
        }
    }

    /// Whether it is a batch that is to be looked at, not a job.
    pub fn is_of_batch(self) -> bool {
        matches!(self, Self::Batch | Self::DeadBatchCallback)
    }
}

/// What is to be looked at, as it is now.
#[derive(Clone, Debug, PartialEq)]
pub enum Found {
    /// A job.
    Job(Box<Record>),
    /// A batch.
    Batch(BatchKey, Box<BatchRecord>),
}

impl Record {
    /// Why the job is to be looked at, and from when on, if it is.
    pub fn attention(&self) -> Option<(Attention, UnixMs)> {
        if matches!(self.state, State::Held(_)) {
            return Some((Attention::Held, self.settled));
        }
        let slot = self.callback.as_ref().filter(|_| self.is_final())?;
        match (slot.state, self.deferred) {
            (CallbackState::Pending, deferred) => {
                let since = deferred.unwrap_or(self.settled);
                Some((Attention::Callback, since.plus(MESSAGE_IS_GONE_AFTER)))
            }
            (CallbackState::Dead(_), _) => Some((Attention::DeadCallback, self.settled)),
            (CallbackState::Sent, _) => None,
        }
    }
}

impl BatchRecord {
    /// Why the batch is to be looked at, and from when on, if it is.
    pub fn attention(&self) -> Option<(Attention, UnixMs)> {
        match self.callback.state {
            CallbackState::Pending => Some((Attention::Batch, self.look_after)),
            CallbackState::Dead(_) => Some((Attention::DeadBatchCallback, self.look_after)),
            CallbackState::Sent => None,
        }
    }
}
