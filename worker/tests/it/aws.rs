//! A loopback AWS, as tests reach it.

use aws_config::{BehaviorVersion, Region};
use aws_sdk_sqs::config::Credentials;
use mcp_batch::aws::clients::Clients;
use mcp_batch_testkit::MiniStack;

/// The worker's own clients, of the AWS at `endpoint`.
pub(crate) async fn clients_at(endpoint: &str) -> Clients {
    let loader = aws_config::defaults(BehaviorVersion::latest())
        .endpoint_url(endpoint)
        .region(Region::new(MiniStack::REGION))
        .credentials_provider(Credentials::new(MiniStack::KEY, MiniStack::KEY, None, None, "test"));
    Clients::load(loader).await
}
