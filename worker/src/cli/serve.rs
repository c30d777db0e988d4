//! `mcp-batch serve`: the whole product in one process, with queue and ledger in one file.

mod http;

use std::{net::SocketAddr, path::Path, process::ExitCode, sync::Arc, time::Duration};

use anyhow::{Context, bail};
use axum::Router;
use tokio::{net::TcpListener, time::interval};

use super::{
    metrics,
    setup::{Embedded, LAST_FLUSH, LOOK_FOR_DEAD, LlmArgs, Plan, Signals, to_log},
};
use crate::{
    api::{Access, Api, for_readers},
    batch::{Stop, Worker},
    config::{self, ApiSettings, Source},
    environment::Policy,
    local::SqliteQueue,
    poller::{Poller, PollerSettings},
    secret::Secrets,
    sweep::{self, sweep_until_stopped},
    telemetry::{metered::Metered, prometheus::Page},
};

/// The names by which a server on a loopback address is called.
const LOOPBACK: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

/// Answers HTTP and MCP, and works off the jobs, with queue and ledger in one SQLite file.
///
/// On a loopback address it needs no key; elsewhere it does not start without MCP_BATCH_API_KEYS.
/// SIGTERM lets running jobs end for as long as --drain-s says; what is not done by then is done
/// after the next start, and so it is after a kill.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Where it listens [env: MCP_BATCH_LISTEN] [default: 127.0.0.1:8080].
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,

    /// Queue and ledger, an SQLite file [env: MCP_BATCH_DB] [default: mcp-batch.db].
    #[arg(long, value_name = "FILE")]
    db: Option<String>,

    /// Jobs at once, and as many synchronous calls [env: MCP_BATCH_CONCURRENCY] [default: 64].
    #[arg(long, value_name = "N")]
    concurrency: Option<String>,

    #[command(flatten)]
    llm: LlmArgs,

    /// Whose jobs those are that come without a key [env: MCP_BATCH_NAMESPACE] [default: default].
    #[arg(long, value_name = "NAME")]
    namespace: Option<String>,

    /// How long running jobs and requests may go on after SIGTERM.
    #[arg(long, value_name = "SECONDS", default_value_t = 25)]
    drain_s: u64,
}

impl Args {
    fn source(&self) -> Source {
        self.llm
            .source(Source::from_env())
            .with("MCP_BATCH_LISTEN", self.listen.as_ref())
            .with("MCP_BATCH_DB", self.db.as_ref())
            .with("MCP_BATCH_CONCURRENCY", self.concurrency.as_ref())
            .with("MCP_BATCH_NAMESPACE", self.namespace.as_ref())
    }
}

/// Runs the command.
pub(super) async fn main(args: Args) -> anyhow::Result<ExitCode> {
    let source = args.source();
    let session = Session::open(&args, &source)?;
    let listener = TcpListener::bind(session.listen).await;
    let listener =
        listener.with_context(|| format!("--listen: cannot listen on {}", session.listen))?;
    session.greet(listener.local_addr()?, &config::database(&source));
    session.work(listener, Duration::from_secs(args.drain_s)).await
}

/// Everything that serving needs, open.
struct Session {
    listen: SocketAddr,
    settings: ApiSettings,
    access: Access,
    embedded: Embedded,
    metrics: Arc<Metered<Page>>,
    stop: Stop,
}

impl Session {
    fn open(args: &Args, source: &Source) -> anyhow::Result<Self> {
        let listen = config::listen(source)?;
        let mut settings = config::api(source)?;
        let secrets = Secrets::fixed(source.clone())?;
        let policy = config::policy(source)?;
        let access = access(&policy, listen, &secrets)?;
        if listen.ip().is_loopback() {
            settings.hosts.extend(LOOPBACK.map(str::to_owned));
        }
        if !args.llm.is_offline() {
            config::required_llm(source)
                .context("for a first try, --offline answers without one")?;
        }
        let metrics = Arc::new(Metered::new(Page::default()));
        let plan = Plan {
            policy,
            secrets,
            is_offline: args.llm.is_offline(),
            queue: SqliteQueue::shared,
            observer: Arc::clone(&metrics) as _,
            // A job's, and one that somebody waits for.
            calls_per_job: 2,
            clients: http::MAX_CONNECTIONS,
            say: to_log,
        };
        let embedded = Embedded::open(source, plan)?;
        Ok(Self { listen, settings, access, embedded, metrics, stop: Stop::default() })
    }

    fn greet(&self, address: SocketAddr, database: &Path) {
        let who = match &self.access {
            Access::Open(_) => "no key is needed on this address",
            Access::Keys(_) => "callers need a key",
        };
        let jobs = database.display();
        to_log(&format!("Serving http://{address} with the jobs of {jobs}; {who}."));
    }

    /// Answers and works until it is told to stop.
    async fn work(&self, listener: TcpListener, drain: Duration) -> anyhow::Result<ExitCode> {
        let Embedded { environment, concurrency, .. } = &self.embedded;
        let timeout = environment.tools.longest_timeout();
        let settings = PollerSettings {
            drain,
            ..PollerSettings::for_tools(*concurrency, timeout, environment.policy.settle_margin)
        };
        let worker = Worker::new(Arc::clone(environment), *concurrency);
        let poller = Poller::new(worker, settings);
        let access = self.access.clone();
        let api = Api::new(Arc::clone(environment), access, *concurrency, self.stop.clone());
        let router = api.router(&self.settings, self.metrics_page());
        let serving = http::serve(listener, router, &self.stop, drain);
        let ended = async { tokio::join!(poller.run(&self.stop), serving) };
        tokio::pin!(ended);
        let desk = Arc::clone(environment);
        tokio::spawn(sweep_until_stopped(desk, sweep::EVERY, self.stop.clone()));
        let tracer = &environment.tracer;
        tokio::spawn(tracer.clone().flush_until_stopped(self.stop.clone()));
        let mut signals = Signals::new()?;
        let mut look = interval(LOOK_FOR_DEAD);
        loop {
            tokio::select! {
                _ = &mut ended => {
                    tracer.flush(LAST_FLUSH.min(self.stop.time_left())).await;
                    return Ok(ExitCode::SUCCESS);
                }
                () = signals.next() => self.signalled(),
                _ = look.tick() => self.embedded.free_what_dead_processes_held().await,
            }
        }
    }

    /// On loopback whoever measures needs no key, whoever else does.
    fn metrics_page(&self) -> Router {
        let access = match self.listen.ip().is_loopback() {
            true => Access::Open(self.embedded.environment.policy.namespace.clone()),
            false => self.access.clone(),
        };
        for_readers(metrics::route(Arc::clone(&self.metrics)), access)
    }

    /// The first signal lets running jobs end, the second stops them.
    fn signalled(&self) {
        if self.stop.is_draining() {
            self.stop.interrupt();
        } else {
            to_log("Finishing what runs; once more to stop it.");
            self.stop.drain();
        }
    }
}

/// Where others can reach the server, they need a key.
fn access(policy: &Policy, listen: SocketAddr, secrets: &Secrets) -> anyhow::Result<Access> {
    if !secrets.current().access.is_empty() {
        return Ok(Access::Keys(secrets.clone()));
    }
    if !listen.ip().is_loopback() {
        bail!(
            "--listen: expected a loopback address such as 127.0.0.1:8080, or keys in \
             MCP_BATCH_API_KEYS (name:namespace:scope+scope:key), found {listen} without keys: \
             whoever reaches it could use the tools"
        );
    }
    Ok(Access::Open(policy.namespace.clone()))
}
