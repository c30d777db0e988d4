//! What a failed call means for its job: given up, tried again, given back or held.

use std::time::Duration;

use super::{Run, SPREAD, Subject, jitter};
use crate::{
    environment::{Observation, Ports},
    error::{ErrorClass, JobError},
    job::Job,
    lease::{Attempt, Lease, Repeat, Settlement, Usage},
    tool::{CallPlan, ToolError},
};

/// A transient failure is tried again once within the same batch, after at most this.
const QUICK_RETRY: Duration = Duration::from_millis(500);

/// A job that waited in its queue for long is not given up for a name that is unknown for a moment:
/// with pauses that double from 2 s on, so many tries take some minutes.
const NAME_TRIES: u64 = 8;

/// What happens after the settlement is saved, if the job is free again.
pub(super) enum Next {
    /// Nothing: the job is settled.
    End,
    /// Another try within this batch.
    Again(Duration),
    /// The message comes back.
    Return(Duration),
}

/// The end of a job for which no call was made.
pub(super) fn uncalled(error: JobError) -> Settlement {
    Settlement::Fail(error, Usage::free(), Attempt::NotCounted)
}

/// That of one whose call failed.
fn called(failure: ToolError) -> Settlement {
    Settlement::Fail(failure.error, failure.usage, Attempt::Counted)
}

impl<P: Ports> Run<'_, P> {
    pub(super) fn after_failure(
        &self,
        subject: &Subject,
        lease: &Lease,
        plan: CallPlan,
        failure: ToolError,
    ) -> (Settlement, Next) {
        let gates = &subject.gates;
        let failure = ToolError { error: gates.weigh(failure.error), ..failure };
        let is_upstreams = gates.failed(&failure.error, failure.retry_after);
        if failure.error.class == ErrorClass::Configuration {
            self.refused(&subject.job, &failure.error);
        }
        if plan.repeat == Repeat::Never && failure.is_ambiguous {
            let hold = Settlement::Interrupt(failure.error, failure.usage, Repeat::Never);
            return (hold, Next::End);
        }
        match failure.error.class {
            // What is wrong with the job itself is seen before anything is asked.
            ErrorClass::Invalid => return (uncalled(failure.error), Next::End),
            ErrorClass::Permanent => return (called(failure), Next::End),
            _ => {}
        }
        let attempt = if is_upstreams { Attempt::NotCounted } else { Attempt::Counted };
        if let Some(why) = self.why_give_up(subject, lease, &failure, attempt) {
            let error = failure.error.exhausted(&why);
            return (called(ToolError { error, ..failure }), Next::End);
        }
        let next = self.next_try(subject, lease, plan, &failure, attempt);
        (Settlement::Release(failure.error, failure.usage, attempt), next)
    }

    /// A callback's name that nobody knows now: the job is given back unpaid, until it has waited for
    /// so long, and was tried so often, that nobody ever will.
    pub(super) fn not_yet(&self, lease: &Lease, error: JobError) -> (Settlement, Next) {
        let policy = &self.environment.policy;
        let age = self.environment.clock.now().since(self.message.first_seen);
        if age >= policy.callback_name_wait && lease.epoch >= NAME_TRIES {
            let waited_s = policy.callback_name_wait.as_secs();
            let error = error.exhausted(&format!("given up {waited_s} s after it was first seen"));
            return (uncalled(error), Next::End);
        }
        // Each claim raises the epoch, also where the queue sends the message anew.
        let tries = u32::try_from(lease.epoch).unwrap_or(u32::MAX);
        let pause = policy.backoff.delay(tries, fastrand::f64()) + jitter(SPREAD);
        let settlement = Settlement::Release(error, Usage::free(), Attempt::NotCounted);
        (settlement, Next::Return(pause))
    }

    /// Nobody's job is killed for it, so it must be told in another way.
    fn refused(&self, job: &Job, reason: &JobError) {
        tracing::warn!(error_code = %reason.code, tool = %job.tool(), "the upstream refuses us");
        let observation = Observation::Refused { job, reason };
        self.environment.observer.observe(observation);
    }

    /// A job that had to be stopped in the middle: its upstream may bill on.
    pub(super) fn after_stop(plan: CallPlan) -> (Settlement, Next) {
        let message = "the job was stopped while its tool was running";
        let error = JobError::new(ErrorClass::Interrupted, "stopped", message);
        let settlement = Settlement::Interrupt(error, Usage::unknown(), plan.repeat);
        (settlement, Next::Return(Duration::ZERO))
    }

    fn why_give_up(
        &self,
        subject: &Subject,
        lease: &Lease,
        failure: &ToolError,
        attempt: Attempt,
    ) -> Option<String> {
        let policy = &self.environment.policy;
        let spent = lease.usage.plus(&failure.usage).cost_usd.unwrap_or(0.0);
        if self.is_too_old() {
            return Some(self.too_old());
        }
        if subject.job.max_cost_usd().is_some_and(|most| spent >= most) {
            return Some(format!("max_cost_usd is reached: {spent} USD"));
        }
        let is_last = attempt == Attempt::Counted && lease.attempts >= policy.max_attempts;
        is_last.then(|| format!("attempt {} was the last", lease.attempts))
    }

    fn next_try(
        &self,
        subject: &Subject,
        lease: &Lease,
        plan: CallPlan,
        failure: &ToolError,
        attempt: Attempt,
    ) -> Next {
        let pause = subject.gates.closed().map(|closed| closed.time_left());
        if attempt == Attempt::NotCounted {
            return Next::Return(
                failure.retry_after.max(pause).unwrap_or_default() + jitter(SPREAD),
            );
        }
        let policy = &self.environment.policy;
        let delay = jitter(QUICK_RETRY);
        // An upstream that names a pause is not asked again within it.
        let is_quick = lease.attempts == 1 && failure.retry_after.is_none();
        let needed = delay + plan.timeout + policy.settle_margin;
        match pause {
            Some(pause) => Next::Return(pause + jitter(SPREAD)),
            None if is_quick && self.deadline.time_left() > needed => Next::Again(delay),
            None => {
                let backoff = policy.backoff.delay(lease.attempts, fastrand::f64());
                Next::Return(failure.retry_after.unwrap_or_default().max(backoff))
            }
        }
    }
}
