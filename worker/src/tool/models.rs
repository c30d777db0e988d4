//! What the catalog says of models: `[models.NAME]`, each a model's name as jobs and tools say it.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError},
};

use serde::Deserialize;

use super::{
    CatalogError, Gate, Limits,
    prices::{Prices, Told},
};
use crate::job::ModelName;

/// Models with a gate of their own. Jobs may name any model, so the number is bounded.
const MAX_GATES: usize = 256;

/// One `[models.NAME]` of the catalog file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ModelSpec {
    #[serde(default)]
    rate_per_minute: Option<f64>,
    #[serde(default)]
    concurrency: Option<usize>,
    #[serde(default)]
    max_tokens_field: TokensField,
    #[serde(default)]
    input_usd_per_million_tokens: Option<f64>,
    #[serde(default)]
    cached_input_usd_per_million_tokens: Option<f64>,
    #[serde(default)]
    cache_write_usd_per_million_tokens: Option<f64>,
    #[serde(default)]
    output_usd_per_million_tokens: Option<f64>,
}

/// How a model's API calls the bound of an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum TokensField {
    /// Its first name, which every API took at a time. LiteLLM translates it.
    #[default]
    MaxTokens,
    /// That of OpenAI's own API for models that reason, which refuse the first.
    MaxCompletionTokens,
}

/// The models that the catalog says something of, by name.
#[derive(Debug, Default)]
pub(super) struct Models(HashMap<String, Model>);

#[derive(Debug)]
struct Model {
    limits: Limits,
    max_tokens_field: TokensField,
    prices: Option<Prices>,
}

impl Models {
    /// Checks what the catalog says.
    pub(super) fn new(specs: BTreeMap<String, ModelSpec>) -> Result<Self, CatalogError> {
        let models = specs.into_iter().map(|(name, spec)| match Model::new(&name, &spec) {
            Ok(model) => Ok((name, model)),
            Err(problem) => Err(CatalogError::Model { name, problem }),
        });
        models.collect::<Result<_, _>>().map(Self)
    }

    /// The names of all of them.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// How the bound of a model's answers is called.
    pub(super) fn max_tokens_field(&self, name: &str) -> TokensField {
        self.0.get(name).map(|model| model.max_tokens_field).unwrap_or_default()
    }

    /// What a model's tokens cost, if the catalog says so.
    pub(super) fn prices(&self, name: &str) -> Option<&Prices> {
        self.0.get(name)?.prices.as_ref()
    }
}

impl Model {
    fn new(name: &str, spec: &ModelSpec) -> Result<Self, String> {
        name.parse::<ModelName>()?;
        let limits = Limits::new(spec.rate_per_minute, spec.concurrency)?;
        let told = Told {
            input: spec.input_usd_per_million_tokens,
            cached_input: spec.cached_input_usd_per_million_tokens,
            cache_write: spec.cache_write_usd_per_million_tokens,
            output: spec.output_usd_per_million_tokens,
        };
        Ok(Self { limits, max_tokens_field: spec.max_tokens_field, prices: Prices::new(&told)? })
    }
}

/// The gates of all models: those that the catalog limits, and those that jobs come to name.
pub(super) struct ModelGates(Mutex<HashMap<String, Arc<Gate>>>);

impl ModelGates {
    pub(super) fn new(models: &Models) -> Self {
        let gate = |model: &Model| Arc::new(Gate::new(model.limits));
        let gates = models.0.iter().map(|(name, model)| (name.clone(), gate(model)));
        Self(Mutex::new(gates.collect()))
    }

    /// The model's gate; beyond so many, all share one.
    pub(super) fn of_model(&self, name: &str) -> Arc<Gate> {
        let mut gates = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let name = if gates.len() < MAX_GATES || gates.contains_key(name) { name } else { "" };
        Arc::clone(gates.entry(name.to_owned()).or_default())
    }
}
