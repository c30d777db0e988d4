//! `mcp-batch batch`: a batch's state, its results, and its size when no job tells it.

use std::{
    io::{self, Write},
    process::ExitCode,
    time::Duration,
};

use anyhow::anyhow;
use clap::builder::RangedU64ValueParser;
use serde_json::{Value, json};

use super::{
    SOME_FAILED,
    ledger::{LedgerArgs, OpenLedger},
};
use crate::{
    clock::{Deadline, UnixMs},
    environment::Post,
    fan_in::{self, BatchKey, BatchRecord, member_data},
    job::{BatchId, MAX_BATCH_JOBS},
    lease::{CallbackState, Ledger},
    sweep::Desk,
};

/// Members that are read at once.
const READ_AT_ONCE: usize = 200;

/// How long the delivery of a batch that is complete by being closed may take.
const DELIVERY_TIME: Duration = Duration::from_secs(60);

/// Shows a batch, or its results; closes it with its size.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Option<Command>,

    /// The batch's id.
    #[arg(required = true, value_parser = id)]
    id: Option<BatchId>,

    /// Print its jobs as JSON Lines, in the order of their index, those that run included.
    #[arg(long)]
    results: bool,

    /// Where to begin with that.
    #[arg(long, value_name = "INDEX", default_value_t = 0, requires = "results")]
    from: u64,

    /// Print its state as one JSON object.
    #[arg(long, conflicts_with = "results")]
    json: bool,

    #[command(flatten)]
    ledger: LedgerArgs,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Close(Close),
}

/// Tells a batch how many jobs it has; with the last of them it is complete.
///
/// For jobs that did not bring its size. If all of them have ended already, its callback is
/// delivered.
#[derive(Debug, clap::Args)]
struct Close {
    /// The batch's id.
    #[arg(value_parser = id)]
    id: BatchId,

    /// How many jobs it has.
    #[arg(long, value_name = "N",
        value_parser = RangedU64ValueParser::<u64>::new().range(1..=MAX_BATCH_JOBS))]
    size: u64,

    /// Print its state as one JSON object.
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    ledger: LedgerArgs,
}

fn id(text: &str) -> Result<BatchId, String> {
    text.parse()
}

/// Runs the command.
pub(super) async fn main(args: Args) -> anyhow::Result<ExitCode> {
    match (&args.command, &args.id) {
        (Some(Command::Close(close)), _) => {
            let key = BatchKey::of(&close.ledger.namespace()?, &close.id);
            match close.ledger.open().await? {
                OpenLedger::File(desk) => close.run(desk.post(), key).await,
                #[cfg(feature = "aws")]
                OpenLedger::Table(desk) => close.run(desk.post(), key).await,
            }
        }
        (None, Some(id)) => {
            let key = BatchKey::of(&args.ledger.namespace()?, id);
            match args.ledger.open().await? {
                OpenLedger::File(desk) => args.show(&desk.ledger, key).await,
                #[cfg(feature = "aws")]
                OpenLedger::Table(desk) => args.show(&desk.ledger, key).await,
            }
        }
        (None, None) => Err(anyhow!("expected a batch's id")),
    }
}

impl Args {
    async fn show<L: Ledger>(&self, ledger: &L, key: BatchKey) -> anyhow::Result<ExitCode> {
        let Some(batch) = ledger.batch(key).await? else {
            return Err(anyhow!("the ledger knows no such batch"));
        };
        if self.results {
            print_results(ledger, key, self.from).await?;
        } else {
            print(&batch, self.json)?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Close {
    async fn run<L: Ledger>(&self, post: Post<'_, L>, key: BatchKey) -> anyhow::Result<ExitCode> {
        let now = post.clock.now();
        let mut batch = post.ledger.close_batch(key, self.size, now).await??;
        if batch.is_over() && batch.callback.state == CallbackState::Pending {
            let deadline = Deadline::after(DELIVERY_TIME);
            fan_in::deliver_if_over(post, key, deadline).await?;
            batch = post.ledger.batch(key).await?.unwrap_or(batch);
        }
        print(&batch, self.json)?;
        let is_owed = batch.is_over() && batch.callback.state != CallbackState::Sent;
        Ok(if is_owed { ExitCode::from(SOME_FAILED) } else { ExitCode::SUCCESS })
    }
}

/// Page by page: a batch may have a million jobs.
async fn print_results<L: Ledger>(ledger: &L, key: BatchKey, from: u64) -> anyhow::Result<()> {
    let mut next = from;
    loop {
        let members = ledger.members(key, next, READ_AT_ONCE).await?;
        let Some(last) = members.last() else { return Ok(()) };
        next = last.index + 1;
        let mut out = io::stdout().lock();
        for member in &members {
            writeln!(out, "{}", member_data(member))?;
        }
    }
}

fn print(batch: &BatchRecord, as_json: bool) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    let state = state(batch);
    if as_json {
        writeln!(out, "{state}")?;
        return Ok(());
    }
    if let Value::Object(fields) = state {
        for (name, value) in fields.iter().filter(|(_, value)| !value.is_null()) {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            writeln!(out, "{name:<18}{text}")?;
        }
    }
    Ok(())
}

/// The callback's URL may be a secret: its host tells enough.
fn state(batch: &BatchRecord) -> Value {
    json!({
        "id": batch.id.as_str(),
        "size": batch.size,
        "counted": batch.counted,
        "is_complete": batch.is_complete(),
        "is_cancelled": batch.is_cancelled,
        "opened_at": batch.opened.rfc3339(),
        "expires_at": batch.expires.rfc3339(),
        "expired_at": batch.expired.map(UnixMs::rfc3339),
        "callback_host": batch.callback.callback.host(),
        "callback": batch.callback.state.name(),
        "callback_failures": batch.callback.failures,
    })
}
