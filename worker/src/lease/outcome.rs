//! What a tool's call came to, and what it used.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A tool's answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// Text, or what the tool's answer schema describes.
    pub result: Value,
    /// What this attempt used.
    pub usage: Usage,
    /// Made by the offline model: not done any more once an LLM is configured.
    pub offline: bool,
}

/// Tokens and money, of one attempt or of all attempts of a job.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub struct Usage {
    /// Tokens of the prompts.
    pub input_tokens: u64,
    /// Tokens of the answers.
    pub output_tokens: u64,
    /// What is known to be spent; `None` while no cost is known.
    pub cost_usd: Option<f64>,
    /// Calls that may have been billed and told no cost: with any, `cost_usd` is a lower bound.
    pub unpriced_calls: u32,
    /// The model that served the last answer.
    pub model: Option<String>,
}

impl Eq for Usage {}

impl Usage {
    /// A call that reached no model: certainly free.
    pub fn free() -> Self {
        Self::default()
    }

    /// A call that may have been billed, nobody can say how much.
    pub fn unknown() -> Self {
        Self { unpriced_calls: 1, ..Self::default() }
    }

    /// Both together; the later one names the model.
    #[must_use]
    pub fn plus(&self, later: &Self) -> Self {
        Self {
            input_tokens: self.input_tokens.saturating_add(later.input_tokens),
            output_tokens: self.output_tokens.saturating_add(later.output_tokens),
            cost_usd: match (self.cost_usd, later.cost_usd) {
                (Some(earlier), Some(later)) => Some(earlier + later),
                (one, other) => one.or(other),
            },
            unpriced_calls: self.unpriced_calls.saturating_add(later.unpriced_calls),
            model: later.model.clone().or_else(|| self.model.clone()),
        }
    }
}
