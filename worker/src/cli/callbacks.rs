//! `mcp-batch callbacks`: what became of the callbacks of finished jobs and batches, and another try.

mod list;
mod resend;

use std::process::ExitCode;

/// The callbacks of finished jobs and batches.
#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    List(list::Args),
    Resend(resend::Args),
}

/// Runs the command.
pub(super) async fn main(args: Args) -> anyhow::Result<ExitCode> {
    match args.command {
        Command::List(args) => list::main(args).await,
        Command::Resend(args) => resend::main(args).await,
    }
}
