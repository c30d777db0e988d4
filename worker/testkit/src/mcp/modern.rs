//! A real MCP server, rmcp's own: of the revision 2026-07-28, or of the one before with sessions.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use http_body_util::combinators::BoxBody;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, ListToolsResult,
    PaginatedRequestParams, ProgressNotificationParam, ProtocolVersion, ServerCapabilities,
    ServerConfig, Tool, ToolAnnotations,
};
use rmcp::service::{RequestContext, RoleServer};
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::session::never::NeverSessionManager;
use rmcp::transport::streamable_http_server::{
    SessionManager, StreamableHttpServerConfig, StreamableHttpService,
};
use rmcp::{ErrorData, ServerHandler};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};

/// An MCP server of the revision 2026-07-28 on loopback, with the tools `echo`, `slow`
/// (`{"text", "ms"}`, with progress) and `refuse`. It is stopped when it is dropped, and can be
/// started again at the same port.
#[derive(Debug)]
pub struct ModernMcp {
    port: u16,
    keeps: Keeps,
    seen: Arc<Seen>,
    accepting: JoinHandle<()>,
}

/// What it remembers between two requests.
#[derive(Clone, Copy, Debug)]
enum Keeps {
    Nothing,
    Sessions,
}

#[derive(Debug, Default)]
struct Seen {
    /// Each session has a service of its own, and so has each request without one.
    services: AtomicUsize,
    connections: AtomicUsize,
    lists: AtomicUsize,
    calls: AtomicUsize,
    cancelled: AtomicUsize,
}

impl ModernMcp {
    /// Starts one at any free port.
    ///
    /// # Panics
    ///
    /// When the machine has no port left.
    pub async fn start() -> Self {
        Self::start_at(0).await
    }

    /// Starts one at that port.
    ///
    /// # Panics
    ///
    /// When somebody else listens there.
    pub async fn start_at(port: u16) -> Self {
        Self::started(port, Keeps::Nothing).await
    }

    /// Starts one of the revision 2025-11-25, which keeps a session for each client and loses it when
    /// it is started again.
    ///
    /// # Panics
    ///
    /// When the machine has no port left.
    pub async fn start_with_sessions() -> Self {
        Self::started(0, Keeps::Sessions).await
    }

    async fn started(port: u16, keeps: Keeps) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", port)).await.expect("a free port");
        let port = listener.local_addr().expect("its address").port();
        let seen = Arc::<Seen>::default();
        let (seen_there, never) = (Arc::clone(&seen), Arc::<NeverSessionManager>::default());
        let accepting = match keeps {
            Keeps::Nothing => tokio::spawn(accept(listener, seen_there, keeps, never)),
            Keeps::Sessions => {
                let sessions = Arc::<LocalSessionManager>::default();
                tokio::spawn(accept(listener, seen_there, keeps, sessions))
            }
        };
        Self { port, keeps, seen, accepting }
    }

    /// Ends it, with every call that runs, and starts it again at the same port.
    pub async fn restart(&mut self) {
        self.stop().await;
        let started = Self::started(self.port, self.keeps).await;
        // What was seen before stays counted.
        let (calls, connections) = (self.calls(), self.connections());
        started.seen.services.fetch_add(self.sessions(), SeqCst);
        started.seen.calls.fetch_add(calls, SeqCst);
        started.seen.connections.fetch_add(connections, SeqCst);
        *self = started;
    }

    /// Ends it: from now on nobody listens at its port.
    pub async fn stop(&mut self) {
        self.accepting.abort();
        // What has ended before cannot be waited for again.
        if !self.accepting.is_finished() {
            let _ = (&mut self.accepting).await;
        }
    }

    /// Its endpoint.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/mcp", self.port)
    }

    /// How many calls of tools began.
    pub fn calls(&self) -> usize {
        self.seen.calls.load(SeqCst)
    }

    /// How many calls of tools were cancelled while they ran.
    pub fn cancelled(&self) -> usize {
        self.seen.cancelled.load(SeqCst)
    }

    /// How often its tools were listed.
    pub fn lists(&self) -> usize {
        self.seen.lists.load(SeqCst)
    }

    /// How many sessions it began, where it keeps them.
    pub fn sessions(&self) -> usize {
        self.seen.services.load(SeqCst)
    }

    /// How many TCP connections were accepted.
    pub fn connections(&self) -> usize {
        self.seen.connections.load(SeqCst)
    }
}

impl Drop for ModernMcp {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Connections end with the task.
async fn accept<S: SessionManager>(
    listener: TcpListener,
    seen: Arc<Seen>,
    keeps: Keeps,
    sessions: Arc<S>,
) {
    let tools = Tools(Arc::clone(&seen), keeps);
    let config = StreamableHttpServerConfig::default()
        .with_legacy_session_mode(matches!(keeps, Keeps::Sessions))
        .with_json_response(true)
        .with_sse_keep_alive(None);
    let began = Arc::clone(&seen);
    let serve = move || {
        began.services.fetch_add(1, SeqCst);
        Ok(tools.clone())
    };
    let service = StreamableHttpService::new(serve, sessions, config);
    let mut connections = JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        while connections.try_join_next().is_some() {}
        seen.connections.fetch_add(1, SeqCst);
        let _ = stream.set_nodelay(true);
        let service = service.clone();
        let answer = service_fn(move |request: Request<Incoming>| {
            let service = service.clone();
            async move {
                let answer: Response<BoxBody<Bytes, _>> = service.handle(request).await;
                Ok::<_, std::convert::Infallible>(answer.map(BodyExt::boxed))
            }
        });
        connections.spawn(async move {
            // Clients that leave end here as errors.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await;
        });
    }
}

#[derive(Clone)]
struct Tools(Arc<Seen>, Keeps);

fn tool(name: &'static str, schema: Value) -> Tool {
    let Value::Object(schema) = schema else { return Tool::default() };
    Tool::new(name, "What its name says.", Arc::new(schema))
        .with_annotations(ToolAnnotations::new().read_only(true))
}

fn tools() -> Vec<Tool> {
    let text = json!({"type": "string"});
    vec![
        tool("echo", json!({"type": "object", "required": ["text"], "properties": {"text": text}})),
        tool(
            "slow",
            json!({"type": "object", "required": ["ms"],
                   "properties": {"text": text, "ms": {"type": "integer", "minimum": 0}}}),
        ),
        tool("refuse", json!({"type": "object"})),
    ]
}

impl ServerHandler for Tools {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
    }

    fn supported_protocol_versions(&self) -> Cow<'static, [ProtocolVersion]> {
        match self.1 {
            Keeps::Nothing => Cow::Borrowed(&[ProtocolVersion::V_2026_07_28]),
            Keeps::Sessions => Cow::Borrowed(&[ProtocolVersion::V_2025_11_25]),
        }
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        self.0.lists.fetch_add(1, SeqCst);
        Ok(ListToolsResult::with_all_items(tools()))
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        tools().into_iter().find(|tool| tool.name == name)
    }

    async fn call_tool(
        &self,
        call: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        self.0.calls.fetch_add(1, SeqCst);
        let arguments = Value::Object(call.arguments.unwrap_or_default());
        match &*call.name {
            "echo" => {}
            "slow" => self.take_time(&arguments, &context).await,
            "refuse" => return Err(ErrorData::invalid_params("as its name says", None)),
            _ => return Err(ErrorData::invalid_params("there is no such tool", None)),
        }
        let text = arguments["text"].as_str().unwrap_or_default();
        Ok(CallToolResult::success(vec![ContentBlock::text(text)]).into())
    }
}

impl Tools {
    /// With progress every 50 ms.
    async fn take_time(&self, arguments: &Value, context: &RequestContext<RoleServer>) {
        let guard = Cancelled(Some(Arc::clone(&self.0)));
        let ms = arguments["ms"].as_u64().unwrap_or_default();
        let steps = u32::try_from(ms / 50).unwrap_or(u32::MAX);
        for step in 0..steps {
            tokio::select! {
                () = context.ct.cancelled() => return,
                () = tokio::time::sleep(Duration::from_millis(50)) => {}
            }
            if let Some(token) = context.meta.get_progress_token() {
                let progress = ProgressNotificationParam::new(token, step.into());
                let _ = context.peer.notify_progress(progress).await;
            }
        }
        guard.ended();
    }
}

/// A call that did not come to its end.
struct Cancelled(Option<Arc<Seen>>);

impl Cancelled {
    fn ended(mut self) {
        self.0 = None;
    }
}

impl Drop for Cancelled {
    fn drop(&mut self) {
        if let Some(seen) = self.0.take() {
            seen.cancelled.fetch_add(1, SeqCst);
        }
    }
}
