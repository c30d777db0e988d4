//! The description of the routes (OpenAPI 3.1), made from the types that are answered with. It is a
//! file of its own, so that the program holds the text alone; the test compares the two, and
//! `UPDATE_OPENAPI=1` writes it anew.

#![expect(dead_code, reason = "what is described here is read by macros alone")]

use std::{fs, path::Path};

use serde::Serialize;
use serde_json::{Value, json};
use utoipa::{
    Modify, OpenApi, ToSchema,
    openapi::security::{Http, HttpAuthScheme, SecurityScheme},
};

use crate::lease::Usage;

use super::{
    batches::{ResultPage, Size},
    call::{Answer, Pending},
    enqueue::Enqueued,
    held::{Decided, HeldJobs, Reason},
    problem::Body as Problem,
    tools::ToolList,
    view::{BatchView, JobView},
};

const FILE: &str = "src/api/openapi.json";

const JOB_SCHEMA: &str = include_str!("../../../fixtures/job.schema.json");

/// Why a job did not succeed.
#[derive(Serialize, ToSchema)]
pub(super) struct ErrorBody {
    /// What is done about it: `invalid`, `permanent`, `configuration`, `throttled`, `transient`,
    /// `exhausted`, `interrupted` or `busy`.
    class: String,
    /// A stable word for programs.
    code: String,
    /// A sentence for people.
    message: String,
    /// Whether the unchanged job could succeed when it is sent again.
    retryable: bool,
    /// The field at fault.
    #[schema(nullable = false)]
    field: Option<String>,
}

/// A tool that jobs may call.
#[derive(Serialize, ToSchema)]
pub(super) struct Tool {
    /// As a job names it: `summarize`, or `server/tool`.
    name: String,
    #[schema(nullable = false)]
    title: Option<String>,
    description: String,
    /// The JSON Schema of a job's `input`.
    input_schema: Value,
    /// The JSON Schema of its result, where there is one.
    output_schema: Option<Value>,
    /// An MCP tool's own annotations.
    annotations: Option<Value>,
    /// Whether a call may be made again when nobody saw how it ended: `safe` or `never`.
    retry: String,
    /// The longest a call may take, in seconds.
    timeout_s: f64,
    /// What is wrong with it, though it can be called.
    #[schema(nullable = false)]
    problem: Option<String>,
}

/// A job of a batch, as the batch's callback tells it.
#[derive(Serialize, ToSchema)]
pub(super) struct BatchResult {
    /// Its place in the batch, from 0.
    index: u64,
    /// How it ended: `succeeded`, `failed`, `expired`, `held`, `cancelled`, `rejected`, or `replayed`
    /// if a person lets it run again.
    status: String,
    /// The caller's id, where it could be read.
    #[schema(nullable = false)]
    id: Option<String>,
    #[schema(nullable = false)]
    tool: Option<String>,
    /// What the tool answered: text, or JSON.
    result: Option<Value>,
    /// The result is too large for a page: `GET /v1/jobs/{id}` has it.
    #[schema(nullable = false)]
    result_omitted: Option<bool>,
    /// The answer was cut off at its limit of tokens.
    #[schema(nullable = false)]
    truncated: Option<bool>,
    /// Why it did not succeed.
    #[schema(nullable = false)]
    error: Option<ErrorBody>,
    #[schema(nullable = false)]
    usage: Option<Usage>,
    /// Calls begun.
    #[schema(nullable = false)]
    attempts: Option<u32>,
    #[schema(format = DateTime, nullable = false)]
    first_seen_at: Option<String>,
    #[schema(format = DateTime, nullable = false)]
    started_at: Option<String>,
    #[schema(format = DateTime, nullable = false)]
    finished_at: Option<String>,
    /// As it came with the job.
    metadata: Option<Value>,
}

macro_rules! route {
    ($name:ident, $($described:tt)*) => {
        #[utoipa::path($($described)*)]
        fn $name() {}
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
struct Refused(#[to_schema] Problem);

struct BearerKeys;

impl Modify for BearerKeys {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let scheme = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
        document.components.get_or_insert_default().add_security_scheme("key", scheme);
    }
}

#[derive(OpenApi)]
#[openapi(
    info(title = "mcp-batch", description = "Batches of LLM and MCP tool calls: each is paid once, and every result is posted to a callback."),
    paths(healthz, readyz, enqueue, job, cancel_job, batch, cancel_batch, close, results, tools, call_tool, call, held, retry, fail, succeed),
    components(schemas(Problem, Tool, ErrorBody), responses(Refused)),
    modifiers(&BearerKeys),
    security(("key" = [])),
    servers((url = "/"))
)]
struct Document;

/// What the macros cannot say: a job's contract is a file of its own.
fn document() -> Value {
    let mut document: Value =
        serde_json::from_str(&Document::openapi().to_json().expect("JSON")).expect("JSON");
    let schemas = &mut document["components"]["schemas"];
    let text = JOB_SCHEMA.replace("#/$defs/", "#/components/schemas/job_");
    let mut job: Value = serde_json::from_str(&text).expect("JSON");
    for (name, definition) in job["$defs"].take().as_object().expect("definitions") {
        schemas[format!("job_{name}")] = definition.clone();
    }
    let fields = job.as_object_mut().expect("an object");
    fields.retain(|name, _| !name.starts_with('$'));
    // Here ids may be left out.
    fields.insert("required".to_owned(), json!(["tool", "input"]));
    fields.insert("title".to_owned(), "NewJob".into());
    schemas["NewJob"] = job;
    schemas["NewBatch"] = new_batch();
    schemas["NewJobs"] = json!({
        "anyOf": [
            {"$ref": "#/components/schemas/NewJob"},
            {"type": "array", "minItems": 1, "maxItems": 1000, "items": {"$ref": "#/components/schemas/NewJob"}},
            {
                "type": "object",
                "required": ["jobs"],
                "additionalProperties": false,
                "properties": {
                    "batch": {"$ref": "#/components/schemas/NewBatch"},
                    "jobs": {"type": "array", "minItems": 1, "maxItems": 1000, "items": {"$ref": "#/components/schemas/NewJob"}},
                },
            },
        ],
    });
    schemas["Call"] = json!({
        "type": "object",
        "required": ["tool", "input"],
        "additionalProperties": false,
        "properties": {
            "tool": schemas["NewJob"]["properties"]["tool"],
            "input": {"type": "object", "description": "The tool's arguments."},
            "model": schemas["NewJob"]["properties"]["model"],
        },
    });
    body(
        &mut document,
        "/v1/jobs",
        "NewJobs",
        &json!([
            {"tool": "summarize", "input": {"text": "The ferry runs every hour. In winter it runs every two hours."}},
            {"id": "ticket-017", "tool": "classify", "input": {"text": "I was charged twice.", "categories": ["billing", "bug"]}},
        ]),
    );
    body(
        &mut document,
        "/v1/call",
        "Call",
        &json!({"tool": "summarize", "input": {"text": "One. Two. Three.", "sentences": 1}}),
    );
    body(
        &mut document,
        "/v1/held/{id}/retry",
        "NewJob",
        &json!({"tool": "summarize", "input": {"text": "One. Two."}}),
    );
    let input = &mut document["paths"]["/v1/tools/{tool}"]["post"]["requestBody"]["content"]["application/json"];
    *input = json!({"schema": {"type": "object"}, "example": {"text": "One. Two. Three.", "sentences": 1}});
    document
}

fn new_batch() -> Value {
    json!({
        "type": "object",
        "description": "The batch that all jobs of the request are in; their index is their place in it.",
        "required": ["callback"],
        "additionalProperties": false,
        "properties": {
            "id": {"$ref": "#/components/schemas/job_id", "description": "Made, if it is left out."},
            "callback": {"$ref": "#/components/schemas/job_callback"},
            "size": {"type": ["integer", "null"], "minimum": 1, "maximum": 1_000_000, "description": "How many jobs the whole batch has: those of this request, if nothing is said; null until it is closed."},
            "first_index": {"type": "integer", "minimum": 0, "maximum": 999_999, "description": "The index of the request's first job, where a batch comes in several requests; with size."},
            "expires_at": {"$ref": "#/components/schemas/job_time"},
        },
    })
}

fn body(document: &mut Value, path: &str, schema: &str, example: &Value) {
    let content =
        &mut document["paths"][path]["post"]["requestBody"]["content"]["application/json"];
    *content =
        json!({"schema": {"$ref": format!("#/components/schemas/{schema}")}, "example": example});
}

#[test]
fn the_file_says_what_the_types_do() {
    let made = format!("{:#}\n", document());
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(FILE);
    if std::env::var_os("UPDATE_OPENAPI").is_some() {
        fs::write(&file, &made).expect("it is written");
    }
    let kept = fs::read_to_string(&file).expect("it is there");
    assert!(
        kept == made,
        "worker/{FILE} is out of date: UPDATE_OPENAPI=1 cargo test writes it anew"
    );
}
