//! A catalog with one server, `s`, and calls of its tools.

use std::time::Duration;

use mcp_batch::{
    clock::Clock,
    config::Source,
    error::JobError,
    job::Job,
    lease::Outcome,
    secret::Secrets,
    tool::{CallContext, CallPlan, Catalog, ToolError, Tools},
};
use serde_json::{Value, json};

/// A catalog with the server at `url`; `rest` are lines of its table, and tables of its tools.
pub(super) fn catalog(url: &str, rest: &str) -> Catalog {
    catalog_with(url, rest, &[])
}

/// The same with these variables set.
pub(super) fn catalog_with(url: &str, rest: &str, variables: &[(&str, &str)]) -> Catalog {
    let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let secrets = Secrets::fixed(Source::of(variables)).expect("sound settings");
    catalog_of(url, rest, &secrets)
}

pub(super) fn catalog_of(url: &str, rest: &str, secrets: &Secrets) -> Catalog {
    // A second start in one process keeps the first.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let catalog = Catalog::parse(&toml(url, rest), None, secrets, &Clock::system());
    catalog.expect("a sound catalog")
}

pub(super) fn toml(url: &str, rest: &str) -> String {
    format!("[servers.s]\nurl = \"{url}\"\n{rest}\n")
}

pub(super) fn job(tool: &str, input: &Value) -> Job {
    let job = json!({"id": format!("job-of-{tool}"), "tool": format!("s/{tool}"), "input": input});
    Job::parse(&job.to_string().into()).expect("a sound job")
}

/// All that a worker does for a call: the list, the check, the first attempt.
pub(super) async fn call(
    catalog: &Catalog,
    tool: &str,
    input: &Value,
) -> Result<Outcome, ToolError> {
    attempt(catalog, tool, input, 1).await
}

pub(super) async fn attempt(
    catalog: &Catalog,
    tool: &str,
    input: &Value,
    attempt: u32,
) -> Result<Outcome, ToolError> {
    let job = job(tool, input);
    catalog.prepare(&job).await?;
    let plan = catalog.check(&job).map_err(ToolError::free)?;
    let context = CallContext { timeout: plan.timeout, attempt, epoch: 7, spent_usd: 0.0 };
    catalog.call(&job, &context).await
}

/// What the check says once the list is there.
pub(super) async fn check(
    catalog: &Catalog,
    tool: &str,
    input: &Value,
) -> Result<CallPlan, JobError> {
    let job = job(tool, input);
    catalog.prepare(&job).await.map_err(|failure| failure.error)?;
    catalog.check(&job)
}

pub(super) fn text(text: &str) -> Value {
    json!({"content": [{"type": "text", "text": text}]})
}

/// Longer than anything here should take, shorter than the patience of the tests.
pub(super) const SOON: Duration = Duration::from_secs(20);
