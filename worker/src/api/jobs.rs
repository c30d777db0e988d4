//! One job: what became of it, and its cancelling.

use axum::{
    Extension,
    extract::{Path, State, rejection::PathRejection},
    http::StatusCode,
    response::Response,
};

use super::{
    Api,
    access::Caller,
    answer,
    body::named,
    problem::Problem,
    view::{JobState, JobView},
};
use crate::{
    environment::Ports,
    job::{JobId, JobKey, PayloadHash, ToolName},
    lease::{ClaimRequest, Ledger, Lost, OwnerToken, Record, Refusal, Repeat},
    queue::Queue,
};

/// Answers `GET /v1/jobs/{id}`.
pub(super) async fn get<P: Ports>(
    State(api): State<Api<P>>,
    Extension(caller): Extension<Caller>,
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let id = named(path, "id")?;
    api.job(&caller, &id).await.map(|job| answer(StatusCode::OK, &job))
}

/// Answers `DELETE /v1/jobs/{id}`.
pub(super) async fn cancel<P: Ports>(
    State(api): State<Api<P>>,
    Extension(caller): Extension<Caller>,
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let id = named(path, "id")?;
    let request = api.cancelling(&caller, &id);
    match api.environment.ledger.cancel(request).await? {
        Ok(record) => Ok(answer(StatusCode::OK, &JobView::from(&record))),
        Err(Refusal::Unknown) => Err(Problem::not_found("job")),
        Err(Refusal::State(_)) => {
            let state = api.job(&caller, &id).await?.state();
            if state == JobState::Cancelled {
                return api.job(&caller, &id).await.map(|job| answer(StatusCode::OK, &job));
            }
            let detail = "the job has begun or ended: its result stands";
            Err(Problem::conflict("job_state", detail))
        }
    }
}

impl<P: Ports> Api<P> {
    /// What became of a job. What the ledger does not know may lie in the queue, where SQS lets
    /// nobody look.
    pub(super) async fn job(&self, caller: &Caller, id: &JobId) -> Result<JobView, Problem> {
        let key = JobKey::of(&caller.namespace, id);
        if let Some(record) = self.record(key).await? {
            return Ok(JobView::from(&record));
        }
        match self.environment.queue.holds(key).await? {
            Some(true) => Ok(JobView::unseen(id, JobState::Queued)),
            None => Ok(JobView::unseen(id, JobState::Unknown)),
            // It may have been claimed meanwhile.
            Some(false) => match self.record(key).await? {
                Some(record) => Ok(JobView::from(&record)),
                None => Err(Problem::not_found("job")),
            },
        }
    }

    /// A wish that names nothing but the job: where the ledger has none, it leaves a tombstone.
    fn cancelling(&self, caller: &Caller, id: &JobId) -> ClaimRequest {
        let (now, policy) = (self.environment.clock.now(), &self.environment.policy);
        ClaimRequest {
            key: JobKey::of(&caller.namespace, id),
            namespace: caller.namespace.clone(),
            job_id: id.clone(),
            tool: ToolName::unknown(),
            tenant: None,
            payload_hash: PayloadHash::from_bytes([0; 32]),
            callback: None,
            membership: None,
            token: OwnerToken::fresh(),
            now,
            lease_ends: now,
            first_seen: now,
            record_lives: policy.record_lives,
            max_attempts: policy.max_attempts,
            repeat: Repeat::Safe,
            supersedes_offline: false,
            lost: Lost::TakeOver,
            redelivered: true,
        }
    }

    /// The ledger's record of a job, unless its time is over.
    pub(super) async fn record(&self, key: JobKey) -> Result<Option<Record>, Problem> {
        let now = self.environment.clock.now();
        let record = self.environment.ledger.read(vec![key]).await?.into_iter().next().flatten();
        Ok(record.filter(|record| !record.has_expired(now)))
    }
}
