//! The tools that are not the catalog's: sending jobs, and looking after them.

use rmcp::model::{CallToolResult, JsonObject, Tool, ToolAnnotations};
use serde::Serialize;
use serde_json::{Value, json};

use super::super::{Api, access::Caller, idempotency, problem::Problem, view::BatchView};
use crate::{config::Scope, environment::Ports};

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Own {
    EnqueueJobs,
    JobStatus,
    BatchStatus,
    BatchResults,
}

/// Those that the caller may use.
pub(super) fn tools(caller: &Caller) -> Vec<Tool> {
    Own::ALL.into_iter().filter(|own| caller.may(own.scope())).map(Own::tool).collect()
}

impl Own {
    const ALL: [Self; 4] =
        [Self::EnqueueJobs, Self::JobStatus, Self::BatchStatus, Self::BatchResults];

    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|own| own.name() == name)
    }

    fn name(self) -> &'static str {
        match self {
            Self::EnqueueJobs => "enqueue_jobs",
            Self::JobStatus => "job_status",
            Self::BatchStatus => "batch_status",
            Self::BatchResults => "batch_results",
        }
    }

    pub(super) fn scope(self) -> Scope {
        match self {
            Self::EnqueueJobs => Scope::Enqueue,
            Self::JobStatus | Self::BatchStatus | Self::BatchResults => Scope::Read,
        }
    }

    fn tool(self) -> Tool {
        let (description, schema) = match self {
            Self::EnqueueJobs => (
                "Sends up to 1,000 jobs, each one call of one tool, to be run in the background. \
                 Answers with a row for each: accepted, duplicate, or rejected and why. Ids that \
                 are left out are made.",
                enqueue_schema(),
            ),
            Self::JobStatus => ("Tells where a job stands, and its result.", id_schema("job")),
            Self::BatchStatus => ("Tells how many jobs of a batch have ended.", id_schema("batch")),
            Self::BatchResults => (
                "Results of a batch in the order of their index, a page at a time: call again with \
                 next_cursor until that is null.",
                results_schema(),
            ),
        };
        let annotations = match self {
            Self::EnqueueJobs => ToolAnnotations::new().read_only(false).destructive(false),
            _ => ToolAnnotations::new().read_only(true),
        };
        Tool::new(self.name(), description, super::object(schema))
            .with_annotations(annotations.open_world(self == Self::EnqueueJobs))
    }

    pub(super) async fn call<P: Ports>(
        self,
        api: &Api<P>,
        caller: &Caller,
        mut arguments: JsonObject,
    ) -> Result<CallToolResult, Problem> {
        match self {
            Self::EnqueueJobs => {
                let key = arguments.remove("idempotency_key");
                let key = key.as_ref().map(idempotency::of_argument).transpose()?;
                let body = Value::Object(arguments).to_string().into();
                structured(&api.enqueue(caller, key, body).await?)
            }
            Self::JobStatus => {
                let id = parsed(&arguments, "id")?;
                structured(&api.job(caller, &id).await?)
            }
            Self::BatchStatus => {
                let id = parsed(&arguments, "id")?;
                structured(&BatchView::from(&api.batch(caller, &id).await?.1))
            }
            Self::BatchResults => {
                let id = parsed(&arguments, "id")?;
                let cursor = arguments.get("cursor").and_then(Value::as_str);
                structured(&api.results(caller, &id, cursor).await?)
            }
        }
    }
}

fn structured(told: &impl Serialize) -> Result<CallToolResult, Problem> {
    serde_json::to_value(told)
        .map(CallToolResult::structured)
        .map_err(|_| Problem::bad_request("unreadable", "the answer cannot be written"))
}

fn parsed<T: std::str::FromStr<Err = String>>(
    arguments: &JsonObject,
    name: &str,
) -> Result<T, Problem> {
    let text = arguments.get(name).and_then(Value::as_str).unwrap_or_default();
    text.parse().map_err(|error| Problem::bad_request("invalid_field", error).at(name))
}

fn id_schema(what: &str) -> Value {
    json!({
        "type": "object",
        "properties": {"id": {"type": "string", "description": format!("The id of the {what}.")}},
        "required": ["id"],
        "additionalProperties": false,
    })
}

fn results_schema() -> Value {
    let mut schema = id_schema("batch");
    let cursor = json!({"type": "string", "description": "next_cursor of the page before."});
    schema["properties"]["cursor"] = cursor;
    schema
}

fn enqueue_schema() -> Value {
    json!({
        "type": "object",
        "properties": {
            "jobs": {
                "type": "array",
                "minItems": 1,
                "maxItems": 1000,
                "items": {
                    "type": "object",
                    "properties": {
                        "id": {"type": "string", "description": "Within a namespace one id is run and paid once."},
                        "tool": {"type": "string", "description": "A tool of the catalog, such as summarize or server/tool."},
                        "input": {"type": "object", "description": "What the tool is called with."},
                        "model": {"type": "string"},
                        "callback": {"type": "string", "description": "A URL that the outcome is posted to."},
                        "metadata": {"description": "Handed back untouched."},
                    },
                    "required": ["tool", "input"],
                },
            },
            "batch": {
                "type": "object",
                "description": "Counts the jobs together: batch_status and batch_results tell of it.",
                "properties": {
                    "id": {"type": "string"},
                    "callback": {"type": "string", "description": "A URL that is told when all have ended."},
                },
            },
            "idempotency_key": {"type": "string", "description": "The same key with the same jobs makes nothing twice."},
        },
        "required": ["jobs"],
        "additionalProperties": false,
    })
}
