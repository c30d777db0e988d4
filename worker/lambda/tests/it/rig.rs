//! A function at work: the binary, a table and queues of its own, and what it talks to.

mod aws;

mod jobs;

mod source;

use std::{
    collections::HashMap,
    ffi::OsString,
    time::{Duration, Instant},
};

use mcp_batch_testkit::{
    AwsProxy, EventSource, FakeLlm, Function, Mapping, PATIENCE, Receiver, Report, RuntimeApi,
    Source as _,
};
use serde_json::Value;

pub(crate) use self::{
    aws::{Aws, Letter},
    jobs::{job, text_of, with_callback},
    source::Queue,
};

/// The longest a call of the LLM may take.
const LLM_TIMEOUT: Duration = Duration::from_secs(2);

/// The function's timeout: enough for a call, its settling and the answer, with 3 s to begin in.
const TIMEOUT: Duration = Duration::from_secs(8);

/// How often a queue is asked whose messages are all hidden.
const POLL_EVERY: Duration = Duration::from_millis(50);

/// What a test may choose.
#[must_use]
pub(crate) struct Setup {
    env: Vec<(OsString, OsString)>,
    timeout: Duration,
    batch_size: usize,
    is_fifo: bool,
    open_files: Option<u32>,
}

impl Default for Setup {
    fn default() -> Self {
        let setup = Self {
            env: Vec::new(),
            timeout: TIMEOUT,
            batch_size: 10,
            is_fifo: false,
            open_files: None,
        };
        setup.env("MCP_BATCH_LLM_TIMEOUT_S", LLM_TIMEOUT.as_secs().to_string())
    }
}

impl Setup {
    /// Sets a variable of the function's.
    pub(crate) fn env(mut self, name: &str, value: impl Into<OsString>) -> Self {
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
    #[expect(dead_code, reason = "for tests of FIFO queues")]
    pub(crate) fn fifo(mut self) -> Self {
        self.is_fifo = true;
        self
    }

    /// The function's limit of open files.
    #[expect(dead_code, reason = "for tests of large batches")]
    pub(crate) fn open_files(mut self, open_files: u32) -> Self {
        self.open_files = Some(open_files);
        self
    }

    /// Starts everything. `None` where there is no MiniStack to be had: the test has to return.
    pub(crate) async fn start(self) -> Option<Rig> {
        let aws = Aws::open(self.timeout, self.is_fifo).await?;
        let proxy = AwsProxy::start(aws.endpoint()).await;
        let llm = FakeLlm::start().await;
        let lambda = RuntimeApi::start(self.function(&aws, &proxy, &llm)).await;
        let source = EventSource::create(aws.source().await, self.mapping());
        let source = source.expect("a mapping that AWS takes");
        Some(Rig { aws, proxy, llm, receiver: Receiver::start().await, lambda, source })
    }

    fn function(&self, aws: &Aws, proxy: &AwsProxy, llm: &FakeLlm) -> Function {
        let function = Function::new(env!("CARGO_BIN_EXE_mcp-batch-lambda"))
            .envs(proxy.env())
            .envs(aws.env())
            .env("MCP_BATCH_LLM_URL", llm.url())
            .envs(self.env.iter().map(|(name, value)| (name, value)));
        match self.open_files {
            Some(open_files) => function.open_files(open_files),
            None => function,
        }
    }

    fn mapping(&self) -> Mapping {
        let mapping = Mapping::default().function_timeout(self.timeout).batch_size(self.batch_size);
        match self.batch_size > 10 {
            true => mapping.window_s(1),
            false => mapping,
        }
    }
}

/// A function at work. It goes to AWS through the proxy; the test and the event source go there
/// directly.
pub(crate) struct Rig {
    pub(crate) aws: Aws,
    pub(crate) proxy: AwsProxy,
    pub(crate) llm: FakeLlm,
    pub(crate) receiver: Receiver,
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
