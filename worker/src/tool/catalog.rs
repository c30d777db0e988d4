//! The catalog: every tool a job may name, read from one TOML file.

use std::{borrow::Cow, collections::BTreeMap, time::Duration};

use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{
    CallContext, CallPlan, Gates, Listing, LlmClient, ToolError, ToolListing, Tools,
    llm::{Answer, Attribution, CallTerms, ChatMessage, Completion, as_user},
    models::{ModelGates, ModelSpec, Models},
    prompt::{PromptSpec, PromptTool},
};
use crate::{
    error::{ErrorClass, JobError},
    job::{Job, ModelName, ToolName},
    lease::{Outcome, Usage},
};

/// The catalog that is compiled in.
const DEFAULT: &str = include_str!("tools.toml");

/// How long an offline call may take.
const OFFLINE_TIMEOUT: Duration = Duration::from_mins(1);

/// Why a catalog cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// The file is not the TOML it should be.
    #[error(transparent)]
    Toml(#[from] toml::de::Error),
    /// What it says of one model is wrong.
    #[error("model {name}: {problem}")]
    Model {
        /// The model.
        name: String,
        /// What is wrong with it.
        problem: String,
    },
    /// One tool of it is wrong.
    #[error("tool {name}: {problem}")]
    Tool {
        /// The tool.
        name: String,
        /// What is wrong with it.
        problem: String,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CatalogSpec {
    #[serde(default)]
    model: Option<String>,
    #[serde(default)]
    models: BTreeMap<String, ModelSpec>,
    #[serde(default)]
    tools: BTreeMap<String, PromptSpec>,
}

/// What answers the prompts.
enum Model {
    Llm { client: LlmClient, default_model: Option<ModelName> },
    Offline,
}

/// Every tool a job may name, and the model behind them.
pub struct Catalog {
    tools: BTreeMap<ToolName, PromptTool>,
    model: Model,
    models: Models,
    gates: ModelGates,
}

impl Catalog {
    /// The catalog's text where no file is named.
    pub fn default_text() -> &'static str {
        DEFAULT
    }

    /// Reads a catalog whose tools call the LLM behind `client`, or the offline model.
    pub fn parse(text: &str, client: Option<LlmClient>) -> Result<Self, CatalogError> {
        let spec: CatalogSpec = toml::from_str(text)?;
        let models = Models::new(spec.models)?;
        let tools = spec.tools.into_iter().map(tool).collect::<Result<_, _>>()?;
        let gates = ModelGates::new(&models);
        let model = match client {
            None => Model::Offline,
            Some(client) => {
                let name = client.settings().model.clone().or(spec.model);
                let default_model = name.map(|name| name.parse()).transpose();
                let default_model = default_model.map_err(|problem| in_tool("model", problem))?;
                Model::Llm { client, default_model }
            }
        };
        Ok(Self { tools, model, models, gates })
    }

    /// The longest any call may take.
    pub fn longest_timeout(&self) -> Duration {
        let default = match &self.model {
            Model::Llm { client, .. } => client.settings().timeout,
            Model::Offline => return OFFLINE_TIMEOUT,
        };
        self.tools.values().filter_map(|tool| tool.timeout).fold(default, Duration::max)
    }

    fn tool(&self, job: &Job) -> Result<&PromptTool, JobError> {
        self.tools.get(job.tool()).ok_or_else(|| {
            let known = self.tools.keys().map(ToolName::as_str).collect::<Vec<_>>().join(", ");
            let message = format!("tool: expected one of {known}, found “{}”", job.tool());
            JobError::new(ErrorClass::Invalid, "unknown_tool", message).at("tool")
        })
    }

    /// The model by job, else by tool, else by default.
    fn model_of<'a>(&'a self, job: &'a Job, tool: &'a PromptTool) -> Option<&'a ModelName> {
        let Model::Llm { default_model, .. } = &self.model else { return None };
        job.model().or(tool.model.as_ref()).or(default_model.as_ref())
    }
}

fn tool((name, spec): (String, PromptSpec)) -> Result<(ToolName, PromptTool), CatalogError> {
    let parsed = name.parse::<ToolName>().map_err(|problem| in_tool(&name, problem))?;
    let tool = PromptTool::new(spec).map_err(|problem| in_tool(&name, problem))?;
    Ok((parsed, tool))
}

fn in_tool(name: &str, problem: String) -> CatalogError {
    CatalogError::Tool { name: name.to_owned(), problem }
}

impl Tools for Catalog {
    fn check(&self, job: &Job) -> Result<CallPlan, JobError> {
        let tool = self.tool(job)?;
        tool.check_input(&job.input().to_value())?;
        let timeout = match &self.model {
            Model::Llm { client, .. } => tool.timeout.unwrap_or(client.settings().timeout),
            Model::Offline => OFFLINE_TIMEOUT,
        };
        Ok(CallPlan { timeout, repeat: tool.repeat })
    }

    async fn call(&self, job: &Job, context: &CallContext) -> Result<Outcome, ToolError> {
        let tool = self.tool(job).map_err(ToolError::free)?;
        match &self.model {
            Model::Offline => answer_offline(job, tool),
            Model::Llm { client, .. } => {
                let model = self.model_of(job, tool).ok_or_else(no_model)?;
                let terms = CallTerms {
                    job,
                    model: model.as_str(),
                    models: &self.models,
                    timeout: context.timeout,
                    attempt: context.attempt,
                };
                PromptCall { client, tool, terms }.answer().await
            }
        }
    }

    async fn list(&self) -> Listing {
        let tools = self.tools.iter().map(|(name, tool)| ToolListing {
            timeout: match &self.model {
                Model::Llm { client, .. } => tool.timeout.unwrap_or(client.settings().timeout),
                Model::Offline => OFFLINE_TIMEOUT,
            },
            ..tool.listing(name)
        });
        Listing { tools: tools.collect(), unreachable: Vec::new() }
    }

    fn supersedes_offline(&self) -> bool {
        matches!(self.model, Model::Llm { .. })
    }

    fn gates(&self, job: &Job) -> Gates {
        let tool = self.tool(job).ok();
        let model = tool.and_then(|tool| self.model_of(job, tool));
        let upstream = self.gates.of_model(model.map_or("", ModelName::as_str));
        Gates { upstream, tool: tool.and_then(|tool| tool.gate.clone()) }
    }
}

fn answer_offline(job: &Job, tool: &PromptTool) -> Result<Outcome, ToolError> {
    let model = tool.offline.ok_or_else(|| {
        let message = format!(
            "tool {} needs an LLM, and none is configured: set MCP_BATCH_LLM_URL",
            job.tool()
        );
        ToolError::free(JobError::new(ErrorClass::Configuration, "no_llm", message))
    })?;
    Ok(model.answer(&job.input().to_value()))
}

fn no_model() -> ToolError {
    let message = "neither job, tool nor catalog names a model: set MCP_BATCH_LLM_MODEL";
    ToolError::free(JobError::new(ErrorClass::Configuration, "no_model", message))
}

/// One prompt's way through the LLM.
struct PromptCall<'a> {
    client: &'a LlmClient,
    tool: &'a PromptTool,
    terms: CallTerms<'a>,
}

impl PromptCall<'_> {
    async fn answer(&self) -> Result<Outcome, ToolError> {
        let ends = Instant::now() + self.terms.timeout;
        let write = |timeout| self.body(None, timeout);
        let first = self.client.complete(write, self.terms).await?;
        let (usage, misfit) = match self.result(first) {
            Ok(outcome) => return Ok(outcome),
            Err(misfit) => misfit,
        };
        // One more try with the reason: most models get it right then.
        let timeout = ends.saturating_duration_since(Instant::now());
        let terms = CallTerms { timeout, ..self.terms };
        let write = |timeout| self.body(Some(&misfit), timeout);
        let second = Box::pin(self.client.complete(write, terms)).await;
        let second =
            second.map_err(|error| ToolError { usage: usage.plus(&error.usage), ..error })?;
        self.result(second)
            .map(|outcome| Outcome { usage: usage.plus(&outcome.usage), ..outcome })
            .map_err(|(later, misfit)| misfits(usage.plus(&later), &misfit))
    }

    /// The request's body, which asks the upstream to give up after `timeout`.
    fn body(&self, misfit: Option<&str>, timeout: Duration) -> Result<String, ToolError> {
        let input = self.terms.job.input().to_value();
        let messages = self.tool.render(&input).map_err(ToolError::free)?;
        let hint = misfit.map(|misfit| {
            format!("Your last answer was refused: {misfit}. Answer with the JSON alone.")
        });
        let system = messages.system.iter().map(|content| ChatMessage { role: "system", content });
        let user = [&messages.user].into_iter().chain(&hint);
        let user = user.map(|content| ChatMessage { role: "user", content });
        let completion = Completion {
            model: self.terms.model,
            messages: system.chain(user).collect(),
            max_tokens: self.tool.max_tokens,
            timeout: timeout.as_secs_f64(),
            user: self.terms.job.tenant().map(as_user),
            metadata: Attribution::of(self.terms.job, self.terms.attempt),
            temperature: self.tool.temperature,
            response_format: self.tool.answer.as_ref().map(|schema| {
                json!({
                    "type": "json_schema",
                    "json_schema": {"name": "answer", "schema": schema.source(), "strict": true},
                })
            }),
        };
        completion.to_body()
    }

    /// The tool's result, or what is wrong with the answer and what it cost all the same.
    fn result(&self, answer: Answer) -> Result<Outcome, (Usage, Cow<'static, str>)> {
        let Some(schema) = &self.tool.answer else {
            let usage = answer.usage.truncated(answer.is_truncated);
            return Ok(Outcome { result: Value::String(answer.content), usage, offline: false });
        };
        let cut = || if answer.is_truncated { " (it was cut off at max_tokens)" } else { "" };
        let Ok(result) = serde_json::from_str::<Value>(&answer.content) else {
            return Err((answer.usage, format!("it is not JSON{}", cut()).into()));
        };
        match schema.misfit(&result) {
            None => {
                let usage = answer.usage.truncated(answer.is_truncated);
                Ok(Outcome { result, usage, offline: false })
            }
            Some(misfit) => {
                Err((answer.usage, format!("{}: {}", misfit.path, misfit.message).into()))
            }
        }
    }
}

fn misfits(usage: Usage, misfit: &str) -> ToolError {
    let message = format!("the LLM's answer does not fit the tool's answer_schema: {misfit}");
    let error = JobError::new(ErrorClass::Permanent, "answer_schema", message);
    ToolError { usage, ..ToolError::free(error) }
}
