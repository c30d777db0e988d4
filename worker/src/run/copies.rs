//! Several messages of one job in one process: while the first is at it the others wait, rather than find
//! a lease and come back when it would be over.

use tokio::sync::OwnedSemaphorePermit;

use super::{Run, Subject, Verdict, beside::Hold};
use crate::environment::Ports;

/// A job, the permit for it, and the right to be the only message that is at it.
type Held<'a> = (Box<Subject>, OwnedSemaphorePermit, Option<Hold<'a>>);

impl<P: Ports> Run<'_, P> {
    /// Waits until no other message of the process is at the job, without a permit, up to the moment
    /// at which that other one would be interrupted. Where too many wait already, this one does not:
    /// the ledger tells it that the job is busy.
    pub(super) async fn after_its_copy(
        &self,
        mut subject: Box<Subject>,
        permit: OwnedSemaphorePermit,
    ) -> Result<Held<'_>, Verdict> {
        let beside = &self.bounds.beside;
        if let Some(hold) = beside.run(subject.key) {
            return Ok((subject, permit, Some(hold)));
        }
        let Some(_place) = beside.place_of_a_copy() else { return Ok((subject, permit, None)) };
        drop(permit);
        let hold = tokio::select! {
            biased;
            () = self.stop.draining() => return Err(self.not_begun(&subject)),
            () = self.deadline.minus(self.environment.policy.settle_margin).reached() => {
                return Err(self.not_begun(&subject));
            }
            hold = beside.run_next(subject.key) => hold,
        };
        subject.is_known = true;
        match self.permit().await {
            Some(permit) => Ok((subject, permit, Some(hold))),
            None => Err(self.not_begun(&subject)),
        }
    }
}
