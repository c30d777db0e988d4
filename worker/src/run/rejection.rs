//! Messages that cannot become a run: a body that is no job, an id or a place that another job has.
//! Such a message is counted in its batch, told to its callback, and laid with the dead letters, in
//! this order: the last ends it. It has no record, or another job's; so what is told of it is stored
//! under a key of its own, and outlives the invocation as any other callback does.

use serde_json::Value;

use super::{
    LEDGER_AGAIN, Run, SPREAD, Subject, Verdict,
    handoff::{Later, both},
    jitter, journal,
};
use crate::{
    environment::{End, Ports},
    error::{ErrorClass, JobError},
    fan_in::Rejection,
    job::{Callback, InvalidJob, JobId, JobKey, Membership, PayloadHash, ToolName},
    lease::{
        ClaimRequest, DeadLetterState, Ledger, LedgerError, Lost, Mark, OwnerToken, Record, Repeat,
    },
    queue::{Burial, DeadLetter},
};

/// A message that never became a run.
#[derive(Clone, Copy)]
struct Rejected<'a> {
    /// The key of the job that it names.
    key: Option<JobKey>,
    error: &'a JobError,
    id: Option<&'a JobId>,
    tool: Option<&'a ToolName>,
    callback: Option<&'a Callback>,
    membership: Option<&'a Membership>,
    metadata: Option<&'a Value>,
}

impl<P: Ports> Run<'_, P> {
    /// A body that is no job.
    pub(super) async fn reject_unreadable(&self, invalid: &InvalidJob) -> Verdict {
        journal::name_invalid(invalid);
        let rejected = Rejected {
            key: None,
            error: &invalid.error(),
            id: invalid.id.as_ref(),
            tool: invalid.tool.as_ref(),
            callback: invalid.callback.as_ref(),
            membership: invalid.membership.as_ref(),
            metadata: invalid.metadata.as_ref(),
        };
        self.reject(rejected).await
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
        let rejected = Rejected {
            key: Some(subject.key),
            error,
            id: Some(job.id()),
            tool: Some(job.tool()),
            callback: job.callback(),
            membership: job.batch(),
            metadata: job.metadata(),
        };
        self.reject(rejected).await
    }

    async fn reject(&self, rejected: Rejected<'_>) -> Verdict {
        // Boxed, as few messages come to it.
        let rejecting = Box::pin(self.try_to_reject(rejected)).await;
        rejecting.unwrap_or_else(|later| self.owes(rejected.key, &later))
    }

    async fn try_to_reject(&self, rejected: Rejected<'_>) -> Result<Verdict, Later> {
        let stored = self.count_and_tell(rejected).await?;
        let burial = self.bury(self.letter_of(rejected)).await?;
        let owed = |record: &&Record| record.dead_letter == DeadLetterState::Pending;
        if let Some(record) = stored.as_ref().filter(owed).filter(|_| burial == Burial::Taken) {
            self.mark(record, Mark::DeadLetterSent).await?;
        }
        Ok(self.ended(rejected.key, End::Rejected(rejected.error), burial))
    }

    fn letter_of(&self, rejected: Rejected<'_>) -> DeadLetter {
        let (id, tool) = (rejected.id.map(JobId::as_str), rejected.tool.map(ToolName::as_str));
        self.letter(rejected.error, id, tool)
    }

    /// Counts it, then tells its batch and its own callback, side by side: neither waits for a
    /// receiver of the other that is down.
    async fn count_and_tell(&self, rejected: Rejected<'_>) -> Result<Option<Record>, Later> {
        self.count_rejection(rejected).await?;
        let own = async {
            match rejected.callback {
                Some(callback) => self.tell_rejection(rejected, callback).await.map(Some),
                None => Ok(None),
            }
        };
        let of_batch = self.fan_in(rejected.membership, false);
        let (own, of_batch) = tokio::join!(own, of_batch);
        both(own, of_batch).map(|(record, _)| record)
    }

    /// A job that cannot become a run is counted in its batch all the same.
    async fn count_rejection(&self, rejected: Rejected<'_>) -> Result<(), Later> {
        let Some(membership) = rejected.membership else { return Ok(()) };
        let rejection = Rejection {
            job_id: rejected.id.cloned(),
            tool: rejected.tool.cloned(),
            error: rejected.error.clone(),
            metadata: rejected.metadata.cloned(),
            rejected: self.environment.clock.now(),
        };
        let (ledger, namespace) = (&self.environment.ledger, self.namespace().clone());
        let counted = ledger.reject(namespace, membership.clone(), rejection).await;
        counted.map_err(|error| unstored(&error))
    }

    /// Stores what is to be told, and tells it if that is still owed.
    async fn tell_rejection(
        &self,
        rejected: Rejected<'_>,
        callback: &Callback,
    ) -> Result<Record, Later> {
        let request = self.refusal(rejected, callback);
        let stored = self.environment.ledger.refuse(request, rejected.error.clone()).await;
        let record = stored.map_err(|error| unstored(&error))?;
        self.call_back_if_owed(&record).await?;
        Ok(record)
    }

    fn refusal(&self, rejected: Rejected<'_>, callback: &Callback) -> ClaimRequest {
        let policy = &self.environment.policy;
        let now = self.environment.clock.now();
        let key = JobKey::of_refused(self.namespace(), &self.message.body);
        ClaimRequest {
            key,
            namespace: self.namespace().clone(),
            job_id: rejected.id.cloned().unwrap_or_else(|| JobId::of_refused(key)),
            tool: rejected.tool.cloned().unwrap_or_else(ToolName::unknown),
            tenant: None,
            payload_hash: PayloadHash::from_bytes(*key.as_bytes()),
            callback: Some(callback.clone()),
            membership: None,
            metadata: rejected.metadata.cloned(),
            token: OwnerToken::fresh(),
            now,
            lease_ends: now,
            first_seen: self.message.first_seen,
            record_lives: policy.record_lives,
            max_attempts: policy.max_attempts,
            repeat: Repeat::Safe,
            supersedes_offline: false,
            lost: Lost::TakeOver,
            redelivered: self.came_back(),
        }
    }
}

fn unstored(error: &LedgerError) -> Later {
    tracing::warn!(%error, "a message that is refused cannot be stored or counted yet");
    let reason = JobError::new(ErrorClass::Transient, "ledger", error.to_string());
    Later { reason, after: LEDGER_AGAIN + jitter(SPREAD) }
}
