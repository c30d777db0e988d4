//! `mcp-batch held retry`, `fail`, `succeed`.

use std::{
    fs,
    io::{self, Read, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, bail, ensure};
use bytes::Bytes;
use data_encoding::HEXLOWER;
use reqwest::StatusCode;
use serde::Serialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

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
    sweep::Desk,
};

/// Runs a held job again: the tool is called once more. Exit code 1: it is not held.
///
/// The ledger keeps no inputs, so the job comes along. It may differ from what was sent first. A failed or a cancelled
/// job can be run again like that, too.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Retry {
    #[command(flatten)]
    of: Of,

    /// The job, a JSON object, with or without its id; - is standard input.
    #[arg(long, value_name = "FILE")]
    job: PathBuf,
}

/// Gives a held job up: the call did not do what it should. Its callback is told. Exit code 1: it is not held.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Fail {
    #[command(flatten)]
    of: Of,

    /// What its callback is told; 1 to 500 characters [default: the reason].
    #[arg(long, value_name = "TEXT")]
    message: Option<String>,
}

/// Says how the call of a held job ended. Its callback is told. Exit code 1: it is not held.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Succeed {
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
    /// It stands, and so the job.
    Done(Value),
    /// The job is not one that can be decided about.
    Refused(String),
}

/// A job before it is decided about.
struct Known {
    job: Value,
    /// What it was called with, as far as that is known here.
    payload_hash: Option<PayloadHash>,
}

/// An audit line.
#[derive(Serialize)]
struct Entry<'a> {
    action: &'static str,
    /// Whose job it is; a server knows that by the key.
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<String>,
    /// Which server was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    server: Option<String>,
    job_id: &'a str,
    tool: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload_hash_before: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload_hash_after: Option<String>,
    /// SHA-256 of the result, in JSON without spaces.
    #[serde(skip_serializing_if = "Option::is_none")]
    result_hash: Option<String>,
}

/// Runs `held retry`.
pub(super) async fn retry(args: Retry) -> anyhow::Result<ExitCode> {
    let id = &args.of.id;
    let body = held::with_id(id, read(&args.job)?.into());
    let place = || format!("{}: the job", args.job.display());
    let job = Job::parse(&body).map_err(|invalid| invalid.error()).with_context(place)?;
    ensure!(job.id() == id, "{}: id: expected {id}, or none, found {}", place(), job.id());
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

impl Verdict {
    fn action(&self) -> &'static str {
        match self {
            Self::Retry(..) => "held retry",
            Self::Fail(_) => "held fail",
            Self::Succeed(_) => "held succeed",
        }
    }

    fn result_hash(&self) -> Option<String> {
        let Self::Succeed(result) = self else { return None };
        Some(HEXLOWER.encode(&Sha256::digest(result.to_string())))
    }

    /// Whether a job that stands so can be decided about like this, as far as that is known.
    fn fits(&self, job: &Value) -> bool {
        let Some(state) = job["state"].as_str() else { return true };
        match self {
            // It waits where an earlier try was cut off before the job was sent.
            Self::Retry(..) => matches!(state, "held" | "failed" | "cancelled" | "waiting"),
            Self::Fail(_) | Self::Succeed(_) => state == "held",
        }
    }

    /// Whether a job is what this would make of it: the answer to an earlier request was lost.
    fn is_met_by(&self, job: &Value) -> bool {
        let error = &job["error"];
        match self {
            Self::Retry(..) => false,
            Self::Fail(message) => {
                job["state"] == "failed"
                    && error["code"] == "decided"
                    && error["message"] == **message
            }
            Self::Succeed(result) => job["state"] == "succeeded" && job["result"] == *result,
        }
    }
}

impl Of {
    /// Who decides and why is written down first: a decision never goes without its line.
    async fn carry_out(&self, verdict: Verdict) -> anyhow::Result<ExitCode> {
        let mut audit = self.responsible.open()?;
        let world = self.world.open().await?;
        if let Some(known) = known(&world, &self.id).await?
            && verdict.fits(&known.job)
        {
            let entry = Entry::new(&world, &self.id, &verdict, &known)?;
            audit.append(Clock::system().now(), &[entry])?;
        }
        let told = match &world {
            World::File(store) => in_store(store, &self.id, &verdict).await?,
            #[cfg(feature = "aws")]
            World::Aws(store) => in_store(store, &self.id, &verdict).await?,
            World::Server(client) => at_server(client, &self.id, &verdict).await?,
        };
        let job = match told {
            Told::Done(job) => job,
            Told::Refused(why) => match known(&world, &self.id).await? {
                Some(known) if verdict.is_met_by(&known.job) => known.job,
                _ => {
                    eprintln!("{}: {why}", self.id);
                    return Ok(ExitCode::from(SOME_FAILED));
                }
            },
        };
        let mut out = io::stdout().lock();
        match self.json {
            true => writeln!(out, "{job}")?,
            false => show::fields(&mut out, &job, false)?,
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl<'a> Entry<'a> {
    fn new(
        world: &World,
        id: &'a JobId,
        verdict: &Verdict,
        known: &'a Known,
    ) -> anyhow::Result<Self> {
        let (namespace, server) = match world {
            World::File(store) => (Some(store.policy()?.namespace.as_str().to_owned()), None),
            #[cfg(feature = "aws")]
            World::Aws(store) => (Some(store.policy()?.namespace.as_str().to_owned()), None),
            World::Server(client) => (None, Some(client.base().to_string())),
        };
        let after = match verdict {
            Verdict::Retry(job, _) => Some(job.payload_hash().to_string()),
            Verdict::Fail(_) | Verdict::Succeed(_) => None,
        };
        Ok(Self {
            action: verdict.action(),
            namespace,
            server,
            job_id: id.as_str(),
            tool: known.job["tool"].as_str(),
            payload_hash_before: known.payload_hash.map(|hash| hash.to_string()),
            payload_hash_after: after,
            result_hash: verdict.result_hash(),
        })
    }
}

/// What is known of the job now.
async fn known(world: &World, id: &JobId) -> anyhow::Result<Option<Known>> {
    match world {
        World::File(store) => known_in_store(store, id).await,
        #[cfg(feature = "aws")]
        World::Aws(store) => known_in_store(store, id).await,
        World::Server(client) => match client.get(&format!("/v1/jobs/{id}")).await {
            Ok(job) => Ok(Some(Known { job, payload_hash: None })),
            Err(refused) if refused.is_not_found() => Ok(None),
            // A key that may decide need not be one that may read.
            Err(Refused::Problem { status, .. }) if status == StatusCode::FORBIDDEN => {
                Ok(Some(Known { job: Value::Null, payload_hash: None }))
            }
            Err(refused) => Err(refused.into()),
        },
    }
}

async fn known_in_store(store: &impl Store, id: &JobId) -> anyhow::Result<Option<Known>> {
    let desk = store.desk()?;
    let key = JobKey::of(&desk.policy.namespace, id);
    let record = desk.ledger.read(vec![key]).await?.into_iter().next().flatten();
    let Some(record) = record else { return Ok(None) };
    let job = serde_json::to_value(JobView::from(&record))?;
    Ok(Some(Known { job, payload_hash: record.payload_hash }))
}

async fn at_server(client: &Client, id: &JobId, verdict: &Verdict) -> anyhow::Result<Told> {
    let (decision, body) = match verdict {
        Verdict::Retry(_, body) => ("retry", String::from_utf8_lossy(body).into_owned()),
        Verdict::Fail(message) => ("fail", json!({"message": message}).to_string()),
        Verdict::Succeed(result) => ("succeed", json!({"result": result}).to_string()),
    };
    match client.post(&format!("/v1/held/{id}/{decision}"), &body).await {
        Ok(job) => Ok(Told::Done(job)),
        Err(Refused::Problem { status, document }) if matches!(status.as_u16(), 404 | 409) => {
            Ok(Told::Refused(document["detail"].as_str().unwrap_or("it is not held").to_owned()))
        }
        Err(refused) => Err(refused.into()),
    }
}

async fn in_store<S: Store>(store: &S, id: &JobId, verdict: &Verdict) -> anyhow::Result<Told> {
    let desk = store.desk()?;
    let (key, now) = (JobKey::of(&desk.policy.namespace, id), desk.clock.now());
    let decided = match verdict {
        Verdict::Retry(job, body) => {
            let queue = store.queue()?;
            let job = (&**job, body.clone());
            held::run_again((&desk.ledger, &queue), &desk.policy.namespace, job, now).await?
        }
        Verdict::Fail(message) => {
            let given_up = held::given_up(message.clone());
            held::end(desk.post(), key, Decision::Fail(given_up)).await?
        }
        Verdict::Succeed(result) => {
            held::end(desk.post(), key, Decision::Succeed(result.clone())).await?
        }
    };
    Ok(match decided {
        Ok(record) => Told::Done(serde_json::to_value(JobView::from(&record))?),
        Err(refusal) => Told::Refused(refusal.to_string()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decision_about_a_job_that_cannot_be_read_is_written_down_and_never_met() {
        let fail = Verdict::Fail("it was never booked".to_owned());
        assert!(fail.fits(&Value::Null) && !fail.is_met_by(&Value::Null));
        let failed = |message: &str| json!({"state": "failed", "error": {"code": "decided", "message": message}});
        assert!(!fail.fits(&failed("it was never booked")));
        assert!(fail.is_met_by(&failed("it was never booked")) && !fail.is_met_by(&failed("no")));
    }
}
