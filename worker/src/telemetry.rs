//! Logs: for people on a terminal, one JSON object a line elsewhere; to stderr, since stdout is
//! for results.

use std::{
    env,
    io::{self, IsTerminal},
};

use tracing_subscriber::EnvFilter;

/// Starts logging at the level of `MCP_BATCH_LOG` (`warn`). Inputs, results and secrets are not
/// logged at any level.
pub fn init() {
    let builder =
        tracing_subscriber::fmt().with_env_filter(filter(own_level())).with_writer(io::stderr);
    // A second start in one process keeps the first.
    let _ = if io::stderr().is_terminal() {
        builder.with_target(false).try_init()
    } else {
        builder.json().flatten_event(true).try_init()
    };
}

/// The same where Lambda reads along: one JSON object a line, at the level of `MCP_BATCH_LOG`, else
/// of Lambda's own control.
pub fn init_in_lambda() {
    let level = own_level().or_else(|| env::var("AWS_LAMBDA_LOG_LEVEL").ok());
    let builder = tracing_subscriber::fmt().with_env_filter(filter(level));
    let _ = builder.with_writer(io::stderr).json().flatten_event(true).try_init();
}

fn own_level() -> Option<String> {
    env::var("MCP_BATCH_LOG").ok().filter(|level| !level.is_empty())
}

/// `warn` where nothing, or nothing sensible, is asked for. `FATAL` is Lambda's word for less than
/// `ERROR`, which is the least there is.
fn filter(level: Option<String>) -> EnvFilter {
    let level = level.map(|level| level.to_lowercase().replace("fatal", "error"));
    level.and_then(|level| EnvFilter::try_new(level).ok()).unwrap_or_else(|| EnvFilter::new("warn"))
}
