//! The clients of all AWS services: one configuration, one pool of connections, made once a process.
//! Region, credentials and endpoints come from where every AWS SDK takes them (`AWS_REGION`,
//! `AWS_ENDPOINT_URL`, …; the task's or machine's role).

use std::time::Duration;

use aws_config::{
    BehaviorVersion, ConfigLoader, SdkConfig, retry::RetryConfig, timeout::TimeoutConfig,
};
use aws_smithy_http_client::{
    Builder,
    tls::{Provider, rustls_provider::CryptoMode},
};

/// How long a connection may take to stand.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// How long one try of a request may take.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a request may take with all its tries and the pauses between them.
const OPERATION_TIMEOUT: Duration = Duration::from_secs(15);

/// Tries of a request whose failure may pass: lost connections, throttling, 5xx.
const MAX_ATTEMPTS: u32 = 4;

/// The longest first pause after a throttled try, doubled for each further one. The SDK's own, 1 s,
/// leaves so few tries before an invocation ends that a paid outcome may not be saved; how many
/// tries there are in all is bounded by the SDK's quota of retries.
const THROTTLED_PAUSE: Duration = Duration::from_millis(100);

/// Clients that share connections, credentials, timeouts and the rules of retrying.
#[derive(Clone, Debug)]
pub struct Clients {
    /// The ledger's.
    pub dynamodb: aws_sdk_dynamodb::Client,
    /// The queue's.
    pub sqs: aws_sdk_sqs::Client,
    /// That of results which do not fit the ledger.
    pub s3: aws_sdk_s3::Client,
    /// That of what nobody may read.
    pub secrets: aws_sdk_secretsmanager::Client,
}

impl Clients {
    /// Clients as the environment says. Nothing is dialled yet, nor are credentials fetched.
    pub async fn from_env() -> Self {
        Self::load(aws_config::defaults(BehaviorVersion::latest())).await
    }

    /// Clients as `loader` says, with this program's connections, timeouts and retries.
    pub async fn load(loader: ConfigLoader) -> Self {
        Self::of(&config(loader).await)
    }

    /// Clients of a configuration made elsewhere.
    pub fn of(config: &SdkConfig) -> Self {
        Self {
            dynamodb: aws_sdk_dynamodb::Client::new(config),
            sqs: aws_sdk_sqs::Client::new(config),
            s3: s3(config),
            secrets: aws_sdk_secretsmanager::Client::new(config),
        }
    }
}

/// What `loader` says, with this program's connections, timeouts and retries.
pub(super) async fn config(loader: ConfigLoader) -> SdkConfig {
    let http = Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https();
    loader.http_client(http).timeout_config(timeouts()).retry_config(retries()).load().await
}

fn retries() -> RetryConfig {
    RetryConfig::standard().with_max_attempts(MAX_ATTEMPTS).with_initial_backoff(THROTTLED_PAUSE)
}

fn timeouts() -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .operation_attempt_timeout(ATTEMPT_TIMEOUT)
        .operation_timeout(OPERATION_TIMEOUT)
        .build()
}

/// An endpoint of one's own seldom has a name for each bucket.
fn s3(config: &SdkConfig) -> aws_sdk_s3::Client {
    let has_endpoint = config.endpoint_url().is_some();
    let config = aws_sdk_s3::config::Builder::from(config).force_path_style(has_endpoint).build();
    aws_sdk_s3::Client::from_conf(config)
}
