//! An MCP server that fails on demand: each of its tools is named after what goes wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering::SeqCst;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::sync::{Arc, Mutex};

use serde_json::{Map, Value};
use tokio::sync::Semaphore;

mod answer;

mod fault;

mod modern;

mod oauth;

mod protocol;

pub use self::modern::ModernMcp;

use crate::server::{Listen, Received, Server, Traffic, lock};

/// Which revisions of the protocol a [`FakeMcp`] speaks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum McpEra {
    /// 2025-11-25, with sessions.
    #[default]
    Legacy,
    /// 2026-07-28.
    Modern,
    /// Neither: it answers `{}` to whatever it is asked, but to what is of the era before sessions
    /// were gone.
    Vague,
    /// That with sessions; what it does not know it leaves unanswered.
    Silent,
    /// One that nobody knows yet: it answers -32022 to any other.
    Future,
}

/// How a server says that it knows a session no more.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LostSession {
    /// 404, as the specification has it.
    #[default]
    NotFound,
    /// 400 and an error without an id, as the TypeScript SDK has it.
    WithoutId,
}

/// A loopback MCP server at `/mcp`. Its tools:
///
/// | name | what a call meets |
/// |---|---|
/// | `echo` | its `text` |
/// | `everything` | text, an image, a link, structured content |
/// | `nothing`, `unknown_content` | no content; content of a kind nobody knows |
/// | `is_error`, `ts_refusal` | a tool's own error; wrong arguments as the TypeScript SDK tells them |
/// | `status_NNN`, `wait_NNN` | that status; with `Retry-After: 7` |
/// | `rpc_NNNNN`, `rpc_500_NNNNN` | that error of JSON-RPC, negative; with the status 500 |
/// | `session_NNN` | an error of its own that speaks of a session, with that status |
/// | `idless`, `idless_null`, `idless_event` | an error without an id: none, `null`, in an event |
/// | `broken_json`, `broken_event`, `html`, `other_id`, `accepted` | what is no answer |
/// | `once_html` | the same the first time, then `echo` |
/// | `huge`, `huge_event` | a result of 6 MiB |
/// | `reset`, `cut` | a closed connection; a stream that ends before the result |
/// | `hang`, `hang_event`, `hold` | no answer; none in a stream; one when [released](Self::release) |
/// | `progress` | ten notifications of progress, 50 ms apart, then `echo` |
/// | `flood`, `asks_on` | progress, and requests of its own, without end |
/// | `asks`, `goes_on` | requests of its own before `echo`; notifications after it, without end |
/// | `input_required`, `task` | what is no result |
///
/// It stops when dropped.
#[derive(Debug)]
pub struct FakeMcp {
    server: Server,
    mcp: Arc<Mcp>,
}

/// Sets up a [`FakeMcp`].
#[derive(Debug, Default)]
#[must_use]
pub struct FakeMcpBuilder {
    era: McpEra,
    lost_session: LostSession,
    page: Option<usize>,
    ttl_ms: Option<u64>,
    initialize_id: Option<Value>,
    oauth: Option<(String, String, u64)>,
    is_basic: bool,
}

#[derive(Debug)]
pub(crate) struct Mcp {
    era: McpEra,
    lost_session: LostSession,
    /// Tools a page of the list.
    page: usize,
    ttl_ms: Option<u64>,
    /// The id of the answer to `initialize`, in place of the request's.
    initialize_id: Option<Value>,
    /// What a page of the list has besides.
    beside_tools: Mutex<Map<String, Value>>,
    tools: Mutex<Vec<Value>>,
    sessions: Mutex<BTreeSet<String>>,
    token: Mutex<Option<String>>,
    oauth: Option<oauth::OAuth>,
    endless_list: AtomicBool,
    methods: Mutex<BTreeMap<String, usize>>,
    calls: Mutex<BTreeMap<String, usize>>,
    requests: Mutex<Vec<Received>>,
    numbers: AtomicUsize,
    releases: Semaphore,
    traffic: Arc<Traffic>,
}

impl FakeMcpBuilder {
    /// Which revisions it speaks. Those of the legacy era by default.
    pub fn era(mut self, era: McpEra) -> Self {
        self.era = era;
        self
    }

    /// How it says that a session is lost.
    pub fn lost_session(mut self, how: LostSession) -> Self {
        self.lost_session = how;
        self
    }

    /// How many tools a page of its list has. All by default.
    pub fn page(mut self, tools: usize) -> Self {
        self.page = Some(tools);
        self
    }

    /// How long it says its list may be used.
    pub fn ttl_ms(mut self, ttl_ms: u64) -> Self {
        self.ttl_ms = Some(ttl_ms);
        self
    }

    /// Answers `initialize` under this id.
    pub fn initialize_id(mut self, id: Value) -> Self {
        self.initialize_id = Some(id);
        self
    }

    /// Wants the client's secret in the header `Authorization: Basic`, and takes it from nobody.
    pub fn basic(mut self) -> Self {
        self.is_basic = true;
        self
    }

    /// Lets nobody in who shows no token, which it gives to this client alone: at `/token`, as its
    /// metadata say, for so many seconds.
    pub fn oauth(mut self, client_id: &str, client_secret: &str, expires_in_s: u64) -> Self {
        self.oauth = Some((client_id.to_owned(), client_secret.to_owned(), expires_in_s));
        self
    }

    /// Starts it.
    ///
    /// # Panics
    ///
    /// When the machine has no thread or port left.
    pub async fn start(self) -> FakeMcp {
        let traffic = Arc::<Traffic>::default();
        let mcp = Arc::new(Mcp {
            era: self.era,
            lost_session: self.lost_session,
            page: self.page.unwrap_or(usize::MAX),
            ttl_ms: self.ttl_ms,
            initialize_id: self.initialize_id,
            beside_tools: Mutex::default(),
            tools: Mutex::new(fault::tools()),
            sessions: Mutex::default(),
            token: Mutex::default(),
            oauth: self.oauth.map(|(client_id, client_secret, expires_in_s)| oauth::OAuth {
                client_id,
                client_secret,
                expires_in_s,
                is_basic: self.is_basic,
                given: AtomicUsize::default(),
                asked: AtomicUsize::default(),
                is_down: AtomicBool::default(),
                is_revoked: AtomicBool::default(),
            }),
            endless_list: AtomicBool::default(),
            methods: Mutex::default(),
            calls: Mutex::default(),
            requests: Mutex::default(),
            numbers: AtomicUsize::default(),
            releases: Semaphore::new(0),
            traffic: Arc::clone(&traffic),
        });
        let server = Server::start(Listen::default(), Arc::clone(&mcp), traffic).await;
        FakeMcp { server: server.expect("a thread and a port on 127.0.0.1"), mcp }
    }
}

impl FakeMcp {
    /// Starts one of the legacy era.
    pub async fn start() -> Self {
        Self::builder().start().await
    }

    /// Sets one up.
    pub fn builder() -> FakeMcpBuilder {
        FakeMcpBuilder::default()
    }

    /// Its endpoint.
    pub fn url(&self) -> String {
        format!("http://{}/mcp", self.server.address())
    }

    /// What it lists from now on, each as `tools/list` has it.
    pub fn set_tools(&self, tools: impl IntoIterator<Item = Value>) {
        *lock(&self.mcp.tools) = tools.into_iter().collect();
    }

    /// Puts this member beside the tools of each page of its list.
    pub fn set_beside_tools(&self, name: &str, member: Value) {
        lock(&self.mcp.beside_tools).insert(name.to_owned(), member);
    }

    /// Every page of its list names a next one from now on.
    pub fn list_for_ever(&self) {
        self.mcp.endless_list.store(true, SeqCst);
    }

    /// Answers 401 with a challenge to every request that does not show this bearer token.
    pub fn require_token(&self, token: &str) {
        *lock(&self.mcp.token) = Some(format!("Bearer {token}"));
    }

    /// How many access tokens it gave.
    pub fn tokens(&self) -> usize {
        self.mcp.oauth.as_ref().map_or(0, |oauth| oauth.given.load(SeqCst))
    }

    /// How often it was asked for one.
    pub fn token_requests(&self) -> usize {
        self.mcp.oauth.as_ref().map_or(0, |oauth| oauth.asked.load(SeqCst))
    }

    /// Whether it answers whoever asks for one with 503.
    pub fn give_no_tokens(&self, is_down: bool) {
        if let Some(oauth) = &self.mcp.oauth {
            oauth.is_down.store(is_down, SeqCst);
        }
    }

    /// Takes the latest of them no more.
    pub fn revoke_token(&self) {
        if let Some(oauth) = &self.mcp.oauth {
            oauth.is_revoked.store(true, SeqCst);
        }
    }

    /// Forgets all sessions, as a restart does.
    pub fn forget_sessions(&self) {
        lock(&self.mcp.sessions).clear();
    }

    /// Answers `calls` of those to `hold`, the oldest first, or the next to come.
    pub fn release(&self, calls: usize) {
        self.mcp.releases.add_permits(calls);
    }

    /// How many requests and notifications with that method came; `GET` and `DELETE` count as
    /// methods of their own.
    pub fn count(&self, method: &str) -> usize {
        lock(&self.mcp.methods).get(method).copied().unwrap_or_default()
    }

    /// How many calls of that tool came.
    pub fn calls(&self, tool: &str) -> usize {
        lock(&self.mcp.calls).get(tool).copied().unwrap_or_default()
    }

    /// The requests with that method, in the order they came.
    pub fn requests(&self, method: &str) -> Vec<Received> {
        let all = lock(&self.mcp.requests);
        let with = |request: &&Received| {
            serde_json::from_slice::<Value>(request.body()).is_ok_and(|it| it["method"] == method)
        };
        all.iter().filter(with).cloned().collect()
    }

    /// How many TCP connections were accepted.
    pub fn connections(&self) -> usize {
        self.mcp.traffic.connections()
    }

    /// How many clients went away before their answer.
    pub fn clients_left(&self) -> usize {
        self.mcp.traffic.clients_left()
    }
}
