//! `mcp-batch dlq purge`: letters that nobody wants any more.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use super::{
    meant::MeantArgs,
    place::{PlaceArgs, at},
    replay::stop_at_signal,
    table::{Columns, as_json, cut_off, remarks, table},
};
use crate::{
    cli::{SOME_FAILED, responsible::ResponsibleArgs},
    dead_letter::{Desk, Edits, Purged, Survey, purge, survey},
};

/// Deletes dead letters for good. Without --yes it says how many of which.
///
/// Their jobs stay in the ledger as they are. Exit codes: 0 done, 1 stopped, letters are hidden by somebody else, or --limit letters were
/// looked at, 2 bad usage.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    meant: MeantArgs,

    /// Do it.
    #[arg(long, requires = "reason")]
    yes: bool,

    #[command(flatten)]
    responsible: ResponsibleArgs,

    /// Print one JSON object.
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    place: PlaceArgs,
}

/// Runs the command.
pub(super) async fn main(args: Args) -> anyhow::Result<ExitCode> {
    let (filter, edits, limit) = (args.meant.filter(), Edits::default(), args.place.limit);
    at!(args.place.open().await?, |letters, desk| {
        let desk = Desk {
            ledger: &desk.ledger,
            namespace: &desk.policy.namespace,
            clock: &desk.clock,
            check: &|_| Ok(()),
        };
        if !args.yes {
            let found = survey(&letters, &desk, &filter, &edits, limit, |_| {}).await?;
            args.print_found(&found)?;
            return Ok(ExitCode::SUCCESS);
        }
        let (mut audit, stop) = (args.responsible.open()?, stop_at_signal()?);
        let done = purge(&letters, &desk, &filter, limit, &stop, &mut audit).await?;
        args.print_done(&done)?;
        let is_clean = !done.is_stopped && done.hidden == 0 && !done.is_cut_off;
        Ok(if is_clean { ExitCode::SUCCESS } else { ExitCode::from(SOME_FAILED) })
    })
}

impl Args {
    fn print_found(&self, found: &Survey) -> anyhow::Result<()> {
        let mut out = io::stdout().lock();
        if self.json {
            writeln!(out, "{}", as_json(found))?;
            return Ok(());
        }
        match found.letters() {
            0 => {
                writeln!(out, "No dead letters are meant, of {} that were looked at.", found.seen)?;
            }
            letters => {
                writeln!(out, "{}", table(found, &Columns::What))?;
                writeln!(out, "{letters} dead letters would be deleted for good: --yes does it.")?;
            }
        }
        for remark in remarks(found, self.place.limit) {
            writeln!(out, "{remark}")?;
        }
        Ok(())
    }

    fn print_done(&self, done: &Purged) -> anyhow::Result<()> {
        let mut out = io::stdout().lock();
        if self.json {
            writeln!(out, "{}", serde_json::to_string(done)?)?;
            return Ok(());
        }
        writeln!(out, "{:>8}  dead letters were deleted", done.purged)?;
        if done.is_stopped {
            writeln!(out, "Stopped; the same command goes on.")?;
        }
        if done.is_cut_off {
            writeln!(out, "{}", cut_off(self.place.limit))?;
        }
        if done.hidden > 0 {
            writeln!(
                out,
                "About {} more are hidden by somebody else; the same command looks again.",
                done.hidden
            )?;
        }
        Ok(())
    }
}
