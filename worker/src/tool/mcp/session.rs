//! The one connection to a server, shared by all jobs of the process: made when it is first needed,
//! made anew when it is lost, by one job for all. rmcp heals a lost session of the protocol inside
//! of it.

use std::{
    sync::{Arc, Mutex as Cell, PoisonError, RwLock},
    time::Duration,
};

use rmcp::{
    model::ProtocolVersion,
    service::{
        ClientInitializeError, ClientLifecycleMode, ClientServiceExt, Peer, RoleClient,
        RunningService,
    },
    transport::{
        common::client_side_sse::ExponentialBackoff,
        streamable_http_client::{
            StreamableHttpClientTransport, StreamableHttpClientTransportConfig,
        },
    },
};
use tokio::{
    sync::{Mutex, MutexGuard},
    time::{Instant, timeout, timeout_at},
};
use url::Url;

use super::{
    failure::{self, Terms},
    http::McpHttp,
    list::ToolList,
    progress::Listener,
    settings::{Era, ServerSettings},
};
#[cfg(feature = "stdio")]
use super::{program::Program, settings::ProgramSpec};
#[cfg(feature = "stdio")]
use crate::secret::Secrets;
use crate::{retry::Backoff, tool::ToolError};

/// How long nobody tries again after a connection failed; doubling.
const AFTER_FAILURE: Backoff =
    Backoff { base: Duration::from_secs(1), cap: Duration::from_secs(30) };

/// How long the others wait for the one who connects, from when it began. A server that is silent
/// must not hold up the jobs of all others.
const OTHERS_WAIT: Duration = Duration::from_secs(2);

/// The same where the last try failed: while they wait they take up room that others could use, and
/// the server may be down for hours.
const OTHERS_WAIT_AGAIN: Duration = Duration::from_millis(200);

/// The longest before they look again.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// A connection that ends earlier was no success: a program that dies after each handshake is not
/// started again at once.
const SOUND_AFTER: Duration = Duration::from_secs(10);

/// The longest before a broken stream is asked for again. A call that waits for its answer there learns
/// only then that the server which would have given it is gone.
const LONGEST_RECONNECT: Duration = Duration::from_secs(2);

/// How long a server whose era is not known may leave the question for it unanswered.
const DISCOVER_WITHIN: Duration = Duration::from_secs(8);

/// How long a cancelled call's message may take.
const CANCEL_TIMEOUT: Duration = Duration::from_secs(2);

/// The way to one server.
pub(super) struct Session {
    name: Arc<str>,
    settings: Arc<ServerSettings>,
    way: Way,
    live: RwLock<Option<Arc<Live>>>,
    /// Held by the one who connects.
    connecting: Mutex<Past>,
    /// How that stands.
    attempt: Cell<Option<Attempt>>,
}

/// Somebody connects.
#[derive(Clone, Copy)]
struct Attempt {
    began: Instant,
    /// How long from then on the others wait.
    others_wait: Duration,
}

/// What a connection is made over.
pub(super) enum Way {
    Http(Url, McpHttp),
    #[cfg(feature = "stdio")]
    Program(ProgramSpec, Secrets),
}

/// What became of earlier tries.
#[derive(Default)]
struct Past {
    era: Option<Era>,
    failures: u32,
    failed: Option<Failed>,
    /// Connections in a row that ended soon after they were made.
    short_lives: u32,
}

struct Failed {
    error: ToolError,
    until: Instant,
}

/// A connection, with the tools it offers.
pub(super) struct Live {
    service: RunningService<RoleClient, Listener>,
    /// The server, where it is a program that was started for us.
    #[cfg(feature = "stdio")]
    _program: Option<Program>,
    listener: Listener,
    made: Instant,
    tools: RwLock<Arc<ToolList>>,
    /// Held by the one who asks for the list again.
    reading: Mutex<()>,
}

impl Session {
    pub(super) fn new(name: Arc<str>, settings: Arc<ServerSettings>, way: Way) -> Self {
        Self {
            name,
            settings,
            way,
            live: RwLock::default(),
            connecting: Mutex::default(),
            attempt: Cell::default(),
        }
    }

    /// What a failure that is about no call is told with.
    pub(super) fn terms(&self) -> Terms<'_> {
        let secrets = match &self.way {
            Way::Http(_, http) => http.credentials().hidden(),
            #[cfg(feature = "stdio")]
            Way::Program(spec, secrets) => spec.hidden(secrets),
        };
        Terms { server: &self.name, payloads: Vec::new(), secrets, attempt: u32::MAX }
    }

    /// The connection, if there is one.
    pub(super) fn present(&self) -> Option<Arc<Live>> {
        let live = self.live.read().unwrap_or_else(PoisonError::into_inner);
        live.as_ref().filter(|live| !live.is_lost()).cloned()
    }

    /// The connection; it is made if there is none. Whoever comes meanwhile waits for it, and
    /// shares its failure for a while.
    pub(super) async fn live(&self) -> Result<Arc<Live>, ToolError> {
        match self.present() {
            Some(live) => Ok(live),
            None => self.made_by(self.connecting.lock().await).await,
        }
    }

    /// The same for who has better things to do than to wait for long while somebody else connects.
    pub(super) async fn live_soon(&self) -> Result<Arc<Live>, ToolError> {
        if let Some(live) = self.present() {
            return Ok(live);
        }
        let attempt = self.attempt().unwrap_or_else(|| Attempt::begin(OTHERS_WAIT));
        let Attempt { began, others_wait } = attempt;
        let Ok(past) = timeout_at(began + others_wait, self.connecting.lock()).await else {
            let connects_until = began + self.settings.connect_timeout;
            let left = connects_until.saturating_duration_since(Instant::now());
            return Err(failure::being_connected_to(left.min(LOOK_AGAIN), &self.terms()));
        };
        let is_asked = past.still().is_none();
        let made = self.made_by(past).await;
        if let (true, Err(ToolError { error, .. })) = (is_asked, &made) {
            let (class, code) = (error.class, &error.code);
            tracing::warn!(server = %self.name, %class, %code, "no connection to a server");
        }
        made
    }

    async fn made_by(&self, mut past: MutexGuard<'_, Past>) -> Result<Arc<Live>, ToolError> {
        if let Some(live) = self.present() {
            return Ok(live);
        }
        if let Some(error) = past.still() {
            return Err(error);
        }
        if self.ended_early(&mut past) {
            return Err(past.pause(failure::short_life(&self.terms())));
        }
        let connecting = Connecting::begin(&self.attempt, past.others_wait());
        let connected = self.connect(past.era).await;
        drop(connecting);
        match connected {
            Ok(live) => {
                past.succeeded(live.era());
                let live = Arc::new(live);
                *self.live.write().unwrap_or_else(PoisonError::into_inner) = Some(live.clone());
                Ok(live)
            }
            Err(error) => Err(past.failed(error)),
        }
    }

    /// Takes the lost connection out, and answers whether it was lost too soon.
    fn ended_early(&self, past: &mut Past) -> bool {
        let mut live = self.live.write().unwrap_or_else(PoisonError::into_inner);
        let Some(lost) = live.take() else { return false };
        past.lived(lost.made.elapsed())
    }

    fn attempt(&self) -> Option<Attempt> {
        *self.attempt.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whoever comes next connects anew: the server was not there.
    pub(super) fn forget(&self, lost: &Arc<Live>) {
        let mut live = self.live.write().unwrap_or_else(PoisonError::into_inner);
        live.take_if(|live| Arc::ptr_eq(live, lost));
    }

    async fn connect(&self, era: Option<Era>) -> Result<Live, ToolError> {
        let within = self.settings.connect_timeout;
        let connected = timeout(within, self.shake_hands(era)).await;
        connected.unwrap_or_else(|_| Err(failure::slow_handshake(within, &self.terms())))
    }

    async fn shake_hands(&self, era: Option<Era>) -> Result<Live, ToolError> {
        let listener = Listener::default();
        let client = listener.clone();
        let asked = era.unwrap_or(self.settings.era);
        let lifecycle = lifecycle(asked);
        #[cfg(feature = "stdio")]
        let mut running = None;
        let service = match &self.way {
            Way::Http(url, http) => {
                let http = match asked {
                    Era::Auto => http.clone().discovering(self.discover_within()),
                    Era::Modern | Era::Legacy => http.clone(),
                };
                client.serve_with_lifecycle(self.transport(url, http), lifecycle).await
            }
            #[cfg(feature = "stdio")]
            Way::Program(spec, secrets) => {
                let max_bytes = self.settings.max_result_bytes;
                let started = Program::start(spec, secrets, max_bytes);
                let (program, pipes) =
                    started.map_err(|why| failure::not_started(&why, &self.terms()))?;
                running = Some(program);
                client.serve_with_lifecycle(pipes, lifecycle).await
            }
        };
        let service = match service {
            Ok(service) => service,
            // rmcp negotiates among the revisions that know no session alone.
            Err(error) if era.is_none() && self.settings.era == Era::Auto && is_legacy(&error) => {
                return Box::pin(self.shake_hands(Some(Era::Legacy))).await;
            }
            Err(error) => return Err(failure::of_handshake(&error, &self.terms())),
        };
        // The list of tools is kept here, with its schemas compiled.
        service.set_response_cache_config(rmcp::ClientCacheConfig::disabled()).await;
        let tools = ToolList::read(service.peer(), &self.name, &self.settings).await;
        let tools = tools.map_err(|error| failure::of_list(&error, &self.terms()))?;
        Ok(Live {
            service,
            #[cfg(feature = "stdio")]
            _program: running,
            listener,
            made: Instant::now(),
            tools: RwLock::new(Arc::new(tools)),
            reading: Mutex::default(),
        })
    }

    /// Leaves time for the other handshake.
    fn discover_within(&self) -> Duration {
        DISCOVER_WITHIN.min(self.settings.connect_timeout / 2)
    }

    fn transport(&self, url: &Url, http: McpHttp) -> StreamableHttpClientTransport<McpHttp> {
        let mut reconnects = ExponentialBackoff::default();
        reconnects.max_delay = Some(LONGEST_RECONNECT);
        let mut config = StreamableHttpClientTransportConfig::with_uri(url.as_str())
            // Jobs are bounded before they are claimed; what waits here would use up its time.
            .max_concurrent_requests(usize::MAX)
            .control_request_timeout(CANCEL_TIMEOUT);
        config.retry_config = Arc::new(reconnects);
        config.max_json_response_size = self.settings.max_result_bytes;
        config.max_sse_event_size = self.settings.max_result_bytes;
        StreamableHttpClientTransport::with_client(http, config)
    }
}

fn lifecycle(era: Era) -> ClientLifecycleMode {
    let preferred_versions = vec![ProtocolVersion::V_2026_07_28];
    match era {
        Era::Auto => ClientLifecycleMode::Auto {
            preferred_versions,
            legacy_version: Some(ProtocolVersion::LATEST_WITH_INITIALIZE),
        },
        Era::Modern => ClientLifecycleMode::Discover { preferred_versions },
        Era::Legacy => ClientLifecycleMode::Initialize,
    }
}

/// Whether the server said that it speaks an earlier revision that we speak too.
fn is_legacy(error: &ClientInitializeError) -> bool {
    match error {
        ClientInitializeError::NoCompatibleProtocolVersion { server_supported, .. } => {
            server_supported.iter().any(ProtocolVersion::has_initialize)
        }
        _ => false,
    }
}

impl Attempt {
    fn begin(others_wait: Duration) -> Self {
        Self { began: Instant::now(), others_wait }
    }
}

/// Somebody connects, until this is dropped.
struct Connecting<'a>(&'a Cell<Option<Attempt>>);

impl<'a> Connecting<'a> {
    fn begin(attempt: &'a Cell<Option<Attempt>>, others_wait: Duration) -> Self {
        let begun = Attempt::begin(others_wait);
        *attempt.lock().unwrap_or_else(PoisonError::into_inner) = Some(begun);
        Self(attempt)
    }
}

impl Drop for Connecting<'_> {
    fn drop(&mut self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

impl Past {
    /// The latest failure, while nobody tries again.
    fn still(&self) -> Option<ToolError> {
        let failed = self.failed.as_ref()?;
        let left = failed.until.saturating_duration_since(Instant::now());
        let error = ToolError { retry_after: Some(left), ..failed.error.clone() };
        (!left.is_zero()).then_some(error)
    }

    fn others_wait(&self) -> Duration {
        if self.failures == 0 { OTHERS_WAIT } else { OTHERS_WAIT_AGAIN }
    }

    fn succeeded(&mut self, era: Era) {
        *self = Self { era: Some(era), short_lives: self.short_lives, ..Self::default() };
    }

    /// A connection was lost after this; answers whether that was too soon, more than once.
    fn lived(&mut self, age: Duration) -> bool {
        let is_early = age < SOUND_AFTER;
        self.short_lives = if is_early { self.short_lives.saturating_add(1) } else { 0 };
        self.short_lives > 1
    }

    /// Nobody connected. The server may have been replaced by one of another era.
    fn failed(&mut self, error: ToolError) -> ToolError {
        self.failures = self.failures.saturating_add(1);
        self.era = None;
        self.pause(error)
    }

    /// Keeps a failure for those who come next.
    fn pause(&mut self, error: ToolError) -> ToolError {
        let times = self.failures + self.short_lives.saturating_sub(1);
        let pause = AFTER_FAILURE.delay(times, 1.0);
        let pause = error.retry_after.map_or(pause, |asked| asked.max(pause));
        let error = ToolError { retry_after: Some(pause), ..error };
        self.failed = Some(Failed { error: error.clone(), until: Instant::now() + pause });
        error
    }
}

impl Live {
    pub(super) fn peer(&self) -> &Peer<RoleClient> {
        self.service.peer()
    }

    pub(super) fn listener(&self) -> &Listener {
        &self.listener
    }

    fn is_lost(&self) -> bool {
        self.service.is_closed() || self.service.is_transport_closed()
    }

    fn era(&self) -> Era {
        let version = self.service.peer_info().map(|info| info.protocol_version.clone());
        match version.is_some_and(|version| !version.has_initialize()) {
            true => Era::Modern,
            false => Era::Legacy,
        }
    }

    /// The list of tools as it was last read.
    pub(super) fn tools(&self) -> Arc<ToolList> {
        Arc::clone(&self.tools.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Asks for the list again if it is old, or changed, or does not know `tool`. One asks for all;
    /// where that fails, the old list stays in use.
    pub(super) async fn refresh(&self, tool: &str, session: &Session) {
        if !self.is_list_due(tool) {
            return;
        }
        let _reading = match self.reading.try_lock() {
            Ok(reading) => reading,
            // Who knows the tool goes on with what there is.
            Err(_) if self.tools().get(tool).is_some() => return,
            Err(_) => self.reading.lock().await,
        };
        // Somebody may have asked meanwhile.
        if self.is_list_due(tool) {
            self.read_list(session).await;
        }
    }

    fn is_list_due(&self, tool: &str) -> bool {
        let list = self.tools();
        let is_known = list.get(tool).is_some();
        let has_changed = self.listener.list_has_changed();
        !list.is_fresh()
            || (has_changed && !is_known)
            || (!list.is_new() && (has_changed || !is_known))
    }

    async fn read_list(&self, session: &Session) {
        self.listener.forget_list_changed();
        let within = session.settings.connect_timeout;
        let read = ToolList::read(self.peer(), &session.name, &session.settings);
        let problem = match timeout(within, read).await {
            Ok(Ok(list)) => {
                *self.tools.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(list);
                return;
            }
            Ok(Err(error)) => failure::of_list(&error, &session.terms()),
            Err(_) => failure::slow_handshake(within, &session.terms()),
        };
        tracing::warn!(error = problem.error.in_log(), "a list of tools cannot be read again yet");
        let old = self.tools().used_a_while_longer();
        *self.tools.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(old);
    }
}
