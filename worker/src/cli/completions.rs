//! `mcp-batch completions`: what a shell needs to complete commands and flags.

use std::{
    io::{self, Write},
    process::ExitCode,
};

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
pub(super) fn main(args: &Args) -> anyhow::Result<ExitCode> {
    // Written at once: the generator itself panics where nobody reads to the end.
    let mut script = Vec::new();
    generate(args.shell, &mut Cli::command(), "mcp-batch", &mut script);
    io::stdout().lock().write_all(&script)?;
    Ok(ExitCode::SUCCESS)
}
