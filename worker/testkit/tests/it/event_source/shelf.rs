//! A queue in memory: what is received from it stays hidden for ever.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::Duration;

use mcp_batch_testkit::{Source, SqsMessage};
use serde_json::json;

/// `count` messages, `m-0` and so on.
pub(super) fn numbered(count: usize) -> Vec<SqsMessage> {
    let message = |number| {
        json!({
            "MessageId": format!("m-{number}"),
            "ReceiptHandle": format!("r-{number}"),
            "Body": "{}",
            "MD5OfBody": "99914b932bd37a50b983c5e7c90ae93b",
            "Attributes": {"ApproximateReceiveCount": "1", "SentTimestamp": "1700000000000"},
        })
    };
    (0..count).map(message).collect()
}

#[derive(Debug)]
pub(super) struct Shelf {
    arn: &'static str,
    waiting: Mutex<VecDeque<SqsMessage>>,
    deleted: Mutex<Vec<String>>,
    largest_receive: Mutex<usize>,
}

impl Shelf {
    pub(super) fn standard(messages: Vec<SqsMessage>) -> Self {
        Self::new("arn:aws:sqs:eu-central-1:000000000000:jobs", messages)
    }

    pub(super) fn fifo(messages: Vec<SqsMessage>) -> Self {
        Self::new("arn:aws:sqs:eu-central-1:000000000000:jobs.fifo", messages)
    }

    fn new(arn: &'static str, messages: Vec<SqsMessage>) -> Self {
        Self {
            arn,
            waiting: Mutex::new(messages.into()),
            deleted: Mutex::default(),
            largest_receive: Mutex::default(),
        }
    }

    /// The ids of what was deleted.
    pub(super) fn deleted(&self) -> Vec<String> {
        let receipts = self.deleted.lock().expect("nobody panics with it");
        receipts.iter().map(|receipt| receipt.replace("r-", "m-")).collect()
    }

    pub(super) fn largest_receive(&self) -> usize {
        *self.largest_receive.lock().expect("nobody panics with it")
    }
}

impl Source for Shelf {
    fn arn(&self) -> &str {
        self.arn
    }

    fn visibility_timeout(&self) -> Duration {
        Duration::from_secs(30)
    }

    async fn receive(&self, max: usize) -> Vec<SqsMessage> {
        let mut largest = self.largest_receive.lock().expect("nobody panics with it");
        *largest = max.max(*largest);
        let mut waiting = self.waiting.lock().expect("nobody panics with it");
        let count = max.min(waiting.len());
        waiting.drain(..count).collect()
    }

    async fn delete(&self, receipts: Vec<String>) {
        self.deleted.lock().expect("nobody panics with it").extend(receipts);
    }

    async fn remaining(&self) -> usize {
        self.waiting.lock().expect("nobody panics with it").len()
    }
}
