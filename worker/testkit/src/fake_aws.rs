//! A very fast AWS for benchmarks: just enough `DynamoDB` and SQS for one worker.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

mod dynamo;

mod item;

mod reply;

mod service;

mod sqs;

mod update;

use self::service::Aws;
use crate::server::{Listen, Server, lock};

/// A loopback AWS that costs next to nothing, so that what is measured is its client.
///
/// It speaks the JSON protocols of `DynamoDB` (one table, keyed by `pk`) and SQS (a sink: what is
/// sent is dropped, nothing is ever received), checks no signature, and knows one condition: a
/// write whose condition mentions `attribute_not_exists(pk)` is refused where there is an item.
/// Any other condition holds. Assertions about semantics belong to [`MiniStack`](crate::MiniStack).
///
/// It stops when dropped.
#[derive(Debug)]
pub struct FakeAws {
    server: Server,
    aws: Arc<Aws>,
}

/// Sets up a [`FakeAws`].
#[derive(Debug, Default)]
#[must_use]
pub struct FakeAwsBuilder {
    dynamo_latency: Duration,
    sqs_latency: Duration,
}

impl FakeAwsBuilder {
    /// How long every request to `DynamoDB` takes. Nothing by default.
    pub fn dynamo_latency(mut self, latency: Duration) -> Self {
        self.dynamo_latency = latency;
        self
    }

    /// How long every request to SQS takes. Nothing by default.
    pub fn sqs_latency(mut self, latency: Duration) -> Self {
        self.sqs_latency = latency;
        self
    }

    /// Starts it.
    ///
    /// # Panics
    ///
    /// When the machine has no thread or port left.
    pub async fn start(self) -> FakeAws {
        let aws = Arc::new(Aws {
            dynamo_latency: self.dynamo_latency,
            sqs_latency: self.sqs_latency,
            table: Mutex::default(),
            requests: Mutex::default(),
            traffic: Arc::default(),
        });
        let traffic = Arc::clone(&aws.traffic);
        let server = Server::start(Listen::default(), Arc::clone(&aws), traffic).await;
        FakeAws { server: server.expect("the fake AWS starts"), aws }
    }
}

impl FakeAws {
    /// Starts one that answers at once.
    pub async fn start() -> Self {
        Self::builder().start().await
    }

    /// Sets one up.
    pub fn builder() -> FakeAwsBuilder {
        FakeAwsBuilder::default()
    }

    /// What clients take as `AWS_ENDPOINT_URL`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.server.address())
    }

    /// How many requests arrived for each operation, by their `X-Amz-Target`, such as
    /// `DynamoDB_20120810.PutItem`.
    pub fn requests(&self) -> BTreeMap<String, usize> {
        lock(&self.aws.requests).iter().map(|(name, count)| (name.to_string(), *count)).collect()
    }

    /// How many requests `DynamoDB` got.
    pub fn dynamo_requests(&self) -> usize {
        let of_dynamo = |name: &String| name.starts_with(dynamo::TARGET);
        self.requests()
            .into_iter()
            .filter(|(name, _)| of_dynamo(name))
            .map(|(_, count)| count)
            .sum()
    }

    /// The write units that `DynamoDB` would have billed: one for each started KiB of the larger of
    /// the item before and after, refused writes included.
    pub fn write_units(&self) -> usize {
        lock(&self.aws.table).write_units()
    }

    /// How many items the table holds.
    pub fn items(&self) -> usize {
        lock(&self.aws.table).len()
    }

    /// How many TCP connections were accepted.
    pub fn connections(&self) -> usize {
        self.aws.traffic.connections()
    }
}
