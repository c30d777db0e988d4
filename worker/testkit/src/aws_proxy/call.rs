//! What is known of one request.

use hyper::StatusCode;
use serde_json::Value;

use super::units::Units;
use crate::server::Received;

/// One request to AWS, as the proxy saw it.
#[derive(Debug, Clone)]
pub struct AwsCall {
    /// The service as credentials are scoped to it: `dynamodb`, `sqs`, `secretsmanager`, `s3`.
    pub service: String,
    /// The operation, such as `PutItem`; of S3 the method and the path, `PUT /bucket/key`.
    pub operation: String,
    /// The body, if it is JSON.
    pub body: Value,
    /// The primary keys of the items it names, without their types; parts joined by `/`.
    pub keys: Vec<String>,
    /// The status of the answer upstream gave; `None` if it was never asked.
    pub carried_out: Option<u16>,
    /// The status of the answer the client got; `None` if its connection was closed instead.
    pub answered: Option<u16>,
    /// What `DynamoDB` would have billed.
    pub units: Units,
}

impl AwsCall {
    pub(super) fn of(request: &Received) -> Self {
        let (service, operation) = target(request);
        let body = serde_json::from_slice(request.body()).unwrap_or(Value::Null);
        Self {
            service,
            operation,
            body,
            keys: Vec::new(),
            carried_out: None,
            answered: None,
            units: Units::default(),
        }
    }

    /// Whether `name` is its service or its operation.
    pub fn is(&self, name: &str) -> bool {
        self.service == name || self.operation == name
    }

    pub(super) fn answered(&mut self, status: StatusCode) {
        self.answered = Some(status.as_u16());
    }
}

/// `x-amz-target: DynamoDB_20120810.PutItem` where the protocol is JSON, else the HTTP request.
fn target(request: &Received) -> (String, String) {
    let service = request.header("authorization").and_then(scope).unwrap_or_default().to_owned();
    let operation = request.header("x-amz-target").and_then(|target| target.rsplit('.').next());
    let operation = operation.map(str::to_owned);
    (service, operation.unwrap_or_else(|| format!("{} {}", request.method(), request.path())))
}

/// The service in `Credential=KEY/DATE/REGION/SERVICE/aws4_request`.
fn scope(authorization: &str) -> Option<&str> {
    authorization.split_once("Credential=")?.1.split('/').nth(3)
}
