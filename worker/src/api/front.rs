//! What goes before any route: by which name the server was called and from whose page, how long a
//! request may take, and what browsers may be told.

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{MatchedPath, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header, uri::Authority},
    middleware::{Next, from_fn, from_fn_with_state},
    response::{IntoResponse, Response},
};
use tokio::time::timeout;
use tower_http::cors::CorsLayer;

use super::problem::Problem;
use crate::{
    config::ApiSettings,
    trace::{self, TraceContext, Tracer},
};

/// API Gateway gives up after 30 s ("Integration timeout", quotas of HTTP APIs); an answer of ours
/// is better than its own.
const ANSWERED_WITHIN: Duration = Duration::from_secs(29);

/// What a browser's page may send along.
const CORS_HEADERS: [HeaderName; 6] = [
    header::AUTHORIZATION,
    header::CONTENT_TYPE,
    HeaderName::from_static("idempotency-key"),
    HeaderName::from_static("mcp-protocol-version"),
    HeaderName::from_static("mcp-method"),
    HeaderName::from_static("mcp-name"),
];

/// Which names and pages are let in.
struct Doors {
    /// None: any.
    hosts: Vec<String>,
    origins: Vec<String>,
}

/// The routes behind their front.
pub(super) fn before(routes: Router, settings: &ApiSettings, tracer: Tracer) -> Router {
    let (hosts, origins) = (settings.hosts.clone(), settings.origins.clone());
    let doors = Arc::new(Doors { hosts, origins });
    let routes = routes.layer(from_fn_with_state(tracer, traced));
    let routes = routes.layer(from_fn(in_time)).layer(from_fn_with_state(doors, let_in));
    match cors(&settings.origins) {
        Some(cors) => routes.layer(cors),
        None => routes,
    }
}

fn cors(origins: &[String]) -> Option<CorsLayer> {
    let origins: Vec<_> =
        origins.iter().filter_map(|origin| HeaderValue::from_str(origin).ok()).collect();
    let layer = CorsLayer::new()
        .allow_methods([Method::GET, Method::POST, Method::DELETE])
        .allow_headers(CORS_HEADERS);
    (!origins.is_empty()).then(|| layer.allow_origin(origins))
}

/// What somebody looks at by the second is not traced.
async fn traced(State(tracer): State<Tracer>, request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let is_traced = |route: &String| route.starts_with("/v1/") || route == "/mcp";
    let Some(route) = route.filter(is_traced) else { return next.run(request).await };
    let header = request.headers().get("traceparent").and_then(|value| value.to_str().ok());
    let parent = header.and_then(TraceContext::parse);
    let mut span = trace::request(&tracer, request.method().as_str(), &route, parent);
    let response = span.scope(next.run(request)).await;
    trace::answered(&mut span, response.status().as_u16());
    response
}

async fn in_time(request: Request, next: Next) -> Response {
    let answered = timeout(ANSWERED_WITHIN, next.run(request)).await;
    let mut response = answered.unwrap_or_else(|_| {
        let detail = format!("there was no answer within {} s", ANSWERED_WITHIN.as_secs());
        Problem::new(StatusCode::GATEWAY_TIMEOUT, "timeout", detail).into_response()
    });
    let no_store = HeaderValue::from_static("no-store");
    response.headers_mut().entry(header::CACHE_CONTROL).or_insert(no_store);
    let no_sniff = HeaderValue::from_static("nosniff");
    response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, no_sniff);
    response
}

/// A page that had its own name resolved to this address calls by that name (DNS rebinding), and a
/// page of another site says which.
async fn let_in(State(doors): State<Arc<Doors>>, request: Request, next: Next) -> Response {
    let Some(host) = called(request.uri(), request.headers()) else {
        let detail = "expected one Host header, a name and perhaps a port";
        return Problem::bad_request("host", detail).into_response();
    };
    if !doors.knows(&host) {
        let detail = "the server is not called by this Host; see MCP_BATCH_API_HOSTS";
        return Problem::new(StatusCode::FORBIDDEN, "host", detail).into_response();
    }
    if !doors.lets_in(request.headers(), &host) {
        let detail = "pages of this Origin may not use the server; see MCP_BATCH_API_CORS_ORIGINS";
        return Problem::new(StatusCode::FORBIDDEN, "origin", detail).into_response();
    }
    next.run(request).await
}

/// By what name; a request line with another one than the header's is refused.
fn called(uri: &Uri, headers: &HeaderMap) -> Option<Authority> {
    let mut given = headers.get_all(header::HOST).into_iter();
    let host = given.next().map(|host| host.as_bytes().try_into().ok());
    if given.next().is_some() {
        return None;
    }
    // A user before the name would let two readers see two names.
    let host = host.map(|host: Option<Authority>| host.filter(|it| !it.as_str().contains('@')));
    match (uri.authority(), host) {
        (Some(named), Some(host)) => host.filter(|host| host == named),
        (Some(named), None) => Some(named.clone()),
        (None, host) => host?,
    }
}

impl Doors {
    fn knows(&self, called: &Authority) -> bool {
        let is_it = |host: &String| host.eq_ignore_ascii_case(called.host());
        self.hosts.is_empty() || self.hosts.iter().any(is_it)
    }

    fn lets_in(&self, headers: &HeaderMap, called: &Authority) -> bool {
        headers.get_all(header::ORIGIN).iter().all(|origin| {
            let Ok(origin) = origin.to_str() else { return false };
            let own = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
            let is_own = own.is_some_and(|own| own.eq_ignore_ascii_case(called.as_str()));
            is_own || self.origins.iter().any(|listed| listed == origin)
        })
    }
}
