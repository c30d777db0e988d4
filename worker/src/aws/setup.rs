//! What the worker on AWS is made of, the same in Lambda and in `mcp-batch poll`.

use std::{fs, sync::Arc, time::Duration};

use anyhow::Context;

use super::{
    clients::Clients,
    dynamo::{self, DynamoLedger, DynamoSettings},
    secrets,
    sqs::{self, SqsDeadLetters, SqsQueue, SqsSettings},
    xray,
};
use crate::{
    batch::Worker,
    clock::{Clock, Deadline},
    config::{
        self, AccessToken, ApiSettings, AwsSettings, Connections, LedgerSettings, QueueSettings,
        Source,
    },
    environment::{Environment, Heartbeat, Observer, Policy, Ports, Unobserved},
    lease::LedgerError,
    secret::Secrets,
    sweep::{self, Sweep, Swept},
    tool::{CONNECTIONS_BESIDE_CALLS, Catalog, LlmClient},
    trace::Tracer,
    webhook::{Courier, CourierSettings},
};

/// Time between the end of a batch and that of its leases: Lambda ends an invocation a second after
/// its batch, and clocks differ by two.
const LEASE_GRACE: Duration = Duration::from_secs(3);

/// The longest catalog that is read from a bucket.
const MAX_CATALOG_BYTES: usize = 16 * 1024 * 1024;

/// Ledger in DynamoDB, queue in SQS, tools from the catalog.
pub struct AwsPorts;

impl Ports for AwsPorts {
    type Ledger = DynamoLedger;
    type Queue = SqsQueue;
    type Tools = Catalog;
}

/// What answers where no LLM is configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fallback {
    /// Nobody: that is an error.
    Refused,
    /// The offline model, as asked.
    Offline,
}

/// The worker, and what has to be looked after between batches.
#[derive(Clone)]
pub struct AwsWorker {
    worker: Worker<AwsPorts>,
    secrets: Secrets,
    concurrency: usize,
    /// The longest that a job takes from its claim to the saved outcome.
    longest_job: Duration,
}

impl AwsWorker {
    /// Makes everything that batches share: clients, secrets, catalog. `concurrency` is that where
    /// the settings name none; with a heartbeat, jobs may outlive their leases.
    pub async fn open(
        source: Source,
        concurrency: usize,
        fallback: Fallback,
        heartbeat: Option<Heartbeat>,
        observer: Arc<dyn Observer>,
    ) -> anyhow::Result<Self> {
        // A second start in one process keeps the first.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let clock = Clock::system();
        let clients = Clients::from_env().await?;
        let secrets = secrets::open(source, clients.secrets.clone(), clock.clone()).await?;
        let keys = secrets.current();
        let source = keys.source();
        let concurrency = config::concurrency(source, concurrency)?;
        let settings = config::aws(source)?;
        let courier = config::courier(source)?;
        let policy = Policy { heartbeat, lease_grace: LEASE_GRACE, ..config::policy(source)? };
        let tools = catalog(source, fallback, &clients, &secrets, &clock).await?;
        let invocations = config::invocations(source)?;
        let connections = connections(concurrency, &tools, &settings, &courier);
        Connections { invocations, ..connections }.check_process()?;
        let queue = queue(&clients, &settings.queue, &policy);
        let tracer = Tracer::open(xray::signed(config::traces(source)?), queue.destination());
        let tracer = tracer.map_err(anyhow::Error::msg)?;
        let longest_job = tools.longest_timeout() + policy.settle_margin;
        let environment = Environment {
            ledger: ledger(&clients, &settings.ledger),
            queue,
            tools,
            courier: Courier::new(courier, secrets.clone(), clock.clone())
                .map_err(anyhow::Error::msg)?,
            clock,
            policy,
            observer,
            tracer,
        };
        let worker = Worker::new(Arc::new(environment), concurrency);
        Ok(Self { worker, secrets, concurrency, longest_job })
    }

    /// What works off batches.
    pub fn worker(&self) -> &Worker<AwsPorts> {
        &self.worker
    }

    /// The keys as they are now.
    pub fn secrets(&self) -> &Secrets {
        &self.secrets
    }

    /// What the HTTP face behind API Gateway needs to know: there API Gateway limits how often it is
    /// asked. Without keys and tokens it could answer nobody.
    pub fn api_settings(&self) -> anyhow::Result<(ApiSettings, Vec<AccessToken>)> {
        let keys = self.secrets.current();
        let tokens = config::access_tokens(keys.source())?;
        anyhow::ensure!(
            !keys.access.is_empty() || !tokens.is_empty(),
            "MCP_BATCH_API_KEYS: expected entries name:namespace:scope+scope:key, found nothing"
        );
        let settings = ApiSettings { rate_per_second: None, ..config::api(keys.source())? };
        Ok((settings, tokens))
    }

    /// Jobs at once.
    pub fn concurrency(&self) -> usize {
        self.concurrency
    }

    /// The longest that a job takes from its claim to the saved outcome: with less time than that,
    /// the slowest tools are never begun.
    pub fn longest_job(&self) -> Duration {
        self.longest_job
    }

    /// Reads the secret again if that is due. To be called before each batch.
    pub async fn keep_fresh(&self) {
        self.secrets.keep_fresh().await;
    }
}

/// Ledger and queue on AWS for whoever is no worker: each is made when it is needed, so that nobody
/// has to name the one who only uses the other.
#[derive(Clone)]
pub struct AwsStore {
    clients: Clients,
    secrets: Secrets,
    clock: Clock,
}

impl AwsStore {
    /// Makes clients, and reads the secret.
    pub async fn open(source: Source) -> anyhow::Result<Self> {
        // A second start in one process keeps the first.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let clock = Clock::system();
        let clients = Clients::from_env().await?;
        let secrets = secrets::open(source, clients.secrets.clone(), clock.clone()).await?;
        Ok(Self { clients, secrets, clock })
    }

    /// The keys as they are now, with all settings.
    pub fn secrets(&self) -> &Secrets {
        &self.secrets
    }

    /// The ledger, and what it takes to tell outcomes.
    pub fn desk(&self) -> anyhow::Result<Sweep<DynamoLedger>> {
        let keys = self.secrets.current();
        let source = keys.source();
        let courier = config::courier(source)?;
        let courier = Courier::new(courier, self.secrets.clone(), self.clock.clone());
        Ok(Sweep {
            ledger: ledger(&self.clients, &config::ledger(source)?),
            courier: courier.map_err(anyhow::Error::msg)?,
            clock: self.clock.clone(),
            policy: config::policy(source)?,
            observer: Arc::new(Unobserved),
        })
    }

    /// The queue.
    pub fn queue(&self) -> anyhow::Result<SqsQueue> {
        let keys = self.secrets.current();
        let source = keys.source();
        Ok(queue(&self.clients, &config::queue(source)?, &config::policy(source)?))
    }

    /// The dead letters, of which each is hidden for so long when it is looked at.
    pub fn dead_letters(&self, hidden_for: Duration) -> anyhow::Result<SqsDeadLetters> {
        let settings = config::queue(self.secrets.current().source())?;
        let expected = "MCP_BATCH_DLQ_URL: expected the URL of an SQS queue, found nothing";
        let letters = settings.dlq_url.context(expected)?;
        Ok(SqsDeadLetters::new(&self.clients.sqs, letters, settings.queue_url, hidden_for))
    }
}

/// The sweep on AWS, and what has to be looked after between passes.
#[derive(Clone)]
pub struct AwsSweep {
    sweep: Arc<Sweep<DynamoLedger>>,
    secrets: Secrets,
}

impl AwsSweep {
    /// Makes what passes share. Neither queue nor tools are needed.
    pub async fn open(source: Source, observer: Arc<dyn Observer>) -> anyhow::Result<Self> {
        let store = AwsStore::open(source).await?;
        let sweep = Sweep { observer, ..store.desk()? };
        Ok(Self { sweep: Arc::new(sweep), secrets: store.secrets })
    }

    /// One pass.
    pub async fn pass(&self, deadline: Deadline) -> Result<Swept, LedgerError> {
        self.secrets.keep_fresh().await;
        sweep::sweep(&self.sweep, deadline).await
    }
}

fn ledger(clients: &Clients, settings: &LedgerSettings) -> DynamoLedger {
    let settings = DynamoSettings {
        bucket: settings.results_bucket.clone(),
        ..DynamoSettings::of_table(&settings.table)
    };
    DynamoLedger::new(clients, settings)
}

/// Messages are sent anew for as long as jobs and then their callbacks may wait.
fn queue(clients: &Clients, settings: &QueueSettings, policy: &Policy) -> SqsQueue {
    let settings = SqsSettings {
        dead_letter_url: settings.dlq_url.clone(),
        sent_anew_until: policy.max_age + policy.callbacks.max_age,
        ..SqsSettings::new(settings.queue_url.clone())
    };
    SqsQueue::new(clients.sqs.clone(), settings)
}

fn connections(
    concurrency: usize,
    tools: &Catalog,
    settings: &AwsSettings,
    courier: &CourierSettings,
) -> Connections {
    let has_bucket = settings.ledger.results_bucket.is_some();
    Connections {
        llm: concurrency,
        servers: tools.servers() * CONNECTIONS_BESIDE_CALLS,
        ledger: dynamo::DEFAULT_REQUESTS,
        bucket: if has_bucket { dynamo::MAX_OBJECT_REQUESTS } else { 0 },
        queue: sqs::MAX_REQUESTS,
        callbacks: courier.total(),
        ..Connections::default()
    }
}

/// The catalog with the LLM behind it; the offline model only where that was asked for.
async fn catalog(
    source: &Source,
    fallback: Fallback,
    clients: &Clients,
    secrets: &Secrets,
    clock: &Clock,
) -> anyhow::Result<Catalog> {
    let place = config::tools(source).map(|place| place.display().to_string());
    let text = match place.as_deref() {
        None => Ok(Catalog::default_text().to_owned()),
        Some(place) => match place.strip_prefix("s3://") {
            Some(object) => read_object(clients, object).await,
            None => fs::read_to_string(place).map_err(anyhow::Error::new),
        },
    };
    let place = place.unwrap_or_else(|| "the default catalog".to_owned());
    let text = text.with_context(|| format!("{place}: the catalog cannot be read"))?;
    let is_wrong = || format!("{place}: the catalog is wrong");
    let has_prompts = Catalog::has_prompts(&text).with_context(is_wrong)?;
    let client = match fallback {
        Fallback::Refused if has_prompts => {
            let settings = config::required_llm(source)?;
            let client = LlmClient::new(settings, secrets.clone(), clock.clone());
            Some(client.map_err(anyhow::Error::msg)?)
        }
        Fallback::Refused | Fallback::Offline => None,
    };
    Catalog::parse(&text, client, secrets, clock).with_context(is_wrong)
}

async fn read_object(clients: &Clients, object: &str) -> anyhow::Result<String> {
    let (bucket, key) = object.split_once('/').context("expected s3://BUCKET/KEY")?;
    let bytes = clients.objects.get(bucket, key, MAX_CATALOG_BYTES).await?;
    String::from_utf8(bytes).context("expected UTF-8")
}
