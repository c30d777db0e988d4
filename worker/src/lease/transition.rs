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

use super::{
    Attempt, CallbackSlot, CallbackState, Claim, ClaimRequest, DeadLetterState, Decision, Delivery,
    Lease, Lost, MEMBERS_LIVE, Mark, PastEnd, Record, Repeat, Settled, Settlement, State, Usage,
};
use crate::{
    clock::UnixMs,
    error::{ErrorClass, JobError},
    job::PayloadHash,
};

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

impl Step<Claim> {
    /// The same claim of a job that has a place in a batch: its record keeps its metadata, and lives
    /// as long as the batch may.
    #[must_use]
    pub fn in_batch(mut self, old: Option<&Record>, request: &ClaimRequest) -> Self {
        let Some(before) = self.write.as_ref().or(old) else { return self };
        let mut after = before.clone();
        after.await_outcome(request);
        if after.expires < request.now.plus(MEMBERS_LIVE) {
            after.expires = request.record_ends();
        }
        if after != *before {
            self.write = Some(after);
        }
        self
    }
}

impl Record {
    /// Answers a claim, given what the ledger holds under its key.
    pub fn claim(old: Option<Self>, request: &ClaimRequest) -> Step<Claim> {
        let Some(old) = old else { return Self::begin(request, None, Vec::new()) };
        if old.is_owned_by(request) {
            return Step::unchanged(Claim::Owned(old.lease()));
        }
        if old.has_expired(request.now) {
            // No batch that is still told has counted it.
            return Self::begin(request, Some(&old), Vec::new());
        }
        if old.payload_hash.is_some_and(|hash| hash != request.payload_hash) {
            return Step::unchanged(Claim::Conflict(Box::new(old)));
        }
        if old.offline && request.supersedes_offline && old.is_final() {
            let past = old.past_and_end();
            return Self::begin(request, Some(&old), past);
        }
        match old.state {
            State::Done(_) | State::Failed(_) => old.owe_callback(request, Claim::Finished),
            State::Held(_) => old.owe_callback(request, Claim::Held),
            State::Cancelled => Step::unchanged(Claim::Cancelled(Box::new(old))),
            State::Retry(_) => old.claim_again(request),
            State::Running { lease_ends, .. } if request.now < lease_ends => {
                Step::unchanged(Claim::Busy { until: lease_ends })
            }
            State::Running { alone, .. } => old.take_over(request, alone),
        }
    }

    /// Answers a claim of a job whose batch was cancelled: what has not started is cancelled.
    pub fn claim_cancelled(old: Option<Self>, request: &ClaimRequest) -> Step<Claim> {
        let claim = Self::claim(old.clone(), request);
        if !matches!(claim, Step { write: Some(_), answer: Claim::Owned(_) }) {
            return claim;
        }
        match Self::cancel(old, request) {
            Step { write, answer: Ok(record) } => {
                Step { write, answer: Claim::Cancelled(Box::new(record)) }
            }
            Step { answer: Err(_), .. } => claim,
        }
    }

    /// A lease that ran out: its owner died, or sleeps and will be fenced, whatever becomes of the
    /// job now. So the token is the claimant's even where nobody gets to run it.
    fn take_over(mut self, request: &ClaimRequest, was_alone: bool) -> Step<Claim> {
        if request.lost == Lost::Leave && request.repeat == Repeat::Safe {
            return Step::unchanged(Claim::Suspect);
        }
        if request.lost == Lost::RunAlone && !was_alone {
            self.attempts = self.attempts.saturating_sub(1);
        }
        self.token = request.token;
        self.usage = self.usage.plus(&Usage::unknown());
        let lost = JobError::new(
            ErrorClass::Interrupted,
            "lease_over",
            "the worker that ran the job was lost before it saved an outcome",
        );
        match request.repeat {
            Repeat::Never => {
                self.settle_as(State::Held(lost), request.now);
                Step::write(self, Claim::Held)
            }
            Repeat::Safe => {
                self.state = State::Retry(Some(lost));
                self.claim_again(request)
            }
        }
    }

    fn claim_again(mut self, request: &ClaimRequest) -> Step<Claim> {
        if self.attempts < request.max_attempts {
            let (epoch, attempts) = (self.epoch + 1, self.attempts + 1);
            let again = Self::running(request, epoch, attempts, self.usage);
            let metadata = again.metadata.clone().or(self.metadata);
            let is_awaited = self.is_awaited || again.is_awaited;
            return Self { metadata, is_awaited, past: self.past, ..again }.owned();
        }
        if request.is_told() {
            self.await_outcome(request);
        }
        let last = match &self.state {
            State::Retry(Some(error)) => error.clone(),
            _ => JobError::new(ErrorClass::Transient, "attempts_spent", "no attempt is left"),
        };
        let error = last.exhausted(&format!("attempt {} was the last", self.attempts));
        // So that the claim that ended the job is known by it.
        self.token = request.token;
        self.give_up(error, request.callback.clone().map(CallbackSlot::pending), request.now);
        Step::write(self, Claim::Finished)
    }

    /// The first attempt of a job, or of one whose outcome does not count any more.
    fn begin(request: &ClaimRequest, before: Option<&Self>, past: Vec<PastEnd>) -> Step<Claim> {
        let epoch = before.map_or(1, |before| before.epoch + 1);
        let first = Self::running(request, epoch, 1, Usage::free());
        let is_awaited = first.is_awaited || before.is_some_and(|before| before.is_awaited);
        Self { is_awaited, past, ..first }.owned()
    }

    fn owned(self) -> Step<Claim> {
        let lease = self.lease();
        Step { write: Some(self), answer: Claim::Owned(lease) }
    }

    fn running(request: &ClaimRequest, epoch: u64, attempts: u32, usage: Usage) -> Self {
        Self {
            key: request.key,
            namespace: request.namespace.clone(),
            job_id: request.job_id.clone(),
            tool: request.tool.clone(),
            tenant: request.tenant.clone(),
            payload_hash: Some(request.payload_hash),
            state: State::Running {
                lease_ends: request.lease_ends,
                alone: request.lost == Lost::RunAlone,
            },
            token: request.token,
            epoch,
            attempts,
            usage,
            callback: request.callback.clone().map(CallbackSlot::pending),
            dead_letter: DeadLetterState::None,
            offline: false,
            first_seen: request.first_seen,
            claimed: request.now,
            settled: request.now,
            expires: request.record_ends(),
            metadata: request.metadata.clone().filter(|_| request.is_told()),
            is_awaited: request.is_told(),
            deferred: None,
            past: Vec::new(),
        }
    }

    /// Somebody waits for the outcome. What the caller gets back with it stays as it is once the job
    /// has ended: it may have been told, and every try tells the same.
    fn await_outcome(&mut self, request: &ClaimRequest) {
        let may_be_told = self.is_awaited && self.state.is_counted();
        if self.metadata.is_none() && !may_be_told {
            self.metadata.clone_from(&request.metadata);
        }
        self.is_awaited = true;
    }

    /// A finished or held job is not run again. A message with another callback is owed the
    /// outcome too, once there is one.
    fn owe_callback(
        mut self,
        request: &ClaimRequest,
        answer: impl FnOnce(Box<Self>) -> Claim,
    ) -> Step<Claim> {
        let known = self.callback.as_ref().map(|slot| &slot.callback);
        match &request.callback {
            Some(callback) if known != Some(callback) => {
                self.callback = Some(CallbackSlot::pending(callback.clone()));
                self.deferred = None;
                self.await_outcome(request);
                Step::write(self, answer)
            }
            _ if request.redelivered && self.owes_callback() && self.deferred.is_none() => {
                self.deferred = Some(request.now);
                Step::write(self, answer)
            }
            _ => Step::unchanged(answer(Box::new(self))),
        }
    }

    /// Stores a message that never becomes a run: failed from the beginning. What is there stands.
    pub fn refuse(old: Option<Self>, request: &ClaimRequest, error: &JobError) -> Step<Self> {
        let epoch = old.as_ref().map_or(0, |old| old.epoch);
        if let Some(old) = old.filter(|old| !old.has_expired(request.now)) {
            return Step::unchanged(old);
        }
        let mut record = Self::running(request, epoch + 1, 0, Usage::free());
        record.give_up(error.clone(), record.callback.clone(), request.now);
        Step::write(record, |record| *record)
    }

    fn is_owned_by(&self, request: &ClaimRequest) -> bool {
        matches!(self.state, State::Running { .. }) && self.token == request.token
    }

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

    fn lease(&self) -> Lease {
        let ends = match self.state {
            State::Running { lease_ends, .. } => lease_ends,
            _ => self.claimed,
        };
        Lease {
            key: self.key,
            token: self.token,
            epoch: self.epoch,
            attempts: self.attempts,
            ends,
            usage: self.usage.clone(),
            record: Box::new(self.clone()),
            places: Vec::new(),
        }
    }

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
            Settlement::Fail(error, usage) => {
                self.usage = self.usage.plus(&usage);
                self.give_up(error, self.callback.clone(), now);
            }
            Settlement::Release(error, usage, attempt) => {
                self.usage = self.usage.plus(&usage);
                if attempt == Attempt::NotCounted {
                    self.attempts = self.attempts.saturating_sub(1);
                }
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
            (Mark::Callback(callback, delivery), Some(slot)) if slot.callback == *callback => {
                if slot.state == CallbackState::Pending && matches!(delivery, Delivery::Failed(_)) {
                    record.deferred = Some(now);
                }
                slot.note(*delivery, now);
            }
            _ => return Step::unchanged(()),
        }
        Step { write: Some(record), answer: () }
    }

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

impl Settlement {
    /// What becomes of a result that nothing can keep: its job fails, its cost is known.
    pub(crate) fn given_up(self, error: JobError) -> Self {
        match self {
            Self::Complete(outcome) => Self::Fail(error, outcome.usage),
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
