//! A chat completion's answer: its text, what it used, why it ended.

use hyper::HeaderMap;
use serde::Deserialize;

use super::ToolError;
use crate::{
    error::{ErrorClass, JobError},
    lease::Usage,
};

/// A sound answer.
#[derive(Debug)]
pub(in crate::tool) struct Answer {
    pub(in crate::tool) content: String,
    pub(in crate::tool) usage: Usage,
    /// The answer reached `max_tokens` and ends in the middle.
    pub(in crate::tool) is_truncated: bool,
}

/// What LiteLLM's headers say of the cost.
#[derive(Clone, Copy, Debug)]
pub(super) struct HeaderCost {
    cost_usd: Option<f64>,
}

impl HeaderCost {
    /// A cache hit still reports the cost of the call it saved; only the cache's key tells.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        if headers.contains_key("x-litellm-cache-key") {
            return Self { cost_usd: Some(0.0) };
        }
        let header = headers.get("x-litellm-response-cost").and_then(|cost| cost.to_str().ok());
        let cost = header.and_then(|cost| cost.parse::<f64>().ok());
        Self { cost_usd: cost.filter(|cost| cost.is_finite() && *cost >= 0.0) }
    }
}

#[derive(Deserialize)]
struct Body {
    #[serde(default)]
    model: Option<String>,
    choices: Vec<Choice>,
    #[serde(default)]
    usage: Option<Tokens>,
}

#[derive(Deserialize)]
struct Choice {
    message: Message,
    #[serde(default)]
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct Message {
    #[serde(default)]
    content: Option<String>,
}

#[derive(Default, Deserialize)]
struct Tokens {
    #[serde(default)]
    prompt_tokens: u64,
    #[serde(default)]
    completion_tokens: u64,
}

impl Answer {
    /// Reads the body of a 200.
    pub(super) fn parse(body: &[u8], cost: HeaderCost, is_cut: bool) -> Result<Self, ToolError> {
        if is_cut {
            let usage = Usage { cost_usd: cost.cost_usd, ..Usage::unknown() };
            let message = "the LLM's answer is longer than 8 MiB";
            return Err(failure(ErrorClass::Permanent, "answer_too_large", message, usage));
        }
        let Ok(body) = serde_json::from_slice::<Body>(body) else {
            let usage = priced(Usage::unknown(), cost);
            let message = "the LLM's answer is not a chat completion in JSON";
            return Err(failure(ErrorClass::Transient, "answer_malformed", message, usage));
        };
        let tokens = body.usage.unwrap_or_default();
        let usage = Usage {
            input_tokens: tokens.prompt_tokens,
            output_tokens: tokens.completion_tokens,
            model: body.model,
            ..priced(Usage::unknown(), cost)
        };
        let Some(choice) = body.choices.into_iter().next() else {
            let message = "the LLM answered without a choice";
            return Err(failure(ErrorClass::Transient, "answer_empty", message, usage));
        };
        Self::from_choice(choice, usage)
    }

    fn from_choice(choice: Choice, usage: Usage) -> Result<Self, ToolError> {
        let reason = choice.finish_reason.as_deref();
        match choice.message.content {
            _ if reason == Some("content_filter") => {
                let message = "the LLM's content filter withheld the answer";
                Err(failure(ErrorClass::Permanent, "content_filter", message, usage))
            }
            Some(content) => Ok(Self { content, usage, is_truncated: reason == Some("length") }),
            None => {
                let message = "the LLM answered without any text";
                Err(failure(ErrorClass::Transient, "answer_empty", message, usage))
            }
        }
    }
}

fn priced(usage: Usage, cost: HeaderCost) -> Usage {
    match cost.cost_usd {
        Some(cost) => Usage { cost_usd: Some(cost), unpriced_calls: 0, ..usage },
        None => usage,
    }
}

fn failure(class: ErrorClass, code: &'static str, message: &str, usage: Usage) -> ToolError {
    ToolError { usage, ..ToolError::free(JobError::new(class, code, message)) }
}
