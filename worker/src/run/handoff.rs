//! What is owed after an outcome is stored: the dead letter of a failed job, the callback
//! (`run/callback.rs`) and that of its batch. All are marked in the ledger; a message that comes back finds what is still owed.

use std::time::Duration;

use serde_json::{Map, Value};
use tokio::time::sleep;

use super::{Run, Subject, Verdict, jitter, journal};
use crate::{
    clock::{Deadline, UnixMs},
    environment::{End, Observation, Ports},
    error::{ErrorClass, JobError},
    fan_in::{BatchKey, FanIn, Rejection, deliver_if_over},
    job::{Callback, InvalidJob, Job, JobId, JobKey, Membership, ToolName},
    lease::{CallbackSlot, CallbackState, DeadLetterState, Ledger, Mark, Record, State},
    queue::{Burial, DeadLetter, Queue},
    webhook::{Event, error_data},
};

/// Quick deliveries of a rejection, which no ledger remembers.
const REJECTION_TRIES: u32 = 3;

/// The pause between them.
const REJECTION_PAUSE: Duration = Duration::from_millis(300);

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
        if let Err(verdict) = self.call_back_if_owed(&subject.job, record).await {
            return verdict;
        }
        let is_fresh = matches!(end, End::Fresh(_));
        if let Err(verdict) = self.fan_in(Some(subject.key), subject.job.batch(), is_fresh).await {
            return verdict;
        }
        self.ended(Some(subject.key), end, burial)
    }

    /// The last job of a batch delivers the batch's callback. Whoever finds that taken is done if
    /// its job has just ended: another message took it, and comes back should it be cut off.
    async fn fan_in(
        &self,
        key: Option<JobKey>,
        batch: Option<&Membership>,
        is_fresh: bool,
    ) -> Result<(), Verdict> {
        let Some(membership) = batch else { return Ok(()) };
        let batch = BatchKey::of(self.namespace(), membership.id());
        let is_last = self.is_last_delivery(self.message.first_seen);
        let end_of_delivery = self.delivery_deadline();
        let delivery = deliver_if_over(self.environment.post(), batch, end_of_delivery, is_last);
        // Boxed: most jobs are in no batch.
        let delivered = Box::pin(delivery).await;
        let (message, after) = match delivered {
            Ok(FanIn::Settled) => return Ok(()),
            Ok(FanIn::Taken { .. }) if is_fresh => return Ok(()),
            Ok(FanIn::Taken { again_after }) => {
                let what = "the batch's callback is being delivered";
                (what.to_owned(), again_after + jitter(super::SPREAD))
            }
            Ok(FanIn::NotTaken { again_after }) => {
                ("the batch callback's receiver did not take it".to_owned(), again_after)
            }
            Ok(FanIn::NoTime) => {
                let what = "there was no time left to deliver the batch's callback";
                (what.to_owned(), super::not_started_after(self.stop))
            }
            Ok(FanIn::NoTurn { again_after }) => {
                let what = "the batch callback's receiver is busy with others";
                (what.to_owned(), again_after + jitter(super::SPREAD))
            }
            Err(error) => (error.to_string(), super::LEDGER_AGAIN + jitter(super::SPREAD)),
        };
        let reason = JobError::new(ErrorClass::Transient, "batch_callback", message);
        Err(self.returned(key, &reason, after))
    }

    /// What is delivered until then can still be marked.
    pub(super) fn delivery_deadline(&self) -> Deadline {
        self.deadline.minus(self.environment.policy.settle_margin)
    }

    /// Whether a delivery that fails now was the last of a callback that is owed since then.
    pub(super) fn is_last_delivery(&self, owed_since: UnixMs) -> bool {
        let age = self.environment.clock.now().since(owed_since);
        age >= self.environment.policy.callbacks.max_age
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

    fn letter(&self, error: &JobError, job_id: Option<&str>, tool: Option<&str>) -> DeadLetter {
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

    async fn bury(&self, letter: DeadLetter, key: Option<JobKey>) -> Result<Burial, Verdict> {
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
        marked.map_err(|error| {
            tracing::warn!(%error, job_id = %record.job_id, "a hand-off cannot be marked yet");
            let reason = JobError::new(ErrorClass::Transient, "ledger", error.to_string());
            self.returned(record.key, &reason, super::LEDGER_AGAIN + jitter(super::SPREAD))
        })
    }

    /// A body that is no job: nothing can be claimed, so nothing is remembered but the dead letter.
    pub(super) async fn reject_unreadable(&self, invalid: &InvalidJob) -> Verdict {
        journal::name_invalid(invalid);
        let id = invalid.id.as_ref().map(JobId::as_str);
        let tool = invalid.tool.as_ref().map(ToolName::as_str);
        let rejection = Rejected { key: None, error: &invalid.error(), id, tool };
        let now = self.environment.clock.now();
        let refused = invalid.membership.as_ref();
        let refused = refused.map(|membership| (membership, Rejection::of_invalid(invalid, now)));
        if let Err(verdict) = Box::pin(self.count_rejection(None, refused)).await {
            return verdict;
        }
        let rejected = self.reject(rejection, invalid.callback.as_ref(), invalid.metadata.as_ref());
        Box::pin(rejected).await
    }

    /// A job that cannot become a run is counted in its batch all the same. Its dead letter is sent
    /// after that: nothing would remember it, should the batch's callback have to be tried again.
    async fn count_rejection(
        &self,
        key: Option<JobKey>,
        refused: Option<(&Membership, Rejection)>,
    ) -> Result<(), Verdict> {
        let Some((membership, rejection)) = refused else { return Ok(()) };
        let namespace = self.namespace().clone();
        let ledger = &self.environment.ledger;
        if let Err(error) = ledger.reject(namespace, membership.clone(), rejection).await {
            tracing::warn!(%error, "a rejected job cannot be counted in its batch yet");
            let reason = JobError::new(ErrorClass::Transient, "ledger", error.to_string());
            let after = super::LEDGER_AGAIN + jitter(super::SPREAD);
            return Err(self.returned(key, &reason, after));
        }
        self.fan_in(key, Some(membership), self.message.receive_count <= 1).await
    }

    /// An id that was used with another tool, input or model: the first one's outcome stands.
    pub(super) async fn reject_conflict(&self, subject: &Subject, record: &Record) -> Verdict {
        let message = format!(
            "id: expected an id of its own, found one that was used on {} with another tool, \
             input or model",
            record.first_seen.rfc3339()
        );
        let error = JobError::new(ErrorClass::Invalid, "id_conflict", message).at("id");
        self.reject_job(subject, &error).await
    }

    /// A job that cannot become a run, though it can be read.
    pub(super) async fn reject_job(&self, subject: &Subject, error: &JobError) -> Verdict {
        let job = &subject.job;
        let now = self.environment.clock.now();
        let rejection = |membership| (membership, Rejection::of_job(job, error.clone(), now));
        let refused = job.batch().map(rejection);
        if let Err(verdict) = self.count_rejection(Some(subject.key), refused).await {
            return verdict;
        }
        let (id, tool) = (Some(job.id().as_str()), Some(job.tool().as_str()));
        let rejection = Rejected { key: Some(subject.key), error, id, tool };
        Box::pin(self.reject(rejection, job.callback(), job.metadata())).await
    }

    async fn reject(
        &self,
        rejection: Rejected<'_>,
        callback: Option<&Callback>,
        metadata: Option<&Value>,
    ) -> Verdict {
        let Rejected { key, error, id, tool } = rejection;
        let burial = match self.bury(self.letter(error, id, tool), key).await {
            Ok(burial) => burial,
            Err(verdict) => return verdict,
        };
        if let Some(callback) = callback.filter(|_| self.is_rejected_first(burial)) {
            let first_seen = self.message.first_seen.rfc3339();
            let event = Event::of_rejection(&rejection.data(metadata), &first_seen);
            self.deliver_rejection(callback, &event).await;
        }
        self.ended(key, End::Rejected(error), burial)
    }

    /// A letter that was taken ends its message; one that was left to the queue brings it back, and
    /// nothing else remembers that its callback was told.
    fn is_rejected_first(&self, burial: Burial) -> bool {
        burial == Burial::Taken || self.message.receive_count == 1
    }

    /// Over before the deadline: cut off, the message would come back and be buried once more.
    async fn deliver_rejection(&self, callback: &Callback, event: &Event) {
        let mut slot = CallbackSlot::pending(callback.clone());
        while slot.state == CallbackState::Pending && slot.failures < REJECTION_TRIES {
            let deadline = self.delivery_deadline();
            let Ok(attempt) = self.environment.courier.deliver(&slot, event, deadline).await else {
                break;
            };
            slot.note(attempt.delivery);
            if slot.state == CallbackState::Pending {
                sleep(jitter(REJECTION_PAUSE)).await;
            }
        }
        if slot.state != CallbackState::Sent {
            tracing::warn!(host = callback.host(), "a rejection could not be told to its callback");
        }
    }
}

/// A message that never became a run.
#[derive(Clone, Copy)]
struct Rejected<'a> {
    key: Option<JobKey>,
    error: &'a JobError,
    id: Option<&'a str>,
    tool: Option<&'a str>,
}

impl Rejected<'_> {
    fn data(&self, metadata: Option<&Value>) -> Map<String, Value> {
        let fields = [
            ("id", self.id.map(Into::into)),
            ("tool", self.tool.map(Into::into)),
            ("error", Some(error_data(self.error))),
            ("attempts", Some(0.into())),
            ("metadata", metadata.cloned()),
        ];
        let present = fields.into_iter().filter_map(|(name, value)| Some((name, value?)));
        present.map(|(name, value)| (name.to_owned(), value)).collect()
    }
}
