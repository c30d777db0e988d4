//! `mcp-batch enqueue`: a file of jobs into a queue, each once, however often it is begun anew.

mod csv;
mod draft;
mod journal;
mod mapping;
mod report;
mod rows;
mod send;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use indicatif::{ProgressBar, ProgressStyle};

use self::{
    draft::{Defaults, Drafts, Fate, Ready},
    journal::Journal,
    mapping::{CsvArgs, Mapping},
    report::Report,
    rows::{Format, Source},
    send::{Sender, Sent},
};
use super::{
    setup::{LAST_FLUSH, Signals},
    world::WorldArgs,
};
use crate::{
    batch::Stop,
    job::{BatchId, Callback, MAX_BATCH_JOBS, ModelName, ToolName},
    pace::Pace,
};

/// Jobs that are sent together, at most.
const GROUP: u16 = 200;

/// What of the rate goes together.
const BURST: Duration = Duration::from_secs(1);

/// Bytes of them after which a group is sent although it is not full.
const GROUP_BYTES: usize = 1_048_576;

const BAR: &str = "{bar:30} {pos}/{len} {per_sec} [{elapsed}]";

/// Sends jobs to a queue, from JSON Lines, a JSON array or CSV.
///
/// All of the file is judged first: a line that is no job is named by its number, and the others are
/// sent. A journal beside the file says how far it got: after a kill the same command goes on from
/// there. Ids are the file's own (`id`, --id-column), or made of what is called, so that a file that
/// is sent twice is paid once. Exit code 1: something was not sent.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// JSON Lines, a JSON array of jobs, or CSV with a row of names; `-` reads standard input.
    file: PathBuf,

    /// What the file holds [default: csv where its name ends so, else jsonl].
    #[arg(long, value_enum)]
    format: Option<Format>,

    #[command(flatten)]
    csv: CsvArgs,

    /// The tool, for CSV and for lines that name none.
    #[arg(long, value_name = "NAME")]
    tool: Option<ToolName>,

    /// The model, for jobs that name none.
    #[arg(long, value_name = "NAME")]
    model: Option<ModelName>,

    /// Where the outcome of jobs is posted that name no callback.
    #[arg(long, value_name = "URL", value_parser = callback)]
    callback: Option<Callback>,

    /// Put before each id: with another prefix the same file is run, and paid, anew.
    #[arg(long, value_name = "TEXT", default_value = "")]
    id_prefix: String,

    /// Count all jobs in this batch, in the order of the file.
    #[arg(long, value_name = "BATCH_ID", requires = "batch_callback")]
    batch: Option<BatchId>,

    /// Where the outcome of the batch is posted.
    #[arg(long, value_name = "URL", value_parser = callback, requires = "batch")]
    batch_callback: Option<Callback>,

    /// The most jobs a second [default: as many as can be].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    rate: Option<u32>,

    /// Where it is noted how far the sending got [default: FILE.journal; none for standard input].
    #[arg(long, value_name = "FILE")]
    journal: Option<PathBuf>,

    /// Begin anew, whatever the journal says.
    #[arg(long)]
    restart: bool,

    /// Judge the file, and send nothing.
    #[arg(long)]
    dry_run: bool,

    /// Print what was done as one JSON object.
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    world: WorldArgs,
}

fn callback(text: &str) -> Result<Callback, String> {
    let expected = "expected an http or https URL without user or password, found";
    Callback::from_url(text.to_owned()).map_err(|found| format!("{expected} {found}"))
}

/// Runs the command.
pub(super) async fn main(args: Args) -> anyhow::Result<ExitCode> {
    let began = Instant::now();
    let defaults = args.defaults()?;
    let source = Source::open(&args.file, args.mapping()?)
        .with_context(|| format!("{}: cannot be read", args.file.display()))?;
    let judged = source.drafts(&defaults)?.judge().with_context(|| args.file_name())?;
    let mut report = Report::new(&judged, args.json);
    if args.dry_run {
        return report.finish(&args, began.elapsed(), report::How::Judged);
    }
    let world = args.world.open_or_make().await?;
    let sender = Sender::of(&world, &args.world.source())?;
    let work = journal::Work::of(&judged.digest, &sender.place(), &args.wishes());
    let mut journal = Journal::open(args.journal().as_deref(), &work, args.restart)?;
    report.take_up(journal.so_far());
    let drafts = source.drafts(&Defaults { size: judged.jobs, ..defaults })?;
    let tracing = tokio::spawn(sender.tracer().clone().flush_until_stopped(Stop::default()));
    let sending = send_all(&args, drafts, &sender, &mut journal, &mut report, judged.jobs);
    let sent = sending.await;
    tracing.abort();
    sender.tracer().flush(LAST_FLUSH).await;
    let how = match sent {
        Ok(how) => how,
        // Nothing was done: there is nothing to go on with.
        Err(error) if report.so_far().passed == 0 => {
            journal.close()?;
            return Err(error);
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            report::How::Stopped
        }
    };
    if how == report::How::Sent {
        journal.close()?;
    }
    report.finish(&args, began.elapsed(), how)
}

/// Sends what the journal does not have, group by group.
async fn send_all(
    args: &Args,
    drafts: Drafts,
    sender: &Sender<'_>,
    journal: &mut Journal,
    report: &mut Report,
    jobs: u64,
) -> anyhow::Result<report::How> {
    let mut pace = args.rate.map(|rate| Pace::new(f64::from(rate), BURST, GROUP));
    let mut signals = Signals::new()?;
    let bar = bar(jobs, args.json);
    let (most, mut group, mut bytes) =
        (pace.as_ref().map_or(usize::from(GROUP), Pace::at_once), Vec::new(), 0);
    let mut to_pass = journal.so_far().passed;
    let mut drafts = drafts.peekable();
    while let Some(draft) = drafts.next() {
        if let Fate::Ready(ready) = draft.with_context(|| args.file_name())?.fate {
            match to_pass {
                0 => {
                    bytes += ready.body.len();
                    group.push(ready);
                }
                _ => to_pass -= 1,
            }
        }
        let is_last = drafts.peek().is_none();
        if group.is_empty() || (group.len() < most && bytes < GROUP_BYTES && !is_last) {
            continue;
        }
        let sent = tokio::select! {
            sent = paced(pace.as_mut(), sender, &group) => sent?,
            () = signals.next() => return Ok(report::How::Stopped),
        };
        report.add(&group, sent);
        journal.note(report.so_far())?;
        (bytes, group) = (0, Vec::new());
        bar.set_position(report.so_far().passed);
    }
    bar.finish_and_clear();
    Ok(report::How::Sent)
}

async fn paced(
    pace: Option<&mut Pace>,
    sender: &Sender<'_>,
    group: &[Ready],
) -> anyhow::Result<Vec<Sent>> {
    if let Some(pace) = pace {
        pace.take(group.len()).await;
    }
    sender.send(group).await
}

fn bar(jobs: u64, is_json: bool) -> ProgressBar {
    let bar = if is_json { ProgressBar::hidden() } else { ProgressBar::new(jobs) };
    if let Ok(style) = ProgressStyle::with_template(BAR) {
        bar.set_style(style);
    }
    bar
}

impl Args {
    fn file_name(&self) -> String {
        self.file.display().to_string()
    }

    fn is_stdin(&self) -> bool {
        self.file == Path::new("-")
    }

    fn format(&self) -> Format {
        let by_name = || match self.file.extension() {
            Some(ending) if ending.eq_ignore_ascii_case("csv") => Format::Csv,
            _ => Format::Jsonl,
        };
        self.format.unwrap_or_else(by_name)
    }

    fn mapping(&self) -> anyhow::Result<Option<Mapping>> {
        match self.format() {
            Format::Csv if self.tool.is_none() => bail!("--tool: CSV needs one, and has none"),
            Format::Csv => Ok(Some(self.csv.mapping()?)),
            Format::Jsonl if self.csv.is_used() => {
                bail!("--map, --id-column, --metadata, --input and --delimiter are for CSV")
            }
            Format::Jsonl => Ok(None),
        }
    }

    fn defaults(&self) -> anyhow::Result<Defaults> {
        if !self.id_prefix.is_empty() && self.id_prefix.parse::<crate::job::JobId>().is_err() {
            bail!("--id-prefix: expected characters of A-Z a-z 0-9 . _ : -");
        }
        Ok(Defaults {
            tool: self.tool.clone(),
            model: self.model.clone(),
            callback: self.callback.clone(),
            id_prefix: self.id_prefix.clone(),
            batch: self.batch.clone().zip(self.batch_callback.clone()),
            size: MAX_BATCH_JOBS,
        })
    }

    /// What makes other jobs of the same file.
    fn wishes(&self) -> String {
        format!(
            "{:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?}",
            self.format(),
            self.csv,
            self.tool,
            self.model,
            self.callback.as_ref().map(Callback::expose_url),
            self.id_prefix,
            self.batch,
            self.batch_callback.as_ref().map(Callback::expose_url),
        )
    }

    fn journal(&self) -> Option<PathBuf> {
        let beside = || {
            let mut name = self.file.as_os_str().to_owned();
            name.push(".journal");
            PathBuf::from(name)
        };
        self.journal.clone().or_else(|| (!self.is_stdin()).then(beside))
    }
}
