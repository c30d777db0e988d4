//! How the owner of a job ends its run.

use super::Step;
use crate::{
    clock::UnixMs,
    error::JobError,
    lease::{Attempt, Lease, Record, Repeat, Settled, Settlement, State},
};

impl Record {
    /// Moves the end of a lease that is still held.
    pub fn extend(old: Option<Self>, lease: &Lease, ends: UnixMs) -> Step<bool> {
        let Some(mut record) = old.filter(|old| old.is_leased_to(lease)) else {
            return Step::unchanged(false);
        };
        if let State::Running { lease_ends, .. } = &mut record.state {
            *lease_ends = ends;
        }
        Step { write: Some(record), answer: true }
    }

    fn is_leased_to(&self, lease: &Lease) -> bool {
        let is_latest = self.token == lease.token && self.epoch == lease.epoch;
        is_latest && matches!(self.state, State::Running { .. })
    }

    /// Answers a settlement. Only the latest claim of a running job may settle it; that its lease
    /// is over does not matter while nobody took over.
    pub fn settle(
        old: Option<Self>,
        lease: &Lease,
        settlement: Settlement,
        now: UnixMs,
    ) -> Step<Settled> {
        let Some(mut record) = old else { return Step::unchanged(Settled::Fenced) };
        if record.token != lease.token || record.epoch != lease.epoch {
            return Step::unchanged(Settled::Fenced);
        }
        if !matches!(record.state, State::Running { .. }) {
            // Saved before, and the answer was lost on its way; or somebody else decided.
            return Step::unchanged(match settlement.leads_to(&record.state) {
                true => Settled::Saved(Box::new(record)),
                false => Settled::Fenced,
            });
        }
        record.apply(settlement, now);
        Step::write(record, Settled::Saved)
    }

    fn apply(&mut self, settlement: Settlement, now: UnixMs) {
        match settlement {
            Settlement::Complete(outcome) => {
                self.usage = self.usage.plus(&outcome.usage);
                self.offline = outcome.offline;
                self.settle_as(State::Done(outcome.result), now);
            }
            Settlement::Fail(error, usage, attempt) => {
                self.usage = self.usage.plus(&usage);
                self.count(attempt);
                self.give_up(error, self.callback.clone(), now);
            }
            Settlement::Release(error, usage, attempt) => {
                self.usage = self.usage.plus(&usage);
                self.count(attempt);
                self.settle_as(State::Retry(Some(error)), now);
            }
            Settlement::Interrupt(error, usage, repeat) => {
                self.usage = self.usage.plus(&usage);
                let state = match repeat {
                    Repeat::Safe => State::Retry(Some(error)),
                    Repeat::Never => State::Held(error),
                };
                self.settle_as(state, now);
            }
        }
    }

    /// The claim has counted it already.
    fn count(&mut self, attempt: Attempt) {
        if attempt == Attempt::NotCounted {
            self.attempts = self.attempts.saturating_sub(1);
        }
    }
}

impl Settlement {
    /// What becomes of a result that nothing can keep: its job fails, its cost is known.
    pub(crate) fn given_up(self, error: JobError) -> Self {
        match self {
            Self::Complete(outcome) => Self::Fail(error, outcome.usage, Attempt::Counted),
            other => other,
        }
    }

    fn leads_to(&self, state: &State) -> bool {
        match self {
            Self::Complete(_) => matches!(state, State::Done(_)),
            Self::Fail(..) => matches!(state, State::Failed(_)),
            Self::Release(..) | Self::Interrupt(_, _, Repeat::Safe) => {
                matches!(state, State::Retry(_))
            }
            Self::Interrupt(_, _, Repeat::Never) => matches!(state, State::Held(_)),
        }
    }
}
