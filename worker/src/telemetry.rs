//! Logs: for people on a terminal, one JSON object a line elsewhere; to stderr, since stdout is
//! for results.

use std::io::{self, IsTerminal};

use tracing_subscriber::EnvFilter;

/// Starts logging at the level of `MCP_BATCH_LOG` (`warn`). Inputs, results and secrets are not
/// logged at any level.
pub fn init() {
    let filter =
        EnvFilter::try_from_env("MCP_BATCH_LOG").unwrap_or_else(|_| EnvFilter::new("warn"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    // A second start in one process keeps the first.
    let _ = if io::stderr().is_terminal() {
        builder.with_target(false).try_init()
    } else {
        builder.json().flatten_event(true).try_init()
    };
}
