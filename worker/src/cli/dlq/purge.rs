//! `mcp-batch dlq purge`: letters that nobody wants any more.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use super::{
    meant::MeantArgs,
    place::{PlaceArgs, at, desk, stop_at_signal},
    table::{Columns, GOES_ON, as_json, exit_code, print, row, unseen},
};
use crate::{
    cli::{SOME_FAILED, responsible::ResponsibleArgs, words::counted},
    dead_letter::{Edits, Purged, Survey, purge, survey},
};

/// Deletes dead letters for good. Without --yes it says how many of which.
///
/// Their jobs stay in the ledger as they are. Exit codes: 0 done, 1 stopped, letters are hidden by somebody else, or --limit letters were
/// looked at, 2 bad usage.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
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
    let place = match args.yes {
        true => args.place.open().await?,
        false => args.place.open_to_read().await?,
    };
    at!(place, |letters, sweep| {
        if !args.yes {
            let bounds = (limit, &stop_at_signal()?);
            let found = survey(&letters, &desk(&sweep), &filter, &edits, bounds, |_| {}).await?;
            args.print_found(&found)?;
            return Ok(exit_code(&found));
        }
        let (mut audit, stop) = (args.responsible.open()?, stop_at_signal()?);
        let done = purge(&letters, &desk(&sweep), &filter, limit, &stop, &mut audit).await?;
        args.print_done(&done)?;
        let is_clean = !done.is_stopped && done.hidden == 0 && !done.is_cut_off;
        Ok(if is_clean { ExitCode::SUCCESS } else { ExitCode::from(SOME_FAILED) })
    })
}

impl Args {
    fn print_found(&self, found: &Survey) -> io::Result<()> {
        if self.json {
            return writeln!(io::stdout(), "{}", as_json(found));
        }
        print(found, &Columns::What, self.place.limit, |letters| {
            let letters = counted(letters, "dead letter", "dead letters");
            vec![format!("{letters} would be deleted for good: --yes does it.")]
        })
    }

    fn print_done(&self, done: &Purged) -> anyhow::Result<()> {
        let mut out = io::stdout().lock();
        if self.json {
            writeln!(out, "{}", serde_json::to_string(done)?)?;
            return Ok(());
        }
        writeln!(
            out,
            "{}",
            row(done.purged, "dead letter was deleted", "dead letters were deleted")
        )?;
        let hidden = if done.is_stopped { 0 } else { done.hidden };
        for line in unseen(done.is_cut_off.then_some(self.place.limit), hidden) {
            writeln!(out, "{line}")?;
        }
        if done.is_stopped {
            writeln!(out, "Stopped; {GOES_ON}.")?;
        }
        Ok(())
    }
}
