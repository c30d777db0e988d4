//! `mcp-batch sweep`: one pass over what nobody else looks after.

use std::{
    io::{self, Write},
    process::ExitCode,
    time::Duration,
};

use super::{
    SOME_FAILED,
    ledger::{LedgerArgs, OpenLedger},
    no_server::NoServerArgs,
};
use crate::{
    clock::Deadline,
    sweep::{HeldJob, Swept, sweep},
};

/// Closes batches past their expires_at, resends callbacks whose message is gone, lists held jobs.
///
/// One pass. It finds what is due by an index, so that it may run as often as you like, from several
/// places at once. A worker that goes on running sweeps by itself. Exit code 1: a callback was not
/// taken, or given up.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    ledger: LedgerArgs,

    #[command(flatten)]
    no_server: NoServerArgs,

    /// The longest that the pass may take.
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    time_s: u64,

    /// Print what it did as one JSON object.
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub(super) async fn main(args: Args) -> anyhow::Result<ExitCode> {
    let deadline = Deadline::after(Duration::from_secs(args.time_s));
    NoServerArgs::check(&args.ledger.source())?;
    let swept = match args.ledger.open().await? {
        OpenLedger::File(desk) => sweep(&desk, deadline).await?,
        #[cfg(feature = "aws")]
        OpenLedger::Table(desk) => sweep(&desk, deadline).await?,
    };
    print(&swept, args.json)?;
    let is_clean = swept.callbacks_failed + swept.callbacks_dead + swept.errors == 0;
    Ok(if is_clean { ExitCode::SUCCESS } else { ExitCode::from(SOME_FAILED) })
}

fn print(swept: &Swept, as_json: bool) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    if as_json {
        writeln!(out, "{}", serde_json::to_string(swept)?)?;
        return Ok(());
    }
    let lines = [
        ("batches closed at their expires_at", swept.batches_expired),
        ("callbacks taken", swept.callbacks_sent),
        ("callbacks not taken this time", swept.callbacks_failed),
        ("callbacks given up", swept.callbacks_dead),
        ("callbacks put off", swept.callbacks_put_off),
        ("errors of the ledger", swept.errors),
        ("jobs that wait for a person", swept.held),
        ("callbacks given up before", swept.dead),
    ];
    for (what, count) in lines {
        writeln!(out, "{count:>8}  {what}")?;
    }
    for job in &swept.held_jobs {
        let HeldJob { namespace, id, tool, held_since } = job;
        writeln!(out, "held {namespace} {id}: {tool}, since {held_since}")?;
    }
    Ok(())
}
