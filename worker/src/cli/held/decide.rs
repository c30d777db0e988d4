//! `mcp-batch held retry`, `fail`, `succeed`.

use std::{
    fs,
    io::{self, Read, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, bail};
use bytes::Bytes;
use serde::Serialize;
use serde_json::{Value, json};

use crate::{
    api::view::JobView,
    cli::{
        SOME_FAILED,
        responsible::ResponsibleArgs,
        show,
        store::Store,
        world::{Client, Refused, World, WorldArgs},
    },
    clock::Clock,
    held,
    job::{Job, JobId, JobKey, PayloadHash},
    lease::{Decision, Ledger},
    queue::Queue,
    sweep::Desk,
};

/// Runs a held job again: the tool is called once more. Exit code 1: it is not held.
///
/// The ledger keeps no inputs, so the job comes along. It may differ from what was sent first. A failed or a cancelled
/// job can be run again like that, too.
#[derive(Debug, clap::Args)]
pub(super) struct Retry {
    #[command(flatten)]
    of: Of,

    /// The job, a JSON object, with or without its id; - is standard input.
    #[arg(long, value_name = "FILE")]
    job: PathBuf,
}

/// Gives a held job up: the call did not do what it should. Its callback is told. Exit code 1: it is not held.
#[derive(Debug, clap::Args)]
pub(super) struct Fail {
    #[command(flatten)]
    of: Of,

    /// What its callback is told; 1 to 500 characters [default: the reason].
    #[arg(long, value_name = "TEXT")]
    message: Option<String>,
}

/// Says how the call of a held job ended. Its callback is told. Exit code 1: it is not held.
#[derive(Debug, clap::Args)]
pub(super) struct Succeed {
    #[command(flatten)]
    of: Of,

    /// The result, JSON; - is standard input.
    #[arg(long, value_name = "FILE")]
    result: PathBuf,
}

/// What all decisions have in common.
#[derive(Debug, clap::Args)]
struct Of {
    /// The job's id.
    #[arg(value_name = "JOB_ID")]
    id: JobId,

    #[command(flatten)]
    responsible: ResponsibleArgs,

    /// Print one JSON object.
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    world: WorldArgs,
}

/// A decision, as a server takes it and as the ledger does.
enum Verdict {
    Retry(Box<Job>, Bytes),
    Fail(String),
    Succeed(Value),
}

/// What became of it.
enum Told {
    /// It stands, and so the job; with what it was called with before, as far as that is known here.
    Done(Value, Option<PayloadHash>),
    /// The job is not one that can be decided about.
    Refused(String),
}

/// An audit line.
#[derive(Serialize)]
struct Entry<'a> {
    action: &'static str,
    job_id: &'a str,
    tool: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload_hash_before: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload_hash_after: Option<String>,
}

/// Runs `held retry`.
pub(super) async fn retry(args: Retry) -> anyhow::Result<ExitCode> {
    let body = job_text(&args.of.id, &read(&args.job)?)
        .with_context(|| format!("{}: the job", args.job.display()))?;
    let job = Job::parse(&body).map_err(|invalid| invalid.error())?;
    args.of.carry_out(Verdict::Retry(Box::new(job), body)).await
}

/// Runs `held fail`.
pub(super) async fn fail(args: Fail) -> anyhow::Result<ExitCode> {
    let message = args.message.or_else(|| args.of.responsible.reason()).unwrap_or_default();
    if !(1..=500).contains(&message.chars().count()) {
        bail!("--message: expected 1 to 500 characters, found {}", message.chars().count());
    }
    args.of.carry_out(Verdict::Fail(message)).await
}

/// Runs `held succeed`.
pub(super) async fn succeed(args: Succeed) -> anyhow::Result<ExitCode> {
    let result = serde_json::from_slice(&read(&args.result)?)
        .with_context(|| format!("{}: expected JSON", args.result.display()))?;
    args.of.carry_out(Verdict::Succeed(result)).await
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    if path == Path::new("-") {
        let mut bytes = Vec::new();
        io::stdin().read_to_end(&mut bytes)?;
        return Ok(bytes);
    }
    fs::read(path).with_context(|| format!("{}: it cannot be read", path.display()))
}

/// The job's text with its id.
fn job_text(id: &JobId, text: &[u8]) -> anyhow::Result<Bytes> {
    let mut job: serde_json::Map<String, Value> =
        serde_json::from_slice(text).context("expected a JSON object")?;
    match job.get("id") {
        None => {
            job.insert("id".to_owned(), id.as_str().into());
            Ok(Value::from(job).to_string().into())
        }
        Some(other) if other == id.as_str() => Ok(text.to_vec().into()),
        Some(_) => bail!("id: expected {id}, or none"),
    }
}

impl Of {
    async fn carry_out(&self, verdict: Verdict) -> anyhow::Result<ExitCode> {
        let mut audit = self.responsible.open()?;
        let (action, after) = match &verdict {
            Verdict::Retry(job, _) => ("held retry", Some(job.payload_hash().to_string())),
            Verdict::Fail(_) => ("held fail", None),
            Verdict::Succeed(_) => ("held succeed", None),
        };
        let told = match self.world.open().await? {
            World::File(store) => in_store(&store, &self.id, verdict).await?,
            #[cfg(feature = "aws")]
            World::Aws(store) => in_store(&store, &self.id, verdict).await?,
            World::Server(client) => at_server(&client, &self.id, verdict).await?,
        };
        let (job, before) = match told {
            Told::Done(job, before) => (job, before),
            Told::Refused(why) => {
                eprintln!("{}: {why}", self.id);
                return Ok(ExitCode::from(SOME_FAILED));
            }
        };
        let (job_id, tool) = (self.id.as_str(), job["tool"].as_str());
        let entry = Entry {
            action,
            job_id,
            tool,
            payload_hash_before: before.map(|hash| hash.to_string()),
            payload_hash_after: after,
        };
        audit.append(Clock::system().now(), &[entry])?;
        let mut out = io::stdout().lock();
        match self.json {
            true => writeln!(out, "{job}")?,
            false => show::fields(&mut out, &job, false)?,
        }
        Ok(ExitCode::SUCCESS)
    }
}

async fn at_server(client: &Client, id: &JobId, verdict: Verdict) -> anyhow::Result<Told> {
    let (decision, body) = match verdict {
        Verdict::Retry(_, body) => ("retry", String::from_utf8_lossy(&body).into_owned()),
        Verdict::Fail(message) => ("fail", json!({"message": message}).to_string()),
        Verdict::Succeed(result) => ("succeed", json!({"result": result}).to_string()),
    };
    match client.post(&format!("/v1/held/{id}/{decision}"), &body).await {
        Ok(job) => Ok(Told::Done(job, None)),
        Err(Refused::Problem { status, document }) if matches!(status.as_u16(), 404 | 409) => {
            Ok(Told::Refused(document["detail"].as_str().unwrap_or("it is not held").to_owned()))
        }
        Err(refused) => Err(refused.into()),
    }
}

async fn in_store<S: Store>(store: &S, id: &JobId, verdict: Verdict) -> anyhow::Result<Told> {
    let desk = store.desk()?;
    let (key, now) = (JobKey::of(&desk.policy.namespace, id), desk.clock.now());
    let before = desk.ledger.read(vec![key]).await?.into_iter().next().flatten();
    let before = before.and_then(|record| record.payload_hash);
    let decided = match verdict {
        Verdict::Retry(job, body) => {
            let queue = store.queue()?;
            let freed = held::free(&desk.ledger, key, &job, now).await?;
            if freed.is_ok() {
                queue.send(vec![held::message(&desk.policy.namespace, &job, body, now)]).await?;
            }
            freed
        }
        Verdict::Fail(message) => {
            held::end(desk.post(), key, Decision::Fail(held::given_up(message))).await?
        }
        Verdict::Succeed(result) => held::end(desk.post(), key, Decision::Succeed(result)).await?,
    };
    Ok(match decided {
        Ok(record) => Told::Done(serde_json::to_value(JobView::from(&record))?, before),
        Err(refusal) => Told::Refused(refusal.to_string()),
    })
}
