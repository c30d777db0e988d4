//! LiteLLM between the catalog's client and two providers of ours.

use std::{sync::LazyLock, time::Duration};

use mcp_batch::{
    clock::Clock,
    config::Source,
    job::Job,
    lease::Outcome,
    secret::Secrets,
    tool::{CallContext, Catalog, LlmClient, LlmSettings, ToolError, Tools},
};
use mcp_batch_testkit::{FakeLlm, LiteLlm, Received};
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use crate::helpers::{Folder, summarize};

/// Aliases of `litellm/litellm-config.yaml`.
pub(super) const CLAUDE: &str = "claude-sonnet-4-5";
pub(super) const HAIKU: &str = "claude-haiku-4-5";
pub(super) const GPT: &str = "gpt-4o-mini";

const CATALOG: &str = r#"
[tools.say]
description = "Says a prompt as it stands."
user = "{{ text }}"
input_schema = {}
[tools.judge]
description = "Says how a text feels."
user = "{{ text }}"
input_schema = {}
[tools.judge.answer_schema]
type = "object"
required = ["feeling"]
additionalProperties = false
properties.feeling = { type = "string" }
"#;

static SHARED: LazyLock<OnceCell<Option<Rig>>> = LazyLock::new(OnceCell::new);

/// LiteLLM, what is behind it, and how it is called.
pub(super) struct Rig {
    pub(super) anthropic: FakeLlm,
    pub(super) openai: FakeLlm,
    litellm: LiteLlm,
}

/// How a call is made that differs from the others.
pub(super) struct Call<'a> {
    rig: &'a Rig,
    key: Option<&'a str>,
    timeout: Duration,
}

impl Rig {
    /// One for all tests of this process: it takes seconds to start.
    pub(super) async fn shared() -> Option<&'static Self> {
        SHARED.get_or_init(Self::start).await.as_ref()
    }

    async fn start() -> Option<Self> {
        // A second start in one process keeps the first.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let anthropic = FakeLlm::start().await;
        let openai = FakeLlm::builder().record(true).start().await;
        anthropic.require_key(LiteLlm::ANTHROPIC_KEY);
        openai.require_key(LiteLlm::OPENAI_KEY);
        let litellm = LiteLlm::start(&anthropic, &openai).await?;
        Some(Self { anthropic, openai, litellm })
    }

    /// What OpenAI was asked with these words.
    pub(super) fn asked_of_openai(&self, words: &str) -> Received {
        let asked = |request: &Received| request.json()["messages"].to_string().contains(words);
        self.openai.requests().into_iter().find(asked).expect("it was asked")
    }

    fn call(&self) -> Call<'_> {
        Call { rig: self, key: Some(LiteLlm::KEY), timeout: Duration::from_secs(60) }
    }

    pub(super) fn with_key<'a>(&'a self, key: Option<&'a str>) -> Call<'a> {
        Call { key, ..self.call() }
    }

    pub(super) fn within(&self, timeout: Duration) -> Call<'_> {
        Call { timeout, ..self.call() }
    }

    pub(super) async fn answer(&self, model: &str, prompt: &str) -> Outcome {
        self.call().make(model, "say", prompt, false).await.expect("an answer")
    }

    pub(super) async fn judge(&self, prompt: &str) -> Outcome {
        self.call().make(GPT, "judge", prompt, false).await.expect("an answer")
    }

    pub(super) async fn fail(&self, model: &str, prompt: &str) -> ToolError {
        self.call().fail(model, prompt).await
    }

    pub(super) async fn fail_of_job_that_names(&self, model: &str) -> ToolError {
        self.call().make(model, "say", "Hello.", true).await.expect_err("no such model")
    }

    /// LiteLLM books what a call cost a moment after its answer.
    pub(super) async fn fail_in_the_end(&self, model: &str) -> ToolError {
        loop {
            if let Err(failure) = self.call().make(model, "say", "Again.", false).await {
                return failure;
            }
        }
    }

    /// `mcp-batch run` with so many jobs of the default catalog.
    pub(super) async fn run(&self, count: usize) -> Value {
        let folder = Folder::new();
        let jobs: Vec<Value> =
            (0..count).map(|n| summarize(&format!("job-{n}"), "One. Two.")).collect();
        let run = folder.run(folder.jobs(&jobs)).args(["--llm-url", &self.litellm.url()]);
        run.env("MCP_BATCH_LLM_API_KEY", LiteLlm::KEY).summary().await
    }
}

impl Call<'_> {
    pub(super) async fn fail(&self, model: &str, prompt: &str) -> ToolError {
        let ended = self.make(model, "say", prompt, false).await;
        ended.expect_err(prompt)
    }

    async fn make(
        &self,
        model: &str,
        tool: &str,
        prompt: &str,
        job_names_model: bool,
    ) -> Result<Outcome, ToolError> {
        let mut job = json!({
            "id": "job-1", "tool": tool, "input": {"text": prompt}, "tenant": "tenant-1",
            "batch": {"id": "batch-1", "index": 0, "callback": "http://127.0.0.1:9/"},
        });
        if job_names_model {
            job["model"] = model.into();
        }
        let job = Job::parse(&job.to_string().into()).expect("a job");
        let context = CallContext { timeout: self.timeout, attempt: 1, epoch: 1, spent_usd: 0.0 };
        self.catalog(model).call(&job, &context).await
    }

    fn catalog(&self, model: &str) -> Catalog {
        let source = Source::default().with("MCP_BATCH_LLM_API_KEY", self.key);
        let secrets = Secrets::fixed(source).expect("a sound key");
        let settings = LlmSettings {
            api: mcp_batch::tool::LlmApi::LiteLlm,
            url: self.rig.litellm.url().parse().expect("a URL"),
            model: Some(model.to_owned()),
            timeout: self.timeout,
        };
        let client = LlmClient::new(settings, secrets.clone(), Clock::system()).expect("a client");
        Catalog::parse(CATALOG, Some(client), &secrets, &Clock::system()).expect("a catalog")
    }
}
