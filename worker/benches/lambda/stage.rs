//! One worker and all it talks to.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use mcp_batch_testkit::{FakeAws, FakeLlm, Function, Invocation, Receiver, Reply, RuntimeApi};

use super::{WORKER_CPU, event};

/// The function's timeout, Lambda's longest.
const TIMEOUT: Duration = Duration::from_mins(15);

/// How the world answers, and how much of it the worker asks at once.
#[derive(Clone, Copy)]
pub(crate) struct Setup {
    pub(crate) llm: Duration,
    pub(crate) dynamo: Duration,
    pub(crate) callback: Duration,
    pub(crate) concurrency: usize,
    /// Callbacks at once to the receiver.
    pub(crate) callbacks_at_once: usize,
    /// Of each job's input.
    pub(crate) text_bytes: usize,
}

impl Setup {
    /// Everything answers at once.
    pub(crate) const fn instant(concurrency: usize) -> Self {
        let zero = Duration::ZERO;
        Self { dynamo: zero, callback: zero, ..Self::with_llm(zero, concurrency) }
    }

    /// DynamoDB and receiver take the time they are compared at.
    pub(crate) const fn with_llm(llm: Duration, concurrency: usize) -> Self {
        let (dynamo, callback) = (Duration::from_millis(3), Duration::from_millis(10));
        let callbacks_at_once = 1_000;
        Self { llm, dynamo, callback, concurrency, callbacks_at_once, text_bytes: 100 }
    }

    /// The requests of one job, one after another: claim, LLM, complete, callback, mark.
    pub(crate) fn one_job(&self) -> Duration {
        self.dynamo + self.llm + self.dynamo + self.callback + self.dynamo
    }
}

/// One worker and all it talks to.
pub(crate) struct Stage {
    setup: Setup,
    pub(crate) llm: FakeLlm,
    pub(crate) receiver: Receiver,
    pub(crate) aws: FakeAws,
    pub(crate) lambda: RuntimeApi,
    /// Jobs sent so far.
    pub(crate) jobs: usize,
}

impl Stage {
    pub(crate) async fn start(binary: &Path, setup: Setup) -> Self {
        let llm = FakeLlm::builder().latency(setup.llm).keep_prompts(false).start().await;
        let receiver = Receiver::builder().keep(0).start().await;
        receiver.set_default(Reply::status(204).after(setup.callback));
        let aws = FakeAws::builder().dynamo_latency(setup.dynamo).start().await;
        let lambda = RuntimeApi::start(function(binary, setup, &llm, &aws)).await;
        Self { setup, llm, receiver, aws, lambda, jobs: 0 }
    }

    /// Works off a batch of new jobs. How long that took, if it was done right.
    pub(crate) async fn batch(&mut self, jobs: usize) -> anyhow::Result<Duration> {
        let numbers = self.jobs..self.jobs + jobs;
        let callback = self.receiver.url("/done");
        let event = event::batch(numbers, self.setup.text_bytes, &callback);
        self.jobs += jobs;
        let began = Instant::now();
        let invocation = self.lambda.invoke(&event, TIMEOUT).await;
        let wall = began.elapsed();
        self.check(&invocation)?;
        Ok(wall)
    }

    /// CPU time of the worker so far.
    pub(crate) fn cpu(&self) -> anyhow::Result<Duration> {
        self.lambda.cpu().context("the worker's CPU time is unknown: expected Linux's /proc")
    }

    /// Its largest resident set, in MiB.
    pub(crate) fn peak_mib(&self) -> anyhow::Result<f64> {
        let kib = self.lambda.peak_kib();
        let kib = kib.context("the worker's memory is unknown: expected Linux's /proc")?;
        Ok(u32::try_from(kib).map(f64::from)? / 1024.0)
    }

    /// Every job is called once, saved, told once, and nothing comes back.
    fn check(&self, invocation: &Invocation) -> anyhow::Result<()> {
        let Invocation::Response(_) = invocation else {
            anyhow::bail!("no answer: {invocation:?}; it wrote:\n{}", self.lambda.logs());
        };
        let answer = invocation.json();
        let failures = answer["batchItemFailures"].as_array().map_or(0, Vec::len);
        ensure!(failures == 0, "{failures} messages come back; it wrote:\n{}", self.lambda.logs());
        let Self { jobs, llm, receiver, aws, .. } = self;
        let calls = (llm.calls(), llm.calls_by_id().len());
        ensure!(calls == (*jobs, *jobs), "{calls:?} calls, of different jobs, for {jobs} jobs");
        let told = (receiver.count(), receiver.distinct_ids());
        ensure!(told == (*jobs, *jobs), "{told:?} callbacks, different ones, for {jobs} jobs");
        ensure!(aws.items() == *jobs, "{} records for {jobs} jobs", aws.items());
        Ok(())
    }
}

fn function(binary: &Path, setup: Setup, llm: &FakeLlm, aws: &FakeAws) -> Function {
    let url = |name: &str| format!("{}/000000000000/{name}", aws.endpoint());
    Function::new(binary).on_cpu(WORKER_CPU).envs([
        ("AWS_ENDPOINT_URL", aws.endpoint()),
        ("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", "not-a-key".to_owned()),
        ("AWS_SESSION_TOKEN", "x".repeat(700)),
        ("MCP_BATCH_TABLE", "jobs".to_owned()),
        ("MCP_BATCH_QUEUE_URL", url("jobs")),
        ("MCP_BATCH_DLQ_URL", url("jobs-dead")),
        ("MCP_BATCH_LLM_URL", llm.url()),
        ("MCP_BATCH_LLM_API_KEY", "sk-benchmark".to_owned()),
        ("MCP_BATCH_CALLBACK_SECRETS", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_owned()),
        ("MCP_BATCH_CALLBACK_HOSTS", "127.0.0.1".to_owned()),
        ("MCP_BATCH_CALLBACK_CONCURRENCY", setup.callbacks_at_once.to_string()),
        ("MCP_BATCH_CONCURRENCY", setup.concurrency.to_string()),
    ])
}
