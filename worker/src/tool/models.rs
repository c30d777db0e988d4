//! What the catalog says of models: `[models.NAME]`, each a model's name as jobs and tools say it.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError},
};

use serde::Deserialize;

use super::{CatalogError, Gate, Limits};
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
}

/// What is known of a model.
#[derive(Clone, Debug)]
pub(super) struct Model {
    pub(super) limits: Limits,
}

/// Checks what the catalog says.
pub(super) fn parse(
    specs: BTreeMap<String, ModelSpec>,
) -> Result<HashMap<String, Model>, CatalogError> {
    let parsed = specs.into_iter().map(|(name, spec)| match Model::new(&name, &spec) {
        Ok(model) => Ok((name, model)),
        Err(problem) => Err(CatalogError::Model { name, problem }),
    });
    parsed.collect()
}

impl Model {
    fn new(name: &str, spec: &ModelSpec) -> Result<Self, String> {
        name.parse::<ModelName>()?;
        Ok(Self { limits: Limits::new(spec.rate_per_minute, spec.concurrency)? })
    }
}

/// The gates of all models: those that the catalog limits, and those that jobs come to name.
pub(super) struct ModelGates(Mutex<HashMap<String, Arc<Gate>>>);

impl ModelGates {
    pub(super) fn new(models: &HashMap<String, Model>) -> Self {
        let gate = |model: &Model| Arc::new(Gate::new(model.limits));
        let gates = models.iter().map(|(name, model)| (name.clone(), gate(model)));
        Self(Mutex::new(gates.collect()))
    }

    /// The model's gate; beyond so many, all share one.
    pub(super) fn of_model(&self, name: &str) -> Arc<Gate> {
        let mut gates = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let name = if gates.len() < MAX_GATES || gates.contains_key(name) { name } else { "" };
        Arc::clone(gates.entry(name.to_owned()).or_default())
    }
}
