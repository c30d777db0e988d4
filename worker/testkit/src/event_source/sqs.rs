//! A queue of an SQS on the loopback, by SQS's JSON protocol.

use std::time::Duration;

use hyper::client::conn::http1;
use hyper::{Request, Response, body::Incoming};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpStream;

use super::{Source, SqsMessage};
use crate::server::{Body, read_body};

/// What names the account, the region and the service. Emulators do not check the rest of it.
const AUTHORIZATION: &str = "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/sqs/aws4_request, \
                             SignedHeaders=host, Signature=0";

/// A queue of an emulator such as [`MiniStack`](crate::MiniStack).
#[derive(Debug)]
pub struct SqsQueue {
    authority: String,
    url: String,
    arn: String,
    visibility_timeout: Duration,
}

impl SqsQueue {
    /// The queue with this URL at `endpoint`, `http://HOST:PORT`.
    ///
    /// # Panics
    ///
    /// When there is none.
    pub async fn new(endpoint: &str, url: &str) -> Self {
        let authority = endpoint.trim_start_matches("http://").trim_end_matches('/').to_owned();
        let queue = Self {
            authority,
            url: url.to_owned(),
            arn: String::new(),
            visibility_timeout: Duration::ZERO,
        };
        let attributes = queue.attributes(&["QueueArn", "VisibilityTimeout"]).await;
        let arn = attributes["QueueArn"].as_str().expect("a queue has an ARN").to_owned();
        let visibility_timeout = Duration::from_secs(number(&attributes["VisibilityTimeout"]));
        Self { arn, visibility_timeout, ..queue }
    }

    /// Its URL.
    pub fn url(&self) -> &str {
        &self.url
    }

    async fn attributes(&self, names: &[&str]) -> Value {
        let request = json!({"QueueUrl": self.url, "AttributeNames": names});
        self.call("GetQueueAttributes", &request).await["Attributes"].take()
    }

    async fn call(&self, action: &str, request: &Value) -> Value {
        let response = self.post(action, request.to_string()).await.expect("SQS answers");
        let status = response.status();
        let body = read_body(response.into_body()).await.expect("SQS answers to the end");
        let answer: Value = serde_json::from_slice(&body).unwrap_or_default();
        assert!(status.is_success(), "{action} of {}: {status} {answer}", self.url);
        answer
    }

    async fn post(&self, action: &str, body: String) -> hyper::Result<Response<Incoming>> {
        let stream = TcpStream::connect(&self.authority).await.expect("SQS listens");
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        let request = Request::post("/")
            .header("host", &self.authority)
            .header("authorization", AUTHORIZATION)
            .header("content-type", "application/x-amz-json-1.0")
            .header("x-amz-target", format!("AmazonSQS.{action}"))
            .body(Body::Whole(body.into()))
            .expect("a sound request");
        sender.send_request(request).await
    }
}

impl Source for SqsQueue {
    fn arn(&self) -> &str {
        &self.arn
    }

    fn visibility_timeout(&self) -> Duration {
        self.visibility_timeout
    }

    async fn receive(&self, max: usize) -> Vec<SqsMessage> {
        let request = json!({
            "QueueUrl": self.url,
            "MaxNumberOfMessages": max,
            "AttributeNames": ["All"],
            "MessageAttributeNames": ["All"],
            "WaitTimeSeconds": 0,
        });
        match self.call("ReceiveMessage", &request).await["Messages"].take() {
            Value::Array(messages) => messages,
            _ => Vec::new(),
        }
    }

    async fn delete(&self, receipts: Vec<String>) {
        for receipts in receipts.chunks(10) {
            let entry = |(at, receipt): (usize, &String)| json!({"Id": at.to_string(), "ReceiptHandle": receipt});
            let entries: Vec<Value> = receipts.iter().enumerate().map(entry).collect();
            let request = json!({"QueueUrl": self.url, "Entries": entries});
            // A refused entry is a message that was received anew: it is not this batch's to delete.
            self.call("DeleteMessageBatch", &request).await;
        }
    }

    async fn remaining(&self) -> usize {
        const COUNTS: [&str; 3] = [
            "ApproximateNumberOfMessages",
            "ApproximateNumberOfMessagesDelayed",
            "ApproximateNumberOfMessagesNotVisible",
        ];
        let attributes = self.attributes(&COUNTS).await;
        let counts = COUNTS.iter().map(|count| number(&attributes[count]));
        usize::try_from(counts.sum::<u64>()).expect("a number of messages")
    }
}

fn number(attribute: &Value) -> u64 {
    attribute.as_str().and_then(|text| text.parse().ok()).expect("an attribute with a number")
}
