//! `mcp-batch dlq list`: what lies there, in groups.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use super::{
    meant::MeantArgs,
    place::{PlaceArgs, at, desk, stop_at_signal},
    table::{Columns, as_json, exit_code, print},
};
use crate::cli::words::counted;
use crate::dead_letter::{Edits, survey};

/// Counts the dead letters by class of error, code, tool, age and the state of their jobs.
///
/// Nothing is changed. On AWS a letter is received to be read, and put back at the end: its receive count
/// grows, and meanwhile others do not see it.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    meant: MeantArgs,

    /// Print one JSON object.
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    place: PlaceArgs,
}

/// Runs the command.
pub(super) async fn main(args: Args) -> anyhow::Result<ExitCode> {
    let (filter, edits, limit) = (args.meant.filter(), Edits::default(), args.place.limit);
    let stop = stop_at_signal()?;
    let survey = at!(args.place.open_to_read().await?, |letters, sweep| {
        survey(&letters, &desk(&sweep), &filter, &edits, (limit, &stop), |_| {}).await?
    });
    match args.json {
        true => writeln!(io::stdout(), "{}", as_json(&survey))?,
        false => print(&survey, &Columns::What, limit, |letters| {
            vec![format!("{}.", counted(letters, "dead letter", "dead letters"))]
        })?,
    }
    Ok(exit_code(&survey))
}
