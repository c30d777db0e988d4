//! `mcp-batch callbacks`: what became of the callbacks of finished jobs and batches, and another try.

mod list;
mod resend;

use std::process::ExitCode;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    List(list::Args),
    Resend(resend::Args),
}

/// Runs the command.
pub(super) async fn main(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::List(args) => list::main(args).await,
        Command::Resend(args) => resend::main(args).await,
    }
}
