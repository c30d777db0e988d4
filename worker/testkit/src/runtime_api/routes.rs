//! The Runtime API's requests, and the Extensions API's as far as a no-op extension needs it.

use std::sync::Arc;

use bytes::Bytes;
use hyper::body::Incoming;
use hyper::{Method, Request, Response, StatusCode};

use super::Invocation;
use super::exchange::{Exchange, Offer};
use super::function::ARN;
use crate::server::{Answerer, Body, Closed, Received, Visit, header};

/// The most that a function may answer to a synchronous invocation.
const MAX_RESPONSE_BYTES: usize = 6 * 1024 * 1024;

impl Answerer for Exchange {
    async fn answer(
        self: Arc<Self>,
        request: Request<Incoming>,
        visit: Visit,
    ) -> Result<Response<Body>, Closed> {
        let request = Received::read(request).await?;
        let response = self.route(&request).await;
        visit.end();
        Ok(response)
    }
}

impl Exchange {
    async fn route(&self, request: &Received) -> Response<Body> {
        let path: Vec<&str> = request.path().split('/').skip(1).collect();
        match (request.method(), path.as_slice()) {
            (&Method::GET, ["2018-06-01", "runtime", "invocation", "next"]) => {
                handed_over(self.next().await)
            }
            (&Method::POST, ["2018-06-01", "runtime", "invocation", id, "response"]) => {
                accepted(Exchange::answer(self, id, answered(request.body())))
            }
            (&Method::POST, ["2018-06-01", "runtime", "invocation", id, "error"]) => {
                accepted(Exchange::answer(self, id, Invocation::error(request.body())))
            }
            (&Method::POST, ["2018-06-01", "runtime", "init", "error"]) => {
                self.fail_init(Invocation::error(request.body()));
                accepted(true)
            }
            (&Method::POST, ["2020-01-01", "extension", "register"]) => {
                self.register_extension();
                registered()
            }
            // It subscribed to no events, so none ever comes.
            (&Method::GET, ["2020-01-01", "extension", "event", "next"]) => {
                std::future::pending().await
            }
            _ => json(StatusCode::NOT_FOUND, r#"{"errorType":"NotFound"}"#),
        }
    }
}

fn handed_over(offer: Offer) -> Response<Body> {
    let mut response = json(StatusCode::OK, offer.event);
    for (name, value) in [
        ("lambda-runtime-aws-request-id", offer.request_id.as_str()),
        ("lambda-runtime-deadline-ms", &offer.deadline_ms.to_string()),
        ("lambda-runtime-invoked-function-arn", ARN),
        ("lambda-runtime-invocation-id", &offer.request_id),
        (
            "lambda-runtime-trace-id",
            "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Parent=9a9197af755a6419;Sampled=0",
        ),
    ] {
        let (name, value) = header(name, value);
        response.headers_mut().insert(name, value);
    }
    response
}

fn answered(body: &Bytes) -> Invocation {
    if body.len() > MAX_RESPONSE_BYTES {
        let kind = "Function.ResponseSizeTooLarge".to_owned();
        return Invocation::Error { kind, message: format!("{} bytes", body.len()) };
    }
    Invocation::Response(body.clone())
}

fn accepted(is_waited_for: bool) -> Response<Body> {
    match is_waited_for {
        true => json(StatusCode::ACCEPTED, r#"{"status":"OK"}"#),
        false => json(StatusCode::BAD_REQUEST, r#"{"errorType":"InvalidRequestID"}"#),
    }
}

fn registered() -> Response<Body> {
    let body = r#"{"functionName":"mcp-batch","functionVersion":"$LATEST","handler":"bootstrap"}"#;
    let mut response = json(StatusCode::OK, body);
    let (name, value) =
        header("lambda-extension-identifier", "00000000-0000-4000-8000-000000000000");
    response.headers_mut().insert(name, value);
    response
}

fn json(status: StatusCode, body: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(Body::Whole(body.into()));
    *response.status_mut() = status;
    let (name, value) = header("content-type", "application/json");
    response.headers_mut().insert(name, value);
    response
}
