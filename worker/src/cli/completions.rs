//! `mcp-batch completions`: what a shell needs to complete commands and flags.

use std::{io, process::ExitCode};

use clap::CommandFactory;
use clap_complete::{Shell, generate};

use super::Cli;

/// Prints what makes a shell complete commands and flags.
///
/// For bash: `mcp-batch completions bash > ~/.local/share/bash-completion/completions/mcp-batch`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The shell.
    #[arg(value_enum)]
    shell: Shell,
}

/// Runs the command.
pub(super) fn main(args: &Args) -> ExitCode {
    generate(args.shell, &mut Cli::command(), "mcp-batch", &mut io::stdout().lock());
    ExitCode::SUCCESS
}
