//! What LiteLLM's headers say of a good answer: its cost, whether it came from the cache, who gave it.

use reqwest::header::HeaderMap;

use super::{CallTerms, tokens::Tokens};
use crate::lease::{Usage, rounded_usd};

/// No call costs more US dollars: a header that says so is wrong.
const MOST_USD: f64 = 10_000.0;

/// The longest name of a model that is kept, in characters.
const MAX_MODEL_CHARS: usize = 128;

/// More tries of a router than these are nonsense.
const MOST_TRIES: u64 = 1_000;

/// What the head of a good answer says.
#[derive(Clone, Debug)]
pub(super) struct Head {
    cost_usd: Option<f64>,
    /// The alias that answered in the end.
    group: Option<String>,
    fallbacks: u64,
    retries: u64,
}

impl Head {
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let tries = |name: &str| {
            text(name).and_then(|text| text.parse::<u64>().ok()).map_or(0, |it| it.min(MOST_TRIES))
        };
        Self {
            cost_usd: cost_usd(headers),
            group: text("x-litellm-model-group").map(short),
            fallbacks: tries("x-litellm-attempted-fallbacks"),
            retries: tries("x-litellm-attempted-retries"),
        }
    }

    /// What an answer used whose body told this.
    pub(super) fn usage(
        &self,
        tokens: Tokens,
        model: Option<String>,
        terms: &CallTerms<'_>,
    ) -> Usage {
        let are_told = tokens.are_told;
        let usage = Usage {
            model: model.as_deref().map(short).or_else(|| self.group.clone()),
            requested_model: Some(terms.model.to_owned()),
            fallbacks: self.fallbacks,
            retries: self.retries,
            ..tokens.into_usage()
        };
        let by_catalog = || Some(self.prices(terms, &usage).filter(|_| are_told)?.cost_usd(&usage));
        match self.cost_usd.or_else(by_catalog) {
            Some(cost) => Usage { cost_usd: Some(cost), ..usage },
            None => Usage { unpriced_calls: 1, ..usage },
        }
    }

    /// What an answer used that cannot be read.
    pub(super) fn usage_of_lost_answer(&self, terms: &CallTerms<'_>) -> Usage {
        self.usage(Tokens::default(), None, terms)
    }

    /// The catalog's prices for whoever served the answer: after a fallback, not those of the model
    /// that was asked for.
    fn prices<'a>(
        &self,
        terms: &CallTerms<'a>,
        usage: &Usage,
    ) -> Option<&'a crate::tool::prices::Prices> {
        let prices = |name: &str| terms.models.prices(name);
        match &self.group {
            Some(group) if group != terms.model => prices(group),
            _ if self.fallbacks > 0 => usage.model.as_deref().and_then(prices),
            _ => prices(terms.model),
        }
    }
}

/// A cache hit still reports the cost of the call it saved; only the cache's key tells.
pub(super) fn cost_usd(headers: &HeaderMap) -> Option<f64> {
    if headers.contains_key("x-litellm-cache-key") {
        return Some(0.0);
    }
    let header = headers.get("x-litellm-response-cost")?.to_str().ok()?;
    let cost = header.trim().parse::<f64>().ok()?;
    (0.0..=MOST_USD).contains(&cost).then(|| rounded_usd(cost))
}

fn short(name: &str) -> String {
    name.chars().filter(|c| !c.is_control()).take(MAX_MODEL_CHARS).collect()
}
