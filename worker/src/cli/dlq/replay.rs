//! `mcp-batch dlq replay`: what would be done, and with `--apply` doing it.

use std::{
    fs,
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context, anyhow};
use serde_json::{Value, json};

use super::{
    meant::MeantArgs,
    place::{PlaceArgs, at, desk, stop_at_signal},
    table::{Columns, GOES_ON, as_json, exit_code, nothing_of, print, row, unseen},
};
use crate::{
    cli::{SOME_FAILED, responsible::ResponsibleArgs, words::on_one_line},
    clock::Clock,
    config::{self, Source},
    dead_letter::{
        Asked, Assignment, DeadLetters, Desk, Edits, FailureLimit, Filter, Journal, Replayed,
        StoppedBy, Survey, replay, survey,
    },
    error::JobError,
    job::Job,
    lease::Ledger,
    pace::Pace,
    secret::Secrets,
    tool::{Catalog, Tools},
};

/// What of a second's jobs is sent together, and how many at most.
const BURST: Duration = Duration::from_millis(100);
const MOST_AT_ONCE: u16 = 100;

/// Sends the jobs of dead letters back to their queue. Without --apply it says what it would do.
///
/// What never started, may be tried again or failed is sent to be run, a failed job with all its attempts. A job
/// that is done has its letter dropped, and its callback told if that is still owed. What runs, is held or was cancelled, whose id
/// belongs to another job, or what cannot be read, stays. A job is sent first and its letter deleted afterwards: killed
/// at any moment, the same command goes on, and the ledger runs no job twice.
///
/// Exit codes: 0 what was meant is done, 1 letters stay that were meant, or it stopped, 2 bad usage.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    meant: MeantArgs,

    /// Do it.
    #[arg(long, requires = "reason")]
    apply: bool,

    /// Change a field of each job that is run, such as model=gpt-5 or input.max_tokens=200; VALUE is JSON,
    /// or else a text.
    #[arg(long = "set", value_name = "FIELD=VALUE")]
    set: Vec<Assignment>,

    /// The catalog that changed jobs are checked against, its prompts [env: MCP_BATCH_TOOLS] [default: none; the worker
    /// checks them before it pays for anything].
    #[arg(long, value_name = "FILE")]
    tools: Option<String>,

    /// The most jobs a second that are sent.
    #[arg(long, value_name = "N", default_value_t = 100.0, value_parser = rate)]
    rate: f64,

    /// Stop when more than so many of the latest 200 jobs that were sent and ended, 20 at least, failed again; 100: never.
    #[arg(long, value_name = "PERCENT", default_value_t = 50, value_parser = clap::value_parser!(u8).range(0..=100))]
    stop_at_failed_percent: u8,

    /// The file that says what was sent, while it goes on.
    #[arg(long, value_name = "FILE", default_value = "mcp-batch-replay.jsonl")]
    journal: PathBuf,

    #[command(flatten)]
    responsible: ResponsibleArgs,

    /// Print one JSON object.
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    place: PlaceArgs,
}

fn rate(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number| (0.01..=10_000.0).contains(number));
    number.ok_or_else(|| "expected 0.01 to 10000 jobs a second".to_owned())
}

/// Runs the command.
pub(super) async fn main(args: Args) -> anyhow::Result<ExitCode> {
    let filter = args.meant.filter();
    let edits = Edits::new(args.set.clone()).map_err(|problem| anyhow!("--set: {problem}"))?;
    let catalog = if edits.is_empty() { None } else { args.catalog()? };
    let check = |job: &Job| check(catalog.as_ref(), job);
    let place = match args.apply {
        true => args.place.open().await?,
        false => args.place.open_to_read().await?,
    };
    at!(place, |letters, sweep| {
        let desk = Desk { check: &check, ..desk(&sweep) };
        if args.apply {
            args.apply(&letters, &desk, &filter, &edits).await
        } else {
            let bounds = (args.place.limit, &stop_at_signal()?);
            let plan = survey(&letters, &desk, &filter, &edits, bounds, |_| {}).await?;
            args.print_plan(&plan, &edits)?;
            Ok(exit_code(&plan))
        }
    })
}

/// A server's tools are known to the worker alone.
fn check(catalog: Option<&Catalog>, job: &Job) -> Result<(), JobError> {
    let Some(catalog) = catalog.filter(|_| job.tool().server_and_tool().is_none()) else {
        return Ok(());
    };
    catalog.check(job).map(drop)
}

impl Args {
    /// The catalog, if one is named that lies on this machine.
    fn catalog(&self) -> anyhow::Result<Option<Catalog>> {
        let source = Source::from_env().with("MCP_BATCH_TOOLS", self.tools.as_ref());
        let Some(path) = config::tools(&source) else { return Ok(None) };
        let place = path.display().to_string();
        if place.starts_with("s3://") {
            eprintln!(
                "{place} is not read: jobs are checked against the contract alone; name a file by --tools"
            );
            return Ok(None);
        }
        let text = fs::read_to_string(&path)
            .with_context(|| format!("{place}: the catalog cannot be read"))?;
        let secrets = Secrets::fixed(source)?;
        let catalog = Catalog::parse(&text, None, &secrets, &Clock::system());
        Ok(Some(catalog.with_context(|| format!("{place}: the catalog is wrong"))?))
    }

    async fn apply<S: DeadLetters, L: Ledger>(
        &self,
        letters: &S,
        desk: &Desk<'_, L>,
        filter: &Filter,
        edits: &Edits,
    ) -> anyhow::Result<ExitCode> {
        let mut audit = self.responsible.open()?;
        let described = json!({"source": letters.name(), "which": filter, "set": edits});
        let mut journal = Journal::open(&self.journal, &described)?;
        let stop = stop_at_signal()?;
        let asked = Asked {
            filter,
            edits,
            pace: Pace::new(self.rate, BURST, MOST_AT_ONCE),
            failures: FailureLimit(self.stop_at_failed_percent),
            limit: self.place.limit,
            stop: &stop,
        };
        let done = replay(letters, desk, asked, &mut journal, &mut audit).await?;
        let is_over = done.stopped_by.is_none() && done.hidden == 0 && !done.is_cut_off;
        if is_over {
            journal.finish()?;
        }
        self.print_done(&done)?;
        let is_clean = is_over && done.left.is_empty() && done.not_sent == 0;
        Ok(if is_clean { ExitCode::SUCCESS } else { ExitCode::from(SOME_FAILED) })
    }

    fn print_plan(&self, plan: &Survey, edits: &Edits) -> io::Result<()> {
        if self.json {
            let mut told = as_json(plan);
            told["actions"] = actions(plan);
            return writeln!(io::stdout(), "{told}");
        }
        print(plan, &Columns::Plan, self.place.limit, |_| {
            let counts = actions(plan);
            let counts = counts.as_object().into_iter().flatten().map(|(action, letters)| {
                let (one, many) = meaning(action);
                row(letters.as_u64().unwrap_or_default(), one, many)
            });
            let changed = (!edits.is_empty())
                .then(|| format!("Changed in each job that is run: {}.", edits.paths().join(", ")));
            let nothing = "Nothing was changed: --apply does it.".to_owned();
            counts.chain(changed).chain([nothing]).collect()
        })
    }

    fn print_done(&self, done: &Replayed) -> io::Result<()> {
        let mut out = io::stdout().lock();
        if self.json {
            return writeln!(out, "{}", serde_json::to_string(done)?);
        }
        let lines = lines(done);
        if lines.is_empty() {
            eprintln!("{}", nothing_of(done.seen));
        }
        for line in lines {
            writeln!(out, "{line}")?;
        }
        if let Some(refusal) = &done.refusal {
            writeln!(out, "The queue said: {}", on_one_line(refusal))?;
        }
        let hidden = if done.stopped_by.is_none() { done.hidden } else { 0 };
        for line in unseen(done.is_cut_off.then_some(self.place.limit), hidden) {
            writeln!(out, "{line}")?;
        }
        match done.stopped_by {
            None => Ok(()),
            Some(StoppedBy::Request) => writeln!(out, "Stopped; {GOES_ON}."),
            Some(StoppedBy::Queue) => {
                writeln!(out, "Stopped, since the queue takes nothing; {GOES_ON}.")
            }
            Some(StoppedBy::Failures { failed, ended }) => writeln!(
                out,
                "Stopped, since {failed} of the latest {ended} jobs that ended failed again; {GOES_ON}."
            ),
        }
    }
}

fn actions(plan: &Survey) -> Value {
    let mut actions = serde_json::Map::new();
    for action in ["replay", "tell", "drop", "leave"] {
        let of_it = plan.groups.iter().filter(|group| group.kind.action == action);
        actions.insert(action.to_owned(), of_it.map(|group| group.letters).sum::<u64>().into());
    }
    actions.into()
}

fn meaning(action: &str) -> (&'static str, &'static str) {
    match action {
        "replay" => ("job would be sent to be run", "jobs would be sent to be run"),
        "tell" => (
            "job would be sent to have its callback told",
            "jobs would be sent to have their callback told",
        ),
        "drop" => (
            "letter would be dropped: its job is over",
            "letters would be dropped: their jobs are over",
        ),
        _ => ("letter would stay", "letters would stay"),
    }
}

/// What was done, a line each.
fn lines(done: &Replayed) -> Vec<String> {
    let counts = [
        (done.replayed, "job was sent to be run", "jobs were sent to be run"),
        (
            done.told,
            "job was sent to have its callback told",
            "jobs were sent to have their callback told",
        ),
        (
            done.dropped,
            "letter was dropped: its job is over",
            "letters were dropped: their jobs are over",
        ),
        (
            done.sent_before,
            "letter was deleted whose job had been sent before",
            "letters were deleted whose jobs had been sent before",
        ),
        (done.not_sent, "job was not taken by the queue", "jobs were not taken by the queue"),
    ];
    let counts = counts.into_iter().filter(|(count, ..)| *count > 0);
    let lines = counts.map(|(count, one, many)| row(count, one, many));
    let left = done
        .left
        .iter()
        .map(|(why, count)| format!("{}: {why}", row(*count, "letter stays", "letters stay")));
    lines.chain(left).collect()
}
