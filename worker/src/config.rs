//! Every setting, typed: read once from secret, flags and environment, with a default, a unit and
//! an error that says what to write instead. The [`Keys`] alone may change later.

mod access_keys;
mod access_tokens;
mod api;
mod aws;
mod callbacks;
mod client;
mod connections;
mod grant;
mod keys;
mod llm;
mod log;
mod policy;
mod queue_url;
mod source;
mod traces;

use std::path::PathBuf;

pub use self::{
    access_keys::AccessKey,
    access_tokens::{AccessToken, Claims, access_tokens},
    api::{ApiSettings, api, listen},
    aws::{
        AwsSettings, LedgerSettings, QueueSettings, Role, aws, ledger, queue, role, secret_arn,
        visibility_timeout,
    },
    callbacks::courier,
    client::{ClientKey, ClientSettings, client},
    connections::{Connections, invocations},
    grant::{Grant, Scope},
    keys::Keys,
    llm::{llm, required_llm},
    log::log_level,
    policy::policy,
    queue_url::{InvalidQueueUrl, QueueUrl},
    source::{ConfigError, Source},
    traces::traces,
};

/// Jobs at once in one process, where nothing else is said.
pub const DEFAULT_CONCURRENCY: usize = 64;

/// The same in Lambda, where a process has nothing else to do.
pub const LAMBDA_CONCURRENCY: usize = 512;

/// The most jobs at once in one process: each holds a connection.
const MAX_CONCURRENCY: usize = 10_000;

/// `MCP_BATCH_CONCURRENCY`: jobs at once in one process, [`DEFAULT_CONCURRENCY`] or
/// [`LAMBDA_CONCURRENCY`] by default.
pub fn concurrency(source: &Source, default: usize) -> Result<usize, ConfigError> {
    let given = source.number("MCP_BATCH_CONCURRENCY", 1..=MAX_CONCURRENCY)?;
    Ok(given.unwrap_or(default))
}

/// `MCP_BATCH_DB`: the SQLite file of queue and ledger; `mcp-batch.db` in the working folder.
pub fn database(source: &Source) -> PathBuf {
    source.get("MCP_BATCH_DB").unwrap_or("mcp-batch.db").into()
}

/// `MCP_BATCH_TOOLS`: the catalog's file; the one compiled in.
pub fn tools(source: &Source) -> Option<PathBuf> {
    source.get("MCP_BATCH_TOOLS").map(PathBuf::from)
}
