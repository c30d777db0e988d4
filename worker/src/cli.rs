//! The command line: one file a command. Exit codes: 0 all succeeded, 1 some failed or wait, 2 bad
//! usage or unreadable input.

#![expect(
    clippy::doc_markdown,
    clippy::print_stderr,
    reason = "doc comments are the help that people read; a command prints"
)]

mod batch;
mod call;
mod callbacks;
mod cancel;
mod completions;
mod cost;
mod dlq;
mod enqueue;
mod held;
mod input;
mod ledger;
mod metrics;
mod no_server;
mod output;
#[cfg(feature = "aws")]
mod poll;
mod responsible;
mod results;
mod run;
mod secret;
mod serve;
mod setup;
mod show;
mod status;
mod store;
mod sweep;
mod tools;
mod words;
mod world;

use std::{
    io::{self, Write},
    process::ExitCode,
    time::Duration,
};

use clap::{Parser, Subcommand};

use crate::{
    config::{self, Source},
    telemetry::{self, Level},
};

/// Some jobs failed, or wait.
const SOME_FAILED: u8 = 1;

/// Bad usage, or unreadable input.
const BAD_USAGE: u8 = 2;

/// How long a command that has ended waits for what it left behind.
const LEFT_BEHIND: Duration = Duration::from_millis(500);

/// What a shell says of a program whose output nobody reads: 128 and the number of SIGPIPE.
const UNREAD: u8 = 141;

/// Runs batches of LLM and MCP tool calls from a queue, and pays for each call once.
#[derive(Debug, Parser)]
#[command(version, propagate_version = true, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(run::Args),
    Tools(tools::Args),
    Call(call::Args),
    Serve(serve::Args),
    #[cfg(feature = "aws")]
    Poll(poll::Args),
    Enqueue(Box<enqueue::Args>),
    Status(status::Args),
    Batch(batch::Args),
    Results(results::Args),
    Cancel(cancel::Args),
    /// The callbacks of finished jobs and batches.
    #[command(subcommand, arg_required_else_help = true)]
    Callbacks(callbacks::Command),
    Cost(cost::Args),
    /// Lists, shows, replays and deletes dead letters.
    ///
    /// Each is joined with the ledger, which knows where its job stands. Only `replay --apply` and `purge --yes` change
    /// anything.
    #[command(subcommand, arg_required_else_help = true)]
    Dlq(dlq::Command),
    /// Jobs that wait for a person: a tool that must not be called twice was called, and nobody saw how that ended.
    #[command(subcommand, arg_required_else_help = true)]
    Held(Box<held::Command>),
    Secret(secret::Args),
    Sweep(sweep::Args),
    Completions(completions::Args),
}

impl Command {
    /// What goes on by itself tells of each job; of what a person waits for, the answer tells.
    fn log_level(&self) -> Level {
        match self {
            Self::Serve(_) => Level::Info,
            #[cfg(feature = "aws")]
            Self::Poll(_) => Level::Info,
            _ => Level::Warn,
        }
    }

    fn run(self) -> anyhow::Result<ExitCode> {
        match self {
            Self::Run(args) => block_on(run::main(args)),
            Self::Tools(args) => block_on(tools::main(args)),
            Self::Call(args) => block_on(call::main(args)),
            Self::Serve(args) => block_on(serve::main(args)),
            #[cfg(feature = "aws")]
            Self::Poll(args) => block_on(poll::main(args)),
            Self::Enqueue(args) => block_on(enqueue::main(*args)),
            Self::Status(args) => block_on(status::main(args)),
            Self::Batch(args) => block_on(batch::main(args)),
            Self::Results(args) => block_on(results::main(args)),
            Self::Cancel(args) => block_on(cancel::main(args)),
            Self::Callbacks(args) => block_on(callbacks::main(args)),
            Self::Cost(args) => block_on(cost::main(args)),
            Self::Dlq(args) => block_on(dlq::main(args)),
            Self::Held(args) => block_on(held::main(*args)),
            Self::Secret(args) => secret::main(&args),
            Self::Sweep(args) => block_on(sweep::main(args)),
            Self::Completions(args) => completions::main(&args),
        }
    }
}

/// Runs what was typed.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = match config::log_level(&Source::from_env()) {
        Ok(level) => {
            telemetry::init(level.unwrap_or(cli.command.log_level()));
            cli.command.run()
        }
        Err(error) => Err(error.into()),
    };
    result.unwrap_or_else(|error| {
        if is_unread(&error) {
            return ExitCode::from(UNREAD);
        }
        // There is nobody to tell if that cannot be written.
        let _ = writeln!(io::stderr(), "error: {error:#}");
        ExitCode::from(BAD_USAGE)
    })
}

/// Whoever read what is printed has gone, as `head` does.
fn is_unread(error: &anyhow::Error) -> bool {
    let kinds = error.chain().filter_map(|it| it.downcast_ref::<io::Error>()).map(io::Error::kind);
    kinds.into_iter().any(|kind| kind == io::ErrorKind::BrokenPipe)
}

/// The async runtime, with enough file descriptors for the connections of the concurrency.
fn block_on(command: impl Future<Output = anyhow::Result<ExitCode>>) -> anyhow::Result<ExitCode> {
    // Without them, connections fail later with an error that says so.
    let _ = rlimit::increase_nofile_limit(u64::MAX);
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let ended = runtime.block_on(command);
    // What it left behind may hang, as a look for a name does.
    runtime.shutdown_timeout(LEFT_BEHIND);
    ended
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        super::Cli::command().debug_assert();
    }
}
