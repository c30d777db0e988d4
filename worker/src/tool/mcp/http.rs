//! How a server is reached: rmcp's transport over our own HTTP client. It shows the present
//! credentials with each request, and keeps what rmcp would lose of a failure.

use std::{collections::HashMap, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::stream::BoxStream;
use reqwest::{
    Client, Method, RequestBuilder, Response, StatusCode,
    header::{ACCEPT, CONTENT_TYPE, HeaderName, HeaderValue},
};
use rmcp::{
    model::ClientJsonRpcMessage,
    transport::streamable_http_client::{
        SseError, StreamableHttpClient, StreamableHttpError, StreamableHttpPostResponse,
        StreamableHttpResponseLimits,
    },
};
use sse_stream::Sse;
use tokio::time::timeout;

use super::{
    credentials::Credentials,
    oauth::NoToken,
    reply::{self, Asked},
};
use crate::{clock::Clock, error::innermost};

const SESSION_ID: HeaderName = HeaderName::from_static("mcp-session-id");

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// Both kinds of answer, as the specification wants it.
const BOTH_KINDS: HeaderValue = HeaderValue::from_static("application/json, text/event-stream");

/// What went wrong on the way to a server or back.
#[derive(Clone, Debug, thiserror::Error)]
pub(super) enum HttpFailure {
    #[error(transparent)]
    NoToken(#[from] NoToken),
    /// It was never sent.
    #[error("it cannot be reached: {0}")]
    Unreachable(String),
    /// It was sent, and nobody knows what came of it.
    #[error("the connection broke off: {0}")]
    Broken(String),
    /// An answer that is no success and holds no error of the protocol.
    #[error("it answered {status}")]
    Status { status: StatusCode, retry_after: Option<Duration>, said: String },
    /// A success that is no message of the protocol.
    #[error("its answer is not the protocol's: {0}")]
    Unusable(String),
    /// An answer longer than is read.
    #[error("its answer is longer than {max_bytes} bytes")]
    TooLarge { max_bytes: usize },
}

pub(super) type HttpError = StreamableHttpError<HttpFailure>;

type Custom = HashMap<HeaderName, HeaderValue>;

impl From<HttpFailure> for HttpError {
    fn from(failure: HttpFailure) -> Self {
        Self::Client(failure)
    }
}

/// A client of one server; clones share its connections.
#[derive(Clone)]
pub(super) struct McpHttp {
    client: Client,
    credentials: Credentials,
    clock: Clock,
    /// How long the question for the revision may stay unanswered.
    discover_within: Duration,
}

impl McpHttp {
    pub(super) fn new(client: Client, credentials: Credentials, clock: Clock) -> Self {
        Self { client, credentials, clock, discover_within: Duration::MAX }
    }

    /// The same, for which whoever leaves the question for the revision unanswered for so long is a
    /// server of the earlier era: rmcp asks such a server after its own time only when this request
    /// is over.
    pub(super) fn discovering(self, within: Duration) -> Self {
        Self { discover_within: within, ..self }
    }

    pub(super) fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    /// Sends a request with the present credentials; where they are refused and have been replaced
    /// meanwhile, once more.
    async fn send(
        &self,
        request: impl Fn(&Client) -> RequestBuilder + Send,
    ) -> Result<Response, HttpFailure> {
        let present = self.credentials.present().await?;
        let response = sent(request(&self.client).headers(present.headers.clone())).await?;
        if response.status() != StatusCode::UNAUTHORIZED {
            return Ok(response);
        }
        match self.credentials.other_than(&present).await {
            Some(renewed) => sent(request(&self.client).headers(renewed.headers)).await,
            None => Ok(response),
        }
    }

    fn request(
        client: &Client,
        method: Method,
        uri: &str,
        session: Option<&str>,
        custom: &Custom,
    ) -> RequestBuilder {
        let mut request = client.request(method, uri).header(ACCEPT, BOTH_KINDS);
        if let Some(session) = session {
            request = request.header(SESSION_ID, session);
        }
        custom.iter().fold(request, |request, (name, value)| request.header(name, value))
    }
}

async fn sent(request: RequestBuilder) -> Result<Response, HttpFailure> {
    request.send().await.map_err(|error| match error.is_connect() || error.is_builder() {
        true => HttpFailure::Unreachable(innermost(&error)),
        false => HttpFailure::Broken(innermost(&error)),
    })
}

impl StreamableHttpClient for McpHttp {
    type Error = HttpFailure;

    async fn post_message(
        &self,
        uri: Arc<str>,
        message: ClientJsonRpcMessage,
        session_id: Option<Arc<str>>,
        auth_header: Option<String>,
        custom_headers: Custom,
    ) -> Result<StreamableHttpPostResponse, HttpError> {
        let limits = StreamableHttpResponseLimits::default();
        self.post_message_with_response_limits(
            uri,
            message,
            session_id,
            auth_header,
            custom_headers,
            limits,
        )
        .await
    }

    async fn post_message_with_response_limits(
        &self,
        uri: Arc<str>,
        message: ClientJsonRpcMessage,
        session_id: Option<Arc<str>>,
        _: Option<String>,
        custom_headers: Custom,
        limits: StreamableHttpResponseLimits,
    ) -> Result<StreamableHttpPostResponse, HttpError> {
        let body = Bytes::from(serde_json::to_vec(&message)?);
        let asked = Asked::of(&message, session_id.is_some(), limits.max_json_response_size);
        let sent = self.send(|client| {
            Self::request(client, Method::POST, &uri, session_id.as_deref(), &custom_headers)
                .header(CONTENT_TYPE, "application/json")
                .body(body.clone())
        });
        let response = match asked.is_discover() {
            true => match timeout(self.discover_within, sent).await {
                Ok(response) => response?,
                Err(_) => return asked.unanswered(),
            },
            false => sent.await?,
        };
        drop(body);
        reply::to_post(response, asked, self.clock.now()).await
    }

    async fn delete_session(
        &self,
        uri: Arc<str>,
        session_id: Arc<str>,
        _: Option<String>,
        custom_headers: Custom,
    ) -> Result<(), HttpError> {
        let delete = |client: &Client| {
            Self::request(client, Method::DELETE, &uri, Some(&session_id), &custom_headers)
        };
        // A server may refuse it: its sessions end by themselves.
        self.send(delete).await?;
        Ok(())
    }

    async fn get_stream(
        &self,
        uri: Arc<str>,
        session_id: Option<Arc<str>>,
        last_event_id: Option<String>,
        auth_header: Option<String>,
        custom_headers: Custom,
    ) -> Result<BoxStream<'static, Result<Sse, SseError>>, HttpError> {
        let max_bytes = StreamableHttpResponseLimits::default().max_sse_event_size;
        self.get_stream_with_max_sse_event_size(
            uri,
            session_id,
            last_event_id,
            auth_header,
            custom_headers,
            max_bytes,
        )
        .await
    }

    async fn get_stream_with_max_sse_event_size(
        &self,
        uri: Arc<str>,
        session_id: Option<Arc<str>>,
        last_event_id: Option<String>,
        _: Option<String>,
        custom_headers: Custom,
        max_sse_event_size: usize,
    ) -> Result<BoxStream<'static, Result<Sse, SseError>>, HttpError> {
        let get = |client: &Client| {
            let session = session_id.as_deref();
            let request = Self::request(client, Method::GET, &uri, session, &custom_headers);
            match &last_event_id {
                Some(id) => request.header(LAST_EVENT_ID, id),
                None => request,
            }
        };
        let response = self.send(get).await?;
        reply::to_get(response, max_sse_event_size)
    }
}
