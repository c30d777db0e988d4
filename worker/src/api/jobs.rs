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
    clock::UnixMs,
    environment::{Environment, Ports},
    job::{JobId, JobKey, Namespace},
    lease::{ClaimRequest, Ledger, LedgerError, Record, Refusal, State as Stands},
    queue::{Queue, QueueError},
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
    let Environment { ledger, clock, policy, .. } = &*api.environment;
    let wish = ClaimRequest::to_cancel(&caller.namespace, &id, policy.record_lives, clock.now());
    match cancel_by(ledger, wish).await? {
        Cancelling::Cancelled(job) => Ok(answer(StatusCode::OK, &*job)),
        Cancelling::TooLate(job) => {
            let state = serde_json::to_value(job.state()).unwrap_or_default();
            let detail = format!("the job is in the state {state}: its result stands");
            Err(Problem::conflict("job_state", detail))
        }
        Cancelling::Unknown => Err(Problem::not_found("job")),
    }
}

/// What a wish to cancel came to.
pub(crate) enum Cancelling {
    /// It is cancelled, now or before.
    Cancelled(Box<JobView>),
    /// It has begun or ended, and its result stands.
    TooLate(Box<JobView>),
    /// There is no such job.
    Unknown,
}

/// Cancels a job that has not begun.
pub(crate) async fn cancel_by<L: Ledger>(
    ledger: &L,
    wish: ClaimRequest,
) -> Result<Cancelling, LedgerError> {
    let key = wish.key;
    match ledger.cancel(wish).await? {
        Ok(record) => Ok(Cancelling::Cancelled(Box::new(JobView::from(&record)))),
        Err(Refusal::Unknown) => Ok(Cancelling::Unknown),
        Err(Refusal::State(_) | Refusal::Epoch(_) | Refusal::NoCallback) => {
            let record = ledger.read(vec![key]).await?.into_iter().next().flatten();
            Ok(record.map_or(Cancelling::Unknown, |record| {
                let job = Box::new(JobView::from(&record));
                match record.state {
                    Stands::Cancelled => Cancelling::Cancelled(job),
                    _ => Cancelling::TooLate(job),
                }
            }))
        }
    }
}

/// What became of a job: of what the ledger does not know, whether it lies in the queue; `None`
/// where it is neither here nor there. SQS lets nobody look, so there it is unknown.
pub(crate) async fn look_up<L: Ledger, Q: Queue>(
    ledger: &L,
    queue: Option<&Q>,
    (namespace, id): (&Namespace, &JobId),
    now: UnixMs,
) -> Result<Option<JobView>, LookUpError> {
    let key = JobKey::of(namespace, id);
    let known = async || {
        let record = ledger.read(vec![key]).await?.into_iter().next().flatten();
        let record = record.filter(|record| !record.has_expired(now));
        Ok::<_, LedgerError>(record.map(|record| JobView::from(&record)))
    };
    if let Some(job) = known().await? {
        return Ok(Some(job));
    }
    let Some(queue) = queue else { return Ok(Some(JobView::unseen(id, JobState::Unknown))) };
    match queue.holds(key).await? {
        Some(true) => Ok(Some(JobView::unseen(id, JobState::Queued))),
        None => Ok(Some(JobView::unseen(id, JobState::Unknown))),
        // It may have been claimed meanwhile.
        Some(false) => Ok(known().await?),
    }
}

/// A job cannot be looked up.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LookUpError {
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error(transparent)]
    Queue(#[from] QueueError),
}

impl From<LookUpError> for Problem {
    fn from(error: LookUpError) -> Self {
        match error {
            LookUpError::Ledger(error) => error.into(),
            LookUpError::Queue(error) => error.into(),
        }
    }
}

impl<P: Ports> Api<P> {
    /// What became of a job.
    pub(super) async fn job(&self, caller: &Caller, id: &JobId) -> Result<JobView, Problem> {
        let Environment { ledger, queue, clock, .. } = &*self.environment;
        let job = look_up(ledger, Some(queue), (&caller.namespace, id), clock.now()).await?;
        job.ok_or_else(|| Problem::not_found("job"))
    }

    /// The ledger's record of a job, unless its time is over.
    pub(super) async fn record(&self, key: JobKey) -> Result<Option<Record>, Problem> {
        let now = self.environment.clock.now();
        let record = self.environment.ledger.read(vec![key]).await?.into_iter().next().flatten();
        Ok(record.filter(|record| !record.has_expired(now)))
    }
}
