//! A vault and a clock that tests hold in their hands.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use bytes::Bytes;
use mcp_batch::{
    clock::{Clock, UnixMs},
    config::Source,
    job::Job,
    lease::Outcome,
    secret::{Reading, Secrets, Values, Vault, VaultError},
    tool::{CallContext, Catalog, LlmClient, LlmSettings, ToolError, Tools},
};
use mcp_batch_testkit::FakeLlm;
use serde_json::{Value, json};

use crate::helpers::summarize;

/// The LLM's key as a secret has it.
pub(super) fn llm_key(key: &str) -> Value {
    json!({"MCP_BATCH_LLM_API_KEY": key})
}

#[derive(Clone, Default)]
enum Saying {
    Text(String),
    #[default]
    Nothing,
    Never,
}

/// A vault that says what it is told, and counts.
#[derive(Clone, Default)]
pub(crate) struct Told {
    says: Arc<Mutex<Saying>>,
    reads: Arc<AtomicUsize>,
}

impl Told {
    pub(crate) fn new(says: &Value) -> Self {
        let told = Self::default();
        told.say(says);
        told
    }

    pub(crate) fn say(&self, says: &Value) {
        self.set(Saying::Text(says.to_string()));
    }

    /// It can no longer be read.
    pub(crate) fn fall_silent(&self) {
        self.set(Saying::Nothing);
    }

    /// It can be reached, and never answers.
    pub(crate) fn hang(&self) {
        self.set(Saying::Never);
    }

    fn set(&self, saying: Saying) {
        *self.says.lock().expect("nobody panics with it") = saying;
    }

    pub(crate) fn reads(&self) -> usize {
        self.reads.load(SeqCst)
    }
}

impl Vault for Told {
    fn read(&self) -> Reading<'_> {
        Box::pin(async {
            self.reads.fetch_add(1, SeqCst);
            // Others come while it is read.
            tokio::task::yield_now().await;
            let says = self.says.lock().expect("nobody panics with it").clone();
            match says {
                Saying::Text(text) => {
                    Values::parse(&text).map_err(|error| VaultError(error.to_string()))
                }
                Saying::Nothing => Err(VaultError("the vault is shut".to_owned())),
                Saying::Never => std::future::pending().await,
            }
        })
    }
}

/// A clock that stands still until it is moved.
#[derive(Clone, Default)]
pub(super) struct Hand(Arc<AtomicI64>);

impl Hand {
    pub(super) fn clock(&self) -> Clock {
        let hand = self.clone();
        Clock::new(move || UnixMs(hand.0.load(SeqCst)))
    }

    pub(super) fn turn(&self, by: Duration) {
        let by = i64::try_from(by.as_millis()).expect("less than ages");
        self.0.fetch_add(by, SeqCst);
    }
}

pub(super) async fn open(vault: &Told, hand: &Hand) -> Secrets {
    let opened = Secrets::open(Source::default(), vault.clone(), hand.clock()).await;
    opened.expect("sound values")
}

/// The default catalog before `llm`.
pub(super) fn catalog(llm: &FakeLlm, secrets: &Secrets) -> Catalog {
    catalog_with("", llm, secrets)
}

/// The same with further tables.
pub(super) fn catalog_with(tables: &str, llm: &FakeLlm, secrets: &Secrets) -> Catalog {
    // A second start in one process keeps the first.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let settings = LlmSettings {
        api: mcp_batch::tool::LlmApi::LiteLlm,
        url: llm.url().parse().expect("a URL"),
        model: Some("m".to_owned()),
        timeout: Duration::from_mins(1),
    };
    let client = LlmClient::new(settings, secrets.clone(), Clock::system()).expect("a client");
    let text = format!("{}\n{tables}", Catalog::default_text());
    let catalog = Catalog::parse(&text, Some(client), secrets, &Clock::system());
    catalog.expect("a sound catalog")
}

/// One call of a tool.
pub(super) async fn call(catalog: &Catalog, id: &str) -> Result<Outcome, ToolError> {
    call_within(catalog, id, Duration::from_mins(1)).await
}

pub(super) async fn call_within(
    catalog: &Catalog,
    id: &str,
    timeout: Duration,
) -> Result<Outcome, ToolError> {
    let context = CallContext { timeout, attempt: 1, epoch: 1, spent_usd: 0.0 };
    catalog.call(&job(id), &context).await
}

pub(super) fn job(id: &str) -> Job {
    let body = summarize(id, &format!("The text of {id}.")).to_string();
    Job::parse(&Bytes::from(body)).expect("a job")
}
