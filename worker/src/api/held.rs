//! Held jobs: which there are, and what a person decides about them.

use axum::{
    Extension,
    body::Bytes,
    extract::{Path, State, rejection::PathRejection},
    http::StatusCode,
    response::Response,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Api, access::Caller, answer, body::JsonBody, problem::Problem, view::JobView};
use crate::{
    environment::Ports,
    error::JobError,
    held::{self, NotRunAgain},
    job::{Job, JobId, JobKey},
    lease::{Decision, Refusal},
};

/// Jobs that wait for a person.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub(super) struct HeldJobs {
    /// Those that were held first go first.
    jobs: Vec<JobView>,
    /// There may be more than the 1,000, of all namespaces, that were looked at.
    truncated: bool,
}

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

/// What a person decided.
enum Verdict {
    /// The body is the job, since the ledger keeps no inputs. It may differ from what was sent first.
    Retry(Box<Job>, Bytes),
    Fail(JobError),
    Succeed(Value),
}

/// Answers `GET /v1/held`.
pub(super) async fn list<P: Ports>(
    State(api): State<Api<P>>,
    Extension(caller): Extension<Caller>,
) -> Result<Response, Problem> {
    let listed = held::list(&api.environment.ledger, &caller.namespace).await?;
    let (jobs, truncated) = (listed.0.iter().map(JobView::from).collect(), listed.1);
    Ok(answer(StatusCode::OK, &HeldJobs { jobs, truncated }))
}

/// Answers `POST /v1/held/{id}/retry`, `/fail` and `/succeed`.
pub(super) async fn decide<P: Ports>(
    State(api): State<Api<P>>,
    Extension(caller): Extension<Caller>,
    path: Result<Path<(String, String)>, PathRejection>,
    JsonBody(body): JsonBody,
) -> Result<Response, Problem> {
    let Ok(Path((id, decision))) = path else {
        return Err(Problem::bad_request("invalid_field", "expected UTF-8 in the path").at("id"));
    };
    let id = id
        .parse()
        .map_err(|error: String| Problem::bad_request("invalid_field", error).at("id"))?;
    let key = JobKey::of(&caller.namespace, &id);
    match Verdict::parse(&decision, &id, body)? {
        Verdict::Retry(job, body) => {
            api.check(&job).await.map_err(|error| Problem::of_failure(&error))?;
            let ports = (&api.environment.ledger, &api.environment.queue);
            let now = api.environment.clock.now();
            let again = held::run_again(ports, &caller.namespace, (&job, body), now).await?;
            Ok(answer(StatusCode::ACCEPTED, &JobView::from(&again.map_err(not_held)?)))
        }
        Verdict::Fail(error) => api.settle(key, Decision::Fail(error)).await,
        Verdict::Succeed(result) => api.settle(key, Decision::Succeed(result)).await,
    }
}

impl Verdict {
    fn parse(decision: &str, id: &JobId, body: Bytes) -> Result<Self, Problem> {
        match decision {
            "retry" => retry(id, body),
            "fail" => fail(&body),
            "succeed" => succeed(&body),
            _ => Err(Problem::not_found("route")),
        }
    }
}

fn retry(id: &JobId, body: Bytes) -> Result<Verdict, Problem> {
    let body = held::with_id(id, body);
    let job = Job::parse(&body).map_err(|invalid| Problem::of_failure(&invalid.error()))?;
    if job.id() != id {
        let detail = format!("expected {id}, as in the path, or none");
        return Err(Problem::bad_request("invalid_field", detail).at("id"));
    }
    Ok(Verdict::Retry(Box::new(job), body))
}

fn fail(body: &[u8]) -> Result<Verdict, Problem> {
    let reason: Option<Reason> = serde_json::from_slice(body).ok();
    let reason = reason.filter(|reason| (1..=500).contains(&reason.message.chars().count()));
    let Some(Reason { message }) = reason else {
        let detail = "expected {\"message\": \"…\"} of 1 to 500 characters";
        return Err(Problem::bad_request("invalid_field", detail).at("message"));
    };
    Ok(Verdict::Fail(held::given_up(message)))
}

fn succeed(body: &[u8]) -> Result<Verdict, Problem> {
    let Ok(Decided { result }) = serde_json::from_slice(body) else {
        return Err(Problem::bad_request("invalid_field", "expected {\"result\": …}").at("result"));
    };
    Ok(Verdict::Succeed(result))
}

impl<P: Ports> Api<P> {
    async fn settle(&self, key: JobKey, decision: Decision) -> Result<Response, Problem> {
        let ended = held::end(self.environment.post(), key, decision).await?;
        Ok(answer(StatusCode::OK, &JobView::from(&ended.map_err(not_held)?)))
    }
}

impl From<NotRunAgain> for Problem {
    fn from(error: NotRunAgain) -> Self {
        match error {
            NotRunAgain::Ledger(error) => error.into(),
            NotRunAgain::Queue(error) => error.into(),
        }
    }
}

fn not_held(refusal: Refusal) -> Problem {
    match refusal {
        Refusal::Unknown => Problem::not_found("job"),
        refusal => Problem::conflict("job_state", format!("expected a held job: {refusal}")),
    }
}
