//! What is owed after an outcome is stored: the dead letter of a failed job, the callback
//! (`run/callback.rs`) and that of its batch. All are marked in the ledger; a message that comes back finds what is still owed.

use std::time::Duration;

use super::{Run, Subject, Verdict, jitter};
use crate::{
    clock::Deadline,
    environment::{End, Observation, Ports},
    error::{ErrorClass, JobError},
    fan_in::{BatchKey, FanIn, deliver_if_over},
    job::{Job, JobKey, Membership},
    lease::{DeadLetterState, Ledger, LedgerError, Mark, Record, State},
    queue::{Burial, DeadLetter, Queue},
};

/// A message whose dead letter could not be sent comes back after about this.
const BURY_AGAIN: Duration = Duration::from_secs(10);

impl<P: Ports> Run<'_, P> {
    /// Does what is still owed for a record with an outcome.
    pub(super) async fn hand_off(
        &self,
        subject: &Subject,
        record: &Record,
        end: End<'_>,
    ) -> Verdict {
        let burial = match self.bury_if_owed(&subject.job, record).await {
            Ok(burial) => burial,
            Err(verdict) => return verdict,
        };
        if let Err(verdict) = self.call_back_if_owed(record).await {
            return verdict;
        }
        let is_fresh = matches!(end, End::Fresh(_));
        let told = match self.fan_in(Some(subject.key), subject.job.batch(), is_fresh).await {
            Ok(told) => told,
            Err(verdict) => return verdict,
        };
        let end = match end {
            // The callback of its batch was what it came back for.
            End::Duplicate(record) if self.came_back() && is_delivery(&told) => {
                End::HandedOff(record)
            }
            end => end,
        };
        self.ended(Some(subject.key), end, burial)
    }

    /// The last job of a batch delivers the batch's callback, with further tries while their pauses
    /// are short. Whoever finds that taken is done if its job has just ended: another message took
    /// it, and comes back should it be cut off. What became of the callback is answered.
    pub(super) async fn fan_in(
        &self,
        key: Option<JobKey>,
        batch: Option<&Membership>,
        is_fresh: bool,
    ) -> Result<FanIn, Verdict> {
        let Some(membership) = batch else { return Ok(FanIn::Settled) };
        let batch = BatchKey::of(self.namespace(), membership.id());
        let (what, after) = loop {
            let delivery =
                deliver_if_over(self.environment.post(), batch, self.delivery_deadline());
            // Boxed: most jobs are in no batch.
            match Box::pin(delivery).await {
                Ok(told @ (FanIn::Settled | FanIn::Sent | FanIn::Dead(_))) => return Ok(told),
                Ok(told @ FanIn::Taken { .. }) if is_fresh => return Ok(told),
                Ok(FanIn::NotTaken { again_after }) if self.can_pause_here(again_after).await => {}
                other => break self.untold(other),
            }
        };
        let reason = JobError::new(ErrorClass::Transient, "batch_callback", what);
        Err(self.returned(key, &reason, after))
    }

    /// Why a batch is not told yet, and when the next try is due.
    fn untold(&self, told: Result<FanIn, LedgerError>) -> (String, Duration) {
        let spread = jitter(super::SPREAD);
        let (what, after) = match told {
            Ok(FanIn::NotTaken { again_after }) => {
                ("the batch callback's receiver did not take it", again_after)
            }
            Ok(FanIn::NoTurn { again_after }) => {
                ("the batch callback's receiver is busy with others", again_after + spread)
            }
            Ok(FanIn::Taken { again_after }) => {
                ("the batch's callback is being delivered", again_after + spread)
            }
            Ok(_) => (
                "there was no time left to deliver the batch's callback",
                super::not_started_after(self.stop),
            ),
            Err(error) => return (error.to_string(), super::LEDGER_AGAIN + spread),
        };
        (what.to_owned(), after)
    }

    /// What is delivered until then can still be marked.
    pub(super) fn delivery_deadline(&self) -> Deadline {
        self.deadline.minus(self.environment.policy.settle_margin)
    }

    /// The letter that was left to the queue stays owed: the message comes back, and by then
    /// somebody may have given the queue a place for it.
    async fn bury_if_owed(&self, job: &Job, record: &Record) -> Result<Burial, Verdict> {
        let State::Failed(error) = &record.state else { return Ok(Burial::Taken) };
        if record.dead_letter != DeadLetterState::Pending {
            return Ok(Burial::Taken);
        }
        let (id, tool) = (job.id().as_str(), job.tool().as_str());
        let letter = DeadLetter {
            attempts: record.attempts,
            epoch: Some(record.epoch),
            ..self.letter(error, Some(id), Some(tool))
        };
        let burial = Box::pin(self.bury(letter, Some(record.key))).await?;
        if burial == Burial::Taken {
            self.mark(record, Mark::DeadLetterSent).await?;
        }
        Ok(burial)
    }

    pub(super) fn letter(
        &self,
        error: &JobError,
        job_id: Option<&str>,
        tool: Option<&str>,
    ) -> DeadLetter {
        DeadLetter {
            body: self.message.body.clone(),
            namespace: self.message.namespace.clone(),
            group: self.message.group.clone(),
            error: error.clone(),
            job_id: job_id.map(str::to_owned),
            tool: tool.map(str::to_owned),
            attempts: 0,
            epoch: None,
            first_seen: self.message.first_seen,
        }
    }

    pub(super) async fn bury(
        &self,
        letter: DeadLetter,
        key: Option<JobKey>,
    ) -> Result<Burial, Verdict> {
        let burial = self.environment.queue.bury(letter).await.map_err(|error| {
            tracing::warn!(%error, "a dead letter cannot be sent yet");
            let reason = JobError::new(ErrorClass::Transient, "dead_letter", error.to_string());
            self.returned(key, &reason, BURY_AGAIN + jitter(BURY_AGAIN))
        })?;
        if burial == Burial::Taken {
            self.environment.observer.observe(Observation::Buried);
        }
        Ok(burial)
    }

    pub(super) async fn mark(&self, record: &Record, mark: Mark) -> Result<(), Verdict> {
        let now = self.environment.clock.now();
        let marked = self.environment.ledger.mark(record.key, record.epoch, mark, now).await;
        marked.map_err(|error| self.unnoted(record, &error))
    }
}

/// Whether the callback of a batch was sent, or given up, by this very try.
fn is_delivery(told: &FanIn) -> bool {
    matches!(told, FanIn::Sent | FanIn::Dead(_))
}
