//! `mcp-batch held`: jobs that wait for a person, and what that person decides.

mod decide;
mod list;

use std::process::ExitCode;

/// Jobs that wait for a person: a tool that must not be called twice was called, and nobody saw how that ended.
#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    List(list::Args),
    Retry(decide::Retry),
    Fail(decide::Fail),
    Succeed(decide::Succeed),
}

/// Runs the command.
pub(super) async fn main(args: Args) -> anyhow::Result<ExitCode> {
    match args.command {
        Command::List(args) => list::main(args).await,
        Command::Retry(args) => decide::retry(args).await,
        Command::Fail(args) => decide::fail(args).await,
        Command::Succeed(args) => decide::succeed(args).await,
    }
}
