//! A prompt tool: a template filled with a job's input, sent to an LLM.

use std::{sync::Arc, time::Duration};

use minijinja::{Environment, UndefinedBehavior, value::Serde};
use serde::Deserialize;
use serde_json::Value;

use super::{Gate, Limits, listing::ToolListing, offline::OfflineModel, schema::Schema};
use crate::{
    error::{ErrorClass, JobError},
    job::{ModelName, ToolName},
    lease::Repeat,
};

const SYSTEM: &str = "system";
const USER: &str = "user";

/// One `[tools.NAME]` of the catalog file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PromptSpec {
    /// For people; listed, never sent.
    description: String,
    input_schema: Value,
    #[serde(default)]
    system: Option<String>,
    user: String,
    #[serde(default)]
    model: Option<String>,
    #[serde(default = "default_max_tokens")]
    max_tokens: u32,
    #[serde(default)]
    temperature: Option<f64>,
    #[serde(default)]
    answer_schema: Option<Value>,
    #[serde(default)]
    timeout_s: Option<f64>,
    #[serde(default)]
    retry: RetrySpec,
    #[serde(default)]
    offline: Option<OfflineModel>,
    #[serde(default)]
    rate_per_minute: Option<f64>,
    #[serde(default)]
    concurrency: Option<usize>,
}

/// Without a limit, some routers ask for as much as the model can give.
fn default_max_tokens() -> u32 {
    1024
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum RetrySpec {
    #[default]
    Safe,
    Never,
}

/// A tool that was checked as a whole: schemas and templates are compiled.
#[derive(Debug)]
pub(super) struct PromptTool {
    description: String,
    pub(super) input: Schema,
    pub(super) answer: Option<Schema>,
    pub(super) model: Option<ModelName>,
    pub(super) max_tokens: u32,
    pub(super) temperature: Option<f64>,
    pub(super) timeout: Option<Duration>,
    pub(super) repeat: Repeat,
    pub(super) offline: Option<OfflineModel>,
    /// Of the tool itself: the catalog may limit it, and the LLM refuse what the catalog says of it.
    pub(super) gate: Arc<Gate>,
    templates: Environment<'static>,
}

/// What is said to the model.
#[derive(Debug)]
pub(super) struct Messages {
    pub(super) system: Option<String>,
    pub(super) user: String,
}

impl PromptTool {
    /// Checks a tool of the catalog; the error names the key at fault.
    pub(super) fn new(spec: PromptSpec) -> Result<Self, String> {
        let model = spec.model.map(|name| name.parse()).transpose();
        let limits = Limits::new(spec.rate_per_minute, spec.concurrency)?;
        Ok(Self {
            description: spec.description,
            templates: templates(spec.system, spec.user)?,
            input: Schema::compile(spec.input_schema)
                .map_err(|error| format!("input_schema: {error}"))?,
            answer: spec
                .answer_schema
                .map(Schema::compile)
                .transpose()
                .map_err(|error| format!("answer_schema: {error}"))?,
            model: model.map_err(|error: String| format!("model: {error}"))?,
            max_tokens: positive(spec.max_tokens).ok_or("max_tokens: expected at least 1")?,
            temperature: temperature(spec.temperature)?,
            timeout: spec.timeout_s.map(timeout).transpose()?,
            repeat: match spec.retry {
                RetrySpec::Safe => Repeat::Safe,
                RetrySpec::Never => Repeat::Never,
            },
            offline: spec.offline,
            gate: Arc::new(Gate::new(limits)),
        })
    }

    /// What is told of it; its timeout is that of the catalog where it has none.
    pub(super) fn listing(&self, name: &ToolName) -> ToolListing {
        ToolListing {
            name: name.to_string(),
            title: None,
            description: self.description.clone(),
            input_schema: self.input.source().clone(),
            output_schema: self.answer.as_ref().map(|schema| schema.source().clone()),
            annotations: None,
            repeat: self.repeat,
            timeout: self.timeout.unwrap_or_default(),
            problem: None,
        }
    }

    /// Fills the templates. The input is data to them: what looks like a template inside of it
    /// stays text.
    pub(super) fn render(&self, input: &Value) -> Result<Messages, JobError> {
        let has_system = self.templates.get_template(SYSTEM).is_ok();
        Ok(Messages {
            system: has_system.then(|| self.render_one(SYSTEM, input)).transpose()?,
            user: self.render_one(USER, input)?,
        })
    }

    fn render_one(&self, name: &str, input: &Value) -> Result<String, JobError> {
        let input = minijinja::Value::from(Serde(input));
        self.templates.get_template(name).and_then(|template| template.render(input)).map_err(
            |error| {
                let message = format!(
                    "the {name} template cannot be filled from this input: {} in line {}",
                    error.kind(),
                    error.line().unwrap_or(1)
                );
                JobError::new(ErrorClass::Invalid, "template", message).at("input")
            },
        )
    }
}

fn templates(system: Option<String>, user: String) -> Result<Environment<'static>, String> {
    let mut templates = Environment::new();
    templates.set_undefined_behavior(UndefinedBehavior::Strict);
    for (name, source) in system.map(|source| (SYSTEM, source)).into_iter().chain([(USER, user)]) {
        templates
            .add_template_owned(name, source)
            .map_err(|error| format!("{name}: the template does not parse: {error}"))?;
    }
    Ok(templates)
}

fn positive(number: u32) -> Option<u32> {
    (number > 0).then_some(number)
}

fn temperature(given: Option<f64>) -> Result<Option<f64>, String> {
    match given {
        Some(number) if !(0.0..=2.0).contains(&number) => {
            Err(format!("temperature: expected 0 to 2, found {number}"))
        }
        given => Ok(given),
    }
}

fn timeout(seconds: f64) -> Result<Duration, String> {
    let timeout = Duration::try_from_secs_f64(seconds).ok();
    timeout
        .filter(|timeout| (0.001..=86_400.0).contains(&timeout.as_secs_f64()))
        .ok_or_else(|| format!("timeout_s: expected 0.001 to 86400 seconds, found {seconds}"))
}
