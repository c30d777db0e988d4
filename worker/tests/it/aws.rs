//! A loopback AWS, as tests reach it.

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_sqs::config::{Credentials, SharedCredentialsProvider};
use aws_smithy_http_client::{
    Builder,
    tls::{Provider, rustls_provider::CryptoMode},
};
use mcp_batch::aws::clients::Clients;
use mcp_batch_testkit::MiniStack;

/// Clients of the AWS at `endpoint`, with the timeouts and retries of an SDK of its own accord.
pub(crate) fn clients_at(endpoint: &str) -> Clients {
    let http = Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https();
    let key = Credentials::new(MiniStack::KEY, MiniStack::KEY, None, None, "a test");
    let config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .http_client(http)
        .endpoint_url(endpoint)
        .region(Region::from_static(MiniStack::REGION))
        .credentials_provider(SharedCredentialsProvider::new(key));
    Clients::of(&config.build())
}
