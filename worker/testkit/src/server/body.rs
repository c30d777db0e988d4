//! Bodies of answers: whole, and broken in every way a client has to survive.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Sleep, sleep};

use super::Visit;

/// The connection is to be closed without (the rest of) an answer.
#[derive(Debug)]
pub(crate) struct Closed;

impl fmt::Display for Closed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("closed on purpose")
    }
}

impl std::error::Error for Closed {}

/// The body of an answer.
pub(crate) enum Body {
    /// All at once, with its length.
    Whole(Bytes),
    /// In chunks, without a length.
    Pieces(Box<dyn Iterator<Item = Bytes> + Send>),
    /// The start of a body whose head announced more; then the connection is closed.
    Half(Bytes),
    /// What follows the start: time for it to be sent, then the end.
    Cut { flushed: bool },
    /// What comes by a channel, until that is closed; a client that leaves stops the feeding.
    Fed { receiver: mpsc::Receiver<Bytes>, feeding: JoinHandle<()>, visit: Option<Visit> },
    /// A byte a second, for ever.
    Trickle { next: Pin<Box<Sleep>>, _visit: Visit },
}

impl Body {
    /// A body of `length` bytes: `head`, as much filler as it takes, `tail`. Without a
    /// Content-Length, so that a client has to count for itself.
    pub(crate) fn huge(head: Bytes, length: usize, tail: Bytes) -> Self {
        static FILLER: [u8; 64 * 1024] = [b'a'; 64 * 1024];
        let mut missing = length.saturating_sub(head.len() + tail.len());
        let filler = std::iter::from_fn(move || {
            let piece = &FILLER[..missing.min(FILLER.len())];
            missing -= piece.len();
            (!piece.is_empty()).then_some(Bytes::from_static(piece))
        });
        Self::Pieces(Box::new(std::iter::once(head).chain(filler).chain([tail])))
    }

    /// Nothing, for ever. The request stays in flight until the client leaves.
    pub(crate) fn silent(visit: Visit) -> Self {
        let (sender, receiver) = mpsc::channel(1);
        let feeding = tokio::spawn(async move { sender.closed().await });
        Self::Fed { receiver, feeding, visit: Some(visit) }
    }

    /// A byte a second, for ever. The request stays in flight until the client leaves.
    pub(crate) fn trickle(visit: Visit) -> Self {
        Self::Trickle { next: Box::pin(sleep(Duration::ZERO)), _visit: visit }
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        if let Self::Fed { feeding, .. } = self {
            feeding.abort();
        }
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = Closed;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Closed>>> {
        let bytes = match &mut *self {
            Self::Whole(bytes) if bytes.is_empty() => None,
            Self::Whole(bytes) => Some(std::mem::take(bytes)),
            Self::Pieces(pieces) => pieces.next(),
            Self::Half(start) => {
                let start = std::mem::take(start);
                *self = Self::Cut { flushed: false };
                Some(start)
            }
            // A server writes what it holds when the body has nothing more for the moment.
            Self::Cut { flushed: flushed @ false } => {
                *flushed = true;
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            Self::Cut { flushed: true } => return Poll::Ready(Some(Err(Closed))),
            Self::Fed { receiver, visit, .. } => {
                let next = ready!(receiver.poll_recv(context));
                if next.is_none() {
                    visit.take().into_iter().for_each(Visit::end);
                }
                next
            }
            Self::Trickle { next, .. } => {
                ready!(next.as_mut().poll(context));
                next.set(sleep(Duration::from_secs(1)));
                Some(Bytes::from_static(b" "))
            }
        };
        Poll::Ready(bytes.map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Whole(bytes) if bytes.is_empty())
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            _ => SizeHint::default(),
        }
    }
}
