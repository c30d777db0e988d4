//! Jobs to send.

use serde_json::{Value, json};

/// A job that the LLM answers with an echo.
pub(crate) fn job(id: &str) -> Value {
    json!({"id": id, "tool": "summarize", "input": {"text": text_of(id)}})
}

/// What only that job's prompt contains.
pub(crate) fn text_of(id: &str) -> String {
    format!("<{id}>")
}

/// The same job with a callback.
pub(crate) fn with_callback(mut job: Value, url: &str) -> Value {
    job["callback"] = url.into();
    job
}
