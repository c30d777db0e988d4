//! `mcp-batch callbacks list`: those that did not arrive.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use serde_json::{Value, json};

use crate::{
    cli::{
        ledger::{LedgerArgs, OpenLedger},
        no_server::NoServerArgs,
        words::counted,
    },
    clock::UnixMs,
    lease::{Attention, CallbackSlot, Found, Ledger, LedgerError},
};

/// All that is due at any time.
const EVER: UnixMs = UnixMs(i64::MAX);

/// Lists callbacks that did not arrive: those that were given up, and those that failed and are
/// still tried. One line each: job or batch, id, state, failures, host.
///
/// It asks an index, never the whole ledger. Jobs of all namespaces are listed.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// Only those that were given up.
    #[arg(long)]
    dead: bool,

    /// The most of each kind.
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    limit: usize,

    /// Print one JSON object a line.
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    ledger: LedgerArgs,

    #[command(flatten)]
    no_server: NoServerArgs,
}

/// Runs the command.
pub(super) async fn main(args: Args) -> anyhow::Result<ExitCode> {
    NoServerArgs::check(&args.ledger.source())?;
    match args.ledger.open_to_read().await? {
        OpenLedger::File(desk) => args.list(&desk.ledger).await?,
        #[cfg(feature = "aws")]
        OpenLedger::Table(desk) => args.list(&desk.ledger).await?,
    }
    Ok(ExitCode::SUCCESS)
}

impl Args {
    async fn list<L: Ledger>(&self, ledger: &L) -> anyhow::Result<()> {
        let mut found = dead(ledger, self.limit).await?;
        if !self.dead {
            found.extend(ledger.attention(Attention::Callback, EVER, self.limit).await?);
            let batches = ledger.attention(Attention::Batch, EVER, self.limit).await?;
            found.extend(batches.into_iter().filter(has_failed));
        }
        if found.is_empty() && !self.json {
            eprintln!("No callback {}.", if self.dead { "was given up" } else { "failed" });
        }
        for line in found.iter().filter_map(Line::of) {
            let text = if self.json { line.json().to_string() } else { line.text() };
            writeln!(io::stdout(), "{text}")?;
        }
        Ok(())
    }
}

/// Callbacks that were given up, `limit` of each kind at most.
pub(super) async fn dead<L: Ledger>(ledger: &L, limit: usize) -> Result<Vec<Found>, LedgerError> {
    let mut found = ledger.attention(Attention::DeadCallback, EVER, limit).await?;
    found.extend(ledger.attention(Attention::DeadBatchCallback, EVER, limit).await?);
    Ok(found)
}

/// Most batches are simply not over yet.
fn has_failed(found: &Found) -> bool {
    matches!(found, Found::Batch(_, batch) if batch.callback.failures > 0)
}

/// One callback as it is told.
struct Line<'a> {
    kind: &'static str,
    id: &'a str,
    slot: &'a CallbackSlot,
}

impl<'a> Line<'a> {
    fn of(found: &'a Found) -> Option<Self> {
        Some(match found {
            Found::Job(record) => {
                Self { kind: "job", id: record.job_id.as_str(), slot: record.callback.as_ref()? }
            }
            Found::Batch(_, batch) => {
                Self { kind: "batch", id: batch.id.as_str(), slot: &batch.callback }
            }
        })
    }

    fn text(&self) -> String {
        let Self { kind, id, slot } = self;
        let (state, host) = (slot.state.name(), slot.callback.host());
        let failures = counted(slot.failures.into(), "failure", "failures");
        format!("{kind} {id}: {state}, {failures}, {host}")
    }

    fn json(&self) -> Value {
        json!({
            "kind": self.kind,
            "id": self.id,
            "callback": self.slot.state.name(),
            "failures": self.slot.failures,
            "host": self.slot.callback.host(),
        })
    }
}
