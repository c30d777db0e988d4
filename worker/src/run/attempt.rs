//! One attempt: the tool is called under a lease, and how the call ended is saved.

use std::{future::pending, time::Duration};

use tokio::time::{Instant, sleep, timeout};

use super::{
    Plan, Run, Subject, Verdict,
    admission::Admitted,
    failure::{Next, uncalled},
    journal,
};
use crate::{
    environment::{End, Heartbeat, Ports, RunningCall},
    error::{ErrorClass, JobError, code},
    job::Job,
    lease::{Lease, Ledger, Outcome, Record, Settled, Settlement, State},
    retry::Backoff,
    tool::{CallContext, CallPlan, Passes, ToolError, Tools, catching_panics},
    trace::{self, Span},
};

/// A tool keeps its own timeout; this much later its future is dropped.
const TOOL_GRACE: Duration = Duration::from_millis(500);

/// The pauses between tries to save an outcome.
const SAVE_AGAIN: Backoff =
    Backoff { base: Duration::from_millis(200), cap: Duration::from_secs(5) };

/// A message that somebody else's settlement overtook comes back after this.
const AFTER_FENCE: Duration = Duration::from_secs(5);

/// What follows a claim.
pub(super) enum After {
    Verdict(Verdict),
    /// The job is free again, and there is time for another try after this pause.
    Again(Duration),
}

impl From<Verdict> for After {
    fn from(verdict: Verdict) -> Self {
        Self::Verdict(verdict)
    }
}

/// How a call ended.
enum CallEnd {
    Answered(Outcome),
    Failed(ToolError),
    Stopped,
}

impl CallEnd {
    fn told(self, running: RunningCall<'_>, span: &mut Span, job: &Job) -> Self {
        match &self {
            Self::Answered(outcome) => {
                running.end(&outcome.usage);
                trace::called(span, job, Ok(outcome));
            }
            Self::Failed(failure) => {
                running.end(&failure.usage);
                trace::called(span, job, Err(failure));
            }
            // As when it is dropped: nobody knows what it used.
            Self::Stopped => {
                drop(running);
                trace::failed(span, "stopped");
            }
        }
        self
    }
}

impl<P: Ports> Run<'_, P> {
    pub(super) async fn attempt(
        &self,
        subject: &Subject,
        lease: &Lease,
        Admitted { permit, mut passes }: Admitted,
    ) -> After {
        journal::claimed(lease);
        let (settlement, next) = match &subject.plan {
            Plan::Never(error) => (uncalled(error.clone()), Next::End),
            Plan::NotYet(_, error) => self.not_yet(lease, error.clone()),
            Plan::Call(plan) => match self.call(&subject.job, lease, *plan, &mut passes).await {
                CallEnd::Answered(outcome) => {
                    subject.gates.succeeded();
                    (Settlement::Complete(outcome), Next::End)
                }
                CallEnd::Failed(failure) => self.after_failure(subject, lease, *plan, failure),
                CallEnd::Stopped => Self::after_stop(*plan),
            },
        };
        drop(passes);
        let saved = Box::pin(self.save(subject, lease, settlement)).await;
        drop(permit);
        match saved {
            Ok(record) => Box::pin(self.after_save(subject, &record, next)).await,
            Err(verdict) => verdict.into(),
        }
    }

    /// The tool's call, with an end to it: whatever it does, this returns.
    async fn call(&self, job: &Job, lease: &Lease, plan: CallPlan, passes: &mut Passes) -> CallEnd {
        journal::called(lease);
        passes.use_up();
        let context = CallContext {
            timeout: plan.timeout,
            attempt: lease.attempts,
            epoch: lease.epoch,
            spent_usd: lease.usage.cost_usd.unwrap_or(0.0),
        };
        let running = RunningCall::begin(&*self.environment.observer, job);
        // Boxed: what a call needs is there while it lasts.
        let mut span = trace::call(job);
        let call =
            catching_panics(Box::pin(span.scope(self.environment.tools.call(job, &context))));
        let end = tokio::select! {
            ended = timeout(plan.timeout + TOOL_GRACE, call) => match ended {
                Ok(Ok(outcome)) => CallEnd::Answered(outcome),
                Ok(Err(failure)) => CallEnd::Failed(failure),
                Err(_) => CallEnd::Failed(timed_out(plan.timeout)),
            },
            () = self.deadline.minus(self.environment.policy.settle_margin).reached() => {
                CallEnd::Stopped
            }
            () = self.stop.interrupting() => CallEnd::Stopped,
            () = self.lease_lost(lease) => CallEnd::Stopped,
        };
        end.told(running, &mut span, job)
    }

    /// Returns once somebody else has the job, where hearts beat.
    async fn lease_lost(&self, lease: &Lease) {
        match self.environment.policy.heartbeat {
            Some(heartbeat) => Box::pin(self.keep_up(lease, heartbeat)).await,
            None => pending().await,
        }
    }

    /// Keeps the lease up as long as it is this run's.
    async fn keep_up(&self, lease: &Lease, heartbeat: Heartbeat) {
        let lasts = heartbeat.lasts + self.environment.policy.lease_grace;
        loop {
            sleep(heartbeat.every).await;
            let ends = self.environment.clock.now().plus(lasts);
            match self.environment.ledger.extend(lease, ends).await {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => tracing::warn!(%error, "a lease cannot be extended yet"),
            }
        }
    }

    /// Saves how the attempt ended, trying again while there is time: the call is paid.
    async fn save(
        &self,
        subject: &Subject,
        lease: &Lease,
        mut settlement: Settlement,
    ) -> Result<Box<Record>, Verdict> {
        let mut failures = 0;
        loop {
            let now = self.environment.clock.now();
            let began = Instant::now();
            let settled = self.environment.ledger.settle(lease, settlement.clone(), now).await;
            self.ledger_answered(began);
            match settled {
                Ok(Settled::Saved(record)) => return Ok(record),
                Ok(Settled::Fenced) => return Err(self.fenced(subject)),
                Ok(Settled::Unkept(error)) => {
                    failures += 1;
                    if !self.waits_for_room(lease, &error, failures).await {
                        settlement = settlement.given_up(error);
                    }
                }
                Err(error) => {
                    failures += 1;
                    let time_left = self.time_to_save();
                    let Some(pause) = save_again(failures, time_left, fastrand::f64()) else {
                        tracing::error!(%error, "an outcome could not be saved");
                        let reason =
                            JobError::new(ErrorClass::Interrupted, "ledger", error.to_string());
                        return Err(self.returned(subject.key, &reason, time_left));
                    };
                    tracing::warn!(%error, "an outcome cannot be saved yet");
                    self.pause_between_saves(pause).await;
                }
            }
        }
    }

    /// As long as the batch lasts, and a moment once it is interrupted.
    fn time_to_save(&self) -> Duration {
        self.deadline.time_left().min(self.stop.tries_left())
    }

    /// An interruption ends a pause: few tries are left then.
    async fn pause_between_saves(&self, pause: Duration) {
        tokio::select! {
            () = sleep(pause) => {}
            () = self.stop.interrupting(), if !self.stop.is_interrupted() => {}
        }
    }

    /// Waits until a result may find its place, as long as there is time: the call is paid, and would
    /// be paid again if the job were given back.
    async fn waits_for_room(&self, lease: &Lease, error: &JobError, failures: u32) -> bool {
        let policy = &self.environment.policy;
        let time_left = self.deadline.time_left().saturating_sub(policy.settle_margin);
        let Some(pause) = save_again(failures, time_left, fastrand::f64()) else { return false };
        tracing::warn!(%error, "a result cannot be stored yet");
        if let Some(heartbeat) = policy.heartbeat {
            let ends = self.environment.clock.now().plus(heartbeat.lasts + policy.lease_grace);
            // Whether it still is the owner, the next settlement tells.
            let _ = self.environment.ledger.extend(lease, ends).await;
        }
        tokio::select! {
            () = self.stop.interrupting() => false,
            () = sleep(pause) => true,
        }
    }

    /// Somebody else owns the job by now; this run's result is dropped, its message looks again.
    fn fenced(&self, subject: &Subject) -> Verdict {
        tracing::warn!("a result came after its lease had been taken over, and was dropped");
        let message = "another worker took the job over";
        let reason = JobError::new(ErrorClass::Busy, code::FENCED, message);
        self.returned(subject.key, &reason, AFTER_FENCE)
    }

    async fn after_save(&self, subject: &Subject, record: &Record, next: Next) -> After {
        match (&record.state, next) {
            (State::Retry(_), Next::Again(delay)) => After::Again(delay),
            (State::Retry(Some(error)), Next::Return(after)) => {
                self.returned(subject.key, error, after).into()
            }
            _ => {
                self.settled(record);
                self.hand_off(subject, record, End::Fresh(record)).await.into()
            }
        }
    }
}

/// The pause before the next try to save, if there is time for one: the longest pauses leave half
/// of that time.
fn save_again(failures: u32, time_left: Duration, chance: f64) -> Option<Duration> {
    let pause = SAVE_AGAIN.delay(failures, chance).min(time_left / 2);
    (time_left >= SAVE_AGAIN.base).then_some(pause)
}

fn timed_out(after: Duration) -> ToolError {
    let message = format!("the tool did not answer within {} s", after.as_secs_f64());
    ToolError::ambiguous(JobError::new(ErrorClass::Transient, "timeout", message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_between_saves_grow_and_leave_time_for_another_try() {
        let after = |failures, time_left| {
            save_again(failures, Duration::from_secs(time_left), 1.0).map(|it| it.as_secs_f64())
        };
        let pauses: Vec<_> = (1..=7).filter_map(|failures| after(failures, 39_600)).collect();
        assert_eq!(pauses, [0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]);
        assert_eq!(after(7, 2), Some(1.0));
        assert_eq!(after(1, 0), None);
    }
}
