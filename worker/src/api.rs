//! The HTTP face: one router over the ports, the same behind API Gateway and in `mcp-batch serve`.
//!
//! | file | what is answered there |
//! |---|---|
//! | `front.rs` | before any route: who is called, from where, how long it may take |
//! | `access.rs` | whose key it is, and what that allows |
//! | `enqueue.rs` | `POST /v1/jobs` |
//! | `jobs.rs`, `batches.rs` | what became of a job, of a batch; closing and cancelling |
//! | `held.rs` | what waits for a person, and the decision |
//! | `call.rs` | a tool's answer at once |
//! | `tools.rs` | what there is to call |
//! | `mcp.rs` | all of that for agents |
//! | `problem.rs` | what went wrong |

mod access;
mod batches;
mod body;
mod call;
mod enqueue;
mod front;
mod held;
mod idempotency;
pub(crate) mod jobs;
mod mcp;
#[cfg(test)]
mod openapi;
mod problem;
mod rate;
mod tools;
pub(crate) mod view;

use std::{ops::Deref, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::State,
    http::{HeaderValue, StatusCode, header},
    middleware::from_fn_with_state,
    response::{IntoResponse, Response},
    routing::{MethodRouter, delete, get, post},
};
use serde::Serialize;
use tokio::{sync::Semaphore, time::timeout};

pub use self::access::{Access, Vouched, for_readers};
use self::{access::Guard, problem::Problem, rate::Rate};
use crate::{
    batch::Stop,
    config::{ApiSettings, Scope},
    environment::{Environment, Ports},
    error::JobError,
    job::{Job, JobKey},
    lease::Ledger,
    tool::{CallPlan, Tools},
};

/// What API clients import: made from the types by `openapi.rs`, and compared with them by a test.
const OPENAPI: &str = include_str!("api/openapi.json");

/// How long the ledger may take to answer before this process is not ready.
const READY_WITHIN: Duration = Duration::from_secs(2);

/// Everything a request may touch. Clones are the same.
pub struct Api<P: Ports>(Arc<Shared<P>>);

/// What all requests of a process share.
pub struct Shared<P: Ports> {
    environment: Arc<Environment<P>>,
    access: Access,
    /// A permit for each call that somebody waits for.
    calls: Semaphore,
    stop: Stop,
}

impl<P: Ports> Clone for Api<P> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<P: Ports> Deref for Api<P> {
    type Target = Shared<P>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl<P: Ports> Api<P> {
    /// The face of what lies in `environment`. As many as `concurrency` synchronous calls run at
    /// once; once `stop` drains, it is not ready any more.
    pub fn new(
        environment: Arc<Environment<P>>,
        access: Access,
        concurrency: usize,
        stop: Stop,
    ) -> Self {
        Self(Arc::new(Shared { environment, access, calls: Semaphore::new(concurrency), stop }))
    }

    /// Says before anything is paid whether a job makes sense.
    async fn check(&self, job: &Job) -> Result<CallPlan, JobError> {
        job.check_expiry(self.environment.clock.now())?;
        // Of a server that cannot be asked now, the worker asks later.
        let _ = self.environment.tools.prepare(job).await;
        self.environment.check(job)
    }

    /// Every route, and those that stand `beside`, with what goes before them.
    pub fn router(self, settings: &ApiSettings, beside: Router) -> Router {
        let tracer = self.environment.tracer.clone();
        let (access, rate) = (self.access.clone(), Rate::new(settings.rate_per_second));
        let guarded = |scopes, methods: MethodRouter<Self>| {
            let guard = Guard { access: access.clone(), rate: rate.clone(), scopes };
            methods.route_layer(from_fn_with_state(guard, access::guard))
        };
        let enqueue = |methods| guarded(&[Scope::Enqueue], methods);
        let read = |methods| guarded(&[Scope::Read], methods);
        let call = |methods| guarded(&[Scope::Call], methods);
        let admin = |methods| guarded(&[Scope::Admin], methods);
        let any = |methods| guarded(&[Scope::Enqueue, Scope::Read, Scope::Call], methods);
        let routes = Router::new()
            .route("/healthz", get(healthz))
            .route("/readyz", get(readyz))
            .route("/openapi.json", get(openapi))
            .route("/v1/jobs", enqueue(post(enqueue::post)))
            .route("/v1/jobs/{id}", read(get(jobs::get)).merge(enqueue(delete(jobs::cancel))))
            .route(
                "/v1/batches/{id}",
                read(get(batches::get)).merge(enqueue(delete(batches::cancel))),
            )
            .route("/v1/batches/{id}/close", enqueue(post(batches::close)))
            .route("/v1/batches/{id}/results", read(get(batches::results)))
            .route("/v1/tools", any(get(tools::list)))
            .route("/v1/tools/{*tool}", call(post(call::tool)))
            .route("/v1/call", call(post(call::call)))
            .route("/v1/held", admin(get(held::list)))
            .route("/v1/held/{id}/{decision}", admin(post(held::decide)))
            .route("/mcp", any(mcp::methods(&self, settings)))
            .fallback(async || Problem::not_found("route"))
            .method_not_allowed_fallback(async || {
                let detail = "this route has other methods";
                Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method", detail)
            })
            .with_state(self)
            .merge(beside);
        front::before(routes, settings, tracer)
    }
}

async fn healthz() -> Response {
    (StatusCode::OK, "ok\n").into_response()
}

/// Ready while the ledger answers and nothing stops.
async fn readyz<P: Ports>(State(api): State<Api<P>>) -> Response {
    if api.stop.is_draining() {
        return Problem::unavailable("stopping", "the server is stopping").into_response();
    }
    let nobody = JobKey::from_bytes([0; 32]);
    match timeout(READY_WITHIN, api.environment.ledger.read(vec![nobody])).await {
        Ok(Ok(_)) => (StatusCode::OK, "ready\n").into_response(),
        Ok(Err(error)) => Problem::from(error).into_response(),
        Err(_) => Problem::unavailable("ledger", "the ledger does not answer").into_response(),
    }
}

async fn openapi() -> Response {
    json(StatusCode::OK, OPENAPI)
}

/// A JSON document.
fn answer(status: StatusCode, body: &impl Serialize) -> Response {
    match serde_json::to_string(body) {
        Ok(text) => json(status, text),
        Err(error) => {
            tracing::error!(%error, "an answer cannot be written");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

fn json(status: StatusCode, text: impl Into<axum::body::Body>) -> Response {
    let kind = HeaderValue::from_static("application/json");
    (status, [(header::CONTENT_TYPE, kind)], text.into()).into_response()
}
