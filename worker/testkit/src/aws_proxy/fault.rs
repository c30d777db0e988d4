//! Errors as AWS answers them.

use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};
use serde_json::json;

use crate::server::Body;

/// An error to answer with, in the words of the service that is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// Too many requests: `ThrottlingException`, `RequestThrottled`, `SlowDown`.
    Throttled,
    /// `DynamoDB` has not enough capacity: `ProvisionedThroughputExceededException`.
    CapacityExceeded,
    /// A fault of the service, with status 500.
    Internal,
    /// Any other error, by status and code.
    Refused(u16, &'static str),
}

impl Fault {
    /// The answer of `service`.
    pub(super) fn response(&self, service: &str) -> Response<Body> {
        let (status, code) = self.words(service);
        let message = "injected by a test";
        let (kind, body) = match service {
            "s3" => (
                "application/xml",
                format!("<Error><Code>{code}</Code><Message>{message}</Message></Error>"),
            ),
            _ => ("application/x-amz-json-1.0", error_json(service, code, message)),
        };
        let mut response = Response::new(Body::Whole(body.into()));
        *response.status_mut() = StatusCode::from_u16(status).expect("an HTTP status");
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        response
    }

    fn words(&self, service: &str) -> (u16, &'static str) {
        match (self, service) {
            (Self::Refused(status, code), _) => (*status, code),
            (Self::CapacityExceeded, _) => (400, "ProvisionedThroughputExceededException"),
            (Self::Throttled, "sqs") => (400, "RequestThrottled"),
            (Self::Throttled, "s3") => (503, "SlowDown"),
            (Self::Throttled, _) => (400, "ThrottlingException"),
            (Self::Internal, "dynamodb") => (500, "InternalServerError"),
            (Self::Internal, "s3") => (500, "InternalError"),
            (Self::Internal, "secretsmanager") => (500, "InternalServiceError"),
            (Self::Internal, _) => (500, "InternalFailure"),
        }
    }
}

fn error_json(service: &str, code: &str, message: &str) -> String {
    let namespace = match service {
        "dynamodb" => "com.amazonaws.dynamodb.v20120810#",
        "sqs" => "com.amazonaws.sqs#",
        _ => "",
    };
    json!({"__type": format!("{namespace}{code}"), "message": message}).to_string()
}
