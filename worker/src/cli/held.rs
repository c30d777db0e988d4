//! `mcp-batch held`: jobs that wait for a person, and what that person decides.

mod decide;
mod list;

use std::process::ExitCode;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    List(list::Args),
    Retry(decide::Retry),
    Fail(decide::Fail),
    Succeed(decide::Succeed),
}

/// Runs the command.
pub(super) async fn main(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::List(args) => list::main(args).await,
        Command::Retry(args) => decide::retry(args).await,
        Command::Fail(args) => decide::fail(args).await,
        Command::Succeed(args) => decide::succeed(args).await,
    }
}
