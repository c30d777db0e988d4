//! `mcp-batch status`: where jobs stand.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use anyhow::Context;
use serde_json::Value;

use super::{
    SOME_FAILED, show,
    store::Store,
    world::{Client, Refused, World, WorldArgs},
};
use crate::{api::jobs::look_up, job::JobId};

/// Shows where jobs stand, with their results. Exit code 1: one is unknown.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The ids of the jobs.
    #[arg(value_name = "JOB_ID", required = true)]
    jobs: Vec<JobId>,

    /// Print one JSON object a line.
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    world: WorldArgs,
}

/// Runs the command.
pub(super) async fn main(args: Args) -> anyhow::Result<ExitCode> {
    let world = args.world.open_to_read().await?;
    let mut are_all_known = true;
    for (place, id) in args.jobs.iter().enumerate() {
        let Some(job) = find(&world, id).await.with_context(|| id.to_string())? else {
            eprintln!("{id}: there is no such job");
            are_all_known = false;
            continue;
        };
        // Of a job that only SQS might know nobody can tell.
        are_all_known &= job["state"] != "unknown";
        let mut out = io::stdout().lock();
        match args.json {
            true => writeln!(out, "{job}")?,
            false => show::fields(&mut out, &job, place > 0)?,
        }
    }
    Ok(if are_all_known { ExitCode::SUCCESS } else { ExitCode::from(SOME_FAILED) })
}

async fn find(world: &World, id: &JobId) -> anyhow::Result<Option<Value>> {
    match world {
        World::File(store) => in_store(store, id).await,
        #[cfg(feature = "aws")]
        World::Aws(store) => in_store(store, id).await,
        World::Server(client) => at_server(client, id).await,
    }
}

async fn in_store(store: &impl Store, id: &JobId) -> anyhow::Result<Option<Value>> {
    let desk = store.desk()?;
    // Without the queue's name the ledger is all that can be asked.
    let queue = store.queue().ok();
    let job = (&desk.policy.namespace, id);
    let job = look_up(&desk.ledger, queue.as_ref(), job, desk.clock.now()).await?;
    Ok(job.map(serde_json::to_value).transpose()?)
}

async fn at_server(client: &Client, id: &JobId) -> anyhow::Result<Option<Value>> {
    match client.get(&format!("/v1/jobs/{id}")).await {
        Ok(job) => Ok(Some(job)),
        Err(refused) if Refused::is_not_found(&refused) => Ok(None),
        Err(refused) => Err(refused.into()),
    }
}
