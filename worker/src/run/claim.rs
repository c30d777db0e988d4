//! The claim: the ledger is asked who may run a job.

use tokio::time::Instant;

use super::{LEDGER_AGAIN, Run, SPREAD, Subject, Verdict, jitter};
use crate::{
    environment::{Observation, Ports},
    error::{ErrorClass, JobError},
    held,
    lease::{Claim, ClaimRequest, Decision, Ledger, LedgerError, Lost, OwnerToken, State},
    tool::Tools,
};

/// How a claim was answered, and the token that it was made with.
pub(super) struct Claimed {
    pub(super) claim: Claim,
    pub(super) token: OwnerToken,
}

impl<P: Ports> Run<'_, P> {
    /// A dead letter that somebody redrove asks for a replay of the run it tells of, and so does a person who
    /// decides about a held job.
    pub(super) async fn replay_if_asked(&self, subject: &Subject) -> Result<(), LedgerError> {
        let Some(epoch) = self.message.replay_of else { return Ok(()) };
        let ledger = &self.environment.ledger;
        let record = ledger.read(vec![subject.key]).await?.into_iter().next().flatten();
        let first_seen = self.message.first_seen;
        if record.is_some_and(|record| held::is_to_run_again(&record, epoch, first_seen)) {
            let replay = Decision::Replay { epoch, payload_hash: subject.job.payload_hash() };
            // Refused only if somebody else was quicker.
            let now = self.environment.clock.now();
            let _ = ledger.decide(subject.key, replay, now).await?;
        }
        Ok(())
    }

    pub(super) async fn claim(
        &self,
        subject: &Subject,
        lost: Lost,
    ) -> Result<Claimed, LedgerError> {
        let policy = &self.environment.policy;
        let now = self.environment.clock.now();
        let lasts = policy.heartbeat.map_or(self.deadline.time_left(), |beat| beat.lasts);
        let request = ClaimRequest {
            key: subject.key,
            namespace: self.namespace().clone(),
            job_id: subject.job.id().clone(),
            tool: subject.job.tool().clone(),
            tenant: subject.job.tenant().cloned(),
            payload_hash: subject.job.payload_hash(),
            callback: subject.job.callback().cloned(),
            membership: subject.job.batch().cloned(),
            metadata: subject.job.metadata().cloned(),
            token: OwnerToken::fresh(),
            now,
            lease_ends: now.plus(lasts + policy.lease_grace),
            first_seen: self.message.first_seen,
            record_lives: policy.record_lives,
            max_attempts: policy.max_attempts,
            repeat: subject.plan.repeat(),
            supersedes_offline: self.environment.tools.supersedes_offline(),
            lost,
            redelivered: subject.is_known,
        };
        let (token, began) = (request.token, Instant::now());
        let claim = self.environment.ledger.claim(request).await;
        self.ledger_answered(began);
        let claimed = Claimed { claim: claim?, token };
        self.note_takeover(&claimed);
        Ok(claimed)
    }

    fn note_takeover(&self, Claimed { claim, token }: &Claimed) {
        let is_taken_over = match claim {
            Claim::Owned(lease) => matches!(lease.record.state, State::Running { alone: true, .. }),
            Claim::Held(record) => record.token == *token,
            _ => false,
        };
        if is_taken_over {
            self.environment.observer.observe(Observation::TakenOver);
        }
    }

    pub(super) fn ledger_answered(&self, began: Instant) {
        let latency = began.elapsed();
        self.environment.observer.observe(Observation::LedgerAnswered { latency });
    }

    pub(super) fn unclaimed(&self, subject: &Subject, error: &LedgerError) -> Verdict {
        tracing::warn!(%error, job_id = %subject.job.id(), "the job cannot be claimed");
        let reason = JobError::new(ErrorClass::Transient, "ledger", error.to_string());
        let backoff = &self.environment.policy.backoff;
        let after = backoff.delay(self.message.receive_count, fastrand::f64()).max(LEDGER_AGAIN);
        self.returned(subject.key, &reason, after + jitter(SPREAD))
    }
}
