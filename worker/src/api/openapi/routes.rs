//! The routes, one by one: what they take, and what they answer.

use crate::api::{
    batches::{ResultPage, Size},
    call::{Answer, Pending},
    enqueue::Enqueued,
    held::{Decided, HeldJobs, Reason},
    problem::Body as Problem,
    tools::ToolList,
    view::{BatchView, JobView},
};

macro_rules! route {
    ($name:ident, $($described:tt)*) => {
        #[utoipa::path($($described)*)]
        pub(super) fn $name() {}
    };
}

route!(
    healthz,
    get,
    path = "/healthz",
    tag = "health",
    security(()),
    description = "The process answers.",
    responses((status = 200, description = "ok", body = String, content_type = "text/plain"))
);

route!(
    readyz,
    get,
    path = "/readyz",
    tag = "health",
    security(()),
    description = "The ledger answers, and the process is not about to stop.",
    responses(
        (status = 200, description = "ready", body = String, content_type = "text/plain"),
        (status = 503, response = Refused)
    )
);

route!(enqueue, post, path = "/v1/jobs", tag = "jobs",
    description = "Sends jobs: one, an array, or an object of a batch and its jobs; up to 1,000 of them, or 4 MiB. Each is judged by itself.",
    params(("Idempotency-Key" = Option<String>, Header, nullable = false, min_length = 1, max_length = 255, pattern = "^[!-~]+$", description = "Makes the request safe to repeat: ids that are made follow from it.")),
    request_body(content = Value, content_type = "application/json"),
    responses(
        (status = 202, description = "What became of each job; at least one was accepted or is known.", body = Enqueued),
        (status = 400, response = Refused), (status = 401, response = Refused), (status = 403, response = Refused),
        (status = 408, response = Refused), (status = 413, response = Refused), (status = 415, response = Refused),
        (status = 422, response = Refused), (status = 429, response = Refused), (status = 503, response = Refused)));

route!(
    job,
    get,
    path = "/v1/jobs/{id}",
    tag = "jobs",
    description = "Where a job stands, and its result.",
    params(("id" = String, Path, pattern = "^[A-Za-z0-9._:-]{1,128}$", example = "ticket-017")),
    responses(
        (status = 200, description = "The job.", body = JobView),
        (status = 400, response = Refused),
        (status = 401, response = Refused),
        (status = 403, response = Refused),
        (status = 404, response = Refused),
        (status = 429, response = Refused),
        (status = 503, response = Refused)
    )
);

route!(
    cancel_job,
    delete,
    path = "/v1/jobs/{id}",
    tag = "jobs",
    description = "Cancels a job that has not begun. Where nothing is known of it, a tombstone is left that its claim meets.",
    params(("id" = String, Path, pattern = "^[A-Za-z0-9._:-]{1,128}$", example = "ticket-018")),
    responses(
        (status = 200, description = "It is cancelled.", body = JobView),
        (status = 400, response = Refused),
        (status = 401, response = Refused),
        (status = 403, response = Refused),
        (status = 404, response = Refused),
        (status = 409, response = Refused),
        (status = 429, response = Refused),
        (status = 503, response = Refused)
    )
);

route!(
    batch,
    get,
    path = "/v1/batches/{id}",
    tag = "batches",
    description = "How far a batch is.",
    params(("id" = String, Path, pattern = "^[A-Za-z0-9._:-]{1,128}$", example = "nightly")),
    responses(
        (status = 200, description = "The batch.", body = BatchView),
        (status = 400, response = Refused),
        (status = 401, response = Refused),
        (status = 403, response = Refused),
        (status = 404, response = Refused),
        (status = 429, response = Refused),
        (status = 503, response = Refused)
    )
);

route!(
    close,
    post,
    path = "/v1/batches/{id}/close",
    tag = "batches",
    description = "Tells a batch how many jobs it has, where its jobs have not said so. With the last of them it is complete; if all have ended already, its callback is delivered.",
    params(("id" = String, Path, pattern = "^[A-Za-z0-9._:-]{1,128}$", example = "nightly")),
    request_body(content = Size, content_type = "application/json"),
    responses(
        (status = 200, description = "The batch as it is then.", body = BatchView),
        (status = 400, response = Refused),
        (status = 401, response = Refused),
        (status = 403, response = Refused),
        (status = 404, response = Refused),
        (status = 408, response = Refused),
        (status = 409, response = Refused),
        (status = 413, response = Refused),
        (status = 415, response = Refused),
        (status = 429, response = Refused),
        (status = 503, response = Refused)
    )
);

route!(
    cancel_batch,
    delete,
    path = "/v1/batches/{id}",
    tag = "batches",
    description = "Cancels what of a batch has not begun: each job is cancelled, and counted, when its turn comes. A batch that is over is refused: its results stand.",
    params(("id" = String, Path, pattern = "^[A-Za-z0-9._:-]{1,128}$", example = "nightly")),
    responses(
        (status = 200, description = "The batch.", body = BatchView),
        (status = 400, response = Refused),
        (status = 401, response = Refused),
        (status = 403, response = Refused),
        (status = 404, response = Refused),
        (status = 409, response = Refused),
        (status = 429, response = Refused),
        (status = 503, response = Refused)
    )
);

route!(
    held,
    get,
    path = "/v1/held",
    tag = "held",
    description = "Jobs that wait for a person, those that were held first first.",
    responses(
        (status = 200, description = "The jobs.", body = HeldJobs),
        (status = 401, response = Refused),
        (status = 403, response = Refused),
        (status = 429, response = Refused),
        (status = 503, response = Refused)
    )
);

route!(results, get, path = "/v1/batches/{id}/results", tag = "batches",
    description = "The results of a batch's jobs, in the order of their index, a page of about 1 MiB at a time.",
    params(("id" = String, Path, pattern = "^[A-Za-z0-9._:-]{1,128}$", example = "nightly"),
        ("cursor" = Option<String>, Query, nullable = false, description = "`next_cursor` of the page before.")),
    responses((status = 200, description = "A page.", body = ResultPage),
        (status = 400, response = Refused), (status = 401, response = Refused), (status = 403, response = Refused),
        (status = 404, response = Refused), (status = 429, response = Refused), (status = 503, response = Refused)));

route!(
    tools,
    get,
    path = "/v1/tools",
    tag = "tools",
    description = "Every tool that jobs may call, with its schema.",
    responses(
        (status = 200, description = "The tools.", body = ToolList),
        (status = 401, response = Refused),
        (status = 403, response = Refused),
        (status = 429, response = Refused)
    )
);

route!(call_tool, post, path = "/v1/tools/{tool}", tag = "tools",
    description = "Calls a tool and waits for its answer; the body is its input. With an Idempotency-Key the call is a job: it is paid once, and answered with 202 and its id after 25 s.",
    params(("tool" = String, Path, pattern = "^[A-Za-z0-9_.-]{1,64}(/[A-Za-z0-9_.-]{1,64})?$", example = "summarize"),
        ("Idempotency-Key" = Option<String>, Header, nullable = false, min_length = 1, max_length = 255, pattern = "^[!-~]+$")),
    request_body(content = Value, content_type = "application/json"),
    responses((status = 200, description = "The tool's answer.", body = Answer),
        (status = 202, description = "The call goes on.", body = Pending),
        (status = 400, response = Refused), (status = 401, response = Refused), (status = 403, response = Refused),
        (status = 408, response = Refused), (status = 409, response = Refused), (status = 413, response = Refused),
        (status = 415, response = Refused), (status = 422, response = Refused), (status = 429, response = Refused),
        (status = 502, response = Refused), (status = 503, response = Refused), (status = 504, response = Refused)));

route!(call, post, path = "/v1/call", tag = "tools",
    description = "The same, with the tool's name in the body.",
    params(("Idempotency-Key" = Option<String>, Header, nullable = false, min_length = 1, max_length = 255, pattern = "^[!-~]+$")),
    request_body(content = Value, content_type = "application/json"),
    responses((status = 200, description = "The tool's answer.", body = Answer),
        (status = 202, description = "The call goes on.", body = Pending),
        (status = 400, response = Refused), (status = 401, response = Refused), (status = 403, response = Refused),
        (status = 408, response = Refused), (status = 409, response = Refused), (status = 413, response = Refused),
        (status = 415, response = Refused), (status = 422, response = Refused), (status = 429, response = Refused),
        (status = 502, response = Refused), (status = 503, response = Refused), (status = 504, response = Refused)));

route!(
    retry,
    post,
    path = "/v1/held/{id}/retry",
    tag = "held",
    description = "Runs a held job again. The body is the job, since the ledger keeps no inputs.",
    params(("id" = String, Path, pattern = "^[A-Za-z0-9._:-]{1,128}$")),
    request_body(content = Value, content_type = "application/json"),
    responses(
        (status = 202, description = "It was sent.", body = JobView),
        (status = 400, response = Refused),
        (status = 401, response = Refused),
        (status = 403, response = Refused),
        (status = 404, response = Refused),
        (status = 408, response = Refused),
        (status = 409, response = Refused),
        (status = 413, response = Refused),
        (status = 415, response = Refused),
        (status = 429, response = Refused),
        (status = 503, response = Refused)
    )
);

route!(
    fail,
    post,
    path = "/v1/held/{id}/fail",
    tag = "held",
    description = "Gives a held job up.",
    params(("id" = String, Path, pattern = "^[A-Za-z0-9._:-]{1,128}$")),
    request_body(content = Reason, content_type = "application/json"),
    responses(
        (status = 200, description = "It has failed.", body = JobView),
        (status = 400, response = Refused),
        (status = 401, response = Refused),
        (status = 403, response = Refused),
        (status = 404, response = Refused),
        (status = 408, response = Refused),
        (status = 409, response = Refused),
        (status = 413, response = Refused),
        (status = 415, response = Refused),
        (status = 429, response = Refused),
        (status = 503, response = Refused)
    )
);

route!(
    succeed,
    post,
    path = "/v1/held/{id}/succeed",
    tag = "held",
    description = "Says what a held job's call came to.",
    params(("id" = String, Path, pattern = "^[A-Za-z0-9._:-]{1,128}$")),
    request_body(content = Decided, content_type = "application/json"),
    responses(
        (status = 200, description = "It has succeeded.", body = JobView),
        (status = 400, response = Refused),
        (status = 401, response = Refused),
        (status = 403, response = Refused),
        (status = 404, response = Refused),
        (status = 408, response = Refused),
        (status = 409, response = Refused),
        (status = 413, response = Refused),
        (status = 415, response = Refused),
        (status = 429, response = Refused),
        (status = 503, response = Refused)
    )
);

/// What went wrong (RFC 9457).
#[derive(utoipa::ToResponse)]
#[response(description = "What went wrong (RFC 9457).", content_type = "application/problem+json")]
pub(super) struct Refused(#[to_schema] Problem);
