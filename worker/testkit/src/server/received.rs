//! A request as it arrived.

use std::future::poll_fn;
use std::pin::Pin;
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use hyper::body::{Body as _, Incoming};
use hyper::http::request::Parts;
use hyper::{HeaderMap, Method, Request};
use serde_json::Value;

use super::Closed;
use crate::logbook;

/// A request as it arrived, byte for byte.
#[derive(Debug, Clone)]
pub struct Received {
    head: Parts,
    body: Bytes,
    at: Instant,
}

impl Received {
    /// Reads a request to its end.
    pub(crate) async fn read(request: Request<Incoming>) -> Result<Self, Closed> {
        let (head, incoming) = request.into_parts();
        let body = read_body(incoming).await?;
        let received = Self { head, body, at: Instant::now() };
        logbook::note(&received);
        Ok(received)
    }

    /// The method.
    pub fn method(&self) -> &Method {
        &self.head.method
    }

    /// The path, without the query.
    pub fn path(&self) -> &str {
        self.head.uri.path()
    }

    /// The query, without its question mark.
    pub fn query(&self) -> Option<&str> {
        self.head.uri.query()
    }

    /// All headers.
    pub fn headers(&self) -> &HeaderMap {
        &self.head.headers
    }

    /// One header, if it is there and is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.headers.get(name)?.to_str().ok()
    }

    /// The raw body: what a signature is computed over.
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// The body as JSON.
    ///
    /// # Panics
    ///
    /// When it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("the body of the request is JSON")
    }

    /// When its last byte arrived.
    pub fn at(&self) -> Instant {
        self.at
    }
}

/// Reads a body to its end.
pub(crate) async fn read_body(mut incoming: Incoming) -> Result<Bytes, Closed> {
    // Most bodies come in one piece, which is then not copied.
    match piece(&mut incoming).await? {
        None => Ok(Bytes::new()),
        Some(first) if incoming.is_end_stream() => Ok(first),
        Some(first) => {
            let mut body = BytesMut::from(first);
            while let Some(next) = piece(&mut incoming).await? {
                body.extend_from_slice(&next);
            }
            Ok(body.freeze())
        }
    }
}

/// The next piece of a body.
async fn piece(incoming: &mut Incoming) -> Result<Option<Bytes>, Closed> {
    loop {
        match poll_fn(|context| Pin::new(&mut *incoming).poll_frame(context)).await {
            None => return Ok(None),
            Some(Err(_)) => return Err(Closed),
            Some(Ok(frame)) => {
                // Anything else would be trailers.
                if let Ok(bytes) = frame.into_data() {
                    return Ok(Some(bytes));
                }
            }
        }
    }
}
