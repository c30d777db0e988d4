//! What a server's HTTP answer says. A call must never wait for an answer that cannot come any
//! more: what rmcp would drop because it bears no id, or none of ours, is given to the call it
//! answers.

use std::{sync::LazyLock, time::Duration};

use futures_util::{
    StreamExt,
    stream::{self, BoxStream},
};
use reqwest::{
    Response, StatusCode,
    header::{CONTENT_TYPE, RETRY_AFTER},
};
use rmcp::{
    model::{
        ClientJsonRpcMessage, ClientRequest, ErrorCode, ErrorData, RequestId, ServerJsonRpcMessage,
    },
    transport::streamable_http_client::{
        SseError, StreamableHttpError, StreamableHttpPostResponse,
    },
};
use serde::Deserialize;
use serde_json::{Value, value::RawValue};
use sse_stream::Sse;
use uuid::Uuid;

use super::{
    events,
    http::{HttpError, HttpFailure},
};
use crate::{clock::UnixMs, error::innermost, retry::retry_after};

/// The most of a refusal's body that is read, in bytes.
const MAX_REFUSAL_BYTES: usize = 64 * 1024;

/// The longest pause a server may ask for.
const LONGEST_PAUSE: Duration = Duration::from_mins(15);

/// A failure of ours, given to a call as if its server had said so.
const OURS: ErrorCode = ErrorCode(-31_999);

/// The same where the answer was too long.
pub(super) const OURS_TOO_LARGE: ErrorCode = ErrorCode(-31_998);

/// By this a failure of ours is known: a server may use any code, and cannot guess this.
static MARK: LazyLock<Value> = LazyLock::new(|| Uuid::new_v4().to_string().into());

fn ours(code: ErrorCode, failure: &HttpFailure) -> ErrorData {
    ErrorData::new(code, failure.to_string(), Some(MARK.clone()))
}

/// Whether it is a failure of ours, not what a server said.
pub(super) fn is_ours(error: &ErrorData) -> bool {
    error.data.as_ref() == Some(&*MARK)
}

/// What was asked.
pub(super) struct Asked {
    /// The request's id; notifications and answers of ours have none.
    id: Option<RequestId>,
    is_discover: bool,
    has_session: bool,
    max_bytes: usize,
}

impl Asked {
    pub(super) fn of(message: &ClientJsonRpcMessage, has_session: bool, max_bytes: usize) -> Self {
        let request = match message {
            ClientJsonRpcMessage::Request(request) => Some(request),
            _ => None,
        };
        let is_discover =
            |request: &ClientRequest| matches!(request, ClientRequest::DiscoverRequest(_));
        Self {
            id: request.map(|request| request.id.clone()),
            is_discover: request.is_some_and(|request| is_discover(&request.request)),
            has_session,
            max_bytes,
        }
    }

    pub(super) fn is_discover(&self) -> bool {
        self.is_discover
    }

    /// What the question for the revision is taken to be answered by a server that leaves it
    /// unanswered, as those of the earlier era may.
    pub(super) fn unanswered(self) -> Result<StreamableHttpPostResponse, HttpError> {
        let message = "server/discover was not answered";
        match self.id {
            Some(id) => Ok(json_error(ErrorData::invalid_request(message, None), id)),
            None => Err(unusable("nothing").into()),
        }
    }
}

/// The members of a message that say what it is.
#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    error: Option<ErrorData>,
}

/// The answer to a POST.
pub(super) async fn to_post(
    response: Response,
    asked: Asked,
    now: UnixMs,
) -> Result<StreamableHttpPostResponse, HttpError> {
    let status = response.status();
    if !status.is_success() {
        return refusal(response, asked, now).await;
    }
    let Some(id) = asked.id.clone() else { return Ok(StreamableHttpPostResponse::Accepted) };
    if matches!(status, StatusCode::ACCEPTED | StatusCode::NO_CONTENT) {
        // The answer comes by the session's own stream, if there is one.
        return match asked.has_session {
            true => Ok(StreamableHttpPostResponse::Accepted),
            false => Err(unusable(format!("{status} to a request")).into()),
        };
    }
    let session = response.headers().get("mcp-session-id");
    let session = session.and_then(|value| value.to_str().ok()).map(str::to_owned);
    match Kind::of(&response) {
        Kind::Json => {
            let body = read(response, asked.max_bytes).await?;
            match message(&body, &id)? {
                Message::Session if asked.has_session => Err(StreamableHttpError::SessionExpired),
                Message::Session => Err(unusable("an error about a session").into()),
                Message::Usable(message) => Ok(StreamableHttpPostResponse::Json(*message, session)),
            }
        }
        Kind::Events => {
            let events = events::bounded(response, asked.max_bytes);
            Ok(StreamableHttpPostResponse::Sse(for_call(events, id), session))
        }
        Kind::Other(kind) => Err(unusable(format!("of the type {kind}")).into()),
    }
}

/// The stream that a GET opens, or takes up again.
pub(super) fn to_get(
    response: Response,
    max_bytes: usize,
) -> Result<BoxStream<'static, Result<Sse, SseError>>, HttpError> {
    let status = response.status();
    // Asked again with the same session it would say the same: the next POST finds a new one.
    if status.is_client_error() {
        return Err(StreamableHttpError::ServerDoesNotSupportSse);
    }
    match Kind::of(&response) {
        Kind::Events if status.is_success() => Ok(events::bounded(response, max_bytes)),
        _ => Err(HttpFailure::Status { status, retry_after: None, said: String::new() }.into()),
    }
}

enum Kind {
    Json,
    Events,
    Other(String),
}

impl Kind {
    fn of(response: &Response) -> Self {
        let kind = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let kind = kind.and_then(|kind| kind.split(';').next()).unwrap_or("none").trim();
        match kind.to_ascii_lowercase() {
            kind if kind == "application/json" => Self::Json,
            kind if kind == "text/event-stream" => Self::Events,
            kind => Self::Other(kind.chars().take(64).collect()),
        }
    }
}

/// An answer that is no success. An error of the protocol inside of it says more than the status,
/// but for the statuses that speak of the server rather than of the request.
async fn refusal(
    response: Response,
    asked: Asked,
    now: UnixMs,
) -> Result<StreamableHttpPostResponse, HttpError> {
    let status = response.status();
    let wait = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
    let wait = wait.and_then(|value| retry_after(value, now, LONGEST_PAUSE));
    let kind = Kind::of(&response);
    let body = head(response, MAX_REFUSAL_BYTES).await;
    let envelope = serde_json::from_slice::<Envelope<'_>>(&body).ok();
    if asked.has_session && lost_session(status, envelope.as_ref(), asked.id.as_ref()) {
        return Err(StreamableHttpError::SessionExpired);
    }
    let error = envelope.and_then(|body| body.error);
    let said = match (&error, kind) {
        (Some(error), _) => error.message.to_string(),
        (None, Kind::Other(kind)) if kind == "text/plain" => {
            String::from_utf8_lossy(&body).into_owned()
        }
        _ => String::new(),
    };
    let is_servers = matches!(status.as_u16(), 401 | 403 | 429)
        || (status == StatusCode::SERVICE_UNAVAILABLE && wait.is_some());
    let failure = HttpFailure::Status { status, retry_after: wait, said };
    let Some(id) = asked.id.filter(|_| !is_servers) else { return Err(failure.into()) };
    match error {
        Some(error) => Ok(json_error(error, id)),
        // A server of the earlier era does not know the question.
        None if asked.is_discover && status.is_client_error() => {
            let message = format!("server/discover was answered {status}");
            Ok(json_error(ErrorData::invalid_request(message, None), id))
        }
        None => Err(failure.into()),
    }
}

fn json_error(error: ErrorData, id: RequestId) -> StreamableHttpPostResponse {
    StreamableHttpPostResponse::Json(ServerJsonRpcMessage::error(error, Some(id)), None)
}

/// Whether a refusal says that the session is lost: then the call is sent again. A 404 says it by
/// itself. An error that bears the call's own id is an answer to it: the call was looked at.
fn lost_session(
    status: StatusCode,
    envelope: Option<&Envelope<'_>>,
    asked: Option<&RequestId>,
) -> bool {
    let error = envelope.and_then(|envelope| Some((envelope.id, envelope.error.as_ref()?)));
    let Some((id, error)) = error else { return status == StatusCode::NOT_FOUND };
    let id = id.and_then(|id| serde_json::from_str::<RequestId>(id.get()).ok());
    let is_answer = id.zip(asked).is_some_and(|(id, asked)| answers(&id, asked));
    match status {
        StatusCode::NOT_FOUND => !is_answer || names_session(error),
        StatusCode::BAD_REQUEST => !is_answer && names_session(error),
        _ => false,
    }
}

/// Servers that lost their sessions say so in many ways, often without the request's id.
fn names_session(error: &ErrorData) -> bool {
    let message = error.message.to_ascii_lowercase();
    message.contains("session") || message.contains("not initialized")
}

enum Message {
    Usable(Box<ServerJsonRpcMessage>),
    /// An error without an id about the session.
    Session,
}

/// Reads what should be the one answer to the request of that id. An error is its answer whatever
/// its id says.
fn message(body: &[u8], id: &RequestId) -> Result<Message, HttpFailure> {
    let envelope = serde_json::from_slice::<Envelope<'_>>(body);
    let envelope = envelope.map_err(|error| unusable(broken(&error)))?;
    if let Some(error) = envelope.error {
        let has_id = envelope.id.is_some_and(|id| id.get() != "null");
        if !has_id && names_session(&error) {
            return Ok(Message::Session);
        }
        let message = ServerJsonRpcMessage::error(error, Some(id.clone()));
        return Ok(Message::Usable(Box::new(message)));
    }
    let message = serde_json::from_slice::<ServerJsonRpcMessage>(body);
    match message.map_err(|error| unusable(broken(&error)))? {
        ServerJsonRpcMessage::Response(response) if !answers(&response.id, id) => {
            Err(unusable("the answer to another request"))
        }
        message @ ServerJsonRpcMessage::Response(_) => Ok(Message::Usable(Box::new(message))),
        _ => Err(unusable("no answer")),
    }
}

/// Some servers write the number of an id as a text.
fn answers(answered: &RequestId, asked: &RequestId) -> bool {
    answered == asked || answered.to_string() == asked.to_string()
}

/// The events of a call: what ends it without an answer becomes its answer.
fn for_call(
    events: BoxStream<'static, Result<Sse, SseError>>,
    id: RequestId,
) -> BoxStream<'static, Result<Sse, SseError>> {
    let events = events.map(move |event| match event {
        Ok(event) => Ok(readable(event, &id)),
        Err(error) => match events::too_large(&error) {
            Some(max_bytes) => {
                let failure = HttpFailure::TooLarge { max_bytes };
                Ok(answer(&ours(OURS_TOO_LARGE, &failure), &id))
            }
            None => Err(error),
        },
    });
    events.boxed()
}

fn readable(event: Sse, id: &RequestId) -> Sse {
    let data = event.data.as_deref().map(str::trim).unwrap_or_default();
    let is_message = event.event.as_deref().is_none_or(|name| name.is_empty() || name == "message");
    if data.is_empty() || !is_message {
        return event;
    }
    match serde_json::from_str::<Envelope<'_>>(data) {
        Ok(Envelope { id: None, error: Some(error) }) => Sse { id: event.id, ..answer(&error, id) },
        Ok(Envelope { id: Some(raw), error: Some(error) }) if raw.get() == "null" => {
            answer(&error, id)
        }
        Ok(_) => event,
        Err(error) => answer(&ours(OURS, &unusable(broken(&error))), id),
    }
}

fn answer(error: &ErrorData, id: &RequestId) -> Sse {
    let message = ServerJsonRpcMessage::error(error.clone(), Some(id.clone()));
    Sse::default().data(serde_json::to_string(&message).unwrap_or_default())
}

/// Where a text stops being JSON; its own words may quote it.
fn broken(error: &serde_json::Error) -> String {
    match error.is_data() {
        true => "JSON, but no message".to_owned(),
        false => format!("no JSON (line {}, column {})", error.line(), error.column()),
    }
}

fn unusable(found: impl Into<String>) -> HttpFailure {
    HttpFailure::Unusable(found.into())
}

/// The whole body.
async fn read(mut response: Response, max_bytes: usize) -> Result<Vec<u8>, HttpFailure> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| broken_off(&error))? {
        if chunk.len() > max_bytes - body.len() {
            return Err(HttpFailure::TooLarge { max_bytes });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// The first bytes of a body, as many as can be had.
async fn head(mut response: Response, max_bytes: usize) -> Vec<u8> {
    let mut head = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        let room = max_bytes - head.len();
        head.extend_from_slice(chunk.get(..room).unwrap_or(&chunk));
        if chunk.len() >= room {
            break;
        }
    }
    head
}

/// The bytes of a body as they come.
pub(super) fn chunks(response: Response) -> BoxStream<'static, Result<bytes::Bytes, HttpFailure>> {
    let next = |mut response: Response| async {
        match response.chunk().await {
            Ok(Some(chunk)) => Some((Ok(chunk), response)),
            Ok(None) => None,
            Err(error) => Some((Err(broken_off(&error)), response)),
        }
    };
    stream::unfold(response, next).boxed()
}

fn broken_off(error: &reqwest::Error) -> HttpFailure {
    HttpFailure::Broken(innermost(error))
}
