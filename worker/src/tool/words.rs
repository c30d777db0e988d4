//! An upstream's own words, as far as they may be told: they help a person, and may repeat what
//! must not be told.

use super::masks::masked;
use crate::{error::SAID, text::is_command};

/// The most of an upstream's message that is told, in characters.
const MAX_MESSAGE_CHARS: usize = 300;

/// Text of the payload that an upstream's message may not repeat, in characters.
const QUOTED_CHARS: usize = 24;

/// A payload that is shorter is a word that any message may hold.
const SHORTEST_PAYLOAD_CHARS: usize = 8;

/// What the upstream said, after [`SAID`]: bounded, on one line, without `secrets`; something else if it
/// repeats a part of `payloads`, or a secret that cannot be taken out.
pub(super) fn told(
    message: &str,
    payloads: &[String],
    secrets: impl IntoIterator<Item = String>,
) -> String {
    let secrets: Vec<String> = secrets.into_iter().collect();
    // Before it is cut, which may leave half a secret.
    let Some(message) = masked(message, &secrets) else {
        return " (its message repeats a secret and is left out)".to_owned();
    };
    if message.trim().is_empty() {
        return String::new();
    }
    if quotes(&message, payloads) {
        return " (its message repeats the prompt and is left out)".to_owned();
    }
    let said: String = on_one_line(message.trim()).take(MAX_MESSAGE_CHARS).collect();
    format!("{SAID}{said}”")
}

/// A text without what a terminal would obey.
pub(super) fn on_one_line(text: &str) -> impl Iterator<Item = char> {
    text.chars().map(|c| if is_command(c) { ' ' } else { c })
}

/// Whether the message repeats a run of a payload, or the whole of a short one.
pub(super) fn quotes(message: &str, payloads: &[String]) -> bool {
    let chars: Vec<char> = on_one_line(message).collect();
    let message: String = chars.iter().collect();
    payloads.iter().any(|payload| {
        let payload: String = on_one_line(payload.trim()).collect();
        let is_whole = payload.len() >= SHORTEST_PAYLOAD_CHARS && message.contains(&payload);
        is_whole
            || chars
                .windows(QUOTED_CHARS)
                .step_by(QUOTED_CHARS / 3)
                .any(|run| payload.contains(&run.iter().collect::<String>()))
    })
}
