//! Replies of the JSON protocols.

use bytes::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};

use crate::server::Body;

/// What a service says.
#[derive(Debug)]
pub(super) struct Reply {
    status: StatusCode,
    body: Bytes,
}

impl Reply {
    pub(super) fn ok(body: impl Into<Bytes>) -> Self {
        Self { status: StatusCode::OK, body: body.into() }
    }

    pub(super) fn bad(body: impl Into<Bytes>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, body: body.into() }
    }

    /// What this stand-in was not made for.
    pub(super) fn unknown_operation() -> Self {
        Self::bad(
            r#"{"__type":"UnknownOperationException","message":"the stand-in cannot do that"}"#,
        )
    }

    /// A request that lacks something, or is no JSON.
    pub(super) fn invalid() -> Self {
        Self::bad(r#"{"__type":"ValidationException","message":"the stand-in cannot read that"}"#)
    }

    pub(super) fn into_response(self) -> Response<Body> {
        let mut response = Response::new(Body::Whole(self.body));
        *response.status_mut() = self.status;
        let json = HeaderValue::from_static("application/x-amz-json-1.0");
        response.headers_mut().insert(CONTENT_TYPE, json);
        response
    }
}
