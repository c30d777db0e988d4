//! What a model's tokens cost, as the catalog says: for an API that tells no cost itself.

use crate::lease::{Usage, rounded_usd};

/// A price that may be named, in US dollars per million tokens.
const PRICES: std::ops::RangeInclusive<f64> = 0.0..=1_000_000.0;

const MILLION: f64 = 1e6;

/// Prices as they were written, in US dollars per million tokens.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) input: Option<f64>,
    pub(super) cached_input: Option<f64>,
    pub(super) cache_write: Option<f64>,
    pub(super) output: Option<f64>,
}

/// A model's prices, in US dollars per million tokens.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Prices {
    input: f64,
    cached_input: f64,
    cache_write: f64,
    output: f64,
}

impl Prices {
    /// Input and output go together; the others are the input's where they are not named.
    pub(super) fn new(told: &Told) -> Result<Option<Self>, String> {
        let checked = |kind: &str, price: Option<f64>| match price {
            Some(found) if !PRICES.contains(&found) => Err(format!(
                "{kind}_usd_per_million_tokens: expected 0 to 1000000 US dollars, found {found}"
            )),
            price => Ok(price),
        };
        let input = checked("input", told.input)?;
        let cached_input = checked("cached_input", told.cached_input)?;
        let cache_write = checked("cache_write", told.cache_write)?;
        match (input, checked("output", told.output)?) {
            (Some(input), Some(output)) => Ok(Some(Self {
                input,
                cached_input: cached_input.unwrap_or(input),
                cache_write: cache_write.unwrap_or(input),
                output,
            })),
            (None, None) if cached_input.or(cache_write).is_none() => Ok(None),
            _ => Err("input_usd_per_million_tokens and output_usd_per_million_tokens: expected \
                      both or no price at all"
                .to_owned()),
        }
    }

    /// What these tokens cost, in US dollars.
    pub(super) fn cost_usd(&self, usage: &Usage) -> f64 {
        let fresh = usage.input_tokens.saturating_sub(usage.cached_input_tokens);
        let fresh = fresh.saturating_sub(usage.cache_write_tokens);
        let parts = [
            (fresh, self.input),
            (usage.cached_input_tokens, self.cached_input),
            (usage.cache_write_tokens, self.cache_write),
            (usage.output_tokens, self.output),
        ];
        rounded_usd(parts.into_iter().map(|(tokens, price)| as_f64(tokens) * price / MILLION).sum())
    }
}

#[expect(clippy::cast_precision_loss, reason = "a sum of dollars needs no more digits")]
fn as_f64(tokens: u64) -> f64 {
    tokens as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(prices: [Option<f64>; 4]) -> Told {
        let [input, cached_input, cache_write, output] = prices;
        Told { input, cached_input, cache_write, output }
    }

    #[test]
    fn each_kind_of_token_has_its_price() {
        let prices = Prices::new(&told([Some(3.0), Some(0.3), Some(3.75), Some(15.0)]));
        let prices = prices.expect("they make sense").expect("there are some");
        let usage = Usage {
            input_tokens: 1_020,
            cached_input_tokens: 900,
            cache_write_tokens: 100,
            output_tokens: 17,
            ..Usage::free()
        };
        // 20 × 3 + 900 × 0.3 + 100 × 3.75 + 17 × 15, in millionths.
        assert_eq!(prices.cost_usd(&usage).to_string(), "0.00096");

        let plain = Prices::new(&told([Some(1.0), None, None, Some(2.0)]));
        let plain = plain.expect("they make sense").expect("there are some");
        assert_eq!(plain.cost_usd(&usage).to_string(), "0.001054");
    }

    #[test]
    fn prices_that_make_no_sense_are_refused_by_name() {
        for (prices, name) in [
            ([Some(-1.0), None, None, Some(1.0)], "input_usd"),
            ([Some(1.0), Some(f64::NAN), None, Some(1.0)], "cached_input_usd"),
            ([Some(1.0), None, Some(f64::INFINITY), Some(1.0)], "cache_write_usd"),
            ([Some(1.0), None, None, None], "expected both"),
            ([None, Some(1.0), None, None], "expected both"),
        ] {
            let refused = Prices::new(&told(prices)).expect_err("they make no sense");
            assert!(refused.contains(name), "{refused}");
        }
        assert_eq!(Prices::new(&told([None; 4])), Ok(None));
    }
}
