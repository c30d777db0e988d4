//! What things cost, from one dated file.

use std::collections::BTreeMap;

use anyhow::Context;
use serde::Deserialize;

const PRICES: &str = include_str!("prices.toml");

/// All prices, in US dollars.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Prices {
    /// The day they were read.
    pub(super) as_of: String,
    pub(super) aws: AwsPrices,
    pub(super) models: BTreeMap<String, ModelPrices>,
}

/// AWS's, without free tiers.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AwsPrices {
    pub(super) lambda_arm64_gb_s: f64,
    pub(super) lambda_million_requests: f64,
    pub(super) sqs_million_requests: f64,
    pub(super) dynamodb_million_write_units: f64,
    pub(super) api_gateway_http_million_requests: f64,
    pub(super) logs_gb: f64,
    pub(super) xray_million_traces: f64,
    pub(super) secret_month: f64,
}

/// A model's, by million tokens.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ModelPrices {
    pub(super) input: f64,
    pub(super) output: f64,
}

impl Prices {
    pub(super) fn known() -> anyhow::Result<Self> {
        toml::from_str(PRICES).context("the prices that are compiled in")
    }

    /// The prices of a model, or which models there are.
    pub(super) fn of(&self, model: &str) -> anyhow::Result<&ModelPrices> {
        self.models.get(model).with_context(|| {
            let known = self.models.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
            format!("--model: expected one of {known}, found “{model}”")
        })
    }
}
