//! What the receiver replies.

use std::time::Duration;

use bytes::Bytes;
use hyper::{HeaderMap, Response, StatusCode};

use crate::server::{Body, Closed, Visit, header};

/// What the receiver replies to one delivery.
#[derive(Debug, Clone)]
#[must_use]
pub struct Reply {
    status: StatusCode,
    headers: HeaderMap,
    delay: Duration,
    ending: Ending,
}

#[derive(Debug, Clone)]
enum Ending {
    Body(Bytes),
    Huge(usize),
    Trickle,
    Hang,
    Drop,
}

impl Reply {
    /// This status, without a body.
    ///
    /// # Panics
    ///
    /// When it is not one of HTTP's.
    pub fn status(status: u16) -> Self {
        Self {
            status: StatusCode::from_u16(status).expect("an HTTP status"),
            headers: HeaderMap::new(),
            delay: Duration::ZERO,
            ending: Ending::Body(Bytes::new()),
        }
    }

    /// A redirect with this status.
    pub fn redirect(status: u16, location: &str) -> Self {
        Self::status(status).header("location", location)
    }

    /// Never a reply. [`Receiver::clients_left`](crate::Receiver::clients_left) tells when the
    /// client has given up.
    pub fn hang() -> Self {
        Self { ending: Ending::Hang, ..Self::status(200) }
    }

    /// The connection is closed without a reply.
    pub fn drop_connection() -> Self {
        Self { ending: Ending::Drop, ..Self::status(200) }
    }

    /// Adds a header.
    ///
    /// # Panics
    ///
    /// When it is not a valid one.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        let (name, value) = header(name, value);
        self.headers.append(name, value);
        self
    }

    /// Takes this long first.
    pub fn after(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// Has this body.
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.ending = Ending::Body(body.into());
        self
    }

    /// Has a body of this many bytes, sent without a Content-Length.
    pub fn huge_body(mut self, length: usize) -> Self {
        self.ending = Ending::Huge(length);
        self
    }

    /// Has a body of a byte a second, for ever.
    pub fn trickle(mut self) -> Self {
        self.ending = Ending::Trickle;
        self
    }

    pub(super) async fn give(self, visit: Visit) -> Result<Response<Body>, Closed> {
        if !self.delay.is_zero() {
            tokio::time::sleep(self.delay).await;
        }
        let body = match self.ending {
            Ending::Hang => std::future::pending().await,
            // Stays in flight as long as its body does.
            Ending::Trickle => Body::trickle(visit),
            ending => {
                visit.end();
                ended(ending)?
            }
        };
        let mut response = Response::new(body);
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers;
        Ok(response)
    }
}

fn ended(ending: Ending) -> Result<Body, Closed> {
    match ending {
        Ending::Body(bytes) => Ok(Body::Whole(bytes)),
        Ending::Huge(length) => Ok(Body::huge(Bytes::new(), length, Bytes::new())),
        Ending::Trickle | Ending::Hang | Ending::Drop => Err(Closed),
    }
}
