//! What several commands set up: the worker in one file, the catalog, signals.

use std::{
    fs,
    io::{self, IsTerminal},
    path::Path,
    sync::Arc,
    time::Duration,
};

use anyhow::Context;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::{
    clock::Clock,
    config::{self, Connections, DEFAULT_CONCURRENCY, Source},
    environment::{Environment, Observer, Policy, Ports},
    local::{Database, SqliteLedger, SqliteQueue},
    secret::Secrets,
    tool::{CONNECTIONS_BESIDE_CALLS, Catalog, LlmClient, Tools},
    trace::{Destination, Tracer},
    webhook::Courier,
};

/// To look again at a job that another process runs costs next to nothing in one file.
const BUSY_WAIT: Duration = Duration::from_secs(2);

/// How often processes on the same file that died are looked for.
pub(super) const LOOK_FOR_DEAD: Duration = Duration::from_secs(5);

/// How long the last spans may take on their way to a collector, when a command ends.
pub(super) const LAST_FLUSH: Duration = Duration::from_secs(2);

/// Queue and ledger in one file, tools from the catalog.
pub(super) struct LocalPorts;

impl Ports for LocalPorts {
    type Ledger = SqliteLedger;
    type Queue = SqliteQueue;
    type Tools = Catalog;
}

/// How a command uses one file.
pub(super) struct Plan {
    /// What goes for this command alone.
    pub(super) policy: Policy,
    /// The keys in use.
    pub(super) secrets: Secrets,
    /// The offline model was asked for.
    pub(super) is_offline: bool,
    /// Whose queue it works off.
    pub(super) queue: fn(Database) -> SqliteQueue,
    /// Who is told what happens.
    pub(super) observer: Arc<dyn Observer>,
    /// Calls that may be made at once for each job that may run at once.
    pub(super) calls_per_job: usize,
    /// Connections from clients.
    pub(super) clients: usize,
    /// How a person is told what is not an error.
    pub(super) say: Say,
}

/// How a person is told something that is not an error.
pub(super) type Say = fn(&str);

/// By a command that a person waits for.
pub(super) fn to_person(what: &str) {
    eprintln!("{what}");
}

/// By a command that goes on by itself: as a line of its log, unless somebody watches.
pub(super) fn to_log(what: &str) {
    if io::stderr().is_terminal() {
        to_person(what);
    } else {
        tracing::info!("{what}");
    }
}

/// Queue, ledger and worker in one file, open.
pub(super) struct Embedded {
    pub(super) environment: Arc<Environment<LocalPorts>>,
    /// Jobs at once.
    pub(super) concurrency: usize,
    database: Database,
}

impl Embedded {
    /// Opens all of it; the file last, so that nothing is made for nothing.
    pub(super) fn open(source: &Source, plan: Plan) -> anyhow::Result<Self> {
        let Plan { policy, secrets, is_offline, queue, observer, calls_per_job, clients, say } =
            plan;
        let clock = Clock::system();
        let concurrency = config::concurrency(source, DEFAULT_CONCURRENCY)?;
        let callbacks = config::courier(source)?;
        let tools = catalog(source, is_offline, &secrets, &clock, say)?;
        let has_upstreams = tools.supersedes_offline() || tools.servers() > 0;
        Connections {
            llm: if has_upstreams { calls_per_job * concurrency } else { 0 },
            servers: tools.servers() * CONNECTIONS_BESIDE_CALLS,
            callbacks: callbacks.total(),
            clients,
            ..Connections::default()
        }
        .check_process()?;
        let courier = Courier::new(callbacks, secrets, clock.clone());
        let courier = courier.map_err(anyhow::Error::msg)?;
        let database = Database::open(&config::database(source), clock.clone())?;
        let tracer = tracer(source, SqliteQueue::destination())?;
        let environment = Environment {
            ledger: SqliteLedger::new(database.clone()),
            queue: queue(database.clone()),
            tools,
            courier,
            clock,
            policy: Policy { busy_wait: BUSY_WAIT, ..policy },
            observer,
            tracer,
        };
        Ok(Self { environment: Arc::new(environment), concurrency, database })
    }

    /// To be called every [`LOOK_FOR_DEAD`].
    pub(super) async fn free_what_dead_processes_held(&self) {
        if let Err(error) = self.database.recover().await {
            tracing::warn!(error, "what dead processes held stays theirs for now");
        }
    }
}

/// Who traces what happens to jobs of that queue.
pub(super) fn tracer(source: &Source, queue: Destination) -> anyhow::Result<Tracer> {
    let settings = config::traces(source)?;
    #[cfg(feature = "aws")]
    let settings = crate::aws::xray::signed(settings);
    Tracer::open(settings, queue).map_err(anyhow::Error::msg)
}

/// Which tools there are, and what answers them. The LLM's key is taken from the environment
/// alone (`MCP_BATCH_LLM_API_KEY`): a command line can be seen by others.
#[derive(Debug, clap::Args)]
pub(super) struct LlmArgs {
    /// The catalog of tools [env: MCP_BATCH_TOOLS] [default: summarize and classify].
    #[arg(long, value_name = "FILE")]
    tools: Option<String>,

    /// An OpenAI-compatible API, to which /chat/completions is added; its key comes from
    /// MCP_BATCH_LLM_API_KEY [env: MCP_BATCH_LLM_URL] [default: the offline model].
    #[arg(long, value_name = "URL")]
    llm_url: Option<String>,

    /// What that API understands: litellm, or openai for one that refuses LiteLLM's own fields
    /// [env: MCP_BATCH_LLM_API] [default: litellm].
    #[arg(long, value_name = "API")]
    llm_api: Option<String>,

    /// The model where neither job nor tool names one [env: MCP_BATCH_LLM_MODEL] [default: the
    /// catalog's].
    #[arg(long, value_name = "NAME")]
    llm_model: Option<String>,

    /// The longest an LLM call may take where the tool does not say [env: MCP_BATCH_LLM_TIMEOUT_S]
    /// [default: 60].
    #[arg(long, value_name = "SECONDS")]
    llm_timeout_s: Option<String>,

    /// Use the offline model even if an LLM is configured.
    #[arg(long)]
    offline: bool,
}

impl LlmArgs {
    /// One that was typed.
    pub(super) fn typed(&self) -> Option<&'static str> {
        let Self { tools, llm_url, llm_model, llm_timeout_s, llm_api, offline } = self;
        [
            (tools.is_some(), "--tools"),
            (llm_url.is_some(), "--llm-url"),
            (llm_model.is_some(), "--llm-model"),
            (llm_timeout_s.is_some(), "--llm-timeout-s"),
            (llm_api.is_some(), "--llm-api"),
            (*offline, "--offline"),
        ]
        .into_iter()
        .find_map(|(is_typed, flag)| is_typed.then_some(flag))
    }

    pub(super) fn is_offline(&self) -> bool {
        self.offline
    }

    pub(super) fn source(&self, source: Source) -> Source {
        source
            .with("MCP_BATCH_TOOLS", self.tools.as_ref())
            .with("MCP_BATCH_LLM_URL", self.llm_url.as_ref())
            .with("MCP_BATCH_LLM_API", self.llm_api.as_ref())
            .with("MCP_BATCH_LLM_MODEL", self.llm_model.as_ref())
            .with("MCP_BATCH_LLM_TIMEOUT_S", self.llm_timeout_s.as_ref())
    }
}

/// The catalog with the LLM behind it, or with the offline model, which is said aloud.
pub(super) fn catalog(
    source: &Source,
    is_offline: bool,
    secrets: &Secrets,
    clock: &Clock,
    say: Say,
) -> anyhow::Result<Catalog> {
    let path = config::tools(source);
    let text = path.as_deref().map(read).transpose()?;
    let text = text.as_deref().unwrap_or(Catalog::default_text());
    let place =
        path.map_or_else(|| "the default catalog".to_owned(), |path| path.display().to_string());
    let is_wrong = || format!("{place}: the catalog is wrong");
    let has_prompts = Catalog::has_prompts(text).with_context(is_wrong)?;
    let client = if let Some(settings) = config::llm(source)?.filter(|_| !is_offline) {
        let client = LlmClient::new(settings, secrets.clone(), clock.clone());
        Some(client.map_err(anyhow::Error::msg)?)
    } else if !has_prompts {
        None
    } else {
        let why = if is_offline { "as asked" } else { "since no LLM is configured" };
        say(&format!(
            "The offline model answers, {why}: extractive summaries and keyword classes, at no \
             cost.\nFor a real model set MCP_BATCH_LLM_URL and MCP_BATCH_LLM_API_KEY."
        ));
        None
    };
    Catalog::parse(text, client, secrets, clock).with_context(is_wrong)
}

fn read(path: &Path) -> anyhow::Result<String> {
    fs::read_to_string(path)
        .with_context(|| format!("{}: the catalog cannot be read", path.display()))
}

/// SIGINT and SIGTERM.
pub(super) struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    pub(super) fn new() -> anyhow::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// Returns when one of them comes.
    pub(super) async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
