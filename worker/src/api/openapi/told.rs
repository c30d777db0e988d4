//! What is answered and has no type of its own: it is written field by field.

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::lease::Usage;

/// Why a job did not succeed.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct ErrorBody {
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
pub(in crate::api) struct Tool {
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
pub(in crate::api) struct BatchResult {
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
