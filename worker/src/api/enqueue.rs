//! `POST /v1/jobs`: jobs are judged one by one, what is sound goes to the queue, and each gets a row
//! that says what became of it.

mod rejected;
mod submission;

use std::collections::HashMap;

use axum::{
    Extension,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::Response,
};
use serde::Serialize;

use self::submission::{Batch, Draft, Submission};
use super::{
    Api,
    access::Caller,
    answer,
    body::JsonBody,
    idempotency,
    problem::Problem,
    view::{ErrorView, JobState},
};
use crate::{
    clock::UnixMs,
    environment::Ports,
    error::{ErrorClass, JobError},
    fan_in::Rejection,
    job::{BodyHash, InvalidJob, Job, JobKey, Membership, traced},
    lease::Ledger,
    queue::{NewMessage, Queue},
    trace,
};

/// What became of a request.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub(super) struct Enqueued {
    /// Jobs that were sent.
    accepted: usize,
    /// Jobs that the ledger knows already, or that the request repeats.
    duplicates: usize,
    /// Jobs that were not sent.
    rejected: usize,
    /// The batch that the request made or goes on with.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schema(nullable = false))]
    batch: Option<BatchRow>,
    /// One row a job, in their order.
    jobs: Vec<Row>,
}

/// The batch of a request.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
struct BatchRow {
    id: String,
    /// How many jobs it has; `null` until it is closed.
    size: Option<u64>,
}

/// What became of one job of a request.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub(super) struct Row {
    /// Its place in the request, from 0.
    index: usize,
    /// Its id, if it has a sound one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schema(nullable = false))]
    id: Option<String>,
    status: RowStatus,
    /// Where it stands, if the ledger knows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schema(nullable = false))]
    state: Option<JobState>,
    /// Why it was rejected.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schema(nullable = false))]
    error: Option<ErrorView>,
}

/// What became of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(test, derive(utoipa::ToSchema))]
enum RowStatus {
    /// It was sent.
    Accepted,
    /// It is known: its outcome stands, or is under way; nothing is paid again.
    Duplicate,
    /// It was not sent.
    Rejected,
}

/// One job of a request on its way.
struct Order {
    fate: Fate,
    is_fresh: bool,
    body: Bytes,
}

enum Fate {
    Sound { job: Box<Job>, is_repeat: bool, known: Option<JobState> },
    Refused(Box<Refused>),
}

/// A job that is not sent.
struct Refused {
    rejection: Rejection,
    /// Its place in the batch that it names itself.
    place: Option<Membership>,
}

impl Refused {
    fn of_invalid(invalid: &InvalidJob, now: UnixMs) -> Fate {
        let rejection = Rejection::of_invalid(invalid, now);
        Fate::Refused(Box::new(Self { rejection, place: invalid.membership.clone() }))
    }

    fn of_job(job: &Job, error: JobError, now: UnixMs) -> Fate {
        let rejection = Rejection::of_job(job, error, now);
        Fate::Refused(Box::new(Self { rejection, place: job.batch().cloned() }))
    }

    /// Sent again, it may be accepted: the queue did not take it, for instance.
    fn may_pass(&self) -> bool {
        self.rejection.error.class.is_retryable()
    }
}

/// Answers `POST /v1/jobs`.
pub(super) async fn post<P: Ports>(
    State(api): State<Api<P>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    JsonBody(body): JsonBody,
) -> Result<Response, Problem> {
    let key = idempotency::key(&headers)?;
    let enqueued = api.enqueue(&caller, key.as_deref(), body).await?;
    Ok(answer(StatusCode::ACCEPTED, &enqueued))
}

impl<P: Ports> Api<P> {
    /// Sends what is sound of a request; an error if that is nothing.
    pub(super) async fn enqueue(
        &self,
        caller: &Caller,
        key: Option<&str>,
        body: Bytes,
    ) -> Result<Enqueued, Problem> {
        let submission = Submission::parse(&body)?;
        let identity = self.identity(caller, key, BodyHash::of("/v1/jobs", &body)).await?;
        let (drafts, batch) = submission.complete(&identity)?;
        let mut orders = Vec::with_capacity(drafts.len());
        for draft in drafts {
            orders.push(self.judge(draft).await);
        }
        mark_repeats(&mut orders, self.environment.clock.now());
        self.mark_known(caller, &mut orders).await?;
        if let Some(refusal) = refusal_of_all(&orders, batch.as_ref()) {
            return Err(refusal.with_jobs(rows(orders)));
        }
        self.count_rejected(caller, &orders, batch.as_ref()).await?;
        self.send(caller, &mut orders).await;
        told(orders, batch)
    }

    /// A job is sound if its text is, its tool is there, and its input fits.
    async fn judge(&self, draft: Draft) -> Order {
        let Draft { body, has_two_batches, has_fresh_id } = draft;
        let now = self.environment.clock.now();
        let fate = match Job::parse(&body) {
            Err(invalid) => Refused::of_invalid(&invalid, now),
            Ok(job) if has_two_batches => {
                let message = "expected no batch in a job of a request that has one";
                let error = JobError::new(ErrorClass::Invalid, "invalid_field", message);
                Refused::of_job(&job, error.at("batch"), now)
            }
            Ok(job) => match self.check(&job).await {
                Err(error) => Refused::of_job(&job, error, now),
                Ok(_) => Fate::Sound { job: Box::new(job), is_repeat: false, known: None },
            },
        };
        Order { fate, is_fresh: has_fresh_id, body }
    }

    /// What the ledger knows already is a duplicate, or another job under the same id.
    async fn mark_known(&self, caller: &Caller, orders: &mut [Order]) -> Result<(), Problem> {
        let key = |job: &Job| JobKey::of(&caller.namespace, job.id());
        let unsure: Vec<_> = orders
            .iter_mut()
            .filter(|order| !order.is_fresh)
            .filter_map(|order| match &order.fate {
                Fate::Sound { job, .. } => Some((key(job), order)),
                Fate::Refused(_) => None,
            })
            .collect();
        if unsure.is_empty() {
            return Ok(());
        }
        let now = self.environment.clock.now();
        let keys = unsure.iter().map(|(key, _)| *key).collect();
        let records = self.environment.ledger.read(keys).await?;
        for ((_, order), record) in unsure.into_iter().zip(records) {
            let Some(record) = record.filter(|record| !record.has_expired(now)) else { continue };
            let Fate::Sound { job, known, .. } = &mut order.fate else { continue };
            match record.payload_hash {
                Some(hash) if hash != job.payload_hash() => {
                    order.fate = Refused::of_job(job, conflict(), now);
                }
                _ => *known = Some(JobState::from(&record.state)),
            }
        }
        Ok(())
    }

    /// Duplicates are sent as well: they may have another callback, or a batch that counts them.
    async fn send(&self, caller: &Caller, orders: &mut [Order]) {
        let now = self.environment.clock.now();
        let sound = orders.iter_mut().filter(|order| matches!(order.fate, Fate::Sound { .. }));
        let sound: Vec<_> = sound.collect();
        let message = |order: &&mut Order, trace| {
            let Fate::Sound { job, .. } = &order.fate else { return None };
            let body = traced(order.body.clone(), job, trace);
            Some(NewMessage::of(&caller.namespace, job, body, now))
        };
        let span = trace::enqueue(&self.environment.tracer, sound.len());
        let messages = sound.iter().filter_map(|order| message(order, span.context())).collect();
        let sent = span.scope(self.environment.queue.send_each(messages)).await;
        for (order, sent) in sound.into_iter().zip(sent) {
            let (Err(error), Fate::Sound { job, .. }) = (sent, &order.fate) else { continue };
            tracing::warn!(%error, "a job was not taken by the queue");
            let error = JobError::new(ErrorClass::Transient, "queue", "the queue did not take it");
            order.fate = Refused::of_job(job, error, now);
        }
    }
}

/// An id that comes twice is one job, or two that cannot have it both.
fn mark_repeats(orders: &mut [Order], now: UnixMs) {
    let mut seen = HashMap::new();
    for order in orders {
        let Fate::Sound { job, is_repeat, .. } = &mut order.fate else { continue };
        let hash = job.payload_hash();
        match seen.get(job.id()) {
            None => {
                seen.insert(job.id().clone(), hash);
            }
            Some(first) if *first == hash => *is_repeat = true,
            Some(_) => order.fate = Refused::of_job(job, conflict(), now),
        }
    }
}

fn conflict() -> JobError {
    let message = "the id was used before, with another tool, input or model";
    JobError::new(ErrorClass::Invalid, "id_conflict", message).at("id")
}

/// Why nothing of the request is to be done, if that is so: its batch is these jobs, and none of them
/// is sound. Of a larger one, others may wait for them to be counted.
fn refusal_of_all(orders: &[Order], batch: Option<&Batch>) -> Option<Problem> {
    let is_refused = |order: &Order| matches!(order.fate, Fate::Refused(_));
    let is_whole = batch.is_some_and(|batch| batch.is_whole(orders.len()));
    (is_whole && orders.iter().all(is_refused)).then(no_sound_job)
}

fn no_sound_job() -> Problem {
    Problem::bad_request("no_sound_job", "no job of the request can be accepted")
}

fn told(orders: Vec<Order>, batch: Option<Batch>) -> Result<Enqueued, Problem> {
    let is_queue_down = orders
        .iter()
        .any(|order| matches!(&order.fate, Fate::Refused(refused) if refused.may_pass()));
    let jobs = rows(orders);
    let count = |status| jobs.iter().filter(|row| row.status == status).count();
    let accepted = count(RowStatus::Accepted);
    let duplicates = count(RowStatus::Duplicate);
    let rejected = count(RowStatus::Rejected);
    if rejected == jobs.len() {
        let problem = match is_queue_down {
            true => Problem::unavailable("queue", "the queue cannot be reached for the moment"),
            false => no_sound_job(),
        };
        return Err(problem.with_jobs(jobs));
    }
    let batch = batch.map(|batch| BatchRow { id: batch.id, size: batch.size });
    Ok(Enqueued { accepted, duplicates, rejected, batch, jobs })
}

fn rows(orders: Vec<Order>) -> Vec<Row> {
    orders.into_iter().enumerate().map(row).collect()
}

fn row((index, order): (usize, Order)) -> Row {
    match order.fate {
        Fate::Sound { job, is_repeat, known } => {
            let is_known = is_repeat || known.is_some();
            Row {
                index,
                id: Some(job.id().to_string()),
                status: if is_known { RowStatus::Duplicate } else { RowStatus::Accepted },
                state: known,
                error: None,
            }
        }
        Fate::Refused(refused) => Row {
            index,
            id: refused.rejection.job_id.map(|id| id.to_string()),
            status: RowStatus::Rejected,
            state: None,
            error: Some((&refused.rejection.error).into()),
        },
    }
}
