//! Reading what was sent, within bounds of size and time.

use std::time::Duration;

use axum::{
    body::{Body, Bytes},
    extract::{FromRequest, Path, Request, rejection::PathRejection},
    http::{StatusCode, header},
};
use bytes::BytesMut;
use http_body_util::BodyExt;
use tokio::time::timeout;

use super::problem::Problem;

/// The most that one request may send: behind Lambda, whose 6 MB hold it as an escaped text.
pub(super) const MAX_BODY_BYTES: usize = 4 * 1024 * 1024;

/// How much of a larger one is read to no end.
const MOST_DISCARDED: usize = 4 * MAX_BODY_BYTES;

/// How long it may take to arrive.
const ARRIVES_WITHIN: Duration = Duration::from_secs(10);

/// A body that says it is JSON.
pub(super) struct JsonBody(pub(super) Bytes);

impl<S: Send + Sync> FromRequest<S> for JsonBody {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        if !is_json(&request) {
            let detail = "expected content-type: application/json";
            return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "content_type", detail));
        }
        read(request).await.map(Self)
    }
}

/// Without a type it is taken for what is expected.
fn is_json(request: &Request) -> bool {
    let Some(kind) = request.headers().get(header::CONTENT_TYPE) else { return true };
    let essence = kind.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json")
}

async fn read(request: Request) -> Result<Bytes, Problem> {
    let read = timeout(ARRIVES_WITHIN, collect(request.into_body())).await;
    read.unwrap_or_else(|_| {
        let detail = format!("the body did not arrive within {} s", ARRIVES_WITHIN.as_secs());
        Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "timeout", detail))
    })
}

/// What is too much is not kept, but some of it is read: a client that is answered while it sends
/// may not read the answer.
async fn collect(mut body: Body) -> Result<Bytes, Problem> {
    let (mut kept, mut arrived) = (BytesMut::new(), 0);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Problem::bad_request("body", "the body broke off"))?;
        let Ok(data) = frame.into_data() else { continue };
        arrived += data.len();
        if arrived > MOST_DISCARDED {
            break;
        }
        match arrived <= MAX_BODY_BYTES {
            true => kept.extend_from_slice(&data),
            false => kept.clear(),
        }
    }
    if arrived > MAX_BODY_BYTES {
        let detail = format!("expected a body of at most {MAX_BODY_BYTES} bytes");
        return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", detail));
    }
    Ok(kept.freeze())
}

/// What stands in the path, as one of the core's types; what is none of them is nowhere to be found.
pub(super) fn named<T: std::str::FromStr<Err = String>>(
    path: Result<Path<String>, PathRejection>,
    field: &str,
) -> Result<T, Problem> {
    let Ok(Path(text)) = path else {
        return Err(Problem::bad_request("invalid_field", "expected UTF-8 in the path").at(field));
    };
    text.parse().map_err(|error| Problem::bad_request("invalid_field", error).at(field))
}
