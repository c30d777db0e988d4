//! The real `LiteLLM`, with the repository's configuration, in front of providers of ours.

use std::path::Path;

use crate::FakeLlm;
use crate::served::Served;

/// A real `LiteLLM` that ends when this is dropped, and when this process dies.
#[derive(Debug)]
pub struct LiteLlm {
    endpoint: String,
    _served: Served,
}

impl LiteLlm {
    /// The key that it must be shown.
    pub const KEY: &'static str = "sk-litellm-of-the-tests";

    /// The key that it shows to Anthropic.
    pub const ANTHROPIC_KEY: &'static str = "sk-ant-of-the-tests";

    /// The key that it shows to `OpenAI`.
    pub const OPENAI_KEY: &'static str = "sk-openai-of-the-tests";

    /// Starts one whose Anthropic and `OpenAI` are these: `litellm/litellm-config.yaml` and the aliases
    /// of `litellm-rows.yaml`. Without a Python to run it there is none: that is told on stderr, and
    /// the test has to return.
    ///
    /// # Panics
    ///
    /// When it can't be installed or started, and under `CI=true` also without a Python.
    pub async fn start(anthropic: &FakeLlm, openai: &FakeLlm) -> Option<Self> {
        let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("litellm-rows.yaml");
        let anthropic = anthropic.url();
        let variables = [
            ("LITELLM_CONFIG", config.display().to_string()),
            ("LITELLM_MASTER_KEY", Self::KEY.to_owned()),
            ("ANTHROPIC_API_KEY", Self::ANTHROPIC_KEY.to_owned()),
            ("ANTHROPIC_API_BASE", anthropic.trim_end_matches("/v1").to_owned()),
            ("OPENAI_API_KEY", Self::OPENAI_KEY.to_owned()),
            ("OPENAI_API_BASE", openai.url()),
        ];
        let starting = tokio::task::spawn_blocking(move || Served::start("litellm", &variables));
        let (served, endpoint) = starting.await.expect("LiteLLM starts")?;
        Some(Self { endpoint, _served: served })
    }

    /// The base URL to which `/chat/completions` is added.
    pub fn url(&self) -> String {
        format!("{}/v1", self.endpoint)
    }
}
