//! What must hold after every step.

use std::{collections::HashMap, fmt};

use mcp_batch::{
    clock::UnixMs,
    error::{ErrorClass, JobError},
    job::JobKey,
    lease::{
        CallbackState, Claim, ClaimRequest, DeadLetterState, Lease, Ledger, Record, Repeat,
        Settled, Settlement, State, Usage,
    },
};

use crate::lease_helpers::{MAX_ATTEMPTS, Worker};

/// A claim and a takeover are in order.
pub(super) const ONE_OWNER: &str = "a job has one owner while its lease lives";
/// Fencing.
pub(super) const SETTLED_ONCE: &str = "an epoch is settled once, by its owner";
/// A claim or settlement sent again.
pub(super) const LOST_ANSWER: &str = "a lost answer is found again";
/// Outcomes are kept.
pub(super) const RESULT_STANDS: &str = "a result stands until it expires";

/// A rule that was broken.
#[derive(Debug)]
pub(super) struct Violation {
    rule: &'static str,
    what: String,
}

impl Violation {
    pub(super) fn new(rule: &'static str, what: impl Into<String>) -> Self {
        Self { rule, what: what.into() }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.rule, self.what)
    }
}

fn ensure(holds: bool, rule: &'static str, what: impl FnOnce() -> String) -> Result<(), Violation> {
    if holds { Ok(()) } else { Err(Violation::new(rule, what())) }
}

/// A failure that bears a settlement's number.
pub(super) fn numbered(number: u64) -> JobError {
    JobError::new(ErrorClass::Transient, number.to_string(), "it failed")
}

/// A step, and what the ledger answered.
#[derive(Debug)]
pub(super) enum Did<'a> {
    Claimed {
        job: usize,
        request: &'a ClaimRequest,
        /// What the first answer granted, if that was lost.
        first: Option<&'a Lease>,
        answer: &'a Claim,
    },
    Settled {
        job: usize,
        lease: &'a Lease,
        settlement: &'a Settlement,
        /// What was saved the first time, if that answer was lost.
        first: Option<&'a Record>,
        answer: &'a Settled,
    },
    Marked {
        job: usize,
        is_stale: bool,
    },
    Cancelled {
        job: usize,
        now: UnixMs,
        is_refused: bool,
    },
    Decided {
        job: usize,
        is_refused: bool,
    },
}

impl Did<'_> {
    fn job(&self) -> usize {
        match *self {
            Self::Claimed { job, .. }
            | Self::Settled { job, .. }
            | Self::Marked { job, .. }
            | Self::Cancelled { job, .. }
            | Self::Decided { job, .. } => job,
        }
    }

    /// Whether the answer says that nothing was done.
    fn is_refused(&self) -> bool {
        match *self {
            Self::Claimed { answer, .. } => {
                matches!(answer, Claim::Busy { .. } | Claim::Conflict(_) | Claim::Misplaced(_))
            }
            Self::Settled { answer, .. } => matches!(answer, Settled::Fenced),
            Self::Marked { is_stale, .. } => is_stale,
            Self::Cancelled { is_refused, .. } | Self::Decided { is_refused, .. } => is_refused,
        }
    }
}

/// What is known of one job.
#[derive(Default)]
struct Known {
    record: Option<Record>,
    has_joined: bool,
    is_counted: bool,
    used: Usage,
    /// Which settlement ended which epoch.
    settled: HashMap<u64, u64>,
    calls: Vec<Call>,
}

struct Call {
    epoch: u64,
    ends_ms: i64,
}

pub(super) struct Watch {
    batch: String,
    keys: Vec<JobKey>,
    known: Vec<Known>,
}

impl Watch {
    pub(super) fn new(batch: String, keys: Vec<JobKey>) -> Self {
        let known = keys.iter().map(|_| Known::default()).collect();
        Self { batch, keys, known }
    }

    pub(super) fn epoch(&self, job: usize) -> u64 {
        self.known[job].record.as_ref().map_or(0, |record| record.epoch)
    }

    fn of(&mut self, lease: &Lease) -> &mut Known {
        let job = self.keys.iter().position(|key| *key == lease.key).expect("a job of this case");
        &mut self.known[job]
    }

    pub(super) fn call_begins(
        &mut self,
        lease: &Lease,
        now_ms: i64,
        ends_ms: i64,
    ) -> Result<(), Violation> {
        let known = self.of(lease);
        known.calls.retain(|call| call.ends_ms > now_ms);
        if ends_ms > now_ms {
            ensure(known.calls.is_empty(), "calls do not overlap", || format!("{lease:?}"))?;
            known.calls.push(Call { epoch: lease.epoch, ends_ms });
        }
        Ok(())
    }

    pub(super) fn call_ends(&mut self, lease: &Lease, now_ms: i64) {
        for call in &mut self.of(lease).calls {
            if call.epoch == lease.epoch {
                call.ends_ms = call.ends_ms.min(now_ms);
            }
        }
    }

    /// Looks at everything there is, and compares it with what was there before the step.
    pub(super) async fn check<L: Ledger>(
        &mut self,
        ledger: &Worker<L>,
        did: Did<'_>,
    ) -> Result<(), Violation> {
        let (records, batch) =
            tokio::join!(ledger.read(self.keys.clone()), ledger.look_at_batch(&self.batch));
        let closes = batch.as_ref().map(|batch| batch.expires);
        for (job, (known, after)) in self.known.iter_mut().zip(records).enumerate() {
            let told = || format!("{did:?}\n   on {:?}\n made {after:?}", known.record);
            if job != did.job() || did.is_refused() {
                ensure(after == known.record, "a refusal changes nothing", told)?;
            }
            if job == did.job() {
                known.check(&did, after.as_ref(), closes)?;
            }
            known.record = after;
        }
        let counted = self.known.iter().filter(|known| known.is_counted).count() as u64;
        let found = batch.map_or(0, |batch| batch.counted);
        ensure(found == counted, "each member that ends is counted once", || {
            format!("{found} instead of {counted} after {did:?}")
        })
    }
}

impl Known {
    fn check(
        &mut self,
        did: &Did<'_>,
        after: Option<&Record>,
        closes: Option<UnixMs>,
    ) -> Result<(), Violation> {
        let before = self.record.take();
        let told = || format!("{did:?}\n   on {before:?}\n made {after:?}");
        if let Some(before) = &before {
            let epoch = after.map(|record| record.epoch);
            ensure(epoch >= Some(before.epoch), "an epoch never shrinks", told)?;
            if matches!(before.state, State::Done(_))
                && after.map(|r| &r.state) != Some(&before.state)
            {
                ensure(may_forget(before, did), RESULT_STANDS, told)?;
            }
            if matches!(before.state, State::Held(_))
                && after.map(|r| &r.state) != Some(&before.state)
            {
                let is_decided = matches!(did, Did::Decided { .. });
                ensure(is_decided, "what is held waits for a person", told)?;
            }
        }
        let attempts = after.map_or(0, |record| record.attempts);
        ensure(attempts <= MAX_ATTEMPTS, "attempts are bounded", told)?;
        match did {
            Did::Claimed { request, first, answer, .. } => {
                let is_late = closes.is_some_and(|closes| closes <= request.now);
                self.check_claim(before.as_ref(), request, is_late, *first, answer)
                    .map_err(|rule| Violation::new(rule, told()))?;
            }
            Did::Settled { lease, settlement, first, answer, .. } => {
                self.check_settlement((before.as_ref(), after), lease, settlement, *first, answer)
                    .map_err(|rule| Violation::new(rule, told()))?;
            }
            Did::Cancelled { now, is_refused: false, .. } => {
                if before.as_ref().is_some_and(|before| has_expired(before, *now)) {
                    self.used = Usage::free();
                }
            }
            Did::Cancelled { .. } | Did::Marked { .. } | Did::Decided { .. } => {}
        }
        let spent = after.map(|record| record.usage.clone()).unwrap_or_default();
        ensure(spent == self.used, "what was used is told", || {
            format!("{:?} expected, {}", self.used, told())
        })?;
        self.is_counted |= self.has_joined && after.is_some_and(|record| record.state.is_counted());
        Ok(())
    }

    fn check_claim(
        &mut self,
        before: Option<&Record>,
        request: &ClaimRequest,
        is_late: bool,
        first: Option<&Lease>,
        answer: &Claim,
    ) -> Result<(), &'static str> {
        self.has_joined |= !matches!(answer, Claim::Conflict(_) | Claim::Misplaced(_));
        if let (Some(before), Some(first)) = (before, first)
            && matches!(before.state, State::Running { .. })
            && (before.token, before.epoch) == (first.token, first.epoch)
        {
            let is_same = matches!(answer, Claim::Owned(lease) if lease == first);
            return is_same.then_some(()).ok_or(LOST_ANSWER);
        }
        let is_owned = matches!(answer, Claim::Owned(_));
        let Some(before) = before else {
            // A batch that is past its time takes nobody in.
            let is_refused = is_late && matches!(answer, Claim::Misplaced(_));
            return (is_owned || is_refused).then_some(()).ok_or("an unknown job is free");
        };
        if let State::Running { lease_ends, .. } = before.state
            && is_owned
            && (request.now < lease_ends
                || request.repeat == Repeat::Never && !has_expired(before, request.now))
        {
            return Err(ONE_OWNER);
        }
        if let Claim::Owned(lease) = answer
            && lease.epoch <= before.epoch
        {
            return Err(ONE_OWNER);
        }
        let is_lost = matches!(before.state, State::Running { .. })
            && matches!(answer, Claim::Owned(_) | Claim::Held(_) | Claim::Finished(_));
        if is_owned && (has_expired(before, request.now) || is_superseded(before, request)) {
            self.used = Usage::free();
        } else if is_lost {
            self.used = self.used.plus(&Usage::unknown());
        }
        Ok(())
    }

    fn check_settlement(
        &mut self,
        (before, after): (Option<&Record>, Option<&Record>),
        lease: &Lease,
        settlement: &Settlement,
        first: Option<&Record>,
        answer: &Settled,
    ) -> Result<(), &'static str> {
        let number = number_of(settlement).expect("every settlement has a number");
        let before = before.ok_or(SETTLED_ONCE)?;
        let is_mine = (before.token, before.epoch) == (lease.token, lease.epoch);
        let is_running = matches!(before.state, State::Running { .. });
        let is_told = |state| number_in(state) == Some(number);
        let Settled::Saved(saved) = answer else {
            if is_mine && first.is_some_and(|first| first.state == before.state) {
                return Err(LOST_ANSWER);
            }
            return (!(is_mine && is_running)).then_some(()).ok_or("an owner may settle");
        };
        // Saved now; or saved before, which is told again while nobody else has claimed the job.
        let is_true = if is_running {
            is_told(&saved.state) && after != Some(before)
        } else {
            (is_told(&saved.state) || first.is_some()) && after == Some(before)
        };
        let is_first_of_epoch = *self.settled.entry(lease.epoch).or_insert(number) == number;
        if !is_mine || !is_first_of_epoch || !is_true || after != Some(&**saved) {
            return Err(SETTLED_ONCE);
        }
        if is_running {
            self.used = self.used.plus(used(settlement));
        }
        Ok(())
    }
}

fn may_forget(done: &Record, did: &Did<'_>) -> bool {
    match did {
        Did::Claimed { request, answer: Claim::Owned(_), .. } => {
            has_expired(done, request.now) || is_superseded(done, request)
        }
        Did::Cancelled { now, .. } => has_expired(done, *now),
        _ => false,
    }
}

fn is_superseded(record: &Record, request: &ClaimRequest) -> bool {
    record.offline && request.supersedes_offline && matches!(record.state, State::Done(_))
}

fn has_expired(record: &Record, now: UnixMs) -> bool {
    let is_settled = matches!(record.state, State::Done(_) | State::Failed(_));
    let owes_callback = is_settled
        && record.callback.as_ref().is_some_and(|slot| slot.state == CallbackState::Pending);
    let is_kept = match record.state {
        State::Held(_) => true,
        State::Running { lease_ends, .. } => now < lease_ends,
        _ => owes_callback || record.dead_letter == DeadLetterState::Pending,
    };
    record.expires <= now && !is_kept
}

fn number_of(settlement: &Settlement) -> Option<u64> {
    match settlement {
        Settlement::Complete(outcome) => outcome.result.as_u64(),
        Settlement::Fail(error, ..)
        | Settlement::Release(error, ..)
        | Settlement::Interrupt(error, ..) => error.code.parse().ok(),
    }
}

fn number_in(state: &State) -> Option<u64> {
    match state {
        State::Done(result) => result.as_u64(),
        State::Failed(error) | State::Held(error) | State::Retry(Some(error)) => {
            error.code.parse().ok()
        }
        State::Running { .. } | State::Retry(None) | State::Cancelled => None,
    }
}

fn used(settlement: &Settlement) -> &Usage {
    match settlement {
        Settlement::Complete(outcome) => &outcome.usage,
        Settlement::Fail(_, usage, _)
        | Settlement::Release(_, usage, _)
        | Settlement::Interrupt(_, usage, _) => usage,
    }
}
