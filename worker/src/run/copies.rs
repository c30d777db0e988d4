//! Several messages of one job in one batch: while one of them is at it the others wait, rather than find
//! a lease and come back when it would be over. Nothing depends on that: the ledger decides who runs
//! the job.

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{
    Run, Subject, Verdict,
    beside::{Hold, InHand},
};
use crate::environment::Ports;

/// For every so many jobs that may run at once, one message may wait so. More of them would keep
/// others from being begun.
const JOBS_A_COPY: usize = 4;

/// What the messages of a batch know of each other's jobs.
pub(crate) struct Copies {
    running: InHand,
    may_wait: Semaphore,
}

impl Copies {
    /// In a process that runs so many jobs at once.
    pub(crate) fn new(concurrency: usize) -> Self {
        let may_wait = Semaphore::new(concurrency.div_ceil(JOBS_A_COPY));
        Self { running: InHand::default(), may_wait }
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
        let Copies { running, may_wait } = self.copies;
        if let Some(hold) = running.take(subject.key) {
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
        subject.is_known = true;
        match self.permit().await {
            Some(permit) => Ok((subject, permit, Some(hold))),
            None => Err(self.not_begun(&subject)),
        }
    }
}
