//! What a request asks, in either of two shapes.

use serde_json::Value;

use crate::server::Received;
use hyper::Method;

/// Whose API is spoken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Shape {
    /// `OpenAI`'s chat completions, which `LiteLLM` speaks as well.
    #[default]
    OpenAi,
    /// Anthropic's messages.
    Anthropic,
}

impl Shape {
    /// The shape that a request's path promises; `None` for anything but a call.
    pub(super) fn of(request: &Received) -> Option<Self> {
        match request.path() {
            _ if request.method() != Method::POST => None,
            "/v1/chat/completions" | "/chat/completions" => Some(Self::OpenAi),
            "/v1/messages" => Some(Self::Anthropic),
            _ => None,
        }
    }

    /// Where the key stands.
    pub(super) fn key(self, request: &Received) -> Option<&str> {
        match self {
            Self::OpenAi => request.header("authorization")?.strip_prefix("Bearer "),
            Self::Anthropic => request.header("x-api-key"),
        }
    }
}

/// What a request asks.
pub(super) struct Question {
    pub(super) model: String,
    /// The last user message, its text parts joined.
    pub(super) text: String,
    /// Those of all messages.
    pub(super) tokens: usize,
}

impl Question {
    /// Reads it from the body, if that is a call's: JSON with a model and messages.
    pub(super) fn parse(body: &[u8]) -> Option<Self> {
        let body: Value = serde_json::from_slice(body).ok()?;
        let model = body.get("model")?.as_str()?.to_owned();
        let messages = body.get("messages")?.as_array()?;
        let last = messages.iter().rfind(|message| message["role"] == "user");
        let text = text(&last.or(messages.last())?["content"]);
        let said = messages.iter().map(|message| &message["content"]).chain(body.get("system"));
        Some(Self { model, text, tokens: tokens(said.map(characters).sum()) })
    }
}

/// Four characters a token, rounded up.
pub(super) fn tokens(characters: usize) -> usize {
    characters.div_ceil(4)
}

fn text(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().filter_map(|part| part["text"].as_str()).collect(),
        _ => String::new(),
    }
}

fn characters(content: &Value) -> usize {
    match content {
        Value::String(text) => text.chars().count(),
        content => text(content).chars().count(),
    }
}
