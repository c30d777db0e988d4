//! `mcp-batch poll`: the worker outside Lambda, on a real queue and table.

mod health;
mod ledger_watch;

use std::{net::SocketAddr, process::ExitCode, sync::Arc, time::Duration};

use anyhow::Context;
use tokio::{net::TcpListener, sync::watch, time::interval};

use self::{health::Parts, ledger_watch::Standing};
use super::setup::{LAST_FLUSH, LlmArgs, Signals};
use crate::{
    aws::setup::{AwsWorker, Fallback},
    batch::Stop,
    config::{self, Source},
    environment::Heartbeat,
    poller::{Poller, PollerSettings},
    sweep::{self, sweep_until_stopped},
    telemetry::{metered::Metered, prometheus::Page},
};

/// Three beats may fail before a message is somebody else's.
const BEATS: u32 = 4;

/// SQS hides a message for 12 hours at most after its receive ("`VisibilityTimeout`", API
/// reference of `ChangeMessageVisibility`); what follows a call has to fit as well.
const BATCH_TIME: Duration = Duration::from_secs(11 * 3600);

/// How long a receive waits for the first message. SQS would wait for 20 s, and so would whoever
/// stops the worker.
const LONG_POLL: Duration = Duration::from_secs(5);

/// How often it is looked whether the secret is to be read again.
const KEEP_FRESH: Duration = Duration::from_secs(30);

/// Runs jobs from an SQS queue, with the ledger in DynamoDB, until it is told to stop.
///
/// SIGTERM lets running jobs end for as long as --drain-s says, then interrupts them: their messages
/// come back. AWS's endpoint, region and credentials come from the standard AWS variables.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The queue [env: MCP_BATCH_QUEUE_URL].
    #[arg(long, value_name = "URL")]
    queue_url: Option<String>,

    /// Where dead letters go [env: MCP_BATCH_DLQ_URL] [default: the queue's own redrive policy].
    #[arg(long, value_name = "URL")]
    dlq_url: Option<String>,

    /// The ledger, a DynamoDB table [env: MCP_BATCH_TABLE].
    #[arg(long, value_name = "NAME")]
    table: Option<String>,

    /// Jobs at once [env: MCP_BATCH_CONCURRENCY] [default: 64].
    #[arg(long, value_name = "N")]
    concurrency: Option<String>,

    /// How long a message stays hidden between two beats of the heart, of which there are four: what
    /// a worker that died holds up, and no more [env: MCP_BATCH_VISIBILITY_TIMEOUT_S] [default:
    /// 120].
    #[arg(long, value_name = "SECONDS")]
    visibility_timeout_s: Option<String>,

    /// Where GET /healthz is answered, 200 while queue and ledger answer, 503 otherwise and while
    /// stopping, and GET /metrics, for Prometheus.
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:8080")]
    health: SocketAddr,

    /// How long running jobs may go on after SIGTERM. What still runs then, or at a second SIGTERM, is
    /// interrupted; at most five seconds later the process ends.
    #[arg(long, value_name = "SECONDS", default_value_t = 25)]
    drain_s: u64,

    #[command(flatten)]
    llm: LlmArgs,
}

impl Args {
    fn source(&self) -> Source {
        self.llm
            .source(Source::from_env())
            .with("MCP_BATCH_QUEUE_URL", self.queue_url.as_ref())
            .with("MCP_BATCH_DLQ_URL", self.dlq_url.as_ref())
            .with("MCP_BATCH_TABLE", self.table.as_ref())
            .with("MCP_BATCH_CONCURRENCY", self.concurrency.as_ref())
            .with("MCP_BATCH_VISIBILITY_TIMEOUT_S", self.visibility_timeout_s.as_ref())
    }

    fn fallback(&self) -> Fallback {
        if self.llm.is_offline() { Fallback::Offline } else { Fallback::Refused }
    }
}

/// Runs the command.
pub(super) async fn main(args: Args) -> anyhow::Result<ExitCode> {
    let source = args.source();
    let hidden = config::visibility_timeout(&source)?;
    let heartbeat = Some(Heartbeat { every: hidden / BEATS, lasts: hidden });
    let concurrency = config::DEFAULT_CONCURRENCY;
    let metrics = Arc::new(Metered::new(Page::default()));
    let observer = Arc::clone(&metrics) as _;
    let aws = AwsWorker::open(source, concurrency, args.fallback(), heartbeat, observer).await?;
    let poller = Poller::new(aws.worker().clone(), settings(&aws, &args, hidden));
    let stop = Stop::default();
    let listener = TcpListener::bind(args.health).await;
    let listener =
        listener.with_context(|| format!("--health: cannot listen on {}", args.health))?;
    tracing::info!(address = %listener.local_addr()?, "GET /healthz and /metrics are answered");
    let (standing, ledger) = watch::channel(Standing::Unknown);
    tokio::spawn(ledger_watch::watch(aws.worker().shared(), standing, stop.clone()));
    let parts = Parts { queue: poller.reception(), ledger };
    let health = health::serve(listener, parts, metrics, stop.clone());
    let sweeping = sweep_until_stopped(aws.worker().shared(), sweep::EVERY, stop.clone());
    tokio::spawn(sweeping);
    let tracer = aws.worker().environment().tracer.clone();
    tokio::spawn(tracer.clone().flush_until_stopped(stop.clone()));
    let running = poller.run(&stop);
    tokio::pin!(health, running);
    let mut signals = Signals::new()?;
    let mut refresh = interval(KEEP_FRESH);
    loop {
        tokio::select! {
            () = &mut running => {
                tracer.flush(LAST_FLUSH.min(stop.time_left())).await;
                return Ok(ExitCode::SUCCESS);
            }
            served = &mut health => served.context("/healthz")?,
            () = signals.next() => if stop.is_draining() { stop.interrupt() } else { stop.drain() },
            // Beside the jobs: a reading may take seconds.
            _ = refresh.tick() => {
                let aws = aws.clone();
                tokio::spawn(async move { aws.keep_fresh().await });
            }
        }
    }
}

fn settings(aws: &AwsWorker, args: &Args, hidden: Duration) -> PollerSettings {
    PollerSettings {
        concurrency: aws.concurrency(),
        batch_size: aws.concurrency().clamp(1, 100),
        wait: LONG_POLL,
        visibility_timeout: hidden,
        batch_time: BATCH_TIME,
        drain: Duration::from_secs(args.drain_s),
    }
}
