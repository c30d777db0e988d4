//! `mcp-batch dlq`: what lies with the dead letters, and how it comes back.

mod list;
mod meant;
mod place;
mod purge;
mod replay;
mod show;
mod table;

use std::process::ExitCode;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    List(list::Args),
    Show(show::Args),
    Replay(Box<replay::Args>),
    Purge(purge::Args),
}

/// Runs the command.
pub(super) async fn main(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::List(args) => list::main(args).await,
        Command::Show(args) => show::main(args).await,
        // Boxed: the others would keep room for it.
        Command::Replay(args) => Box::pin(replay::main(*args)).await,
        Command::Purge(args) => Box::pin(purge::main(args)).await,
    }
}
