//! A prompt: the catalog's `summarize` on a loopback LLM, against a POST of the very body it sends.

use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use mcp_batch::{
    clock::Clock,
    config::{self, Source},
    job::Job,
    secret::Secrets,
    tool::{CallContext, Catalog, LlmClient, Tools},
};
use mcp_batch_testkit::FakeLlm;
use reqwest::header::CONTENT_TYPE;
use serde_json::{Value, json};

use super::pair::Pair;

pub(crate) struct Prompt {
    _llm: FakeLlm,
    url: String,
    body: Bytes,
    http: reqwest::Client,
    catalog: Catalog,
    job: Job,
}

impl Prompt {
    pub(crate) async fn open() -> anyhow::Result<Self> {
        let llm = FakeLlm::builder().keep_prompts(false).start().await;
        let source = Source::default().with("MCP_BATCH_LLM_URL", Some(llm.url()));
        let secrets = Secrets::fixed(source.clone())?;
        let settings = config::llm(&source)?.context("an LLM")?;
        let client = LlmClient::new(settings, secrets.clone(), Clock::system());
        let client = client.map_err(anyhow::Error::msg)?;
        let catalog =
            Catalog::parse(Catalog::default_text(), Some(client), &secrets, &Clock::system())?;
        let job = json!({"id": "a", "tool": "summarize", "input": {"text": "x".repeat(1_000)}});
        let job = Job::parse(&job.to_string().into()).map_err(|invalid| invalid.error())?;
        call(&catalog, &job).await?;
        let sent = llm.last_request().context("a request")?;
        Ok(Self {
            url: format!("{}/chat/completions", llm.url()),
            body: Bytes::copy_from_slice(sent.body()),
            http: reqwest::Client::builder().no_proxy().build()?,
            catalog,
            job,
            _llm: llm,
        })
    }
}

impl Pair for Prompt {
    async fn bare(&self) -> anyhow::Result<()> {
        let request = self.http.post(&self.url).header(CONTENT_TYPE, "application/json");
        let answer = request.body(self.body.clone()).send().await?.error_for_status()?;
        let answer: Value = serde_json::from_slice(&answer.bytes().await?)?;
        answer["choices"][0]["message"]["content"].as_str().context("an answer")?;
        Ok(())
    }

    async fn ours(&self) -> anyhow::Result<()> {
        call(&self.catalog, &self.job).await
    }
}

/// What a run does between claim and settlement.
pub(crate) async fn call(catalog: &Catalog, job: &Job) -> anyhow::Result<()> {
    catalog.prepare(job).await.map_err(|failure| failure.error)?;
    let plan = catalog.check(job)?;
    let timeout = plan.timeout.max(Duration::from_secs(1));
    let context = CallContext { timeout, attempt: 1, epoch: 1, spent_usd: 0.0 };
    catalog.call(job, &context).await.map_err(|failure| failure.error)?;
    Ok(())
}
