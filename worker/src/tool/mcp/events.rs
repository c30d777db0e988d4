//! Server-sent events of a body, each bounded in size, and what a server asks by them in number.

use std::time::Duration;

use futures_util::{StreamExt, stream::BoxStream};
use reqwest::Response;
use rmcp::transport::streamable_http_client::SseError;
use serde::{Deserialize, de::IgnoredAny};
use sse_stream::{Sse, SseStream};
use tokio::time::sleep;

use super::{http::HttpFailure, reply};

/// Between two requests of a server's: each is answered, and answers wait for the server in memory.
const BETWEEN_REQUESTS: Duration = Duration::from_millis(10);

/// The members of a message that make it a request.
#[derive(Deserialize)]
struct Asking {
    #[serde(rename = "id")]
    _id: IgnoredAny,
    #[serde(rename = "method")]
    _method: IgnoredAny,
}

/// The events of a body. One longer than `max_bytes` is an error, and the last.
pub(super) fn bounded(
    response: Response,
    max_bytes: usize,
) -> BoxStream<'static, Result<Sse, SseError>> {
    let mut size = EventSize::default();
    let chunks = reply::chunks(response).map(move |chunk| {
        let chunk = chunk?;
        match size.after(&chunk) > max_bytes {
            true => Err(HttpFailure::TooLarge { max_bytes }),
            false => Ok(chunk),
        }
    });
    // What follows an error is no event any more.
    let chunks = chunks.scan(false, |has_failed, chunk| {
        let next = (!*has_failed).then_some(chunk);
        *has_failed |= matches!(next, Some(Err(_)));
        std::future::ready(next)
    });
    SseStream::from_bytes_stream(chunks).then(paced).boxed()
}

/// Whoever asks without end is read no faster than it can be answered.
async fn paced(event: Result<Sse, SseError>) -> Result<Sse, SseError> {
    if event.as_ref().is_ok_and(asks) {
        sleep(BETWEEN_REQUESTS).await;
    }
    event
}

fn asks(event: &Sse) -> bool {
    event.data.as_deref().is_some_and(|data| serde_json::from_str::<Asking>(data).is_ok())
}

/// The bound that an error of the stream says was passed, if that is its reason.
pub(super) fn too_large(error: &SseError) -> Option<usize> {
    let SseError::Body(error) = error else { return None };
    match error.downcast_ref::<HttpFailure>() {
        Some(HttpFailure::TooLarge { max_bytes }) => Some(*max_bytes),
        _ => None,
    }
}

/// The bytes of the longest event so far that has not ended, of the chunks that were seen.
#[derive(Default)]
struct EventSize {
    bytes: usize,
    /// Line ends in a row; `\r\n` is one.
    line_ends: u32,
    after_return: bool,
}

impl EventSize {
    /// The size of the largest event that reaches into `chunk`.
    fn after(&mut self, chunk: &[u8]) -> usize {
        let mut largest = self.bytes;
        for byte in chunk {
            let is_second_half = *byte == b'\n' && self.after_return;
            self.after_return = *byte == b'\r';
            if is_second_half {
                continue;
            }
            self.line_ends = if matches!(byte, b'\n' | b'\r') { self.line_ends + 1 } else { 0 };
            self.bytes = if self.line_ends >= 2 { 0 } else { self.bytes + 1 };
            largest = largest.max(self.bytes);
        }
        largest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn largest(chunks: &[&str]) -> usize {
        let mut size = EventSize::default();
        chunks.iter().map(|chunk| size.after(chunk.as_bytes())).max().unwrap_or_default()
    }

    #[test]
    fn an_empty_line_ends_an_event_however_lines_end() {
        for end in ["\n\n", "\r\r", "\r\n\r\n"] {
            let event = format!("data: 12345678{end}");
            let long: Vec<&str> = std::iter::repeat_n(event.as_str(), 1000).collect();
            assert!(largest(&long) <= event.len(), "{end:?}");
        }
    }

    #[test]
    fn an_event_is_counted_over_chunks_and_lines() {
        assert!(largest(&["data: 123", "456\ndata: 789", "0\n"]) >= 24);
        assert!(largest(&["data: 1\r", "\n", "\r", "\ndata"]) <= 9, "a line end cut in two");
        assert_eq!(largest(&[""]), 0);
    }
}
