//! The one connection to a server, shared by all jobs of the process: made when it is first needed,
//! made anew when it is lost, by one job for all. rmcp heals a lost session of the protocol inside
//! of it.

mod live;
mod past;

use std::{
    sync::{Arc, Mutex as Cell, PoisonError, RwLock},
    time::Duration,
};

use rmcp::{
    model::ProtocolVersion,
    service::{ClientInitializeError, ClientLifecycleMode, ClientServiceExt},
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

pub(super) use self::live::Live;
use self::past::{Attempt, Connecting, OTHERS_WAIT, Past};
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
use crate::tool::ToolError;

/// The longest before they look again.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

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

/// What a connection is made over.
pub(super) enum Way {
    Http(Url, McpHttp),
    #[cfg(feature = "stdio")]
    Program(ProgramSpec, Secrets),
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
        past.lived(lost.age())
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
        Ok(Live::new(
            service,
            #[cfg(feature = "stdio")]
            running,
            listener,
            tools,
        ))
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
