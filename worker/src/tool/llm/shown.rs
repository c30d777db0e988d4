//! What of an upstream's message may be told: a bounded part, without key or prompt.

use serde::Deserialize;

use super::ApiKey;

/// The most of an upstream's message that is told, in characters.
const MAX_MESSAGE_CHARS: usize = 300;

/// Text of the prompt that an upstream's message may not repeat, in characters.
const QUOTED_CHARS: usize = 24;

/// A prompt that is shorter is a word that any message may hold.
const SHORTEST_PROMPT_CHARS: usize = 8;

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
    let key = key.map(ApiKey::expose).filter(|key| !key.is_empty());
    // Before it is cut, which may leave half a key.
    let message = key.map_or_else(|| message.to_owned(), |key| message.replace(key, "[key]"));
    if quotes(&message, request) {
        return " (its message repeats the prompt and is left out)".to_owned();
    }
    format!(": {}", on_one_line(&message).take(MAX_MESSAGE_CHARS).collect::<String>())
}

fn on_one_line(text: &str) -> impl Iterator<Item = char> {
    text.chars().map(|c| if c.is_control() { ' ' } else { c })
}

/// Whether the message repeats a run of a prompt, or the whole of a short one.
fn quotes(message: &str, request: &[u8]) -> bool {
    let chars: Vec<char> = on_one_line(message).collect();
    let message: String = chars.iter().collect();
    prompts(request).iter().any(|prompt| {
        let is_whole = prompt.len() >= SHORTEST_PROMPT_CHARS && message.contains(prompt);
        is_whole
            || chars
                .windows(QUOTED_CHARS)
                .step_by(QUOTED_CHARS / 3)
                .any(|run| prompt.contains(&run.iter().collect::<String>()))
    })
}

/// What was said to the model, as an upstream would repeat it: not as JSON has it.
fn prompts(request: &[u8]) -> Vec<String> {
    let request = serde_json::from_slice::<Request>(request).unwrap_or_default();
    request.messages.iter().map(|said| on_one_line(said.content.trim()).collect()).collect()
}
