//! Setting up a [`FakeLlm`].

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hyper::HeaderMap;
use tokio::sync::Semaphore;

use super::call::Llm;
use super::observed::Observed;
use super::rate::Window;
use super::{Behaviour, FakeLlm, RateLimit};
use crate::server::{Listen, Server, Traffic, header};

/// Sets up a [`FakeLlm`].
#[derive(Debug)]
#[must_use]
pub struct FakeLlmBuilder {
    listen: Listen,
    latency: Duration,
    default: Behaviour,
    answer_headers: HeaderMap,
    keep_prompts: bool,
    record: bool,
    rate_limit: Option<RateLimit>,
    models: Option<Vec<String>>,
}

impl Default for FakeLlmBuilder {
    fn default() -> Self {
        Self {
            listen: Listen::default(),
            latency: Duration::ZERO,
            default: Behaviour::Echo,
            answer_headers: HeaderMap::new(),
            keep_prompts: true,
            record: false,
            rate_limit: None,
            models: None,
        }
    }
}

impl FakeLlmBuilder {
    /// How long every call takes, besides what its behaviour adds. Nothing by default.
    pub fn latency(mut self, latency: Duration) -> Self {
        self.latency = latency;
        self
    }

    /// The port to listen on. By default, and with 0, any free one.
    pub fn port(mut self, port: u16) -> Self {
        self.listen.port = port;
        self
    }

    /// How many threads it runs on. One by default, which answers tens of thousands of calls
    /// a second.
    pub fn threads(mut self, threads: usize) -> Self {
        self.listen.threads = threads;
        self
    }

    /// What calls without a script or a marker get. [`Behaviour::Echo`] by default.
    pub fn default_behaviour(mut self, behaviour: Behaviour) -> Self {
        self.default = behaviour;
        self
    }

    /// Puts a price on good answers: the header `x-litellm-response-cost`. Without one a model
    /// is unpriced, and the header absent.
    pub fn cost_usd(self, cost: f64) -> Self {
        // LiteLLM writes small numbers so too: `7.8e-06`.
        let cost = if cost < 1e-4 { format!("{cost:e}") } else { cost.to_string() };
        self.answer_header("x-litellm-response-cost", &cost)
    }

    /// Adds a header to good answers.
    ///
    /// # Panics
    ///
    /// When it is not a valid one.
    pub fn answer_header(mut self, name: &str, value: &str) -> Self {
        let (name, value) = header(name, value);
        self.answer_headers.insert(name, value);
        self
    }

    /// Whether last user messages are kept for [`FakeLlm::calls_containing`]: by default they
    /// are, up to 64 MiB. A benchmark saves the memory.
    pub fn keep_prompts(mut self, keep: bool) -> Self {
        self.keep_prompts = keep;
        self
    }

    /// Whether whole requests are kept for [`FakeLlm::requests`]. By default they are not.
    pub fn record(mut self, record: bool) -> Self {
        self.record = record;
        self
    }

    /// Refuses calls beyond this rate with a 429 that names the wait in whole seconds.
    pub fn rate_limit(mut self, limit: RateLimit) -> Self {
        self.rate_limit = Some(limit);
        self
    }

    /// What it lists at `/v1/models`. By default it does not know the path.
    pub fn models<const N: usize>(mut self, names: [&str; N]) -> Self {
        self.models = Some(names.map(str::to_owned).into());
        self
    }

    /// Starts it.
    ///
    /// # Panics
    ///
    /// When the port is taken.
    pub async fn start(self) -> FakeLlm {
        self.try_start().await.expect("the fake LLM starts")
    }

    /// Starts it, unless the port is taken.
    pub async fn try_start(self) -> io::Result<FakeLlm> {
        let traffic = Arc::<Traffic>::default();
        let llm = Arc::new(Llm {
            latency: self.latency,
            answer_headers: self.answer_headers,
            default: Mutex::new(self.default),
            scripts: Mutex::default(),
            key: Mutex::default(),
            models: self.models,
            releases: Semaphore::new(0),
            window: self.rate_limit.map(Window::new),
            observed: Observed::new(self.keep_prompts, self.record),
            traffic: Arc::clone(&traffic),
        });
        let server = Server::start(self.listen, Arc::clone(&llm), traffic).await?;
        Ok(FakeLlm { server, llm })
    }
}
