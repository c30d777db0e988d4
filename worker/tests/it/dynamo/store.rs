//! A table of its own for each case.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use mcp_batch::aws::{
    clients::Clients,
    dynamo::{DynamoLedger, DynamoSettings, create_table},
};
use mcp_batch_testkit::{AwsCall, AwsProxy, MiniStack};

use crate::{
    aws::clients_at,
    lease_helpers::{Store, TestJob, Worker},
};

/// A table, and perhaps a bucket, that nobody else uses.
pub(crate) struct DynamoStore {
    pub(super) clients: Clients,
    pub(super) settings: DynamoSettings,
    aws: MiniStack,
}

impl Store for DynamoStore {
    type Ledger = DynamoLedger;

    async fn open() -> Option<Self> {
        let aws = MiniStack::start().await?;
        let clients = clients_at(aws.endpoint()).await;
        let table = MiniStack::unique("ledger");
        create_table(&clients.dynamodb, &table).await.expect("a table");
        Some(Self { clients, settings: DynamoSettings::of_table(table), aws })
    }

    fn worker(&self) -> Worker<DynamoLedger> {
        Worker::new(DynamoLedger::new(&self.clients, self.settings.clone()))
    }
}

impl DynamoStore {
    /// The same with a bucket for what does not fit.
    pub(super) async fn with_bucket(mut self) -> Self {
        let bucket = MiniStack::unique("results");
        // What is put under no key is the bucket itself.
        let created = self.clients.objects.put(&bucket, "", Vec::new().into(), &[]);
        created.await.expect("a bucket");
        self.settings.bucket = Some(bucket);
        self
    }

    /// A job's item as it lies in the table.
    pub(super) async fn item(&self, job: &TestJob) -> HashMap<String, AttributeValue> {
        self.item_at(&format!("job#{}", job.key())).await
    }

    /// What lies under a key.
    pub(super) async fn item_at(&self, key: &str) -> HashMap<String, AttributeValue> {
        let key = AttributeValue::S(key.to_owned());
        let request = self.clients.dynamodb.get_item().table_name(&self.settings.table);
        let answer = request.key("pk", key).consistent_read(true).send().await;
        answer.expect("the table answers").item.expect("an item")
    }

    /// Takes a job's item out of the table.
    pub(super) async fn delete_item(&self, job: &TestJob) {
        let key = AttributeValue::S(format!("job#{}", job.key()));
        let request = self.clients.dynamodb.delete_item().table_name(&self.settings.table);
        request.key("pk", key).send().await.expect("the table answers");
    }

    /// Sends requests that a proxy saw once more, as they were.
    pub(super) async fn send_again(&self, calls: &[AwsCall]) {
        // A second start in one process keeps the first.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        let scope = "AWS4-HMAC-SHA256 Credential=test/20261130/us-east-1/dynamodb/aws4_request";
        for call in calls {
            let request = client
                .post(self.aws.endpoint())
                .header("authorization", scope)
                .header("content-type", "application/x-amz-json-1.0")
                .header("x-amz-target", format!("DynamoDB_20120810.{}", call.operation))
                .body(call.body.to_string());
            let answer = request.send().await.expect("AWS answers");
            let (status, text) = (answer.status(), answer.text().await.expect("a body"));
            let is_refused = text.contains("ConditionalCheckFailed");
            assert!(status.is_success() || is_refused, "{status}: {text}");
        }
    }

    /// A proxy in front of AWS, and a ledger that goes through it.
    pub(super) async fn ledger_behind_proxy(&self) -> (AwsProxy, DynamoLedger) {
        let proxy = AwsProxy::start(self.aws.endpoint()).await;
        let ledger = DynamoLedger::new(&clients_at(&proxy.endpoint()).await, self.settings.clone());
        (proxy, ledger)
    }

    /// A proxy in front of AWS, and a worker that goes through it.
    pub(crate) async fn behind_proxy(&self) -> (AwsProxy, Worker<DynamoLedger>) {
        let (proxy, ledger) = self.ledger_behind_proxy().await;
        (proxy, Worker::new(ledger))
    }
}
