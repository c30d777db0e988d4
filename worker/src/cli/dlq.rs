//! `mcp-batch dlq`: what lies with the dead letters, and how it comes back.

mod list;
mod meant;
mod place;
mod purge;
mod replay;
mod show;
mod table;

use std::process::ExitCode;

/// Lists, shows, replays and deletes dead letters.
///
/// Each is joined with the ledger, which knows where its job stands. Only `replay --apply` and `purge --yes` change
/// anything.
#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    List(list::Args),
    Show(show::Args),
    Replay(Box<replay::Args>),
    Purge(purge::Args),
}

/// Runs the command.
pub(super) async fn main(args: Args) -> anyhow::Result<ExitCode> {
    match args.command {
        Command::List(args) => list::main(args).await,
        Command::Show(args) => show::main(args).await,
        // Boxed: the others would keep room for it.
        Command::Replay(args) => Box::pin(replay::main(*args)).await,
        Command::Purge(args) => Box::pin(purge::main(args)).await,
    }
}

/// What is not shown of the message of an upstream: what could command the terminal.
fn on_one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
