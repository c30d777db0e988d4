//! A vault, a clock and a log that tests hold in their hands.

use std::{
    io::{self, Write},
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
use tracing::subscriber::DefaultGuard;
use tracing_subscriber::fmt::MakeWriter;

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

/// Everything that this thread logs, at every level, until it is dropped.
pub(super) struct Log {
    text: Arc<Mutex<Vec<u8>>>,
    _guard: DefaultGuard,
}

struct Pen(Arc<Mutex<Vec<u8>>>);

impl Log {
    pub(super) fn start() -> Self {
        let text = Arc::<Mutex<Vec<u8>>>::default();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .with_ansi(false)
            .with_writer(Pen(Arc::clone(&text)))
            .finish();
        Self { text, _guard: tracing::subscriber::set_default(subscriber) }
    }

    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.text.lock().expect("nobody panics with it")).into_owned()
    }
}

impl<'a> MakeWriter<'a> for Pen {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl Write for Pen {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("nobody panics with it").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

pub(super) async fn open(vault: &Told, hand: &Hand) -> Secrets {
    let opened = Secrets::open(Source::default(), vault.clone(), hand.clock()).await;
    opened.expect("sound values")
}

/// The default catalog before `llm`.
pub(super) fn catalog(llm: &FakeLlm, secrets: &Secrets) -> Catalog {
    // A second start in one process keeps the first.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let settings = LlmSettings {
        api: mcp_batch::tool::LlmApi::LiteLlm,
        url: llm.url().parse().expect("a URL"),
        model: Some("m".to_owned()),
        timeout: Duration::from_mins(1),
    };
    let client = LlmClient::new(settings, secrets.clone(), Clock::system()).expect("a client");
    let catalog = Catalog::parse(Catalog::default_text(), Some(client), secrets, &Clock::system());
    catalog.expect("the default catalog")
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
    let body = summarize(id, &format!("The text of {id}.")).to_string();
    let job = Job::parse(&Bytes::from(body)).expect("a job");
    let context = CallContext { timeout, attempt: 1, epoch: 1 };
    catalog.call(&job, &context).await
}
