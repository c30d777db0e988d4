//! HTTP answers of the protocol.

use hyper::{Response, StatusCode};
use serde_json::{Value, json};

use crate::server::{Body, header};

/// A call of a tool.
pub(super) struct Call {
    pub(super) id: Value,
    pub(super) tool: String,
    pub(super) arguments: Value,
    pub(super) progress_token: Value,
}

impl Call {
    pub(super) fn new(id: Value, params: &Value) -> Self {
        Self {
            id,
            tool: params["name"].as_str().unwrap_or_default().to_owned(),
            arguments: params["arguments"].clone(),
            progress_token: params["_meta"]["progressToken"].clone(),
        }
    }
}

pub(super) fn json(status: u16, body: &Value) -> Response<Body> {
    typed(status, "application/json", body.to_string())
}

pub(super) fn typed(status: u16, kind: &str, body: impl Into<Vec<u8>>) -> Response<Body> {
    let mut response = Response::new(Body::Whole(body.into().into()));
    *response.status_mut() = StatusCode::from_u16(status).expect("a status");
    let (name, value) = header("content-type", kind);
    response.headers_mut().insert(name, value);
    response
}

pub(super) fn status(status: u16) -> Response<Body> {
    let mut response = Response::new(Body::Whole(bytes::Bytes::new()));
    *response.status_mut() = StatusCode::from_u16(status).expect("a status");
    response
}

pub(super) fn with(mut response: Response<Body>, name: &str, value: &str) -> Response<Body> {
    let (name, value) = header(name, value);
    response.headers_mut().insert(name, value);
    response
}

pub(super) fn with_session(response: Response<Body>, session: &str) -> Response<Body> {
    with(response, "mcp-session-id", session)
}

pub(super) fn challenge() -> Response<Body> {
    with(status(401), "www-authenticate", "Bearer realm=\"fake\"")
}

pub(super) fn result(id: &Value, result: &Value) -> Response<Body> {
    json(200, &message(id, result))
}

pub(super) fn message(id: &Value, result: &Value) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "result": result})
}

pub(super) fn error(id: &Value, code: i64, message: &str) -> Response<Body> {
    json(200, &error_message(id, code, message))
}

pub(super) fn error_message(id: &Value, code: i64, message: &str) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "error": {"code": code, "message": message}})
}

pub(super) fn text(text: &str) -> Value {
    json!({"content": [{"type": "text", "text": text}]})
}

pub(super) fn event(message: &Value) -> String {
    format!("event: message\ndata: {message}\n\n")
}
