//! What came back of one try: as much of it as the judge needs, and no more.

use std::time::Duration;

use reqwest::{Response, header::RETRY_AFTER};
use tokio::time::{Instant, timeout_at};

use super::guard;
use crate::{clock::UnixMs, retry};

/// The most that is read of an answer's body.
const MOST_BYTES: usize = 16 * 1024;

/// How long a body may take once its status is there.
const BODY_TAKES: Duration = Duration::from_secs(2);

/// The longest pause that a receiver may ask for.
const LONGEST_PAUSE: Duration = Duration::from_secs(3600);

/// What came back of one try.
#[derive(Debug)]
pub(super) enum Answer {
    /// An answer, whose text is for the judge alone.
    Status { status: u16, text: String, retry_after: Option<Duration> },
    /// There was no connection: nothing can have got through.
    Unreached,
    /// The connection broke, or time ran out: it may have got through.
    Lost,
    /// The receiver's name leads to addresses that are not public.
    Forbidden,
}

impl Answer {
    pub(super) async fn of(sent: reqwest::Result<Response>, now: UnixMs) -> Self {
        match sent {
            Ok(response) => Self::read(response, now).await,
            Err(error) if guard::is_refused(&error) => Self::Forbidden,
            Err(error) if error.is_connect() || error.is_builder() => Self::Unreached,
            Err(_) => Self::Lost,
        }
    }

    async fn read(response: Response, now: UnixMs) -> Self {
        let status = response.status().as_u16();
        let asked = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        let retry_after = asked.and_then(|value| retry::retry_after(value, now, LONGEST_PAUSE));
        Self::Status { status, text: beginning(response).await, retry_after }
    }

    /// The status, if there was an answer.
    pub(super) fn status(&self) -> Option<u16> {
        match self {
            Self::Status { status, .. } => Some(*status),
            Self::Unreached | Self::Lost | Self::Forbidden => None,
        }
    }

    /// The pause that the receiver asked for.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status { retry_after, .. } => *retry_after,
            Self::Unreached | Self::Lost | Self::Forbidden => None,
        }
    }
}

/// The beginning of a body. What breaks off or drags on is left where it is; a body that was read to
/// its end leaves its connection to the next delivery.
async fn beginning(mut response: Response) -> String {
    let (ends, mut bytes) = (Instant::now() + BODY_TAKES, Vec::new());
    while bytes.len() < MOST_BYTES {
        match timeout_at(ends, response.chunk()).await {
            Ok(Ok(Some(chunk))) => {
                bytes.extend_from_slice(&chunk[..chunk.len().min(MOST_BYTES - bytes.len())]);
            }
            _ => break,
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
