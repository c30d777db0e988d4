//! The offline model: a summariser and a classifier inside the program, so that a first run needs
//! neither a key nor a network. Deterministic, free, and said so in each result.

mod classify;
mod summarize;
mod text;

use serde::Deserialize;
use serde_json::Value;

use crate::lease::{Outcome, Usage};

/// The model's name in results.
const MODEL: &str = "offline-extractive";

/// Sentences of a summary where the input does not say.
const DEFAULT_SENTENCES: u64 = 3;

/// What the offline model can do for a tool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum OfflineModel {
    /// The most salient sentences of `input.text`, at most `input.sentences` of them.
    Summarize,
    /// The one of `input.categories` whose words `input.text` is about.
    Classify,
}

impl OfflineModel {
    /// The outcome for an input that fits the tool's schema.
    pub(super) fn answer(self, input: &Value) -> Outcome {
        let text = input["text"].as_str().unwrap_or_default();
        let result = match self {
            Self::Summarize => summarize::summarize(text, sentences(input)),
            Self::Classify => {
                classify::classify(text, &categories(input)).unwrap_or_default().to_owned()
            }
        };
        let usage = Usage { cost_usd: Some(0.0), model: Some(MODEL.to_owned()), ..Usage::free() };
        Outcome { result: Value::String(result), usage, offline: true }
    }
}

fn sentences(input: &Value) -> usize {
    let asked = input["sentences"].as_u64().unwrap_or(DEFAULT_SENTENCES);
    usize::try_from(asked).unwrap_or(usize::MAX)
}

fn categories(input: &Value) -> Vec<String> {
    let given = input["categories"].as_array().into_iter().flatten();
    given.filter_map(Value::as_str).map(str::to_owned).collect()
}
