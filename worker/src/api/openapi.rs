//! The description of the routes (OpenAPI 3.1), made from the types that are answered with. It is a
//! file of its own, so that the program holds the text alone; the test compares the two, and
//! `UPDATE_OPENAPI=1` writes it anew.

#![expect(dead_code, reason = "what is described here is read by macros alone")]

mod routes;
mod told;

use std::{fs, path::Path};

use serde_json::{Value, json};
use utoipa::{
    Modify, OpenApi,
    openapi::security::{Http, HttpAuthScheme, SecurityScheme},
};

use self::routes::Refused;
pub(super) use self::told::{BatchResult, ErrorBody, Tool};
use super::problem::Body as Problem;

const FILE: &str = "src/api/openapi.json";

const JOB_SCHEMA: &str = include_str!("../../../fixtures/job.schema.json");

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
    paths(
        routes::healthz, routes::readyz, routes::enqueue, routes::job, routes::cancel_job, routes::batch,
        routes::cancel_batch, routes::close, routes::results, routes::tools, routes::call_tool, routes::call,
        routes::held, routes::retry, routes::fail, routes::succeed,
    ),
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
