//! What is owed after an outcome is stored: the dead letter of a failed job, the callback
//! (`run/callback.rs`) and that of its batch. All are marked in the ledger; a message that comes back finds what is still owed.

use std::time::Duration;

use super::{LEDGER_AGAIN, Run, SPREAD, Subject, Verdict, jitter};
use crate::{
    clock::Deadline,
    environment::{End, Observation, Ports},
    error::{ErrorClass, JobError},
    fan_in::{self, BatchKey, FanIn},
    job::{Job, JobKey, Membership},
    lease::{DeadLetterState, Ledger, LedgerError, Mark, Record, State},
    queue::{Burial, DeadLetter, Queue},
};

/// A message whose dead letter could not be sent comes back after about this.
const BURY_AGAIN: Duration = Duration::from_secs(10);

/// A message that finds its batch's delivery taken comes back after a quarter of what that may take,
/// and at least this: each time it does is counted by its queue.
const TAKEN_AGAIN: Duration = Duration::from_secs(5);

/// The pause after which it first looks again.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Something that is still owed, and when its next try is due.
pub(super) struct Later {
    pub(super) reason: JobError,
    pub(super) after: Duration,
}

impl<P: Ports> Run<'_, P> {
    /// Does what is still owed for a record with an outcome.
    pub(super) async fn hand_off(
        &self,
        subject: &Subject,
        record: &Record,
        end: End<'_>,
    ) -> Verdict {
        let is_fresh = matches!(end, End::Fresh(_));
        // One that cannot be sent holds up no callback.
        let burial = self.bury_if_owed(&subject.job, record).await;
        // Side by side: neither waits for a receiver of the other that is down.
        let (own, of_batch) = tokio::join!(
            self.call_back_if_owed(record),
            self.fan_in(subject.job.batch(), is_fresh)
        );
        let (burial, told) = match both(burial, both(own, of_batch)) {
            Ok((burial, ((), told))) => (burial, told),
            Err(later) => return self.owes(subject.key, &later),
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
    /// are short. Whoever finds that taken, or not due, is done if its job has just ended, or if another
    /// message beside it answers for the batch: that one comes back until it is settled. What became of the
    /// callback is answered.
    pub(super) async fn fan_in(
        &self,
        batch: Option<&Membership>,
        is_fresh: bool,
    ) -> Result<FanIn, Later> {
        let Some(membership) = batch else { return Ok(FanIn::Settled) };
        let batch = BatchKey::of(self.namespace(), membership.id());
        let beside = &self.bounds.beside;
        let mut looks_left = 1;
        loop {
            // Boxed: most jobs are in no batch.
            match Box::pin(self.deliver_batch(batch)).await {
                Ok(told @ (FanIn::Settled | FanIn::Sent | FanIn::Dead(_))) => {
                    beside.settled(batch);
                    return Ok(told);
                }
                Ok(told @ (FanIn::Taken { .. } | FanIn::NotDue { .. }))
                    if is_fresh || beside.is_left_to_another(batch, self.as_answering()) =>
                {
                    return Ok(told);
                }
                Ok(FanIn::NotTaken { again_after } | FanIn::NotDue { again_after })
                    if self.can_pause_here(again_after).await => {}
                // Most deliveries are over soon.
                Ok(FanIn::Taken { .. })
                    if looks_left > 0 && self.can_pause_here(LOOK_AGAIN).await =>
                {
                    looks_left -= 1;
                }
                other => return Err(self.untold(other)),
            }
        }
    }

    /// One try, for which this message answers from then on.
    async fn deliver_batch(&self, batch: BatchKey) -> Result<FanIn, LedgerError> {
        let (post, deadline) = (self.environment.post(), self.delivery_deadline());
        match fan_in::take_if_over(post, batch, deadline).await? {
            Ok(taken) => {
                self.bounds.beside.answer(batch, self.as_answering());
                fan_in::deliver(post, taken, deadline).await
            }
            Err(told) => Ok(told),
        }
    }

    /// The message, by what stays when it is sent anew.
    fn as_answering(&self) -> JobKey {
        JobKey::of_refused(self.namespace(), &self.message.body)
    }

    /// Why a batch is not told yet, and when the next try is due.
    fn untold(&self, told: Result<FanIn, LedgerError>) -> Later {
        let spread = jitter(SPREAD);
        let (what, after) = match told {
            Ok(FanIn::NotTaken { again_after }) => {
                ("the batch callback's receiver did not take it".to_owned(), again_after)
            }
            Ok(FanIn::NotDue { again_after }) => {
                ("the next try of the batch's callback is not due yet".to_owned(), again_after)
            }
            Ok(FanIn::NoTurn { again_after }) => (
                "the batch callback's receiver is busy with others".to_owned(),
                again_after + spread,
            ),
            // It may be over long before.
            Ok(FanIn::Taken { again_after }) => (
                "the batch's callback is being delivered".to_owned(),
                (again_after / 4).max(TAKEN_AGAIN).min(again_after) + spread,
            ),
            Ok(_) => (
                "there was no time left to deliver the batch's callback".to_owned(),
                super::not_started_after(self.stop),
            ),
            Err(error) => (error.to_string(), LEDGER_AGAIN + spread),
        };
        Later { reason: JobError::new(ErrorClass::Transient, "batch_callback", what), after }
    }

    /// Gives the message back for what is still owed.
    pub(super) fn owes(&self, key: impl Into<Option<JobKey>>, later: &Later) -> Verdict {
        self.returned(key, &later.reason, later.after)
    }

    /// What is delivered until then can still be marked.
    pub(super) fn delivery_deadline(&self) -> Deadline {
        self.deadline.minus(self.environment.policy.settle_margin)
    }

    /// The letter that was left to the queue stays owed: the message comes back, and by then
    /// somebody may have given the queue a place for it.
    async fn bury_if_owed(&self, job: &Job, record: &Record) -> Result<Burial, Later> {
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
        let burial = Box::pin(self.bury(letter)).await?;
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
            trace: self.message.trace.clone(),
            others: self.message.others.clone(),
        }
    }

    pub(super) async fn bury(&self, letter: DeadLetter) -> Result<Burial, Later> {
        let burial = self.environment.queue.bury(letter).await.map_err(|error| {
            tracing::warn!(%error, "a dead letter cannot be sent yet");
            let reason = JobError::new(ErrorClass::Transient, "dead_letter", error.to_string());
            Later { reason, after: BURY_AGAIN + jitter(BURY_AGAIN) }
        })?;
        if burial == Burial::Taken {
            self.environment.observer.observe(Observation::Buried);
        }
        Ok(burial)
    }

    pub(super) async fn mark(&self, record: &Record, mark: Mark) -> Result<(), Later> {
        let now = self.environment.clock.now();
        let marked = self.environment.ledger.mark(record.key, record.epoch, mark, now).await;
        marked.map_err(|error| unnoted(record, &error))
    }
}

/// What was tried side by side; of two that are still owed, that which is due sooner.
pub(super) fn both<A, B>(one: Result<A, Later>, other: Result<B, Later>) -> Result<(A, B), Later> {
    match (one, other) {
        (Ok(one), Ok(other)) => Ok((one, other)),
        (Err(one), Err(other)) if other.after < one.after => Err(other),
        (Err(later), _) | (_, Err(later)) => Err(later),
    }
}

/// What the ledger does not know of a hand-off is done again.
pub(super) fn unnoted(record: &Record, error: &LedgerError) -> Later {
    tracing::warn!(%error, job_id = %record.job_id, "a hand-off cannot be marked yet");
    let reason = JobError::new(ErrorClass::Transient, "ledger", error.to_string());
    Later { reason, after: LEDGER_AGAIN + jitter(SPREAD) }
}

/// Whether the callback of a batch was sent, or given up, by this very try.
fn is_delivery(told: &FanIn) -> bool {
    matches!(told, FanIn::Sent | FanIn::Dead(_))
}
