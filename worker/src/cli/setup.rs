//! What several commands set up: the catalog, signals.

use std::{fs, path::Path};

use anyhow::Context;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::{
    clock::Clock,
    config::{self, Source},
    environment::Ports,
    local::{SqliteLedger, SqliteQueue},
    secret::Secrets,
    tool::{Catalog, LlmClient},
};

/// Queue and ledger in one file, tools from the catalog.
pub(super) struct LocalPorts;

impl Ports for LocalPorts {
    type Ledger = SqliteLedger;
    type Queue = SqliteQueue;
    type Tools = Catalog;
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
        eprintln!(
            "The offline model answers, {why}: extractive summaries and keyword classes, at no \
             cost.\nFor a real model set MCP_BATCH_LLM_URL and MCP_BATCH_LLM_API_KEY."
        );
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
