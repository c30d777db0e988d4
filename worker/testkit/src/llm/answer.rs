//! Turns a behaviour into an answer.

use bytes::Bytes;
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderValue};
use hyper::{Response, StatusCode};
use serde_json::json;

use super::question::{Shape, tokens};
use super::{Behaviour, Status, message, observed};
use crate::server::{Body, Visit};

/// One call, as far as its answer depends on it.
#[derive(Debug, Default)]
pub(super) struct Asked {
    /// Counts from 1.
    pub(super) number: usize,
    pub(super) shape: Shape,
    pub(super) model: String,
    pub(super) text: String,
    pub(super) tokens: usize,
    pub(super) call_id: Option<HeaderValue>,
}

/// The answer of a behaviour that gives one.
pub(super) fn answer(
    behaviour: Behaviour,
    asked: &Asked,
    good_headers: &HeaderMap,
) -> Response<Body> {
    let mut response = match behaviour {
        Behaviour::Status(status) => error(status, asked.shape),
        Behaviour::Raw { status, content_type, body } => raw(status, content_type, body),
        Behaviour::GarbageJson => json(200, Bytes::from_static(b"{\"choices\": [{\"mess")),
        Behaviour::EmptyChoices => json(200, Bytes::from_static(br#"{"choices":[]}"#)),
        good => {
            let mut response = good_answer(good, asked);
            if !good_headers.is_empty() {
                response.headers_mut().extend(good_headers.clone());
            }
            response
        }
    };
    if let Some(call_id) = &asked.call_id {
        response.headers_mut().insert(observed::CALL_ID, call_id.clone());
    }
    response
}

/// An answer of which nothing but the head comes.
pub(super) fn head_alone(visit: Visit) -> Response<Body> {
    with_body(200, "application/json", Body::silent(visit))
}

/// The start of an answer that never comes.
pub(super) fn trickle(visit: Visit) -> Response<Body> {
    with_body(200, "application/json", Body::trickle(visit))
}

/// What is said to a request for anything but a chat completion.
pub(super) fn plain_not_found() -> Response<Body> {
    json(404, Bytes::from_static(br#"{"detail":"Not Found"}"#))
}

/// The models that it has.
pub(super) fn listed(names: &[String]) -> Response<Body> {
    let models: Vec<_> = names.iter().map(|name| json!({"id": name, "object": "model"})).collect();
    json(200, json!({"object": "list", "data": models}).to_string().into())
}

/// The same for who shows no key, or another one.
pub(super) fn unlisted() -> Response<Body> {
    json(401, Bytes::from_static(br#"{"error":{"message":"no"}}"#))
}

fn good_answer(behaviour: Behaviour, asked: &Asked) -> Response<Body> {
    let stop = |text: &str| completion(asked, text, "stop");
    match behaviour {
        Behaviour::Answer(text) => json(200, stop(&text)),
        Behaviour::Json(value) => json(200, stop(&value.to_string())),
        Behaviour::FinishReason(reason) => {
            let text = if reason == "content_filter" { "" } else { &echo(asked) };
            json(200, completion(asked, text, &reason))
        }
        Behaviour::HalfBody => half(&stop(&echo(asked))),
        Behaviour::HugeBody(length) => huge(&stop(MIDDLE), length),
        Behaviour::Cached => {
            json(200, message::of(asked, &echo(asked), "stop", &message::Used::cached(asked.shape)))
        }
        _ => json(200, stop(&echo(asked))),
    }
}

fn echo(asked: &Asked) -> String {
    let end = asked.text.char_indices().nth(80).map_or(asked.text.len(), |(at, _)| at);
    format!("Echo: {}", &asked.text[..end])
}

fn completion(asked: &Asked, text: &str, finish_reason: &str) -> Bytes {
    let used = message::Used::plain(asked.tokens, tokens(text.chars().count()));
    message::of(asked, text, finish_reason, &used)
}

fn half(whole: &Bytes) -> Response<Body> {
    let body = Body::Half(whole.slice(..whole.len() / 2));
    let mut response = with_body(200, "application/json", body);
    response.headers_mut().insert(CONTENT_LENGTH, whole.len().into());
    response
}

/// Marks where the filler goes.
const MIDDLE: &str = "a-huge-answer";

fn huge(around: &Bytes, length: usize) -> Response<Body> {
    let middle = around
        .windows(MIDDLE.len())
        .rposition(|window| window == MIDDLE.as_bytes())
        .expect("the answer holds its own text");
    let (head, tail) = (around.slice(..middle), around.slice(middle + MIDDLE.len()..));
    with_body(200, "application/json", Body::huge(head, length, tail))
}

fn error(status: Status, shape: Shape) -> Response<Body> {
    let body = match shape {
        Shape::OpenAi => status.body(),
        Shape::Anthropic => status.anthropic_body(),
    };
    let mut response = json(status.code, body);
    response.headers_mut().extend(status.headers);
    response
}

fn json(status: u16, body: Bytes) -> Response<Body> {
    raw(status, "application/json", body)
}

fn raw(status: u16, content_type: &'static str, body: Bytes) -> Response<Body> {
    with_body(status, content_type, Body::Whole(body))
}

fn with_body(status: u16, content_type: &'static str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(status).expect("an HTTP status");
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
