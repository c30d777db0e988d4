//! What people do with a job that is not running.

use super::{Refusal, Step};
use crate::{
    clock::UnixMs,
    job::PayloadHash,
    lease::{ClaimRequest, DeadLetterState, Decision, Record, State, Usage},
};

impl Record {
    /// Cancels what has not started. Of a running job it stays a wish: its result stands.
    pub fn cancel(old: Option<Self>, request: &ClaimRequest) -> Step<Result<Self, Refusal>> {
        let epoch = old.as_ref().map_or(0, |old| old.epoch);
        let mut record = match old.filter(|old| !old.has_expired(request.now)) {
            None => {
                let tombstone = Self::running(request, epoch, 0, Usage::free());
                Self { payload_hash: None, callback: None, ..tombstone }
            }
            Some(record) if matches!(record.state, State::Retry(_)) => record,
            Some(record) => return Step::unchanged(Err(Refusal::State(record.state.name()))),
        };
        record.token = request.token;
        record.settle_as(State::Cancelled, request.now);
        Step::write(record, |record| Ok(*record))
    }

    /// Carries out what a person decided.
    pub fn decide(
        old: Option<Self>,
        decision: Decision,
        now: UnixMs,
    ) -> Step<Result<Self, Refusal>> {
        let Some(mut record) = old else { return Step::unchanged(Err(Refusal::Unknown)) };
        let past = record.past_and_end();
        match (decision, &record.state) {
            (
                Decision::Replay { epoch, payload_hash },
                State::Failed(_) | State::Held(_) | State::Cancelled,
            ) => {
                if record.epoch != epoch {
                    return Step::unchanged(Err(Refusal::Epoch(record.epoch)));
                }
                record.past = past;
                record.replay(payload_hash, now);
            }
            (Decision::Fail(error), State::Held(_)) => {
                record.past = past;
                record.give_up(error, record.callback.clone(), now);
                // Nobody has the text that a dead letter would hold.
                record.dead_letter = DeadLetterState::Sent;
                record.leave_to_sweep(now);
            }
            (Decision::Succeed(result), State::Held(_)) => {
                record.past = past;
                record.settle_as(State::Done(result), now);
                record.leave_to_sweep(now);
            }
            (Decision::Resend, State::Done(_) | State::Failed(_)) => match &mut record.callback {
                Some(slot) => {
                    slot.renew();
                    record.leave_to_sweep(now);
                }
                None => return Step::unchanged(Err(Refusal::NoCallback)),
            },
            (_, state) => return Step::unchanged(Err(Refusal::State(state.name()))),
        }
        Step::write(record, |record| Ok(*record))
    }

    /// No message will come back for the callback that is owed.
    fn leave_to_sweep(&mut self, now: UnixMs) {
        if self.owes_callback() {
            self.deferred = Some(now);
        }
    }

    fn replay(&mut self, payload_hash: PayloadHash, now: UnixMs) {
        self.payload_hash = Some(payload_hash);
        self.attempts = 0;
        self.dead_letter = DeadLetterState::None;
        self.first_seen = now;
        self.settle_as(State::Retry(None), now);
    }
}
