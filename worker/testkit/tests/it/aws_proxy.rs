//! The proxy in front of a loopback AWS.

mod rules;

mod units;

use mcp_batch_testkit::{AwsProxy, MiniStack};
use serde_json::{Value, json};

use crate::aws::{create_table, dynamo};

/// A table behind a proxy.
struct Rig {
    proxy: AwsProxy,
    table: String,
    _aws: MiniStack,
}

impl Rig {
    async fn start() -> Option<Self> {
        Self::with_indexes(&json!([])).await
    }

    async fn with_indexes(indexes: &Value) -> Option<Self> {
        let aws = MiniStack::start().await?;
        let proxy = AwsProxy::start(aws.endpoint()).await;
        let table = MiniStack::unique("proxied");
        create_table(aws.endpoint(), &table, indexes);
        Some(Self { proxy, table, _aws: aws })
    }

    fn put(&self, item: &Value) -> Value {
        json!({"TableName": self.table, "Item": item})
    }

    fn keyed(&self, pk: &str) -> Value {
        json!({"TableName": self.table, "Key": {"pk": {"S": pk}}})
    }

    fn dynamo(&self, operation: &str, body: &Value) -> Value {
        dynamo(&self.proxy.endpoint(), operation, body)
    }
}
