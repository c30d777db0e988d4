//! A tool's answer at once: `POST /v1/tools/{tool}` and `POST /v1/call`. With an `Idempotency-Key`
//! the call is a job of the queue that somebody waits for: whoever asks again, pays nothing.

use std::time::Duration;

use axum::{
    Extension,
    body::Bytes,
    extract::{Path, State, rejection::PathRejection},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::Response,
};
use serde::Serialize;
use serde_json::{Map, Value, value::RawValue};
use tokio::time::{Instant, sleep, timeout};

use super::{
    Api,
    access::Caller,
    answer,
    body::{JsonBody, named},
    idempotency::{self, Identity},
    problem::Problem,
    view::JobState,
};
use crate::{
    environment::{Ports, RunningCall},
    error::{ErrorClass, JobError},
    job::{self, BodyHash, Job, JobKey, ToolName, traced, with_fields},
    lease::{Outcome, Record, State as Stands, Usage},
    queue::{NewMessage, Queue},
    tool::{Blocked, CallContext, Gates, Passes, ToolError, Tools, catching_panics},
    trace,
};

/// The longest that a call may take: API Gateway waits 30 s for an answer.
const CALLED_WITHIN: Duration = Duration::from_secs(22);

/// How long a call stands in line for an upstream that takes no more at once.
const IN_LINE: Duration = Duration::from_secs(5);

/// A tool keeps its own timeout; this much later its future is dropped.
const TOOL_GRACE: Duration = Duration::from_secs(1);

/// How long a job of the queue is waited for.
const ENDED_WITHIN: Duration = Duration::from_secs(25);

/// The first pause before the ledger is asked, and the longest.
const LOOK_AGAIN: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(500));

/// A tool's answer.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub(super) struct Answer {
    /// The job that the call became, with an `Idempotency-Key`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schema(nullable = false))]
    id: Option<String>,
    /// Text, or JSON.
    pub(super) result: Value,
    usage: Usage,
}

/// A call that goes on.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub(super) struct Pending {
    /// The job's id, for `GET /v1/jobs/{id}`.
    id: String,
    state: JobState,
}

/// Answers `POST /v1/tools/{tool}`: the body is the input.
pub(super) async fn tool<P: Ports>(
    State(api): State<Api<P>>,
    Extension(caller): Extension<Caller>,
    path: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
    JsonBody(body): JsonBody,
) -> Result<Response, Problem> {
    let tool: ToolName = named(path, "tool")?;
    // It must be one value, whole, before it becomes a part of a text.
    let input = text_of(&body)?;
    let call = format!("{{\"tool\":{},\"input\":{input}}}", Value::from(tool.as_str()));
    api.answer_call(&caller, &headers, &call).await
}

/// Answers `POST /v1/call`: the body is a job without an id.
pub(super) async fn call<P: Ports>(
    State(api): State<Api<P>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    JsonBody(body): JsonBody,
) -> Result<Response, Problem> {
    let call = text_of(&body)?;
    if !call.starts_with('{') {
        return Err(Problem::bad_request(
            "not_an_object",
            "expected {\"tool\": …, \"input\": {…}}",
        ));
    }
    api.answer_call(&caller, &headers, call).await
}

fn text_of(body: &Bytes) -> Result<&str, Problem> {
    let text = str::from_utf8(body).map_err(|error| {
        let at = error.valid_up_to();
        Problem::bad_request("not_utf8", format!("expected UTF-8, found another byte at {at}"))
    })?;
    let value: &RawValue = serde_json::from_str(text)
        .map_err(|error| Problem::bad_request("not_json", job::unreadable(text, &error).message))?;
    Ok(value.get().trim())
}

impl<P: Ports> Api<P> {
    async fn answer_call(
        &self,
        caller: &Caller,
        headers: &HeaderMap,
        call: &str,
    ) -> Result<Response, Problem> {
        let key = idempotency::key(headers)?;
        let hash = BodyHash::of("/v1/call", call.as_bytes());
        let identity = self.identity(caller, key.as_deref(), hash).await?;
        let id = Map::from_iter([("id".to_owned(), identity.job_id(0).as_str().into())]);
        let body = with_fields(&id, call);
        let job = Job::parse(&body).map_err(|invalid| Problem::of_failure(&invalid.error()))?;
        self.check(&job).await.map_err(|error| Problem::of_failure(&error))?;
        match identity {
            Identity::Fresh => self.call(&job).await.map(|it| answer(StatusCode::OK, &it)),
            Identity::Named(_) => self.call_as_job(caller, &job, body).await,
        }
    }

    /// Calls the tool, now and once.
    pub(super) async fn call(&self, job: &Job) -> Result<Answer, Problem> {
        refuse_what_needs_a_job(job)?;
        let tools = &self.environment.tools;
        let plan = self.check(job).await.map_err(|error| Problem::of_failure(&error))?;
        let _permit = self.calls.try_acquire().map_err(|_| {
            Problem::unavailable("busy", "as many calls as may be made at once are under way")
        })?;
        let gates = tools.gates(job);
        let mut passes = match gates.enter() {
            Ok(passes) => passes,
            Err(blocked) => stand_in_line(&gates, blocked).await?,
        };
        passes.use_up();
        let within = plan.timeout.min(CALLED_WITHIN);
        let context = CallContext { timeout: within, attempt: 1, epoch: 1, spent_usd: 0.0 };
        let running = RunningCall::begin(&*self.environment.observer, job);
        let mut span = trace::call(job);
        let call = catching_panics(Box::pin(span.scope(tools.call(job, &context))));
        let called = timeout(within + TOOL_GRACE, call).await;
        let called = called.unwrap_or_else(|_| Err(too_slow(within)));
        trace::called(&mut span, job, called.as_ref());
        match called {
            Ok(Outcome { result, usage, .. }) => {
                running.end(&usage);
                gates.succeeded();
                Ok(Answer { id: None, result, usage })
            }
            Err(failure) => {
                running.end(&failure.usage);
                let error = gates.weigh(failure.error);
                gates.failed(&error, failure.retry_after);
                let problem = Problem::of_failure(&error);
                Err(match failure.retry_after {
                    Some(pause) => problem.after(pause),
                    None => problem,
                })
            }
        }
    }

    /// Sends the call as a job, unless that was done before, and waits for its outcome.
    async fn call_as_job(
        &self,
        caller: &Caller,
        job: &Job,
        body: Bytes,
    ) -> Result<Response, Problem> {
        let key = JobKey::of(&caller.namespace, job.id());
        let patience = Instant::now() + ENDED_WITHIN;
        let (mut pause, longest) = LOOK_AGAIN;
        let mut is_sent = false;
        loop {
            let record = self.record(key).await?;
            if let Some(ended) = record.as_ref().and_then(ended) {
                return ended.map(|it| answer(StatusCode::OK, &it));
            }
            if record.is_none() && !is_sent {
                self.send_once(caller, job, key, body.clone()).await?;
                is_sent = true;
            }
            if Instant::now() + pause >= patience {
                let state = record.map_or(JobState::Queued, |record| (&record.state).into());
                return Ok(pending(job, state));
            }
            sleep(pause).await;
            pause = (pause * 3 / 2).min(longest);
        }
    }

    async fn send_once(
        &self,
        caller: &Caller,
        job: &Job,
        key: JobKey,
        body: Bytes,
    ) -> Result<(), Problem> {
        if self.environment.queue.holds(key).await? == Some(true) {
            return Ok(());
        }
        let span = trace::enqueue(&self.environment.tracer, 1);
        let (body, now) = (traced(body, job, span.context()), self.environment.clock.now());
        let message = NewMessage::of(&caller.namespace, job, body, now);
        span.scope(self.environment.queue.send(vec![message])).await?;
        Ok(())
    }
}

/// Waits a moment for an upstream that takes more calls soon.
async fn stand_in_line(gates: &Gates, blocked: Blocked) -> Result<Passes, Problem> {
    let is_soon = blocked.in_line.is_some_and(|about| about <= IN_LINE);
    let waited = if is_soon { timeout(IN_LINE, gates.wait()).await.ok() } else { None };
    waited.unwrap_or(Err(blocked)).map_err(|blocked| {
        let problem = Problem::unavailable("upstream_paused", blocked.reason.message);
        problem.after(gates.turn())
    })
}

/// Nobody would remember whom to tell.
fn refuse_what_needs_a_job(job: &Job) -> Result<(), Problem> {
    let field = match (job.callback(), job.batch()) {
        (Some(_), _) => "callback",
        (_, Some(_)) => "batch",
        _ => return Ok(()),
    };
    let detail = format!("expected no {field} in a call without an Idempotency-Key");
    Err(Problem::bad_request("invalid_field", detail).at(field))
}

fn too_slow(within: Duration) -> ToolError {
    let message = format!("the tool did not answer within {} s", within.as_secs_f64());
    ToolError::ambiguous(JobError::new(ErrorClass::Transient, "timeout", message))
}

/// What the one who waits is told, once the job has ended.
fn ended(record: &Record) -> Option<Result<Answer, Problem>> {
    let id = Some(record.job_id.to_string());
    match &record.state {
        Stands::Done(result) => {
            let (result, usage) = (result.clone(), record.usage.clone());
            Some(Ok(Answer { id, result, usage }))
        }
        Stands::Failed(error) => Some(Err(Problem::of_failure(error))),
        Stands::Held(error) => {
            let detail = format!("a person has to decide about the call: {}", error.message);
            Some(Err(Problem::new(StatusCode::BAD_GATEWAY, "held", detail)))
        }
        Stands::Cancelled => Some(Err(Problem::conflict("cancelled", "the call was cancelled"))),
        Stands::Running { .. } | Stands::Retry(_) => None,
    }
}

fn pending(job: &Job, state: JobState) -> Response {
    let id = job.id().to_string();
    let place = HeaderValue::from_str(&format!("/v1/jobs/{id}"));
    let mut response = answer(StatusCode::ACCEPTED, &Pending { id, state });
    if let Ok(place) = place {
        response.headers_mut().insert(header::LOCATION, place);
    }
    response
}
