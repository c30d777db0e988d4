//! The client of one upstream whose calls are many at once and wait long: hyper's own connections,
//! kept in a pool. A call holds its connection and little else, where a client for everything keeps
//! 7 KB more for each: a thousand calls at once are 7 MB.

mod connection;
mod idle;

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use http_body_util::{BodyExt, Full};
use hyper::{
    HeaderMap, Request, StatusCode, Uri,
    body::{Body, Bytes, Frame, Incoming, SizeHint},
    header::{HOST, HeaderValue},
};
use tokio::time::{Instant, timeout_at};
use url::Url;

use self::{
    connection::{Boxed, Connection, Connector},
    idle::Idle,
};
use super::CONNECT_TIMEOUT;

/// Room is made at once for bodies that are announced to be so long; for longer ones, as they come.
const MAX_BELIEVED_BYTES: usize = 64 * 1024;

/// One upstream; clones share its connections.
#[derive(Clone)]
pub(crate) struct Upstream {
    shared: Arc<Shared>,
}

struct Shared {
    connector: Connector,
    /// Where a connection goes to.
    origin: Uri,
    host: HeaderValue,
    idle: Idle,
}

/// What brought no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoAnswer {
    /// Nothing was sent.
    #[error("cannot connect")]
    Unconnected(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The time for the whole call was over.
    #[error("no answer in time")]
    Late,
    /// The connection broke off.
    #[error("the connection broke off")]
    Broken(#[source] hyper::Error),
}

/// An answer whose body is still to be read, in the time that the call has left.
pub(crate) struct Response {
    status: StatusCode,
    headers: HeaderMap,
    body: Rest,
    ends: Instant,
}

/// The first bytes of a body.
#[derive(Debug, Default)]
pub(crate) struct Beginning {
    pub(crate) bytes: Vec<u8>,
    /// More would have come.
    pub(crate) is_cut: bool,
}

/// The rest of an answer, on its connection.
pub(crate) struct Rest {
    body: Incoming,
    /// Kept once the body has been read to its end; closed if that never happens.
    connection: Option<Connection>,
    upstream: Upstream,
}

impl fmt::Debug for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Upstream").field(&self.shared.origin).finish()
    }
}

impl Upstream {
    /// A client of the server in `url`. Nothing is dialled yet.
    pub(crate) fn new(url: &Url) -> Result<Self, String> {
        Self::connecting_within(CONNECT_TIMEOUT, url)
    }

    /// The same where connecting may take so long.
    pub(crate) fn connecting_within(connect: Duration, url: &Url) -> Result<Self, String> {
        let text = |error: hyper::http::Error| error.to_string();
        let (scheme, authority) = (url.scheme(), url.authority());
        let authority = authority.rsplit_once('@').map_or(authority, |(_, place)| place);
        let origin = Uri::builder().scheme(scheme).authority(authority).path_and_query("/");
        let shared = Shared {
            connector: Connector::new(connect)?,
            origin: origin.build().map_err(text)?,
            host: HeaderValue::from_str(authority).map_err(|error| error.to_string())?,
            idle: Idle::default(),
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Sends a request for a path of the upstream. Answer and body come within `timeout`.
    pub(crate) fn send(
        &self,
        mut request: Request<Full<Bytes>>,
        timeout: Duration,
    ) -> impl Future<Output = Result<Response, NoAnswer>> {
        request.headers_mut().insert(HOST, self.shared.host.clone());
        // Boxed: while its answer is waited for, nothing of a request takes room.
        self.exchange(Box::new(request.map(Box::new)), Instant::now() + timeout)
    }

    async fn exchange(
        &self,
        mut request: Box<Request<Boxed>>,
        ends: Instant,
    ) -> Result<Response, NoAnswer> {
        while let Some(mut kept) = self.shared.idle.take() {
            let answer = timeout_at(ends, kept.send(*request)).await.map_err(|_| NoAnswer::Late)?;
            match answer {
                Ok(answer) => return Ok(self.response(answer, kept, ends)),
                // The upstream had closed it meanwhile, and nothing of the request was written.
                Err(mut error) => match error.take_message() {
                    Some(unsent) => *request = unsent,
                    None => return Err(NoAnswer::Broken(error.into_error())),
                },
            }
        }
        // Boxed: a connection is made once, and a call would keep room for it all the time.
        let mut fresh = Box::pin(self.shared.connector.connect(&self.shared.origin, ends)).await?;
        let answer = timeout_at(ends, fresh.send(*request)).await.map_err(|_| NoAnswer::Late)?;
        let answer = answer.map_err(|error| NoAnswer::Broken(error.into_error()))?;
        Ok(self.response(answer, fresh, ends))
    }

    fn response(
        &self,
        answer: hyper::Response<Incoming>,
        connection: Connection,
        ends: Instant,
    ) -> Response {
        let (head, body) = answer.into_parts();
        // Whoever fails is asked anew over another one: that may lead to somebody who does not.
        let connection = Some(connection).filter(|_| !head.status.is_server_error());
        Response {
            status: head.status,
            headers: head.headers,
            body: Rest { body, connection, upstream: self.clone() },
            ends,
        }
    }
}

impl Response {
    pub(crate) fn status(&self) -> StatusCode {
        self.status
    }

    pub(crate) fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// The answer for whoever bounds the time of its body.
    #[cfg(feature = "aws")]
    pub(crate) fn unbounded(self) -> hyper::Response<Rest> {
        let mut response = hyper::Response::new(self.body);
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers;
        response
    }

    /// As much of the body as is of use. What is longer is left, and its connection closed.
    pub(crate) async fn beginning(mut self, max_bytes: usize) -> Result<Beginning, NoAnswer> {
        let mut bytes = Vec::with_capacity(self.expected_bytes().min(max_bytes));
        while let Some(part) = self.chunk().await? {
            let room = max_bytes - bytes.len();
            bytes.extend_from_slice(part.get(..room).unwrap_or(&part));
            if part.len() > room {
                return Ok(Beginning { bytes, is_cut: true });
            }
        }
        Ok(Beginning { bytes, is_cut: false })
    }

    /// What was announced, as far as an announcement is believed.
    fn expected_bytes(&self) -> usize {
        let announced = self.body.size_hint().exact().and_then(|bytes| usize::try_from(bytes).ok());
        announced.unwrap_or(0).min(MAX_BELIEVED_BYTES)
    }

    /// The body's next part; `None` at its end.
    async fn chunk(&mut self) -> Result<Option<Bytes>, NoAnswer> {
        loop {
            let frame = timeout_at(self.ends, self.body.frame()).await;
            match frame.map_err(|_| NoAnswer::Late)? {
                Some(Ok(frame)) => {
                    // Else it is a trailer.
                    if let Ok(part) = frame.into_data() {
                        return Ok(Some(part));
                    }
                }
                Some(Err(error)) => return Err(NoAnswer::Broken(error)),
                None => return Ok(None),
            }
        }
    }
}

impl Body for Rest {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<hyper::Result<Frame<Bytes>>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        if frame.is_none()
            && let Some(read) = self.connection.take()
        {
            idle::keep(&self.upstream.shared, read);
        }
        Poll::Ready(frame)
    }

    // Never `is_end_stream`: the end is to be read, so that the connection is kept.
    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use mcp_batch_testkit::{Receiver, Reply, wait_until};
    use tokio::task::JoinSet;

    use super::{idle::MOST_IDLE, *};

    const TIME: Duration = Duration::from_secs(30);

    fn upstream(server: &Receiver) -> Upstream {
        Upstream::new(&server.url("/").parse().expect("a URL")).expect("a client")
    }

    fn call() -> Request<Full<Bytes>> {
        Request::post("/called").body(Full::from("{}")).expect("a request")
    }

    async fn read(response: Response) {
        response.beginning(usize::MAX).await.expect("a body");
    }

    #[tokio::test]
    async fn calls_one_after_another_share_a_connection() {
        let server = Receiver::start().await;
        let upstream = upstream(&server);
        for _ in 0..3 {
            read(upstream.send(call(), TIME).await.expect("an answer")).await;
            wait_until("the connection is kept", || upstream.shared.idle.count() == 1).await;
        }
        assert_eq!((server.count(), server.connections()), (3, 1));
    }

    #[tokio::test]
    async fn of_a_body_no_more_is_read_than_is_of_use() {
        let server = Receiver::start().await;
        server.set_default(Reply::status(200).body("12345"));
        let upstream = upstream(&server);
        for (max_bytes, read, is_cut) in
            [(6, "12345", false), (5, "12345", false), (4, "1234", true)]
        {
            let response = upstream.send(call(), TIME).await.expect("an answer");
            let body = response.beginning(max_bytes).await.expect("a body");
            assert_eq!((&*body.bytes, body.is_cut), (read.as_bytes(), is_cut));
        }
    }

    #[tokio::test]
    async fn a_connection_whose_answer_was_left_unread_is_not_used_again() {
        let server = Receiver::start().await;
        let upstream = upstream(&server);
        drop(upstream.send(call(), TIME).await.expect("an answer"));
        drop(upstream.send(call(), TIME).await.expect("an answer"));
        assert_eq!((server.connections(), upstream.shared.idle.count()), (2, 0));
    }

    #[tokio::test]
    async fn a_connection_that_nobody_uses_is_closed_after_a_while() {
        let server = Receiver::start().await;
        let upstream = upstream(&server);
        read(upstream.send(call(), TIME).await.expect("an answer")).await;
        wait_until("the connection is kept", || upstream.shared.idle.count() == 1).await;
        wait_until("it is closed", || upstream.shared.idle.count() == 0).await;
    }

    #[tokio::test]
    async fn of_the_connections_of_many_calls_at_once_few_are_kept() {
        let server = Receiver::start().await;
        server.set_default(Reply::status(200).after(Duration::from_millis(300)));
        let upstream = upstream(&server);
        let mut calls = JoinSet::new();
        for _ in 0..MOST_IDLE + 50 {
            let upstream = upstream.clone();
            calls.spawn(async move {
                read(upstream.send(call(), TIME).await.expect("an answer")).await;
            });
        }
        calls.join_all().await;
        wait_until("some are kept", || upstream.shared.idle.count() == MOST_IDLE).await;
        assert!(server.connections() > MOST_IDLE, "there were more at once");
    }

    #[tokio::test]
    async fn a_failure_has_the_next_call_made_over_another_connection() {
        let server = Receiver::start().await;
        server.set_default(Reply::status(500));
        let upstream = upstream(&server);
        for _ in 0..2 {
            read(upstream.send(call(), TIME).await.expect("an answer")).await;
        }
        assert_eq!((server.connections(), upstream.shared.idle.count()), (2, 0));
    }

    #[tokio::test]
    async fn an_upstream_that_is_not_there_was_sent_nothing() {
        let nobody = Upstream::new(&"http://127.0.0.1:9".parse().expect("a URL"));
        let sent = nobody.expect("a client").send(call(), TIME).await;
        assert!(matches!(sent, Err(NoAnswer::Unconnected(_))));
    }

    #[tokio::test]
    async fn an_answer_that_does_not_come_in_time_is_late() {
        let server = Receiver::start().await;
        server.set_default(Reply::status(200).after(10 * TIME));
        let sent = upstream(&server).send(call(), Duration::from_millis(200)).await;
        assert!(matches!(sent, Err(NoAnswer::Late)));
    }
}
