//! The LLM behind the prompt tools.

use std::time::Duration;

use url::Url;

use super::source::{ConfigError, Source, required};
use crate::tool::{LlmApi, LlmSettings};

const URL: &str = "MCP_BATCH_LLM_URL";

const EXPECTED_URL: &str = "an http or https URL such as http://127.0.0.1:4000/v1";

/// The longest an LLM may take, where nothing else is said.
const DEFAULT_TIMEOUT: Duration = Duration::from_mins(1);

/// `MCP_BATCH_LLM_URL`, `_LLM_API` (`litellm`), `_LLM_MODEL`, `_LLM_TIMEOUT_S` (60 s); `None` without a URL. Its key is one
/// of the [`Keys`](super::Keys).
pub fn llm(source: &Source) -> Result<Option<LlmSettings>, ConfigError> {
    let Some(url) = source.parse(URL, EXPECTED_URL, http_url)? else { return Ok(None) };
    let timeout = source.number("MCP_BATCH_LLM_TIMEOUT_S", 0.01..=86_400.0)?;
    Ok(Some(LlmSettings {
        url,
        api: source.parse("MCP_BATCH_LLM_API", "litellm or openai", api)?.unwrap_or_default(),
        model: source.get("MCP_BATCH_LLM_MODEL").map(str::to_owned),
        timeout: timeout.map_or(DEFAULT_TIMEOUT, Duration::from_secs_f64),
    }))
}

/// The same where nobody would see that the offline model answers: no URL is an error.
pub fn required_llm(source: &Source) -> Result<LlmSettings, ConfigError> {
    required(URL, EXPECTED_URL, llm(source)?)
}

fn api(text: &str) -> Option<LlmApi> {
    match text {
        "litellm" => Some(LlmApi::LiteLlm),
        "openai" => Some(LlmApi::OpenAi),
        _ => None,
    }
}

pub(super) fn http_url(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    (matches!(url.scheme(), "http" | "https") && url.has_host()).then_some(url)
}
