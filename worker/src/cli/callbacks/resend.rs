//! `mcp-batch callbacks resend`: another try, whatever became of those before.

use std::{
    io::{self, Write},
    process::ExitCode,
    time::Duration,
};

use anyhow::Context;
use serde_json::json;

use super::list::dead;
use crate::{
    cli::{
        SOME_FAILED,
        ledger::{LedgerArgs, OpenLedger},
        no_server::NoServerArgs,
    },
    clock::Deadline,
    environment::Post,
    fan_in::BatchKey,
    job::{BatchId, JobId, JobKey, Namespace},
    lease::{CallbackState, Found, Ledger},
    resend::{Resent, resend, resend_batch},
    sweep::Desk,
};

/// How long one callback may take, beside what the courier allows.
const MARGIN: Duration = Duration::from_secs(5);

/// The most of each kind that `--all-dead` takes.
const MOST: usize = 10_000;

/// Sends callbacks again, whatever became of them: the stored outcome, under its old webhook-id;
/// nothing is run. Exit code 1: one was not taken.
///
/// Each is tried once. What a receiver does not take now is due again, and a sweep looks after it.
/// Secrets, header and allowed hosts come from the same variables as those of the worker.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// The ids of the jobs.
    #[arg(value_name = "JOB_ID", required_unless_present_any = ["batch", "all_dead"])]
    jobs: Vec<JobId>,

    /// A batch whose callback is to be sent again; may be given several times.
    #[arg(long, value_name = "BATCH_ID")]
    batch: Vec<BatchId>,

    /// All callbacks that were given up, of jobs and of batches in all namespaces.
    #[arg(long, conflicts_with_all = ["jobs", "batch"])]
    all_dead: bool,

    /// Print one JSON object a line.
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    ledger: LedgerArgs,

    #[command(flatten)]
    no_server: NoServerArgs,
}

/// One callback to send.
struct Due {
    told_as: String,
    key: DueKey,
}

enum DueKey {
    Job(JobKey),
    Batch(BatchKey),
}

/// Runs the command.
pub(super) async fn main(args: Args) -> anyhow::Result<ExitCode> {
    NoServerArgs::check(&args.ledger.source())?;
    let namespace = args.ledger.namespace()?;
    match args.ledger.open().await? {
        OpenLedger::File(desk) => args.resend(desk.post(), &namespace).await,
        #[cfg(feature = "aws")]
        OpenLedger::Table(desk) => args.resend(desk.post(), &namespace).await,
    }
}

impl Args {
    /// One after another; the exit code says whether all were taken.
    async fn resend<L: Ledger>(
        &self,
        post: Post<'_, L>,
        namespace: &Namespace,
    ) -> anyhow::Result<ExitCode> {
        let mut are_all_sent = true;
        for Due { told_as, key } in self.due(post.ledger, namespace).await? {
            let deadline = Deadline::after(post.courier.longest_delivery() + MARGIN);
            let resent = match key {
                DueKey::Job(key) => resend(post, key, deadline).await,
                DueKey::Batch(key) => resend_batch(post, key, deadline).await,
            };
            let resent = resent.with_context(|| told_as.clone())?;
            let is_sent = resent == Resent::Tried(CallbackState::Sent);
            are_all_sent &= is_sent;
            let told = told(&resent);
            match self.json {
                true => {
                    let line = json!({"what": told_as, "sent": is_sent, "told": told});
                    writeln!(io::stdout(), "{line}")?;
                }
                false => writeln!(io::stdout(), "{told_as}: {told}")?,
            }
        }
        Ok(if are_all_sent { ExitCode::SUCCESS } else { ExitCode::from(SOME_FAILED) })
    }

    async fn due<L: Ledger>(&self, ledger: &L, namespace: &Namespace) -> anyhow::Result<Vec<Due>> {
        if self.all_dead {
            return Ok(dead(ledger, MOST).await?.into_iter().map(Due::from).collect());
        }
        let job = |id: &JobId| Due {
            told_as: id.to_string(),
            key: DueKey::Job(JobKey::of(namespace, id)),
        };
        let batch = |id: &BatchId| Due {
            told_as: format!("batch {id}"),
            key: DueKey::Batch(BatchKey::of(namespace, id)),
        };
        Ok(self.jobs.iter().map(job).chain(self.batch.iter().map(batch)).collect())
    }
}

impl From<Found> for Due {
    fn from(found: Found) -> Self {
        match found {
            Found::Job(record) => {
                Self { told_as: record.job_id.to_string(), key: DueKey::Job(record.key) }
            }
            Found::Batch(key, batch) => {
                Self { told_as: format!("batch {}", batch.id), key: DueKey::Batch(key) }
            }
        }
    }
}

fn told(resent: &Resent) -> String {
    match resent {
        Resent::Tried(CallbackState::Sent) => "sent".to_owned(),
        Resent::Tried(CallbackState::Pending) => "pending: the receiver did not take it".to_owned(),
        Resent::Tried(CallbackState::Dead(why)) => why.name().to_owned(),
        Resent::Untried => "pending: its receiver fails or is busy".to_owned(),
        Resent::Refused(refusal) => format!("not sent: {refusal}"),
        Resent::NotOver => "not sent: no such batch is over".to_owned(),
    }
}
