//! `mcp-batch cancel`: what has not begun is not run.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use anyhow::Context;
use serde_json::{Value, json};

use super::{
    SOME_FAILED,
    store::Store,
    world::{Client, World, WorldArgs},
};
use crate::{
    api::{
        jobs::{Cancelling, cancel_by},
        view::BatchView,
    },
    fan_in::{BatchKey, CancelRefusal},
    job::{BatchId, JobId, ToolName},
    lease::{ClaimRequest, Ledger},
};

/// Cancels jobs that have not begun, or what of a batch has not.
///
/// Where nothing is known of a job, a tombstone is left, which it meets when it comes. The jobs of a
/// batch are cancelled, and counted, one by one when their turn comes. Exit code 1: something had
/// begun or ended, and its result stands.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The ids of the jobs.
    #[arg(value_name = "JOB_ID", required_unless_present = "batch")]
    jobs: Vec<JobId>,

    /// A batch; may be given several times.
    #[arg(long, value_name = "BATCH_ID", conflicts_with = "jobs")]
    batch: Vec<BatchId>,

    /// Print one JSON object a line.
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    world: WorldArgs,
}

/// What became of one wish.
struct Told {
    /// What was to be cancelled.
    what: String,
    is_cancelled: bool,
    /// What stands now; where there is nothing, `null`.
    document: Value,
}

/// Runs the command.
pub(super) async fn main(args: Args) -> anyhow::Result<ExitCode> {
    let world = args.world.open().await?;
    let mut are_all_cancelled = true;
    for id in &args.jobs {
        let told = cancel_job(&world, id).await.with_context(|| id.to_string())?;
        are_all_cancelled &= told.is_cancelled;
        told.print(args.json)?;
    }
    for id in &args.batch {
        let told = cancel_batch(&world, id).await.with_context(|| format!("batch {id}"))?;
        are_all_cancelled &= told.is_cancelled;
        told.print(args.json)?;
    }
    Ok(if are_all_cancelled { ExitCode::SUCCESS } else { ExitCode::from(SOME_FAILED) })
}

async fn cancel_job(world: &World, id: &JobId) -> anyhow::Result<Told> {
    match world {
        World::File(store) => job_in_store(store, id).await,
        #[cfg(feature = "aws")]
        World::Aws(store) => job_in_store(store, id).await,
        World::Server(client) => job_at_server(client, id).await,
    }
}

async fn job_in_store(store: &impl Store, id: &JobId) -> anyhow::Result<Told> {
    let desk = store.desk()?;
    let policy = &desk.policy;
    let now = desk.clock.now();
    let wish = ClaimRequest::to_cancel(&policy.namespace, id, policy.record_lives, now);
    let (is_cancelled, job) = match cancel_by(&desk.ledger, wish).await? {
        Cancelling::Cancelled(job) => (true, serde_json::to_value(job)?),
        Cancelling::TooLate(job) => (false, serde_json::to_value(job)?),
        Cancelling::Unknown => (false, Value::Null),
    };
    Ok(Told { what: id.to_string(), is_cancelled, document: job })
}

async fn job_at_server(client: &Client, id: &JobId) -> anyhow::Result<Told> {
    let (is_cancelled, document) = at_server(client, &format!("/v1/jobs/{id}")).await?;
    Ok(Told { what: id.to_string(), is_cancelled, document })
}

async fn cancel_batch(world: &World, id: &BatchId) -> anyhow::Result<Told> {
    let (is_cancelled, document) = match world {
        World::File(store) => batch_in_store(store, id).await?,
        #[cfg(feature = "aws")]
        World::Aws(store) => batch_in_store(store, id).await?,
        World::Server(client) => at_server(client, &format!("/v1/batches/{id}")).await?,
    };
    Ok(Told { what: format!("batch {id}"), is_cancelled, document })
}

async fn batch_in_store(store: &impl Store, id: &BatchId) -> anyhow::Result<(bool, Value)> {
    let desk = store.desk()?;
    let batch = desk.ledger.cancel_batch(BatchKey::of(&desk.policy.namespace, id)).await?;
    Ok(match batch {
        Ok(batch) => (true, serde_json::to_value(BatchView::from(&batch))?),
        Err(CancelRefusal::Over(batch)) => (false, serde_json::to_value(BatchView::from(&*batch))?),
        Err(CancelRefusal::Unknown) => (false, Value::Null),
    })
}

/// Whether it was cancelled, and what stands now.
async fn at_server(client: &Client, path: &str) -> anyhow::Result<(bool, Value)> {
    Ok(match client.delete(path).await {
        Ok(document) => (true, document),
        Err(refused) if refused.is_not_found() => (false, Value::Null),
        Err(refused) if refused.is_conflict() => (false, client.get(path).await?),
        Err(refused) => return Err(refused.into()),
    })
}

impl Told {
    fn print(&self, as_json: bool) -> io::Result<()> {
        let Self { what, is_cancelled, document } = self;
        let mut out = io::stdout().lock();
        if as_json {
            let line = json!({"cancelled": is_cancelled, "what": what, "now": document});
            return writeln!(out, "{line}");
        }
        match (is_cancelled, document["state"].as_str()) {
            (true, _) if document["tool"] == ToolName::unknown().as_str() => {
                writeln!(out, "{what}: not known yet; will be cancelled when it comes")
            }
            (true, _) => writeln!(out, "{what}: cancelled"),
            (false, Some(state)) => {
                writeln!(out, "{what}: {state}; it had begun or ended, and what it came to stands")
            }
            (false, None) => writeln!(out, "{what}: the ledger knows none"),
        }
    }
}
