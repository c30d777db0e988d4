//! The clients of all AWS services: one configuration, one pool of connections, made once a process.
//! Region, credentials and endpoints come from where every AWS SDK takes them (`AWS_REGION`,
//! `AWS_ENDPOINT_URL`, …; the task's or machine's role).

use std::time::Duration;

use aws_config::{
    BehaviorVersion, ConfigLoader, SdkConfig, retry::RetryConfig,
    stalled_stream_protection::StalledStreamProtectionConfig, timeout::TimeoutConfig,
};

use super::{agent::Agent, http::Connections, objects::Objects};

/// How long a connection may take to stand.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// How long one try of a request may take.
pub(super) const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a request may take with all its tries and the pauses between them.
pub(super) const OPERATION_TIMEOUT: Duration = Duration::from_secs(15);

/// Tries of a request whose failure may pass: lost connections, throttling, 5xx.
pub(super) const MAX_ATTEMPTS: u32 = 4;

/// The longest first pause after a throttled try, doubled for each further one. The SDK's own, 1 s,
/// leaves so few tries before an invocation ends that a paid outcome may not be saved; how many
/// tries there are in all is bounded by the SDK's quota of retries.
pub(super) const THROTTLED_PAUSE: Duration = Duration::from_millis(100);

/// Clients that share connections, credentials, timeouts and the rules of retrying.
#[derive(Clone, Debug)]
pub struct Clients {
    /// The ledger's.
    pub dynamodb: aws_sdk_dynamodb::Client,
    /// The queue's.
    pub sqs: aws_sdk_sqs::Client,
    /// That of the catalog, and of results which do not fit the ledger.
    pub objects: Objects,
    /// That of what nobody may read.
    pub secrets: aws_sdk_secretsmanager::Client,
}

impl Clients {
    /// Clients as the environment says. Nothing is dialled yet, nor are credentials fetched. Without a
    /// region no request could be made.
    pub async fn from_env() -> anyhow::Result<Self> {
        let connections = Connections::default();
        let loader = aws_config::defaults(BehaviorVersion::latest());
        let config = config(loader, connections.clone()).await;
        anyhow::ensure!(
            config.region().is_some_and(|region| !region.as_ref().is_empty()),
            "AWS_REGION: expected the region of the queue and the ledger, such as eu-central-1, found \
             nothing there nor in a profile"
        );
        Ok(Self::of(&config, connections))
    }

    /// Clients as `loader` says, with this program's connections, timeouts and retries.
    pub async fn load(loader: ConfigLoader) -> Self {
        let connections = Connections::default();
        Self::of(&config(loader, connections.clone()).await, connections)
    }

    fn of(config: &SdkConfig, connections: Connections) -> Self {
        let agent = Agent::of(config);
        let dynamodb = aws_sdk_dynamodb::config::Builder::from(config).interceptor(agent.clone());
        let sqs = aws_sdk_sqs::config::Builder::from(config).interceptor(agent.clone());
        let secrets = aws_sdk_secretsmanager::config::Builder::from(config).interceptor(agent);
        Self {
            dynamodb: aws_sdk_dynamodb::Client::from_conf(dynamodb.build()),
            sqs: aws_sdk_sqs::Client::from_conf(sqs.build()),
            objects: Objects::new(config, connections),
            secrets: aws_sdk_secretsmanager::Client::from_conf(secrets.build()),
        }
    }
}

/// What `loader` says, with this program's timeouts and retries, over `connections`.
pub(super) async fn config(loader: ConfigLoader, connections: Connections) -> SdkConfig {
    let loader = loader.http_client(connections).timeout_config(timeouts());
    // Answers are short, and the time of a try bounds them: a watch over each one's bytes costs only.
    let loader = loader.stalled_stream_protection(StalledStreamProtectionConfig::disabled());
    loader.retry_config(retries()).load().await
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
