//! The SDK's HTTP client: hyper's own connections, in one pool for all services. The one of the SDK
//! speaks HTTP/2 as well, in which nothing here is asked, and keeps more of each connection.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use aws_smithy_runtime_api::{
    client::{
        connection::{CaptureSmithyConnection, ConnectionMetadata},
        http::{
            HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings,
            SharedHttpConnector,
        },
        orchestrator::{HttpRequest, HttpResponse},
        result::ConnectorError,
        runtime_components::RuntimeComponents,
    },
    http::HttpError,
};
use aws_smithy_types::{body::SdkBody, retry::ErrorKind};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Request, Uri};

use super::clients::{CONNECT_TIMEOUT, OPERATION_TIMEOUT};
use crate::http::{NoAnswer, Response, Upstream};

/// Connections to AWS; clones share them.
#[derive(Clone, Debug, Default)]
pub(super) struct Connections {
    /// By scheme and authority, and the time for connecting: those of the services, of the few hosts
    /// that credentials come from, and of a bucket or two.
    upstreams: Arc<Mutex<HashMap<(String, Duration), Upstream>>>,
}

/// How long a request's connection and its answer's head may take.
#[derive(Debug)]
struct Connector {
    connections: Connections,
    connect: Duration,
    whole: Duration,
}

impl HttpClient for Connections {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        _: &RuntimeComponents,
    ) -> SharedHttpConnector {
        let connect = settings.connect_timeout().unwrap_or(CONNECT_TIMEOUT);
        let whole = settings.read_timeout().map_or(OPERATION_TIMEOUT, |read| connect + read);
        SharedHttpConnector::new(Connector { connections: self.clone(), connect, whole })
    }
}

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let (connections, connect, whole) = (self.connections.clone(), self.connect, self.whole);
        HttpConnectorFuture::new(async move {
            let mut request = request.try_into_http1x().map_err(user)?;
            if let Some(capture) = request.extensions_mut().remove::<CaptureSmithyConnection>() {
                capture.set_connection_retriever(|| Some(connection()));
            }
            let (head, body) = request.into_parts();
            // It lies in memory, in one piece.
            let body = body.collect().await.map_err(ConnectorError::user)?.to_bytes();
            let request = Request::from_parts(head, Full::new(body));
            let answer = connections.send(request, connect, whole).await.map_err(failed)?;
            let answer = answer.unbounded().map(SdkBody::from_body_1_x);
            HttpResponse::try_from(answer)
                .map_err(|error| ConnectorError::other(error.into(), None))
        })
    }
}

impl Connections {
    /// Sends a request to the server of its URL. Connecting takes at most `connect`, all of it `whole`.
    pub(super) async fn send(
        &self,
        mut request: Request<Full<Bytes>>,
        connect: Duration,
        whole: Duration,
    ) -> Result<Response, NoAnswer> {
        let upstream = self.upstream(request.uri(), connect);
        let upstream = upstream.map_err(|error| NoAnswer::Unconnected(error.into()))?;
        // A server is asked for a path.
        let path = request.uri().path_and_query().cloned().map(Uri::from);
        *request.uri_mut() = path.unwrap_or_else(|| Uri::from_static("/"));
        upstream.send(request, whole).await
    }

    fn upstream(&self, uri: &Uri, connect: Duration) -> Result<Upstream, String> {
        let malformed = || "expected a URL with a host".to_owned();
        let (scheme, authority) = uri.scheme_str().zip(uri.authority()).ok_or_else(malformed)?;
        let key = (format!("{scheme}://{authority}"), connect);
        let mut upstreams = self.upstreams.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(upstream) = upstreams.get(&key) {
            return Ok(upstream.clone());
        }
        let url = key.0.parse().map_err(|_| malformed())?;
        let upstream = Upstream::connecting_within(connect, &url)?;
        upstreams.insert(key, upstream.clone());
        Ok(upstream)
    }
}

/// What the SDK may close after a failure. Nothing is left to it: a connection with a failure is not
/// kept.
fn connection() -> ConnectionMetadata {
    ConnectionMetadata::builder().proxied(false).poison_fn(|| {}).build()
}

fn user(error: HttpError) -> ConnectorError {
    ConnectorError::user(error.into())
}

/// The SDK tries again what did not arrive, or was broken off.
fn failed(error: NoAnswer) -> ConnectorError {
    match error {
        NoAnswer::Late => ConnectorError::timeout(error.into()),
        NoAnswer::Unconnected(_) => ConnectorError::io(error.into()),
        NoAnswer::Broken(ref cause) if cause.is_user() => ConnectorError::user(error.into()),
        NoAnswer::Broken(ref cause) if cause.is_parse() => {
            ConnectorError::other(error.into(), None)
        }
        NoAnswer::Broken(_) => ConnectorError::other(error.into(), Some(ErrorKind::TransientError)),
    }
}
