//! Whether a job may be begun: before it is claimed, its call must get through the gates of its
//! upstream, and have time. Whoever must wait for a moment waits in line, without a permit; for more
//! than fits there, the message comes back when it is its turn.

use std::time::Duration;

use tokio::{sync::OwnedSemaphorePermit, time::sleep};

use super::{Run, SPREAD, Subject, Verdict, jitter};
use crate::{
    environment::{Observation, Ports},
    error::{ErrorClass, JobError},
    tool::{Blocked, Passes},
};

/// The right to begin one job.
pub(super) struct Admitted {
    pub(super) permit: OwnedSemaphorePermit,
    /// Held as long as the call runs.
    pub(super) passes: Passes,
}

impl<P: Ports> Run<'_, P> {
    /// Lets a job in, at once or after it stood in line. What will never be called needs neither
    /// its upstream nor time.
    pub(super) async fn admit(
        &self,
        subject: &Subject,
        permit: OwnedSemaphorePermit,
    ) -> Result<Admitted, Verdict> {
        let Some(plan) = subject.plan.call() else {
            return Ok(Admitted { permit, passes: Passes::none() });
        };
        let needed = plan.timeout + self.environment.policy.settle_margin;
        let Some(spare) = self.deadline.time_left().checked_sub(needed) else {
            return Err(self.not_begun(subject));
        };
        match subject.gates.enter() {
            Ok(passes) => {
                self.bounds.room.let_in();
                Ok(Admitted { permit, passes })
            }
            Err(blocked) => {
                drop(permit);
                let passes = self.stand_in_line(subject, &blocked, spare).await?;
                let permit = self.permit().await.ok_or_else(|| self.not_begun(subject))?;
                match self.deadline.time_left() < needed {
                    true => Err(self.not_begun(subject)),
                    false => Ok(Admitted { permit, passes }),
                }
            }
        }
    }

    async fn stand_in_line(
        &self,
        subject: &Subject,
        blocked: &Blocked,
        spare: Duration,
    ) -> Result<Passes, Verdict> {
        let is_line_full = blocked.ahead >= self.bounds.concurrency;
        let Some(about) = blocked.in_line.filter(|time| !is_line_full && *time <= spare) else {
            return Err(self.turn_away(subject, &blocked.reason));
        };
        let waits = Observation::Waits { key: subject.key, reason: &blocked.reason, about };
        self.environment.observer.observe(waits);
        tokio::select! {
            biased;
            () = self.stop.draining() => Err(self.not_begun(subject)),
            () = sleep(spare) => Err(self.put_off(subject, &blocked.reason)),
            passes = subject.gates.wait() => {
                passes.map_err(|blocked| self.put_off(subject, &blocked.reason))
            }
        }
    }

    /// Gives a message back until it is its turn: there was no place for it.
    fn turn_away(&self, subject: &Subject, reason: &JobError) -> Verdict {
        let turn = subject.gates.turn();
        if reason.class != ErrorClass::Configuration {
            self.bounds.room.turned_away(turn);
        }
        self.returned(subject.key, reason, turn + jitter(SPREAD))
    }

    /// The same after it had a place.
    fn put_off(&self, subject: &Subject, reason: &JobError) -> Verdict {
        self.returned(subject.key, reason, subject.gates.turn() + jitter(SPREAD))
    }
}
