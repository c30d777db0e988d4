//! Who gets to run a job, and what others are told of it.

use super::Step;
use crate::{
    error::{ErrorClass, JobError},
    lease::{
        CallbackSlot, Claim, ClaimRequest, DeadLetterState, Lease, Lost, MEMBERS_LIVE, PastEnd,
        Record, Repeat, State, Usage,
    },
};

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

    pub(super) fn running(request: &ClaimRequest, epoch: u64, attempts: u32, usage: Usage) -> Self {
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
    /// outcome too, once there is one. Of the callback that was there, somebody else may have made a try.
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
            _ => {
                let is_first_return = request.redelivered && self.deferred.is_none();
                let is_written = is_first_return && self.owes_callback();
                self.come_upon_callback();
                if is_written {
                    self.deferred = Some(request.now);
                    return Step::write(self, answer);
                }
                Step::unchanged(answer(Box::new(self)))
            }
        }
    }

    pub(crate) fn come_upon_callback(&mut self) {
        if self.is_final()
            && let Some(slot) = &mut self.callback
        {
            slot.come_upon();
        }
    }

    /// Stores a message that never becomes a run: failed from the beginning. What is there stands.
    pub fn refuse(old: Option<Self>, request: &ClaimRequest, error: &JobError) -> Step<Self> {
        let epoch = old.as_ref().map_or(0, |old| old.epoch);
        if let Some(mut old) = old.filter(|old| !old.has_expired(request.now)) {
            old.come_upon_callback();
            return Step::unchanged(old);
        }
        let mut record = Self::running(request, epoch + 1, 0, Usage::free());
        record.give_up(error.clone(), record.callback.clone(), request.now);
        Step::write(record, |record| *record)
    }

    fn is_owned_by(&self, request: &ClaimRequest) -> bool {
        matches!(self.state, State::Running { .. }) && self.token == request.token
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
}
