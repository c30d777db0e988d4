//! A function at work: the binary, a table and queues of its own, and what it talks to.

mod aws;

mod hosted;

mod impatient;

mod jobs;

mod source;

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use mcp_batch_testkit::{
    AwsProxy, EventSource, FakeLlm, Function, Mapping, PATIENCE, Receiver, Report, RuntimeApi,
    Source as _, wait_until_async,
};
use serde_json::Value;

use self::aws::Queues;

pub(crate) use self::{
    aws::{Aws, Letter},
    jobs::{job, text_of, with_callback},
    source::Queue,
};

/// The longest a call of the LLM may take.
const LLM_TIMEOUT: Duration = Duration::from_secs(2);

/// The function's timeout: enough for a call, its settling and the answer, with 3 s to begin in.
const TIMEOUT: Duration = Duration::from_secs(8);

/// The files that a function may have open on Lambda.
const OPEN_FILES: u32 = 1_024;

/// How often a queue is asked whose messages are all hidden.
const POLL_EVERY: Duration = Duration::from_millis(50);

/// What a test may choose.
#[must_use]
pub(crate) struct Setup {
    env: Vec<(String, String)>,
    timeout: Duration,
    batch_size: usize,
    is_fifo: bool,
    max_receives: Option<u32>,
    at_once: usize,
}

impl Default for Setup {
    fn default() -> Self {
        let setup = Self {
            env: Vec::new(),
            timeout: TIMEOUT,
            batch_size: 10,
            is_fifo: false,
            max_receives: None,
            at_once: 1,
        };
        setup
            .env("MCP_BATCH_LLM_TIMEOUT_S", LLM_TIMEOUT.as_secs().to_string())
            .env("MCP_BATCH_CALLBACK_HOSTS", "127.0.0.1")
    }
}

impl Setup {
    /// Sets a variable of the function's.
    pub(crate) fn env(mut self, name: &str, value: impl Into<String>) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// The function's timeout, and the queues' visibility timeout.
    pub(crate) fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// The most messages of a batch.
    pub(crate) fn batch_size(mut self, batch_size: usize) -> Self {
        self.batch_size = batch_size;
        self
    }

    /// With FIFO queues.
    pub(crate) fn fifo(mut self) -> Self {
        self.is_fifo = true;
        self
    }

    /// Receives before the queue's own redrive policy takes a message.
    pub(crate) fn max_receives(mut self, max_receives: u32) -> Self {
        self.max_receives = Some(max_receives);
        self
    }

    /// On Lambda Managed Instances, with so many invocations at once.
    pub(crate) fn managed(mut self, at_once: usize) -> Self {
        self.at_once = at_once;
        self
    }

    /// Starts everything. `None` where there is no MiniStack to be had: the test has to return.
    pub(crate) async fn start(self) -> Option<Rig> {
        let aws = Aws::open(self.queues()).await?;
        let proxy = AwsProxy::start(aws.endpoint()).await;
        let llm = FakeLlm::builder().record(true).start().await;
        let variables = self.variables(&aws, &llm);
        let function = function(&proxy, &variables);
        let function = match self.at_once {
            1 => function,
            at_once => function.managed(at_once),
        };
        let lambda = RuntimeApi::start(function.clone()).await;
        let source = EventSource::create(aws.source().await, self.mapping());
        let source = source.expect("a mapping that AWS takes");
        let timeout = self.timeout;
        let receiver = Receiver::start().await;
        Some(Rig { aws, proxy, llm, receiver, variables, timeout, function, lambda, source })
    }

    fn queues(&self) -> Queues {
        Queues {
            visibility_timeout: self.timeout,
            is_fifo: self.is_fifo,
            max_receives: self.max_receives,
        }
    }

    fn variables(&self, aws: &Aws, llm: &FakeLlm) -> Vec<(String, String)> {
        let places = aws.env().into_iter().chain([("MCP_BATCH_LLM_URL", llm.url())]);
        let places = places.map(|(name, value)| (name.to_owned(), value));
        places.chain(self.env.iter().cloned()).collect()
    }

    fn mapping(&self) -> Mapping {
        let mapping = Mapping::default().function_timeout(self.timeout).batch_size(self.batch_size);
        match self.batch_size > 10 {
            true => mapping.window_s(1),
            false => mapping,
        }
    }
}

fn function(proxy: &AwsProxy, variables: &[(String, String)]) -> Function {
    let function = Function::new(env!("CARGO_BIN_EXE_mcp-batch-lambda")).open_files(OPEN_FILES);
    let variables = variables.iter().map(|(name, value)| (name, value));
    function.envs(proxy.env()).envs(variables)
}

/// A function at work. It goes to AWS through the proxy; the test and the event source go there
/// directly.
pub(crate) struct Rig {
    pub(crate) aws: Aws,
    pub(crate) proxy: AwsProxy,
    pub(crate) llm: FakeLlm,
    pub(crate) receiver: Receiver,
    variables: Vec<(String, String)>,
    timeout: Duration,
    /// What `lambda` runs.
    pub(crate) function: Function,
    pub(crate) lambda: RuntimeApi,
    pub(crate) source: EventSource<Queue>,
}

impl Rig {
    /// Starts one as most tests want it.
    pub(crate) async fn start() -> Option<Self> {
        Setup::default().start().await
    }

    /// A job with a callback to the receiver.
    pub(crate) fn job_with_callback(&self, id: &str) -> Value {
        with_callback(job(id), &self.receiver.url("/"))
    }

    /// One batch, as soon as there are messages for it.
    pub(crate) async fn batch(&mut self) -> Report {
        next_batch(&mut self.source, &self.lambda).await
    }

    /// Lets MiniStack host the function, and waits until the queue holds nothing any more.
    pub(crate) async fn work_off_in_ministack(&self) {
        hosted::deploy(self, self.timeout).await;
        let is_empty = async || self.source.queue().remaining().await == 0;
        wait_until_async("the queue is empty", is_empty).await;
    }

    /// Batch after batch, until the queue holds nothing any more, hidden messages included.
    pub(crate) async fn work_off(&mut self) -> Vec<Report> {
        work_off(&mut self.source, &self.lambda).await
    }

    /// Fails if what was told under one id was not always the same.
    pub(crate) fn assert_told_alike(&self) {
        let mut told = HashMap::new();
        for delivery in self.receiver.deliveries() {
            let id = delivery.header("webhook-id").expect("an id").to_owned();
            let first = told.entry(id).or_insert_with(|| delivery.body().clone());
            assert_eq!(first, delivery.body());
        }
    }
}

/// [`Rig::batch`], while the test has other things to do with the rig.
pub(crate) async fn next_batch(source: &mut EventSource<Queue>, lambda: &RuntimeApi) -> Report {
    let since = Instant::now();
    loop {
        match source.poll(lambda).await {
            Some(report) => return report,
            None => pause(since).await,
        }
    }
}

/// [`Rig::work_off`], likewise.
pub(crate) async fn work_off(source: &mut EventSource<Queue>, lambda: &RuntimeApi) -> Vec<Report> {
    let mut reports = Vec::new();
    let mut since = Instant::now();
    loop {
        match source.poll(lambda).await {
            Some(report) => {
                reports.push(report);
                since = Instant::now();
            }
            None if source.queue().remaining().await == 0 => return reports,
            None => pause(since).await,
        }
    }
}

async fn pause(since: Instant) {
    assert!(since.elapsed() < PATIENCE, "no message came for {PATIENCE:?}");
    tokio::time::sleep(POLL_EVERY).await;
}
