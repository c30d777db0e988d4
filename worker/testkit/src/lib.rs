//! Loopback stand-ins for everything `mcp-batch` talks to: [`FakeLlm`] for `LiteLLM`,
//! [`FakeMcp`] and [`ModernMcp`] for MCP servers, [`Receiver`] for whoever gets the callbacks, [`Collector`] for traces, [`MiniStack`] for AWS with an [`AwsProxy`] in front
//! of it, [`FakeAws`] where AWS has to be fast and need not be right, and [`RuntimeApi`] with
//! [`EventSource`] for what no emulator of Lambda gets right.
//!
//! `MiniStack` and [`LiteLlm`] are somebody else's programs. The others are real HTTP servers on 127.0.0.1, each on a
//! thread and a runtime of its own: a test that blocks its runtime, or pauses its clock, does not
//! stop them. They misbehave on demand, count exactly, and are cheap enough to stand in a benchmark.
//!
//! ```
//! use mcp_batch_testkit::{Behaviour, FakeLlm};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let llm = FakeLlm::start().await;
//! // The first call about cats meets a 503, every later one an answer.
//! llm.script("cats", [Behaviour::status(503), Behaviour::answer("They purr.")]);
//! assert!(llm.url().ends_with("/v1"));
//! assert_eq!(llm.calls(), 0);
//! # }
//! ```
//!
//! | file | what lives in it |
//! |---|---|
//! | `llm.rs` | the LLM: set it up, script it, ask what it saw |
//! | `llm/call.rs` | from a call to what is done about it |
//! | `llm/behaviour.rs` | all it can be told to do |
//! | `llm/marker.rs` | the same, told from inside a prompt: `[[429:3]]` |
//! | `mcp.rs` | MCP servers: one that fails by the name of the tool, one of the newest revision |
//! | `receiver.rs` | the callback receiver and its scripted replies |
//! | `fake_aws.rs` | a very fast AWS that knows next to nothing, for benchmarks |
//! | `logbook.rs` | logs, and what must not be in them, kept for `scripts/logs` |
//! | `litellm.rs` | the real `LiteLLM`, in front of providers of ours |
//! | `ministack.rs` | AWS: one server for all tests, or one of its own |
//! | `aws_proxy.rs` | what goes to AWS: seen, priced, and made to fail |
//! | `runtime_api.rs` | Lambda's Runtime API, and the process of a function that polls it |
//! | `event_source.rs` | the mapping from SQS to Lambda, rule by rule |
//! | `collector.rs` | a collector of traces |
//! | `cpu.rs` | which CPU a thread runs on |
//! | `server.rs` | the thread, the socket, what was counted on it |
#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a stand-in that can't do its part must fail the test that leans on it"
)]

use std::time::{Duration, Instant};

mod aws_proxy;

mod collector;

mod cpu;

mod event_source;

mod fake_aws;

mod litellm;

mod llm;

mod logbook;

mod mcp;

mod ministack;

mod name_server;

mod receiver;

mod runtime_api;

mod served;

mod server;

pub use bytes::Bytes;
pub use hyper::{HeaderMap, Method};

pub use crate::aws_proxy::{AwsCall, AwsProxy, Fault, Rule, Units, Watch};
pub use crate::collector::{CollectedSpan, Collector};
pub use crate::cpu::run_on_cpu;
pub use crate::event_source::{
    EventSource, Mapping, Refused, Report, Source, SqsMessage, SqsQueue, WholeBatch,
};
pub use crate::fake_aws::{FakeAws, FakeAwsBuilder};
pub use crate::litellm::LiteLlm;
pub use crate::llm::{Behaviour, FakeLlm, FakeLlmBuilder, RateLimit, Status};
pub use crate::logbook::log_of;
pub use crate::mcp::{FakeMcp, FakeMcpBuilder, LostSession, McpEra, ModernMcp};
pub use crate::ministack::MiniStack;
pub use crate::name_server::{NameServer, ask};
pub use crate::receiver::{Receiver, ReceiverBuilder, Reply};
pub use crate::runtime_api::{Function, Invocation, RuntimeApi};
pub use crate::server::Received;

/// How long everything here that waits does so before it panics: far longer than anything
/// should take, so that only a real fault ends there, however busy the machine is.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Waits until `condition` holds, asking every 5 ms.
///
/// # Panics
///
/// After [`PATIENCE`], naming `what` was waited for.
pub async fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    wait_until_async(what, async || condition()).await;
}

/// [`wait_until`] for a condition that has to be awaited, such as a question to a ledger.
///
/// # Panics
///
/// After [`PATIENCE`], naming `what` was waited for.
pub async fn wait_until_async(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    // The real clock: on a paused one a sleep takes no time, and patience would end at once.
    let started = Instant::now();
    while !condition().await {
        assert!(started.elapsed() < PATIENCE, "waited {PATIENCE:?} in vain until {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
