//! What a request asks.

use serde_json::Value;

/// What a request asks.
pub(super) struct Question {
    pub(super) model: String,
    /// The last user message, its text parts joined.
    pub(super) text: String,
    /// Those of all messages.
    pub(super) tokens: usize,
}

impl Question {
    /// Reads it from the body, if that is a chat completion's: JSON with a model and messages.
    pub(super) fn parse(body: &[u8]) -> Option<Self> {
        let body: Value = serde_json::from_slice(body).ok()?;
        let model = body.get("model")?.as_str()?.to_owned();
        let messages = body.get("messages")?.as_array()?;
        let last = messages.iter().rfind(|message| message["role"] == "user");
        let text = text(&last.or(messages.last())?["content"]);
        let characters = messages.iter().map(|message| characters(&message["content"])).sum();
        Some(Self { model, text, tokens: tokens(characters) })
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
