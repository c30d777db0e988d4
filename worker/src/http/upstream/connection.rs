//! One connection, from its dialling to its end.

use std::{future::Future, io, time::Duration};

use http_body_util::Full;
use hyper::{
    Request, Response, Uri,
    body::{Bytes, Incoming},
    client::conn::{TrySendError, http1},
    rt::{Read, Write},
};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::client::legacy::connect::HttpConnector;
use tokio::time::{Instant, timeout_at};
use tower_service::Service;

use super::{
    super::{KEEPALIVE, config},
    NoAnswer,
};

/// Dials, with TLS where the upstream wants it.
pub(super) struct Connector {
    https: HttpsConnector<HttpConnector>,
    timeout: Duration,
}

/// A connection that takes one request after another. It is closed when this is dropped.
pub(super) struct Connection(http1::SendRequest<Boxed>);

/// A connection keeps room for 32 requests, whatever they are: a pointer in each is a kilobyte less.
pub(super) type Boxed = Box<Full<Bytes>>;

impl Connector {
    pub(super) fn new(timeout: Duration) -> Result<Self, String> {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_keepalive(Some(KEEPALIVE));
        let tls = config().map_err(|error| error.to_string())?;
        let https = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http();
        Ok(Self { https: https.enable_http1().wrap_connector(tcp), timeout })
    }

    /// A new connection, by `ends` at the latest.
    pub(super) async fn connect(&self, to: &Uri, ends: Instant) -> Result<Connection, NoAnswer> {
        let ends = ends.min(Instant::now() + self.timeout);
        let stream = timeout_at(ends, self.https.clone().call(to.clone())).await;
        let late = |_| io::Error::new(io::ErrorKind::TimedOut, "connecting took too long");
        let stream = stream.map_err(|error| NoAnswer::Unconnected(late(error).into()))?;
        // Each for itself: what a connection without TLS has no need of takes a kilobyte.
        let connection = match stream.map_err(NoAnswer::Unconnected)? {
            MaybeHttpsStream::Http(plain) => Connection::over(plain).await,
            MaybeHttpsStream::Https(tls) => Connection::over(tls).await,
        };
        connection.map_err(|error| NoAnswer::Unconnected(error.into()))
    }
}

impl Connection {
    async fn over(io: impl Read + Write + Unpin + Send + 'static) -> hyper::Result<Self> {
        let (sender, connection) = http1::handshake(io).await?;
        // It ends with the connection; whoever waits for an answer is told why.
        tokio::spawn(connection);
        Ok(Self(sender))
    }

    /// Sends a request; one of which nothing was written comes back with the error.
    pub(super) fn send(
        &mut self,
        request: Request<Boxed>,
    ) -> impl Future<Output = Result<Response<Incoming>, TrySendError<Request<Boxed>>>> {
        self.0.try_send_request(request)
    }

    /// Waits until the connection has done with the last request. `false`: it is closed.
    pub(super) async fn is_ready(&mut self) -> bool {
        self.0.ready().await.is_ok()
    }

    pub(super) fn is_closed(&self) -> bool {
        self.0.is_closed()
    }
}
