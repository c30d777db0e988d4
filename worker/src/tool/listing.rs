//! What the catalog offers, for people and for other programs.

use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

use crate::{error::JobError, lease::Repeat};

/// One tool that jobs may call.
#[derive(Clone, Debug, Serialize)]
pub struct ToolListing {
    /// As a job names it.
    pub name: String,
    /// For people, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// What it does.
    pub description: String,
    /// The JSON Schema of a job's `input`.
    pub input_schema: Value,
    /// The JSON Schema of its result, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_schema: Option<Value>,
    /// An MCP tool's own annotations.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub annotations: Option<Value>,
    /// Whether a call may be made again when nobody saw how it ended.
    #[serde(rename = "retry", serialize_with = "retry")]
    pub repeat: Repeat,
    /// The longest a call may take.
    #[serde(rename = "timeout_s", serialize_with = "seconds")]
    pub timeout: Duration,
    /// What is wrong with it, though it can be called.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// Every tool that could be listed, and the servers that could not be asked.
#[derive(Clone, Debug)]
pub struct Listing {
    /// The tools, prompts first.
    pub tools: Vec<ToolListing>,
    /// Servers by their names, and why their tools are missing.
    pub unreachable: Vec<(String, JobError)>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn retry<S: serde::Serializer>(repeat: &Repeat, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(match repeat {
        Repeat::Safe => "safe",
        Repeat::Never => "never",
    })
}

fn seconds<S: serde::Serializer>(timeout: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(timeout.as_secs_f64())
}
