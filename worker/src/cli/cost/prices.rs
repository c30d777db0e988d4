//! What things cost, from one file in which each price is dated.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::Context;
use serde::{Deserialize, Serialize};

const BUILT_IN: &str = include_str!("prices.toml");

/// All prices.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Prices {
    pub(super) aws: AwsPrices,
    models: BTreeMap<String, ModelPrice>,
}

/// AWS's.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AwsPrices {
    pub(super) lambda_arm64_gb_s: Price,
    pub(super) lambda_million_requests: Price,
    pub(super) sqs_million_requests: Price,
    pub(super) sqs_million_grouped: Price,
    pub(super) dynamodb_million_write_units: Price,
    pub(super) api_gateway_million_requests: Price,
    pub(super) logs_gb: Price,
    pub(super) xray_million_traces: Price,
    pub(super) secret_month: Price,
}

/// A price, and where it comes from.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Price {
    pub(super) usd: f64,
    as_of: String,
    source: String,
}

/// A model's, by million tokens.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ModelPrice {
    pub(super) input_usd: f64,
    pub(super) output_usd: f64,
    as_of: String,
    source: String,
}

impl Prices {
    /// Those of a file, or those that are compiled in.
    pub(super) fn read(path: Option<&Path>) -> anyhow::Result<Self> {
        let Some(path) = path else {
            return toml::from_str(BUILT_IN).context("the prices that are compiled in");
        };
        let place = path.display();
        let text = fs::read_to_string(path)
            .with_context(|| format!("{place}: the prices cannot be read"))?;
        toml::from_str(&text).with_context(|| format!("{place}: the prices are wrong"))
    }

    /// The prices of a model, or which models there are.
    pub(super) fn model(&self, name: &str) -> anyhow::Result<&ModelPrice> {
        self.models.get(name).with_context(|| {
            let known = self.models.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
            format!(
                "--model: expected one of {known}, found {name}; --prices names a file with others"
            )
        })
    }

    /// Each price with its date and its source, a line each.
    pub(super) fn told(&self, model: &str) -> Vec<String> {
        let mut lines = Vec::new();
        if let Ok(serde_json::Value::Object(prices)) = serde_json::to_value(&self.aws) {
            for (name, price) in prices {
                let text = |field: &str| price[field].as_str().unwrap_or_default().to_owned();
                let (as_of, source) = (text("as_of"), text("source"));
                lines.push(format!("{name}: ${}, as of {as_of}, {source}", price["usd"]));
            }
        }
        if let Some(ModelPrice { input_usd, output_usd, as_of, source }) = self.models.get(model) {
            lines.push(format!(
                "{model}: ${input_usd} in, ${output_usd} out by million tokens, as of {as_of}, {source}"
            ));
        }
        lines
    }
}
