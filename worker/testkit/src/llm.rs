//! The LLM, as `LiteLLM` would answer for it, or as a provider behind `LiteLLM`:
//! `POST /v1/chat/completions` in `OpenAI`'s shape, `POST /v1/messages` in Anthropic's.

use std::collections::BTreeMap;
use std::sync::Arc;

mod answer;

mod behaviour;

mod builder;

mod call;

mod marker;

mod message;

mod observed;

mod question;

mod rate;

mod status;

pub use self::behaviour::Behaviour;
pub use self::builder::FakeLlmBuilder;
pub use self::rate::RateLimit;
pub use self::status::Status;

use self::call::{Llm, Script};
use crate::server::{Received, Server, Traffic, lock};

/// A loopback LLM. What it does with a call is decided by, in this order:
///
/// 1. the first [script](Self::script) whose substring is in the last user message,
/// 2. a marker in that message, such as `[[500]]` (see [`Behaviour`] for the list), or in the
///    model's name, such as `mode-500`,
/// 3. the [default](Self::set_default), which is [`Behaviour::Echo`] to begin with.
///
/// It stops when dropped.
#[derive(Debug)]
pub struct FakeLlm {
    server: Server,
    llm: Arc<Llm>,
}

impl FakeLlm {
    /// Starts one that echoes at once.
    pub async fn start() -> Self {
        Self::builder().start().await
    }

    /// Sets one up.
    pub fn builder() -> FakeLlmBuilder {
        FakeLlmBuilder::default()
    }

    /// The base URL, `http://127.0.0.1:PORT/v1`: clients append `/chat/completions`.
    pub fn url(&self) -> String {
        format!("http://{}/v1", self.server.address())
    }

    /// Lets successive calls whose last user message contains `substring` take the next of
    /// `behaviours`; the last one repeats. Replaces an earlier script for the same substring,
    /// and with no behaviours only removes it.
    pub fn script(
        &self,
        substring: impl Into<String>,
        behaviours: impl IntoIterator<Item = Behaviour>,
    ) {
        let script =
            Script { substring: substring.into(), behaviours: behaviours.into_iter().collect() };
        let mut scripts = lock(&self.llm.scripts);
        scripts.retain(|old| old.substring != script.substring);
        if !script.behaviours.is_empty() {
            scripts.push(script);
        }
    }

    /// What calls without a script or a marker get from now on.
    pub fn set_default(&self, behaviour: Behaviour) {
        *lock(&self.llm.default) = behaviour;
    }

    /// Answers 401 to every call that does not show this key from now on, whatever it asks.
    pub fn require_key(&self, key: &str) {
        *lock(&self.llm.key) = Some(key.to_owned());
    }

    /// Answers `calls` of those in [`Behaviour::Hold`], the oldest first, or the next to come.
    pub fn release(&self, calls: usize) {
        self.llm.releases.add_permits(calls);
    }

    /// How many calls arrived, counted before they are answered.
    pub fn calls(&self) -> usize {
        self.llm.traffic.requests()
    }

    /// How many calls had `substring` in their last user message.
    ///
    /// # Panics
    ///
    /// When prompts were not kept: see [`FakeLlmBuilder::keep_prompts`].
    pub fn calls_containing(&self, substring: &str) -> usize {
        self.llm.observed.calls_containing(substring)
    }

    /// How often each `x-litellm-call-id` was called: with a job's id in there, how often each
    /// job was paid.
    pub fn calls_by_id(&self) -> BTreeMap<String, usize> {
        self.llm.observed.calls_by_id()
    }

    /// How often each model was asked.
    pub fn calls_by_model(&self) -> BTreeMap<String, usize> {
        self.llm.observed.calls_by_model()
    }

    /// The latest request.
    pub fn last_request(&self) -> Option<Received> {
        self.llm.observed.last()
    }

    /// All requests in the order they arrived.
    ///
    /// # Panics
    ///
    /// Without [`FakeLlmBuilder::record`].
    pub fn requests(&self) -> Vec<Received> {
        self.llm.observed.all()
    }

    /// How many requests are being answered now.
    pub fn in_flight(&self) -> usize {
        self.llm.traffic.in_flight()
    }

    /// The most requests that were ever being answered at once.
    pub fn max_in_flight(&self) -> usize {
        self.llm.traffic.max_in_flight()
    }

    /// How many TCP connections were accepted.
    pub fn connections(&self) -> usize {
        self.llm.traffic.connections()
    }

    /// How many clients went away before their answer: by a timeout, or because the job's
    /// future was dropped.
    pub fn clients_left(&self) -> usize {
        self.llm.traffic.clients_left()
    }

    /// Waits until at least `n` calls arrived.
    ///
    /// # Panics
    ///
    /// After [`PATIENCE`](crate::PATIENCE).
    pub async fn wait_for_calls(&self, n: usize) {
        self.server.wait_for(n, "calls of the LLM", Traffic::requests).await;
    }

    /// Waits until at least `n` clients went away before their answer.
    ///
    /// # Panics
    ///
    /// After [`PATIENCE`](crate::PATIENCE).
    pub async fn wait_for_clients_left(&self, n: usize) {
        self.server.wait_for(n, "clients to leave the LLM", Traffic::clients_left).await;
    }
}
