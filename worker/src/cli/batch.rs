//! `mcp-batch batch`: where a batch stands, and its size when no job tells it.

mod watch;

use std::{
    io::{self, Write},
    process::ExitCode,
    time::Duration,
};

use anyhow::anyhow;
use clap::builder::RangedU64ValueParser;
use serde_json::{Value, json};

use super::{
    SOME_FAILED, show,
    store::Store,
    world::{World, WorldArgs},
};
use crate::{
    api::view::BatchView,
    clock::Deadline,
    fan_in::{BatchKey, deliver_patiently},
    job::{BatchId, MAX_BATCH_JOBS},
    lease::Ledger,
    sweep::Desk,
};

/// For how long the callback is tried of a batch that is complete by being closed.
const PATIENCE: Duration = Duration::from_secs(60);

/// Shows where a batch stands; closes it with its size.
///
/// Exit code 1: the ledger knows no such batch, or it was closed at its expires_at, before all of its jobs had ended; with
/// --watch, it is not complete.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Option<Command>,

    /// The batch's id.
    #[arg(value_name = "BATCH_ID", required = true)]
    id: Option<BatchId>,

    /// Wait until all of its jobs have ended, or its time is over.
    #[arg(long)]
    watch: bool,

    /// Print one JSON object.
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    world: WorldArgs,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Close(Close),
}

/// Tells a batch how many jobs it has; with the last of them it is complete.
///
/// For jobs that did not bring its size. If all of them have ended already, its callback is
/// delivered. Exit code 1: it was not taken yet.
#[derive(Debug, clap::Args)]
struct Close {
    /// The batch's id.
    #[arg(value_name = "BATCH_ID")]
    id: BatchId,

    /// How many jobs it has.
    #[arg(long, value_name = "N",
        value_parser = RangedU64ValueParser::<u64>::new().range(1..=MAX_BATCH_JOBS))]
    size: u64,

    /// Print one JSON object.
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    world: WorldArgs,
}

/// Runs the command.
pub(super) async fn main(args: Args) -> anyhow::Result<ExitCode> {
    match (&args.command, &args.id) {
        (Some(Command::Close(close)), _) => close.run().await,
        (None, Some(id)) => args.show(id).await,
        (None, None) => Err(anyhow!("expected a batch's id")),
    }
}

impl Args {
    async fn show(&self, id: &BatchId) -> anyhow::Result<ExitCode> {
        let world = self.world.open_to_read().await?;
        let batch = match self.watch {
            true => watch::until_over(&world, id, self.json).await?,
            false => find(&world, id).await?,
        };
        let Some(batch) = batch else { return Ok(unknown(id)) };
        print(&batch, self.json)?;
        let is_well = match self.watch {
            true => batch["state"] == "complete",
            false => batch["state"] != "expired",
        };
        Ok(if is_well { ExitCode::SUCCESS } else { ExitCode::from(SOME_FAILED) })
    }
}

impl Close {
    async fn run(&self) -> anyhow::Result<ExitCode> {
        let batch = match self.world.open().await? {
            World::File(store) => self.in_store(&store).await?,
            #[cfg(feature = "aws")]
            World::Aws(store) => self.in_store(&store).await?,
            World::Server(client) => {
                let size = json!({"size": self.size}).to_string();
                client.post(&format!("/v1/batches/{}/close", self.id), &size).await?
            }
        };
        print(&batch, self.json)?;
        let is_owed = batch["state"] != "open" && batch["callback"] != "sent";
        Ok(if is_owed { ExitCode::from(SOME_FAILED) } else { ExitCode::SUCCESS })
    }

    async fn in_store(&self, store: &impl Store) -> anyhow::Result<Value> {
        let desk = store.desk()?;
        let key = BatchKey::of(&desk.policy.namespace, &self.id);
        let mut batch = desk.ledger.close_batch(key, self.size, desk.clock.now()).await??;
        if batch.is_over() {
            deliver_patiently(desk.post(), key, Deadline::after(PATIENCE)).await?;
            batch = desk.ledger.batch(key).await?.unwrap_or(batch);
        }
        Ok(serde_json::to_value(BatchView::from(&batch))?)
    }
}

/// Says that there is none.
pub(super) fn unknown(id: &BatchId) -> ExitCode {
    eprintln!("batch {id}: the ledger knows none; it does from the moment its first job begins");
    ExitCode::from(SOME_FAILED)
}

/// The batch as it is now, if there is one.
pub(super) async fn find(world: &World, id: &BatchId) -> anyhow::Result<Option<Value>> {
    match world {
        World::File(store) => in_store(store, id).await,
        #[cfg(feature = "aws")]
        World::Aws(store) => in_store(store, id).await,
        World::Server(client) => match client.get(&format!("/v1/batches/{id}")).await {
            Err(refused) if refused.is_not_found() => Ok(None),
            answered => Ok(Some(answered?)),
        },
    }
}

async fn in_store(store: &impl Store, id: &BatchId) -> anyhow::Result<Option<Value>> {
    let desk = store.desk()?;
    let batch = desk.ledger.batch(BatchKey::of(&desk.policy.namespace, id)).await?;
    Ok(batch.map(|batch| serde_json::to_value(BatchView::from(&batch))).transpose()?)
}

fn print(batch: &Value, as_json: bool) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match as_json {
        true => writeln!(out, "{batch}"),
        false => show::fields(&mut out, batch, false),
    }
}
