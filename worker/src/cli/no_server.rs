//! A server that cannot help, so that whoever tries it learns what can.

use anyhow::ensure;

use super::ledger::Place;
use crate::config::Source;

/// What no server is asked for.
#[derive(Debug, clap::Args)]
pub(super) struct NoServerArgs {
    /// No server tells of that.
    #[arg(long = "api", value_name = "URL", hide = true, value_parser = refused)]
    api_url: Option<String>,
}

impl NoServerArgs {
    /// Whoever has named a server by the variable alone means its jobs, and not those of a file that happens to lie here.
    pub(super) fn check(source: &Source) -> anyhow::Result<()> {
        let is_meant = source.get("MCP_BATCH_API_URL").is_some() && !Place::is_named(source);
        ensure!(!is_meant, "MCP_BATCH_API_URL: {}", instead());
        Ok(())
    }
}

fn refused(_: &str) -> Result<String, String> {
    Err(instead())
}

fn instead() -> String {
    let instead = if cfg!(feature = "aws") {
        "name the file that it serves (--db), or its queues and table on AWS (--queue-url, --dlq-url, --table; \
         callbacks, cost and sweep need the table alone)"
    } else {
        "name the file that it serves (--db)"
    };
    format!("a server is not asked for this by HTTP; {instead}")
}
