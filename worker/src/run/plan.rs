//! What is known of a job before it is claimed: whether its call can be made, for how long, and through
//! which gates it goes.

use std::{
    future::poll_fn,
    pin::{Pin, pin},
    task::Poll,
};

use tokio::sync::OwnedSemaphorePermit;

use super::{Run, SPREAD, Verdict, jitter, not_started, not_started_after};
use crate::{
    environment::{Observation, Ports},
    error::{ErrorClass, JobError},
    job::{Job, JobKey},
    lease::Repeat,
    tool::{CallPlan, Gates, ToolError, Tools},
};

/// The message's job, and what is known of it before it is claimed.
pub(super) struct Subject {
    pub(super) job: Job,
    pub(super) key: JobKey,
    pub(super) gates: Gates,
    pub(super) plan: Plan,
    /// The ledger probably has a record of it.
    pub(super) is_known: bool,
}

/// What is known of a job's call before it is claimed.
pub(super) enum Plan {
    /// It can be made.
    Call(CallPlan),
    /// Not now: nobody knows where a callback's name leads. The job is claimed all the same, so that
    /// its batch is open, and given back.
    NotYet(CallPlan, JobError),
    /// It never can: the job fails.
    Never(JobError),
}

impl Plan {
    pub(super) fn call(&self) -> Option<CallPlan> {
        match self {
            Self::Call(plan) => Some(*plan),
            Self::NotYet(..) | Self::Never(_) => None,
        }
    }

    pub(super) fn repeat(&self) -> Repeat {
        match self {
            Self::Call(plan) | Self::NotYet(plan, _) => plan.repeat,
            Self::Never(_) => Repeat::Safe,
        }
    }
}

impl<P: Ports> Run<'_, P> {
    /// The job and what is known of it; the verdict on its message if its tool can say nothing now.
    pub(super) async fn subject(
        &self,
        job: Box<Job>,
        permit: OwnedSemaphorePermit,
    ) -> Result<(Box<Subject>, OwnedSemaphorePermit), Verdict> {
        let key = JobKey::of(self.namespace(), job.id());
        let (plan, permit) = self.plan(&job, permit).await;
        let plan = match plan {
            Ok(plan) => plan,
            Err(failure) if self.is_too_old() => {
                Plan::Never(failure.error.exhausted(&self.too_old()))
            }
            Err(failure) => return Err(self.unprepared(&job, key, &failure)),
        };
        let subject = Box::new(Subject {
            gates: self.environment.tools.gates(&job),
            is_known: self.came_back(),
            key,
            plan,
            job: *job,
        });
        let permit = match permit {
            Some(permit) => permit,
            None => self.permit().await.ok_or_else(|| self.not_begun(&subject))?,
        };
        Ok((subject, permit))
    }

    /// The job's call, or why the job fails, within the time of the batch; the outer error says why
    /// neither is known now. The permit is given up if that takes a moment: an upstream that is silent
    /// must not hold up the jobs of all others.
    async fn plan(
        &self,
        job: &Job,
        permit: OwnedSemaphorePermit,
    ) -> (Result<Plan, ToolError>, Option<OwnedSemaphorePermit>) {
        let mut planning = pin!(self.plan_in_time(job));
        if let Poll::Ready(plan) = poll_once(planning.as_mut()).await {
            return (plan, Some(permit));
        }
        drop(permit);
        let plan = tokio::select! {
            biased;
            plan = planning => plan,
            () = self.stop.draining() => Err(ToolError::free(not_started())),
            () = self.deadline.reached() => Err(ToolError::free(not_started())),
        };
        (plan, None)
    }

    async fn plan_in_time(&self, job: &Job) -> Result<Plan, ToolError> {
        self.environment.tools.prepare(job).await?;
        let plan = match self.check(job) {
            Ok(plan) => plan,
            Err(error) => return Ok(Plan::Never(error)),
        };
        Ok(match self.environment.courier.check_names(job).await {
            Ok(()) => Plan::Call(plan),
            Err(error) if error.class.is_retryable() => Plan::NotYet(plan, error),
            Err(error) => Plan::Never(error),
        })
    }

    fn check(&self, job: &Job) -> Result<CallPlan, JobError> {
        job.check_expiry(self.environment.clock.now())?;
        self.environment.check(job)
    }

    /// Nothing was claimed, and no attempt is counted.
    fn unprepared(&self, job: &Job, key: JobKey, failure: &ToolError) -> Verdict {
        let reason = &failure.error;
        if reason.class == ErrorClass::Interrupted {
            return self.returned(key, reason, not_started_after(self.stop));
        }
        if reason.class == ErrorClass::Configuration {
            self.environment.observer.observe(Observation::Refused { job, reason });
        }
        let backoff = &self.environment.policy.backoff;
        let delay = backoff.delay(self.message.receive_count, fastrand::f64());
        // Whoever names a pause lets it grow: how often the message was received says nothing of it.
        let after = failure.retry_after.unwrap_or(delay);
        self.returned(key, reason, after + jitter(SPREAD))
    }
}

/// What a future comes to without waiting.
async fn poll_once<F: Future>(mut future: Pin<&mut F>) -> Poll<F::Output> {
    poll_fn(|context| Poll::Ready(future.as_mut().poll(context))).await
}
