//! The rules of the state machine, as functions from one record to the next. A store that can
//! read, decide and write in one transaction calls them; one that can only write under a condition
//! puts the same rules into its conditions and calls them to judge the record of a refusal.
//!
//! ```text
//! (none) ──claim──▶ RUNNING ──complete──▶ DONE
//!                    │  ├─release / interrupt─▶ RETRY ──claim, epoch+1──▶ RUNNING
//!                    │  ├─fail─────────────▶ FAILED
//!                    │  └─interrupt, tool "never"─▶ HELD
//!                    └─lease over─claim, epoch+1─▶ RUNNING   (tool "never": ▶ HELD)
//! (none) | RETRY ──cancel──▶ CANCELLED
//! FAILED | HELD | CANCELLED ──replay──▶ RETRY
//! HELD ──retry | fail | succeed──▶
//! ```

mod claim;
mod decide;
mod settle;

use super::{CallbackSlot, CallbackState, DeadLetterState, Delivery, Mark, Record, State};
use crate::{clock::UnixMs, error::JobError};

/// A request that the record's state does not allow.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is no such job.
    #[error("the ledger knows no such job")]
    Unknown,
    /// The job's state forbids it.
    #[error("the job is {0}")]
    State(&'static str),
    /// Another run came between what was seen and what was decided about it.
    #[error("the job has been run again since: its epoch is {0}")]
    Epoch(u64),
    /// Its outcome is owed to nobody.
    #[error("the job has no callback")]
    NoCallback,
}

/// What a request does: the record to write, if it changes one, and the answer.
pub struct Step<T> {
    /// The record to write; `None` leaves it as it is.
    pub write: Option<Record>,
    /// The answer to the request.
    pub answer: T,
}

impl<T> Step<T> {
    fn unchanged(answer: T) -> Self {
        Self { write: None, answer }
    }

    fn write(record: Record, answer: impl FnOnce(Box<Record>) -> T) -> Self {
        Self { answer: answer(Box::new(record.clone())), write: Some(record) }
    }
}

impl Record {
    pub(crate) fn has_expired(&self, now: UnixMs) -> bool {
        self.expires <= now && !self.is_live(now)
    }

    /// Held jobs and pending hand-offs do not expire, nor does what somebody is running.
    fn is_live(&self, now: UnixMs) -> bool {
        match self.state {
            State::Running { lease_ends, .. } => now < lease_ends,
            State::Held(_) => true,
            _ => self.owes(),
        }
    }

    /// Whether an outcome is still to be handed to somebody.
    pub(crate) fn owes(&self) -> bool {
        self.dead_letter == DeadLetterState::Pending || self.owes_callback()
    }

    /// Whether a callback is still to be told an outcome.
    pub(crate) fn owes_callback(&self) -> bool {
        let slot = self.callback.as_ref().filter(|_| self.is_final());
        slot.is_some_and(|slot| slot.state == CallbackState::Pending)
    }

    /// Whether there is an outcome that stands.
    pub fn is_final(&self) -> bool {
        matches!(self.state, State::Done(_) | State::Failed(_))
    }

    fn give_up(&mut self, error: JobError, callback: Option<CallbackSlot>, now: UnixMs) {
        self.callback = callback;
        self.dead_letter = DeadLetterState::Pending;
        self.settle_as(State::Failed(error), now);
    }

    fn settle_as(&mut self, state: State, now: UnixMs) {
        self.state = state;
        self.settled = now;
    }

    /// Notes what became of a hand-off.
    pub fn mark(old: Option<Self>, epoch: u64, mark: &Mark, now: UnixMs) -> Step<()> {
        let Some(mut record) = old.filter(|record| record.epoch == epoch && record.is_final())
        else {
            return Step::unchanged(());
        };
        match (mark, &mut record.callback) {
            (Mark::DeadLetterSent, _) if record.dead_letter == DeadLetterState::Pending => {
                record.dead_letter = DeadLetterState::Sent;
            }
            (Mark::Callback { callback, delivery, again_after, may_have_arrived }, Some(slot))
                if slot.callback == *callback =>
            {
                if slot.state == CallbackState::Pending && matches!(delivery, Delivery::Failed(_)) {
                    record.deferred = Some(now);
                    slot.may_have_arrived |= may_have_arrived;
                    slot.put_off(now.plus(*again_after));
                }
                slot.note(*delivery, now);
            }
            _ => return Step::unchanged(()),
        }
        Step { write: Some(record), answer: () }
    }
}
