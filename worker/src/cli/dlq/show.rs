//! `mcp-batch dlq show`: the letters of a job.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use serde_json::{Value, json};

use super::place::{PlaceArgs, at, desk, stop_at_signal};
use crate::{
    cli::{SOME_FAILED, words::on_one_line},
    clock::UnixMs,
    dead_letter::{Case, Edits, Filter, survey},
};

/// Shows the dead letters of jobs, and where these stand. Exit code 1: one has no letter.
///
/// All letters are looked at, since there is no other way to find one on AWS.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// Ids of jobs, or of letters.
    #[arg(required = true, value_name = "ID")]
    ids: Vec<String>,

    /// Show the job's text as well, which may hold what is nobody's business.
    #[arg(long)]
    body: bool,

    /// Print one JSON object a line.
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    place: PlaceArgs,
}

/// Runs the command.
pub(super) async fn main(args: Args) -> anyhow::Result<ExitCode> {
    let (filter, edits) = (Filter::default(), Edits::default());
    let mut found = Vec::new();
    let is_it = |case: &Case| {
        args.ids.iter().any(|id| Some(id) == case.job_id.as_ref() || *id == case.letter.id.0)
    };
    let each = |case: &Case| {
        if is_it(case) {
            found.push((case.job_id.clone(), case.letter.id.0.clone(), args.shown(case)));
        }
    };
    let stop = stop_at_signal()?;
    let seen = at!(args.place.open_to_read().await?, |letters, sweep| {
        survey(&letters, &desk(&sweep), &filter, &edits, (args.place.limit, &stop), each).await?
    });
    let mut out = io::stdout().lock();
    for (index, (_, _, shown)) in found.iter().enumerate() {
        match args.json {
            true => writeln!(out, "{shown}")?,
            false => print(&mut out, shown, index > 0)?,
        }
    }
    let has =
        |id: &String| found.iter().any(|(job, letter, _)| Some(id) == job.as_ref() || id == letter);
    let missing: Vec<&String> = args.ids.iter().filter(|id| !has(id)).collect();
    let of = if seen.is_stopped { " among those that were looked at: stopped" } else { "" };
    for id in &missing {
        eprintln!("{}: no dead letter{of}", on_one_line(id));
    }
    Ok(if missing.is_empty() && !seen.is_stopped {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(SOME_FAILED)
    })
}

impl Args {
    fn shown(&self, case: &Case) -> Value {
        let (letter, record) = (&case.letter, case.record.as_ref());
        let reason = letter.reason.as_ref();
        let mut shown = json!({
            "letter": letter.id.0,
            "job_id": case.job_id,
            "namespace": case.namespace.as_str(),
            "tool": case.tool,
            "class": reason.map(|reason| reason.class.as_str()),
            "code": reason.and_then(|reason| reason.code.as_deref()),
            "message": reason.and_then(|reason| reason.message.as_deref()),
            "attempts": reason.and_then(|reason| reason.attempts),
            "epoch": reason.and_then(|reason| reason.epoch),
            "first_seen": reason.and_then(|reason| reason.first_seen).map(UnixMs::rfc3339),
            "dead_since": letter.buried.rfc3339(),
            "group": letter.group,
            "trace": letter.trace,
            "payload_hash": case.before.map(|hash| hash.to_string()),
            "state": case.standing.as_str(),
            "ledger_attempts": record.map(|record| record.attempts),
            "ledger_epoch": record.map(|record| record.epoch),
            "ledger_payload_hash": record.and_then(|it| it.payload_hash).map(|it| it.to_string()),
            "callback": record.and_then(|it| it.callback.as_ref()).map(|slot| slot.state.name()),
            "cost_usd": record.and_then(|record| record.usage.cost_usd),
            "replay_would": case.action.as_str(),
            "bytes": letter.body.len(),
        });
        if self.body {
            shown["body"] = String::from_utf8_lossy(&letter.body).into();
        }
        shown
    }
}

fn print(out: &mut impl Write, shown: &Value, is_next: bool) -> io::Result<()> {
    if is_next {
        writeln!(out)?;
    }
    let fields = shown.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null());
    for (name, value) in fields {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        writeln!(out, "{name:<21}{}", on_one_line(&text))?;
    }
    Ok(())
}
