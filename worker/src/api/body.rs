//! Reading what was sent, within bounds of size and time.

use std::time::Duration;

use axum::{
    body::Bytes,
    extract::{DefaultBodyLimit, FromRequest, Path, Request, rejection::PathRejection},
    http::{StatusCode, header},
};
use tokio::time::timeout;

use super::problem::Problem;

/// The most that one request may send: behind Lambda, whose 6 MB hold it as an escaped text.
pub(super) const MAX_BODY_BYTES: usize = 4 * 1024 * 1024;

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

async fn read(mut request: Request) -> Result<Bytes, Problem> {
    DefaultBodyLimit::max(MAX_BODY_BYTES).apply(&mut request);
    let read = timeout(ARRIVES_WITHIN, Bytes::from_request(request, &())).await;
    let read = read.map_err(|_| {
        let detail = format!("the body did not arrive within {} s", ARRIVES_WITHIN.as_secs());
        Problem::new(StatusCode::REQUEST_TIMEOUT, "timeout", detail)
    })?;
    read.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => {
            let detail = format!("expected a body of at most {MAX_BODY_BYTES} bytes");
            Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", detail)
        }
        _ => Problem::bad_request("body", "the body broke off"),
    })
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
