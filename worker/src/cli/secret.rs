//! `mcp-batch secret`: secrets that callbacks are signed with.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use anyhow::Context;
use serde_json::json;

use crate::webhook::NewSecret;

/// Secrets that callbacks are signed with.
#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    New(New),
}

/// Makes a secret and prints it: the line on standard output is for MCP_BATCH_CALLBACK_SECRETS and
/// for libraries of Standard Webhooks; the text below it, on standard error, is the same key as
/// n8n's Crypto credential takes it.
#[derive(Debug, clap::Args)]
struct New {
    /// Print one JSON object instead: secret and text.
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub(super) fn main(args: &Args) -> anyhow::Result<ExitCode> {
    let Command::New(new) = &args.command;
    let secret = NewSecret::generate().context("the system's random numbers cannot be had")?;
    let mut out = io::stdout().lock();
    if new.json {
        writeln!(out, "{}", json!({"secret": secret.whsec, "text": secret.text}))?;
    } else {
        writeln!(out, "{}", secret.whsec)?;
        writeln!(io::stderr(), "as text, for n8n's Crypto credential: {}", secret.text)?;
    }
    Ok(ExitCode::SUCCESS)
}
