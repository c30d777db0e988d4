//! `mcp-batch call TOOL`: one call now, without queue and ledger; the quickest way to try a tool.

use std::{
    fs,
    io::{self, Read, Write},
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::Context;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    BAD_USAGE, SOME_FAILED,
    setup::{self, LlmArgs, Signals},
    world::{Client, Refused, ServerArgs},
};
use crate::{
    clock::Clock,
    config::{self, Source},
    error::{ErrorClass, JobError},
    job::Job,
    lease::{Outcome, Usage},
    secret::Secrets,
    tool::{CallContext, Catalog, ToolError, Tools},
};

/// The longest input that is read, in bytes.
const MAX_INPUT_BYTES: u64 = 1024 * 1024;

/// How long an interrupted call has to tell its server so.
const CANCEL: Duration = Duration::from_millis(300);

/// Calls one tool now, without queue or ledger, and prints its result: a tool of a catalog, or of a
/// server of ours.
///
/// Exit code 0: the tool answered; 1: the call failed, or the tool answered with an error; 2: bad
/// usage, no such tool, or an input that does not fit.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A tool of the catalog, or SERVER/TOOL.
    tool: String,

    /// Its input, a JSON object; `@FILE` reads it from a file, `-` from standard input.
    #[arg(long, value_name = "JSON", default_value = "{}")]
    input: String,

    /// The model, for a prompt [default: the tool's].
    #[arg(long, value_name = "NAME")]
    model: Option<String>,

    #[command(flatten)]
    llm: LlmArgs,

    #[command(flatten)]
    server: ServerArgs,

    /// Print one JSON object: result or error, usage, how long it took.
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub(super) async fn main(args: Args) -> anyhow::Result<ExitCode> {
    let source = args.server.source(args.llm.source(Source::from_env()));
    let input = input(&args.input)?;
    let caller = if args.server.is_chosen(&source, args.llm.typed())? {
        Caller::Server(Client::new(config::client(&source)?)?)
    } else {
        let (offline, clock) = (args.llm.is_offline(), Clock::system());
        let secrets = Secrets::fixed(source.clone())?;
        Caller::Catalog(Box::new(setup::catalog(
            &source,
            offline,
            &secrets,
            &clock,
            setup::to_person,
        )?))
    };
    let began = Instant::now();
    let mut signals = Signals::new()?;
    let outcome = match job(&args, &input) {
        Ok((job, text)) => tokio::select! {
            outcome = caller.call(&job, text) => outcome,
            () = signals.next() => Err(interrupted()),
        },
        Err(error) => Err(ToolError::free(error)),
    };
    if matches!(&outcome, Err(failure) if failure.error.class == ErrorClass::Interrupted) {
        tokio::time::sleep(CANCEL).await;
    }
    Ok(print(&outcome, began.elapsed(), args.json)?)
}

/// Who makes the call.
enum Caller {
    Catalog(Box<Catalog>),
    Server(Client),
}

impl Caller {
    async fn call(&self, job: &Job, text: Value) -> Result<Outcome, ToolError> {
        match self {
            Self::Catalog(catalog) => call(catalog, job).await,
            Self::Server(client) => ask(client, text).await,
        }
    }
}

/// The text of the input.
fn input(given: &str) -> anyhow::Result<String> {
    let mut text = String::new();
    let read = match given.strip_prefix('@') {
        Some(path) => {
            let file = fs::File::open(path).with_context(|| format!("--input: {path}"))?;
            file.take(MAX_INPUT_BYTES + 1).read_to_string(&mut text)
        }
        None if given == "-" => io::stdin().take(MAX_INPUT_BYTES + 1).read_to_string(&mut text),
        None => return Ok(given.to_owned()),
    };
    let bytes = read.context("--input: cannot be read as UTF-8")?;
    if bytes as u64 > MAX_INPUT_BYTES {
        anyhow::bail!("--input: expected at most {MAX_INPUT_BYTES} bytes, found more");
    }
    Ok(text)
}

/// The call as a job: what a queue would bring is checked in the same way.
fn job(args: &Args, input: &str) -> Result<(Job, Value), JobError> {
    let invalid =
        |message: String| JobError::new(ErrorClass::Invalid, "input", message).at("input");
    let value = serde_json::from_str::<Value>(input).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        invalid(format!(
            "--input: expected a JSON object, found no JSON (line {line}, column {column})"
        ))
    })?;
    let mut job = json!({"id": format!("call-{}", Uuid::new_v4()), "tool": args.tool});
    job["input"] = value;
    if let Some(model) = &args.model {
        job["model"] = model.as_str().into();
    }
    let parsed = Job::parse(&job.to_string().into()).map_err(|invalid| invalid.error())?;
    Ok((parsed, job))
}

async fn call(catalog: &Catalog, job: &Job) -> Result<Outcome, ToolError> {
    catalog.prepare(job).await?;
    let plan = catalog.check(job).map_err(ToolError::free)?;
    let context = CallContext { timeout: plan.timeout, attempt: 1, epoch: 1, spent_usd: 0.0 };
    catalog.call(job, &context).await
}

/// The same at a server of ours. It is asked once: nobody says that the tool may be called twice.
async fn ask(client: &Client, mut call: Value) -> Result<Outcome, ToolError> {
    if let Value::Object(fields) = &mut call {
        fields.remove("id");
    }
    let mut answer = client.post_once("/v1/call", &call.to_string()).await.map_err(refused)?;
    let usage = serde_json::from_value(answer["usage"].take()).unwrap_or_default();
    Ok(Outcome { result: answer["result"].take(), usage, offline: false })
}

fn refused(refused: Refused) -> ToolError {
    let message = refused.to_string();
    let (class, code) = match refused {
        Refused::Problem { status, document } => {
            let class = match status.as_u16() {
                400 | 404 | 413 | 422 => ErrorClass::Invalid,
                401 | 403 => ErrorClass::Configuration,
                _ => ErrorClass::Transient,
            };
            (class, document["code"].as_str().unwrap_or("problem").to_owned())
        }
        Refused::Unreadable { .. } => (ErrorClass::Configuration, "answer".to_owned()),
        Refused::Unreachable { .. } => (ErrorClass::Transient, "unreachable".to_owned()),
    };
    ToolError::free(JobError::new(class, code, message))
}

fn interrupted() -> ToolError {
    let message = "the call was interrupted; its upstream may go on, and bill";
    ToolError::ambiguous(JobError::new(ErrorClass::Interrupted, "stopped", message))
}

fn print(
    outcome: &Result<Outcome, ToolError>,
    took: Duration,
    as_json: bool,
) -> io::Result<ExitCode> {
    let mut out = io::stdout().lock();
    let usage = match outcome {
        Ok(outcome) => &outcome.usage,
        Err(failure) => &failure.usage,
    };
    match outcome {
        _ if as_json => writeln!(out, "{}", report(outcome, usage, took))?,
        Ok(outcome) => match outcome.result.as_str() {
            Some(text) => writeln!(out, "{text}")?,
            None => writeln!(out, "{:#}", outcome.result)?,
        },
        Err(failure) => writeln!(io::stderr(), "error: {}", failure.error)?,
    }
    if !as_json && is_made(outcome) {
        writeln!(io::stderr(), "{}", told(usage, took))?;
    }
    Ok(match outcome {
        Ok(outcome) if outcome.result["isError"] == true => ExitCode::from(SOME_FAILED),
        Ok(_) => ExitCode::SUCCESS,
        Err(failure) if failure.error.class == ErrorClass::Invalid => ExitCode::from(BAD_USAGE),
        Err(_) => ExitCode::from(SOME_FAILED),
    })
}

/// What does not fit is not called.
fn is_made(outcome: &Result<Outcome, ToolError>) -> bool {
    match outcome {
        Ok(_) => true,
        Err(failure) => {
            failure.error.class != ErrorClass::Invalid || failure.usage != Usage::free()
        }
    }
}

fn report(outcome: &Result<Outcome, ToolError>, usage: &Usage, took: Duration) -> Value {
    let mut report = match outcome {
        Ok(outcome) => json!({"result": outcome.result}),
        Err(failure) => json!({"error": failure.error}),
    };
    report["usage"] = json!(usage);
    report["took_ms"] = u64::try_from(took.as_millis()).unwrap_or(u64::MAX).into();
    report
}

fn told(usage: &Usage, took: Duration) -> String {
    let mut parts = Vec::new();
    parts.extend(usage.model.clone());
    if usage.input_tokens + usage.output_tokens > 0 {
        parts.push(format!("{} + {} tokens", usage.input_tokens, usage.output_tokens));
    }
    if usage.truncated_results > 0 {
        parts.push("cut off at max_tokens".to_owned());
    }
    match usage.cost_usd {
        Some(cost) => parts.push(format!("{cost} USD")),
        None if usage.unpriced_calls > 0 => parts.push("cost unknown".to_owned()),
        None => {}
    }
    parts.push(format!("{:.3} s", took.as_secs_f64()));
    parts.join(", ")
}
