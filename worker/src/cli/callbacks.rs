//! `mcp-batch callbacks`: what became of the callbacks of finished jobs, and another try.

use std::{
    io::{self, Write},
    path::Path,
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context, ensure};

use super::SOME_FAILED;
use crate::{
    clock::{Clock, Deadline},
    config::{self, Source},
    job::{JobId, JobKey},
    lease::{CallbackState, Ledger},
    local::{Database, SqliteLedger},
    resend::{Resent, resend},
    secret::Secrets,
    webhook::{Courier, NotTried},
};

/// How long one callback may take, beside what the courier allows.
const MARGIN: Duration = Duration::from_secs(5);

/// The callbacks of finished jobs.
#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Resend(Resend),
}

/// Sends the callbacks of these jobs again, whatever became of them: the stored outcome, under its
/// old webhook-id; nothing is run.
///
/// A receiver that does not take it now leaves the callback due. Secrets, header and allowed hosts
/// come from the same variables as those of the worker.
#[derive(Debug, clap::Args)]
struct Resend {
    /// The ids of the jobs.
    #[arg(value_name = "JOB_ID", required = true)]
    jobs: Vec<JobId>,

    #[command(flatten)]
    place: Place,
}

/// Where the ledger is.
#[derive(Debug, clap::Args)]
struct Place {
    /// The ledger, an SQLite file [env: MCP_BATCH_DB] [default: mcp-batch.db].
    #[arg(long, value_name = "FILE", conflicts_with = "table")]
    db: Option<String>,

    /// The ledger, a DynamoDB table; it goes before the file [env: MCP_BATCH_TABLE].
    #[arg(long, value_name = "NAME")]
    table: Option<String>,

    /// Whose jobs these are [env: MCP_BATCH_NAMESPACE] [default: default].
    #[arg(long, value_name = "NAME")]
    namespace: Option<String>,
}

impl Place {
    fn source(&self) -> Source {
        Source::from_env()
            .with("MCP_BATCH_DB", self.db.as_ref())
            .with("MCP_BATCH_TABLE", self.table.as_ref())
            .with("MCP_BATCH_NAMESPACE", self.namespace.as_ref())
    }

    /// The table, unless a file was typed.
    fn table(&self, source: &Source) -> anyhow::Result<Option<String>> {
        Ok(if self.db.is_some() { None } else { config::table(source)? })
    }
}

/// Runs the command.
pub(super) async fn main(args: Args) -> anyhow::Result<ExitCode> {
    let Command::Resend(args) = args.command;
    let (source, clock) = (args.place.source(), Clock::system());
    match args.place.table(&source)? {
        None => {
            let path = config::database(&source);
            let ledger = open(&path, &clock)?;
            let secrets = Secrets::fixed(source)?;
            resend_all(&ledger, secrets, clock, &args.jobs).await
        }
        Some(table) => resend_in_table(source, &table, clock, &args.jobs).await,
    }
}

fn open(path: &Path, clock: &Clock) -> anyhow::Result<SqliteLedger> {
    ensure!(path.exists(), "--db: expected a ledger, found no file {}", path.display());
    Ok(SqliteLedger::new(Database::open(path, clock.clone())?))
}

#[cfg(feature = "aws")]
async fn resend_in_table(
    source: Source,
    table: &str,
    clock: Clock,
    jobs: &[JobId],
) -> anyhow::Result<ExitCode> {
    let (ledger, secrets) = crate::aws::setup::open_ledger(source, table, clock.clone()).await?;
    resend_all(&ledger, secrets, clock, jobs).await
}

#[cfg(not(feature = "aws"))]
async fn resend_in_table(_: Source, _: &str, _: Clock, _: &[JobId]) -> anyhow::Result<ExitCode> {
    anyhow::bail!("--table: this mcp-batch was built without AWS")
}

/// One after another; the exit code says whether all were taken.
async fn resend_all<L: Ledger>(
    ledger: &L,
    secrets: Secrets,
    clock: Clock,
    jobs: &[JobId],
) -> anyhow::Result<ExitCode> {
    let keys = secrets.current();
    let namespace = config::policy(keys.source())?.namespace;
    let courier = Courier::new(config::courier(keys.source())?, secrets, clock.clone());
    let courier = courier.map_err(anyhow::Error::msg)?;
    let mut are_all_sent = true;
    for id in jobs {
        let deadline = Deadline::after(courier.longest_delivery() + MARGIN);
        let key = JobKey::of(&namespace, id);
        let resent = resend(ledger, &courier, &clock, key, deadline).await;
        let resent = resent.with_context(|| format!("{id}: the ledger cannot be reached"))?;
        are_all_sent &= resent == Resent::Tried(CallbackState::Sent);
        writeln!(io::stdout(), "{id}: {}", told(&resent))?;
    }
    Ok(if are_all_sent { ExitCode::SUCCESS } else { ExitCode::from(SOME_FAILED) })
}

fn told(resent: &Resent) -> String {
    match resent {
        Resent::Tried(CallbackState::Sent) => "sent".to_owned(),
        Resent::Tried(CallbackState::Pending) => {
            "pending: the receiver did not take it; try again later".to_owned()
        }
        Resent::Tried(CallbackState::Dead(why)) => why.name().to_owned(),
        Resent::Untried(NotTried::Failing { .. }) => {
            "pending: its receiver fails, and is left alone for a moment".to_owned()
        }
        Resent::Untried(NotTried::NoTurn | NotTried::NoTime) => {
            "pending: its receiver was busy; try again later".to_owned()
        }
        Resent::Refused(refusal) => format!("not sent: {refusal}"),
    }
}
