//! `--api` where a server cannot help, so that whoever tries it learns what can.

/// What no server is asked for.
#[derive(Debug, clap::Args)]
pub(super) struct NoServerArgs {
    /// No server tells of that.
    #[arg(long = "api", value_name = "URL", hide = true, value_parser = refused)]
    api_url: Option<String>,
}

fn refused(_: &str) -> Result<String, String> {
    let instead = if cfg!(feature = "aws") {
        "name the file that it serves (--db), or its queues and table on AWS (--queue-url, --dlq-url, --table; \
         callbacks, cost and sweep need the table alone)"
    } else {
        "name the file that it serves (--db)"
    };
    Err(format!("a server is not asked for this by HTTP; {instead}"))
}
