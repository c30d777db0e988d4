//! What a person decides about held jobs.

use axum::{
    Extension,
    extract::{Path, State, rejection::PathRejection},
    http::StatusCode,
    response::Response,
};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{
    Api,
    access::Caller,
    answer,
    body::{JsonBody, named},
    enqueue::with,
    problem::Problem,
    view::JobView,
};
use crate::{
    environment::Ports,
    error::{ErrorClass, JobError},
    job::{Job, JobId, JobKey},
    lease::{Decision, Ledger, Record, Refusal, State as Stands},
    queue::{NewMessage, Queue},
};

/// Why a job is given up.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub(super) struct Reason {
    /// For whoever is told of the failure; 1 to 500 characters.
    #[cfg_attr(test, schema(min_length = 1, max_length = 500))]
    message: String,
}

/// What a call came to that nobody saw.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub(super) struct Decided {
    /// Any JSON.
    #[serde(deserialize_with = "value")]
    result: Value,
}

/// Also `null`, but not nothing.
fn value<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Value, D::Error> {
    Value::deserialize(deserializer)
}

/// Answers `POST /v1/held/{id}/retry`: the body is the job, since the ledger keeps no inputs. It
/// may differ from what was sent first.
pub(super) async fn retry<P: Ports>(
    State(api): State<Api<P>>,
    Extension(caller): Extension<Caller>,
    path: Result<Path<String>, PathRejection>,
    JsonBody(body): JsonBody,
) -> Result<Response, Problem> {
    let id: JobId = named(path, "id")?;
    let body = job_text(&id, body);
    let job = Job::parse(&body).map_err(|invalid| Problem::of_failure(&invalid.error()))?;
    if *job.id() != id {
        let detail = format!("expected {id}, as in the path, or none");
        return Err(Problem::bad_request("invalid_field", detail).at("id"));
    }
    api.check(&job).await.map_err(|error| Problem::of_failure(&error))?;
    let key = JobKey::of(&caller.namespace, &id);
    let record = match api.decide(key, Decision::Replay(job.payload_hash())).await {
        Ok(record) => record,
        // An earlier try got as far as that, and was cut off before the job was sent.
        Err(problem) => api.freed_before(key, &job).await?.ok_or(problem)?,
    };
    let message = NewMessage {
        body,
        namespace: Some(caller.namespace.clone()),
        job: Some(key),
        group: job.tenant().map(|tenant| tenant.as_str().to_owned()),
        first_seen: api.environment.clock.now(),
        delay: std::time::Duration::ZERO,
    };
    api.environment.queue.send(vec![message]).await?;
    Ok(answer(StatusCode::ACCEPTED, &JobView::from(&record)))
}

/// Answers `POST /v1/held/{id}/fail`.
pub(super) async fn fail<P: Ports>(
    State(api): State<Api<P>>,
    Extension(caller): Extension<Caller>,
    path: Result<Path<String>, PathRejection>,
    JsonBody(body): JsonBody,
) -> Result<Response, Problem> {
    let id: JobId = named(path, "id")?;
    let reason: Option<Reason> = serde_json::from_slice(&body).ok();
    let reason = reason.filter(|reason| (1..=500).contains(&reason.message.chars().count()));
    let Some(Reason { message }) = reason else {
        let detail = "expected {\"message\": \"…\"} of 1 to 500 characters";
        return Err(Problem::bad_request("invalid_field", detail).at("message"));
    };
    let error = JobError::new(ErrorClass::Permanent, "decided", message);
    let record = api.decide(JobKey::of(&caller.namespace, &id), Decision::Fail(error)).await?;
    Ok(answer(StatusCode::OK, &JobView::from(&record)))
}

/// Answers `POST /v1/held/{id}/succeed`.
pub(super) async fn succeed<P: Ports>(
    State(api): State<Api<P>>,
    Extension(caller): Extension<Caller>,
    path: Result<Path<String>, PathRejection>,
    JsonBody(body): JsonBody,
) -> Result<Response, Problem> {
    let id: JobId = named(path, "id")?;
    let Ok(Decided { result }) = serde_json::from_slice(&body) else {
        return Err(Problem::bad_request("invalid_field", "expected {\"result\": …}").at("result"));
    };
    let record = api.decide(JobKey::of(&caller.namespace, &id), Decision::Succeed(result)).await?;
    Ok(answer(StatusCode::OK, &JobView::from(&record)))
}

fn job_text(id: &JobId, body: axum::body::Bytes) -> axum::body::Bytes {
    let text = str::from_utf8(&body).unwrap_or_default().trim();
    let has_id =
        serde_json::from_str::<Map<String, Value>>(text).is_ok_and(|job| job.contains_key("id"));
    if has_id || !text.starts_with('{') {
        return body;
    }
    with(&Map::from_iter([("id".to_owned(), id.as_str().into())]), text)
}

impl<P: Ports> Api<P> {
    async fn decide(&self, key: JobKey, decision: Decision) -> Result<Record, Problem> {
        let now = self.environment.clock.now();
        match self.environment.ledger.decide(key, decision, now).await? {
            Ok(record) => Ok(record),
            Err(Refusal::Unknown) => Err(Problem::not_found("job")),
            Err(refusal @ Refusal::State(_)) => {
                let detail = format!("expected a held job: {refusal}");
                Err(Problem::conflict("job_state", detail))
            }
        }
    }

    async fn freed_before(&self, key: JobKey, job: &Job) -> Result<Option<Record>, Problem> {
        let is_it = |record: &Record| {
            let is_same = record.payload_hash == Some(job.payload_hash());
            is_same && matches!(record.state, Stands::Retry(None))
        };
        Ok(self.record(key).await?.filter(is_it))
    }
}
