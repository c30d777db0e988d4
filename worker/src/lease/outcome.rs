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

/// Tokens and money, of one attempt or of all attempts of a job. Stored and told as it stands; what
/// is seldom there is left out while it is zero.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub struct Usage {
    /// Tokens of the prompts, those from and into the provider's cache included.
    pub input_tokens: u64,
    /// Those of them that the provider had in its cache.
    #[serde(skip_serializing_if = "is_zero")]
    pub cached_input_tokens: u64,
    /// Those of them that the provider put into its cache.
    #[serde(skip_serializing_if = "is_zero")]
    pub cache_write_tokens: u64,
    /// Tokens of the answers, those of reasoning included.
    pub output_tokens: u64,
    /// Those of them that nobody gets to see.
    #[serde(skip_serializing_if = "is_zero")]
    pub reasoning_tokens: u64,
    /// What is known to be spent; `None` while no cost is known.
    pub cost_usd: Option<f64>,
    /// Calls that may have been billed and told no cost: with any, `cost_usd` is a lower bound.
    pub unpriced_calls: u32,
    /// The model that served the last answer.
    pub model: Option<String>,
    /// The model that it was asked of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requested_model: Option<String>,
    /// Other models that the router tried.
    #[serde(skip_serializing_if = "is_zero")]
    pub fallbacks: u64,
    /// Calls that the router made again by itself.
    #[serde(skip_serializing_if = "is_zero")]
    pub retries: u64,
    /// Results that were cut off where the answer had no more room.
    #[serde(skip_serializing_if = "is_zero")]
    pub truncated_results: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// To a millionth of a millionth of a dollar: what is beyond is the noise of binary fractions.
const PARTS_OF_A_DOLLAR: f64 = 1e12;

/// A sum of money without that noise.
pub(crate) fn rounded_usd(usd: f64) -> f64 {
    (usd * PARTS_OF_A_DOLLAR).round() / PARTS_OF_A_DOLLAR
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

    /// The same of a result, which was cut off or not.
    #[must_use]
    pub(crate) fn truncated(self, is_truncated: bool) -> Self {
        Self { truncated_results: is_truncated.into(), ..self }
    }

    /// Both together; the later one names the model.
    #[must_use]
    pub fn plus(&self, later: &Self) -> Self {
        let sum = |of: fn(&Self) -> u64| of(self).saturating_add(of(later));
        let latest =
            |of: fn(&Self) -> &Option<String>| of(later).clone().or_else(|| of(self).clone());
        Self {
            input_tokens: sum(|it| it.input_tokens),
            cached_input_tokens: sum(|it| it.cached_input_tokens),
            cache_write_tokens: sum(|it| it.cache_write_tokens),
            output_tokens: sum(|it| it.output_tokens),
            reasoning_tokens: sum(|it| it.reasoning_tokens),
            cost_usd: match (self.cost_usd, later.cost_usd) {
                (Some(earlier), Some(later)) => Some(rounded_usd(earlier + later)),
                (one, other) => one.or(other),
            },
            unpriced_calls: self.unpriced_calls.saturating_add(later.unpriced_calls),
            model: latest(|it| &it.model),
            requested_model: latest(|it| &it.requested_model),
            fallbacks: sum(|it| it.fallbacks),
            retries: sum(|it| it.retries),
            truncated_results: sum(|it| it.truncated_results),
        }
    }
}
