//! Several messages of one job in one batch: while one of them is at it the others wait, rather than find
//! a lease and come back when it would be over. If it comes back, they do too: the job is to be left alone
//! for so long. Nothing else depends on that: the ledger decides who runs the job.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::Instant,
};

use super::{
    Run, Subject, Verdict,
    beside::{Hold, InHand},
};
use crate::{
    environment::Ports,
    error::{ErrorClass, JobError, code},
    job::JobKey,
};

/// For every so many jobs that may run at once, one message may wait so. More of them would keep
/// others from being begun.
const JOBS_A_COPY: usize = 4;

/// What the messages of a batch know of each other's jobs.
pub(crate) struct Copies {
    running: InHand,
    may_wait: Semaphore,
    /// Until when jobs are left alone whose message came back.
    given_back: Mutex<HashMap<JobKey, Instant>>,
}

impl Copies {
    /// In a process that runs so many jobs at once.
    pub(crate) fn new(concurrency: usize) -> Self {
        let may_wait = Semaphore::new(concurrency.div_ceil(JOBS_A_COPY));
        Self { running: InHand::default(), may_wait, given_back: Mutex::default() }
    }

    /// The message of the job comes back after this time.
    pub(super) fn give_back(&self, job: JobKey, after: Duration) {
        let mut given_back = self.given_back.lock().unwrap_or_else(PoisonError::into_inner);
        given_back.insert(job, Instant::now() + after);
    }

    /// For how long the job is left alone still.
    fn left_alone(&self, job: JobKey) -> Option<Duration> {
        let given_back = self.given_back.lock().unwrap_or_else(PoisonError::into_inner);
        let left = given_back.get(&job)?.saturating_duration_since(Instant::now());
        (!left.is_zero()).then_some(left)
    }
}

/// A job, the permit for it, and that no other message of the batch is at it.
type Held<'a> = (Box<Subject>, OwnedSemaphorePermit, Option<Hold<'a>>);

impl<P: Ports> Run<'_, P> {
    /// Waits until no other message of the batch is at the job, without a permit, up to the moment
    /// at which that other one is interrupted. Where too many wait already, this one does not.
    pub(super) async fn after_its_copy(
        &self,
        mut subject: Box<Subject>,
        permit: OwnedSemaphorePermit,
    ) -> Result<Held<'_>, Verdict> {
        let Copies { running, may_wait, .. } = self.copies;
        if let Some(hold) = running.take(subject.key) {
            self.unless_given_back(&subject)?;
            return Ok((subject, permit, Some(hold)));
        }
        let Ok(_place) = may_wait.try_acquire() else { return Ok((subject, permit, None)) };
        drop(permit);
        let hold = tokio::select! {
            biased;
            () = self.stop.draining() => return Err(self.not_begun(&subject)),
            () = self.deadline.minus(self.environment.policy.settle_margin).reached() => {
                return Err(self.not_begun(&subject));
            }
            hold = running.take_next(subject.key) => hold,
        };
        self.unless_given_back(&subject)?;
        subject.is_known = true;
        match self.permit().await {
            Some(permit) => Ok((subject, permit, Some(hold))),
            None => Err(self.not_begun(&subject)),
        }
    }

    fn unless_given_back(&self, subject: &Subject) -> Result<(), Verdict> {
        let Some(after) = self.copies.left_alone(subject.key) else { return Ok(()) };
        let message = "another message of the job came back";
        let reason = JobError::new(ErrorClass::Busy, code::BUSY, message);
        Err(self.returned(subject.key, &reason, after))
    }
}
