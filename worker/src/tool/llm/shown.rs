//! What of an upstream's message may be told: a bounded part, without key or prompt.

use serde::Deserialize;

use super::ApiKey;
use crate::tool::words;

/// What the request said.
#[derive(Default, Deserialize)]
struct Request {
    messages: Vec<Said>,
}

#[derive(Deserialize)]
struct Said {
    content: String,
}

/// The upstream's message, bounded, on one line, without what must not be told.
pub(super) fn shown(message: &str, request: &[u8], key: Option<&ApiKey>) -> String {
    words::told(message, &prompts(request), key.map(|key| key.expose().to_owned()))
}

/// What was said to the model, as an upstream would repeat it: not as JSON has it.
pub(super) fn prompts(request: &[u8]) -> Vec<String> {
    let request = serde_json::from_slice::<Request>(request).unwrap_or_default();
    request.messages.into_iter().map(|said| said.content).collect()
}
