//! `mcp-batch run FILE`: a file of jobs as one concurrent batch, each paid once.

mod entry;
mod intake;
mod progress;
mod results;
mod summary;
mod tally;

use std::{
    path::PathBuf,
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context;
use tokio::{
    sync::oneshot,
    time::{interval, interval_at},
};

use self::{
    entry::Entries,
    intake::{Admitted, Intake},
    progress::Progress,
    summary::Summary,
    tally::{SharedTally, Tally},
};
use super::{
    input::open,
    output::Output,
    setup::{self, Embedded, LOOK_FOR_DEAD, LlmArgs, LocalPorts, Plan},
};
use crate::{
    batch::{Stop, Worker},
    clock::Deadline,
    config::{self, ConfigError, Source},
    environment::Policy,
    fan_in::deliver_patiently,
    lease::Lost,
    local::SqliteQueue,
    poller::{Poller, PollerSettings},
    secret::Secrets,
    sweep::{self, sweep_until_stopped},
};

/// How often the progress is looked at.
const TICK: Duration = Duration::from_millis(100);

/// A receiver that fails is asked again soon, since a person waits; `--patience-s` ends that.
const LONGEST_CALLBACK_PAUSE: Duration = Duration::from_secs(16);

/// How long the reading of the file may take to stop.
const INTAKE_STOPS_WITHIN: Duration = Duration::from_secs(2);

/// Runs a file of jobs as one concurrent batch, and pays for each once.
///
/// Jobs that were done before, by an earlier run on the same ledger, are not called again.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// JSON Lines or a JSON array of jobs; `-` reads standard input.
    file: PathBuf,

    /// Where each job's result goes, one JSON object a line, in the order of the file; `-` writes
    /// standard output [default: results.jsonl beside the ledger].
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,

    /// The ledger, an SQLite file [env: MCP_BATCH_DB] [default: mcp-batch.db].
    #[arg(long, value_name = "FILE")]
    db: Option<String>,

    /// Jobs at once [env: MCP_BATCH_CONCURRENCY] [default: 64].
    #[arg(long, value_name = "N")]
    concurrency: Option<String>,

    #[command(flatten)]
    llm: LlmArgs,

    /// Whose jobs these are: an id is unique within it [env: MCP_BATCH_NAMESPACE] [default: default].
    #[arg(long, value_name = "NAME")]
    namespace: Option<String>,

    /// Calls of one job before it is given up [env: MCP_BATCH_MAX_ATTEMPTS] [default: 3].
    #[arg(long, value_name = "N")]
    max_attempts: Option<String>,

    /// Age at which a job that keeps failing is given up [env: MCP_BATCH_MAX_AGE_S] [default: 259200].
    #[arg(long, value_name = "SECONDS")]
    max_age_s: Option<String>,

    /// How long the ledger keeps its records [env: MCP_BATCH_LEDGER_DAYS] [default: 45].
    #[arg(long, value_name = "DAYS")]
    ledger_days: Option<String>,

    /// Stop when nothing has finished for this long beyond the pause an upstream asked for.
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    patience_s: u64,

    /// Run jobs again that failed in an earlier run.
    #[arg(long)]
    retry_failed: bool,

    /// Print the summary as one JSON object.
    #[arg(long)]
    json: bool,
}

impl Args {
    fn source(&self) -> Source {
        self.llm
            .source(Source::from_env())
            .with("MCP_BATCH_DB", self.db.as_ref())
            .with("MCP_BATCH_CONCURRENCY", self.concurrency.as_ref())
            .with("MCP_BATCH_NAMESPACE", self.namespace.as_ref())
            .with("MCP_BATCH_MAX_ATTEMPTS", self.max_attempts.as_ref())
            .with("MCP_BATCH_MAX_AGE_S", self.max_age_s.as_ref())
            .with("MCP_BATCH_LEDGER_DAYS", self.ledger_days.as_ref())
    }

    fn out(&self, source: &Source) -> PathBuf {
        let beside = || config::database(source).with_file_name("results.jsonl");
        self.out.clone().unwrap_or_else(beside)
    }
}

/// Runs the command.
pub(super) async fn main(args: Args) -> anyhow::Result<ExitCode> {
    let source = args.source();
    let out = args.out(&source);
    let unwritable = || format!("{}: the results cannot be written there", out.display());
    let session = Session::open(&args, &source)?;
    Output::check(&out).with_context(unwritable)?;
    let began = Instant::now();
    let intake = session.intake(&args)?;
    let entries = session.work(intake, &args).await?;
    let patience = Duration::from_secs(args.patience_s);
    session.tell_batches_of_refused(&entries, patience).await;
    let tally = session.tally.lock().clone();
    let results =
        results::write(&out, &entries, &tally, &session.embedded.environment.ledger).await;
    results.with_context(unwritable)?;
    let last_flush = setup::LAST_FLUSH.min(session.stop.time_left());
    session.embedded.environment.tracer.flush(last_flush).await;
    let summary = Summary::of(&entries, &tally, began.elapsed(), out);
    summary.print(args.json)?;
    Ok(summary.exit_code())
}

/// Everything a run needs, open.
struct Session {
    embedded: Embedded,
    tally: Arc<SharedTally>,
    poller: Poller<LocalPorts>,
    stop: Stop,
}

impl Session {
    fn open(args: &Args, source: &Source) -> anyhow::Result<Self> {
        let tally = Arc::<SharedTally>::default();
        let plan = Plan {
            policy: policy(source)?,
            secrets: Secrets::fixed(source.clone())?,
            is_offline: args.llm.is_offline(),
            queue: SqliteQueue::private,
            observer: tally.clone(),
            calls_per_job: 1,
            clients: 0,
            say: setup::to_person,
        };
        let embedded = Embedded::open(source, plan)?;
        let Embedded { environment, concurrency, .. } = &embedded;
        let timeout = environment.tools.longest_timeout();
        let margin = environment.policy.settle_margin;
        let settings = PollerSettings::for_tools(*concurrency, timeout, margin);
        let worker = Worker::new(Arc::clone(environment), *concurrency);
        let poller = Poller::new(worker, settings);
        Ok(Self { embedded, tally, poller, stop: Stop::default() })
    }

    fn intake(&self, args: &Args) -> anyhow::Result<Intake> {
        let reader =
            open(&args.file).with_context(|| format!("{}: cannot be read", args.file.display()))?;
        Ok(Intake {
            reader,
            environment: Arc::clone(&self.embedded.environment),
            stop: self.stop.clone(),
            retry_failed: args.retry_failed,
        })
    }

    /// Reads, sends and works at the same time, until every job has ended or nothing more can be
    /// done now.
    async fn work(&self, intake: Intake, args: &Args) -> anyhow::Result<Entries> {
        let admitted = Arc::<Admitted>::default();
        let mut reading = intake.start(Arc::clone(&admitted))?;
        let mut progress = Progress::start(args.json);
        let mut tick = interval(TICK);
        // The database has just looked while it was opened.
        let mut look = interval_at(tokio::time::Instant::now() + LOOK_FOR_DEAD, LOOK_FOR_DEAD);
        let mut signals = setup::Signals::new()?;
        let environment = Arc::clone(&self.embedded.environment);
        tokio::spawn(environment.tracer.clone().flush_until_stopped(self.stop.clone()));
        tokio::spawn(sweep_until_stopped(environment, sweep::EVERY, self.stop.clone()));
        let poller = self.poller.run(&self.stop);
        tokio::pin!(poller);
        let mut entries = None;
        loop {
            tokio::select! {
                read = &mut reading, if entries.is_none() => {
                    entries = Some(read.context("the reading of the file stopped")??);
                    self.tally.expect(admitted.count());
                }
                () = self.tally.completed() => {}
                () = &mut poller => break,
                () = signals.next() => self.signalled(&mut progress),
                _ = tick.tick() => {}
                _ = look.tick() => self.embedded.free_what_dead_processes_held().await,
            }
            let tally = self.tally.lock();
            progress.show(&tally, admitted.count(), entries.is_some());
            if entries.is_some() {
                if tally.is_complete() {
                    break;
                }
                if Self::is_in_vain(&tally, args) {
                    self.stop.drain();
                }
            }
        }
        progress.finish();
        match entries {
            Some(entries) => Ok(entries),
            None => stopped(reading).await,
        }
    }

    /// A batch that a refused item completed has no message that would come back for its callback.
    /// What is not told in time is left to a sweep.
    async fn tell_batches_of_refused(&self, entries: &Entries, patience: Duration) {
        let post = self.embedded.environment.post();
        let patience = Deadline::after(patience);
        let tell_all = async {
            for key in &entries.batches {
                if let Err(error) = deliver_patiently(post, *key, patience).await {
                    tracing::warn!(%error, "a batch's callback is left to the sweep");
                }
            }
        };
        tokio::select! {
            () = self.stop.draining() => {}
            () = tell_all => {}
        }
    }

    /// Whether waiting longer brings nothing. What still runs is finished even then.
    fn is_in_vain(tally: &Tally, args: &Args) -> bool {
        tally.hopeless().is_some() || tally.is_stuck(Duration::from_secs(args.patience_s))
    }

    /// The first signal lets running jobs end, the second stops them.
    fn signalled(&self, progress: &mut Progress) {
        if self.stop.is_draining() {
            self.stop.interrupt();
            progress.say("stopping the running jobs");
        } else {
            self.stop.drain();
            progress.say("finishing the running jobs; once more to stop them");
        }
    }
}

fn policy(source: &Source) -> Result<Policy, ConfigError> {
    let mut policy = Policy { lost: Lost::TakeOver, ..config::policy(source)? };
    let longest_pause = &mut policy.callbacks.backoff.cap;
    *longest_pause = LONGEST_CALLBACK_PAUSE.min(*longest_pause);
    Ok(policy)
}

/// What was read of the file when the run was stopped. Standard input may never end.
async fn stopped(reading: oneshot::Receiver<anyhow::Result<Entries>>) -> anyhow::Result<Entries> {
    let read = tokio::time::timeout(INTAKE_STOPS_WITHIN, reading).await;
    read.context("stopped while the file was still being read")?
        .context("the reading of the file stopped")?
}
