//! The tokens that an answer says it used. Whatever is no count of tokens counts nothing: the answer
//! was paid for, and is not thrown away because of its bill.

use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::lease::Usage;

/// More than any model answers at once.
const MOST_TOKENS: u64 = 1_000_000_000;

/// `usage` of a chat completion, as far as it matters here.
#[derive(Debug, Default)]
pub(super) struct Tokens {
    input: u64,
    cached_input: u64,
    cache_write: u64,
    output: u64,
    reasoning: u64,
    /// There was an account of tokens at all.
    pub(super) are_told: bool,
}

impl<'de> Deserialize<'de> for Tokens {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self::of(&Value::deserialize(deserializer)?))
    }
}

impl Tokens {
    fn of(usage: &Value) -> Self {
        let input = &usage["prompt_tokens_details"];
        let output = &usage["completion_tokens_details"];
        let written = &usage["cache_creation_input_tokens"];
        Self {
            input: count(&usage["prompt_tokens"]),
            // OpenAI's place, then Anthropic's.
            cached_input: count(&input["cached_tokens"])
                .max(count(&usage["cache_read_input_tokens"])),
            cache_write: count(&input["cache_creation_tokens"]).max(count(written)),
            output: count(&usage["completion_tokens"]),
            reasoning: count(&output["reasoning_tokens"]),
            are_told: usage["prompt_tokens"].is_number(),
        }
    }

    /// As the ledger keeps them.
    pub(super) fn into_usage(self) -> Usage {
        Usage {
            input_tokens: self.input,
            cached_input_tokens: self.cached_input.min(self.input),
            cache_write_tokens: self.cache_write.min(self.input),
            output_tokens: self.output,
            reasoning_tokens: self.reasoning.min(self.output),
            ..Usage::free()
        }
    }
}

/// Some write a whole number as `10.0`.
fn count(value: &Value) -> u64 {
    value.as_u64().or_else(|| whole(value.as_f64()?)).map_or(0, |count| count.min(MOST_TOKENS))
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "it is whole, and lies between 0 and the most"
)]
fn whole(number: f64) -> Option<u64> {
    let is_count = number.fract() == 0.0 && (0.0..=MOST_TOKENS as f64).contains(&number);
    is_count.then_some(number as u64)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_count_is_read_however_its_number_is_written() {
        for (written, read) in [
            (json!(10), 10),
            (json!(10.0), 10),
            (json!(1e1), 10),
            (json!(-10.0), 0),
            (json!(-1), 0),
            (json!(1e300), 0),
            (json!(1.5), 0),
            (json!(u64::MAX), MOST_TOKENS),
            (json!("10"), 0),
            (json!(null), 0),
        ] {
            assert_eq!(count(&written), read, "{written}");
        }
    }
}
