//! The catalog: every tool a job may name, read from one TOML file.

mod examine;
mod prompt_call;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use serde::Deserialize;

use self::prompt_call::PromptCall;
use super::{
    CallContext, CallPlan, Gates, Listing, LlmClient, Problem, ToolError, Tools,
    listing::ToolListing,
    llm::CallTerms,
    mcp::{McpServer, ServerSpec},
    models::{ModelGates, ModelSpec, Models},
    prompt::{PromptSpec, PromptTool},
    schema,
};
use crate::{
    clock::Clock,
    error::{ErrorClass, JobError},
    job::{Job, ModelName, ToolName},
    lease::Outcome,
    secret::Secrets,
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
    /// One MCP server of it is wrong.
    #[error("servers.{name}: {problem}")]
    Server {
        /// The server.
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
    #[serde(default)]
    servers: BTreeMap<String, ServerSpec>,
}

/// What answers the prompts.
enum Model {
    Llm { client: LlmClient, default_model: Option<ModelName> },
    Offline,
}

/// What a job's tool is.
enum Target<'a> {
    Prompt(&'a PromptTool),
    /// A server's tool, by the server's name for it.
    Mcp(&'a McpServer, &'a str),
}

/// Every tool a job may name, and the model behind the prompts.
pub struct Catalog {
    tools: BTreeMap<ToolName, PromptTool>,
    servers: BTreeMap<String, McpServer>,
    model: Model,
    models: Models,
    gates: ModelGates,
}

impl Catalog {
    /// The catalog's text where no file is named.
    pub fn default_text() -> &'static str {
        DEFAULT
    }

    /// Whether a catalog has prompts, which need an LLM or the offline model.
    pub fn has_prompts(text: &str) -> Result<bool, CatalogError> {
        let spec: CatalogSpec = toml::from_str(text)?;
        Ok(!spec.tools.is_empty())
    }

    /// Reads a catalog whose prompts go to the LLM behind `client`, or to the offline model. What
    /// MCP servers are shown comes from `secrets`; they are connected to when they are needed.
    pub fn parse(
        text: &str,
        client: Option<LlmClient>,
        secrets: &Secrets,
        clock: &Clock,
    ) -> Result<Self, CatalogError> {
        let spec: CatalogSpec = toml::from_str(text)?;
        let models = Models::new(spec.models)?;
        let tools = spec.tools.into_iter().map(tool).collect::<Result<_, _>>()?;
        let server = |(name, spec)| server(name, spec, secrets, clock);
        let servers = spec.servers.into_iter().map(server).collect::<Result<_, _>>()?;
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
        Ok(Self { tools, servers, model, models, gates })
    }

    /// The longest any call may take.
    pub fn longest_timeout(&self) -> Duration {
        let prompts = self.tools.values().map(|tool| self.timeout_of(tool));
        let servers = self.servers.values().map(McpServer::longest_timeout);
        prompts.chain(servers).max().unwrap_or_default()
    }

    fn timeout_of(&self, tool: &PromptTool) -> Duration {
        match &self.model {
            Model::Llm { client, .. } => tool.timeout.unwrap_or(client.settings().timeout),
            Model::Offline => OFFLINE_TIMEOUT,
        }
    }

    /// How many MCP servers there are.
    pub fn servers(&self) -> usize {
        self.servers.len()
    }

    fn target<'a>(&'a self, job: &'a Job) -> Result<Target<'a>, JobError> {
        let name = job.tool();
        if let Some(tool) = self.tools.get(name) {
            return Ok(Target::Prompt(tool));
        }
        let of_server = name
            .server_and_tool()
            .and_then(|(server, tool)| Some(Target::Mcp(self.servers.get(server)?, tool)));
        of_server.ok_or_else(|| {
            let prompts = self.tools.keys().map(ToString::to_string);
            let servers = self.servers.keys().map(|server| format!("{server}/…"));
            let known = prompts.chain(servers).collect::<Vec<_>>().join(", ");
            let message = format!("tool: expected one of {known}, found “{name}”");
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

fn server(
    name: String,
    spec: ServerSpec,
    secrets: &Secrets,
    clock: &Clock,
) -> Result<(String, McpServer), CatalogError> {
    let problem = |problem| CatalogError::Server { name: name.clone(), problem };
    // Jobs name its tools by it.
    let job_tool = format!("{name}/tool").parse::<ToolName>().map_err(problem)?;
    job_tool.server_and_tool().ok_or_else(|| problem("expected a name without /".to_owned()))?;
    let server = McpServer::new(&name, spec, secrets.clone(), clock.clone()).map_err(problem)?;
    Ok((name, server))
}

fn in_tool(name: &str, problem: String) -> CatalogError {
    CatalogError::Tool { name: name.to_owned(), problem }
}

impl Tools for Catalog {
    async fn prepare(&self, job: &Job) -> Result<(), ToolError> {
        match self.target(job) {
            // Boxed: every job would keep room for it.
            Ok(Target::Mcp(server, tool)) => Box::pin(server.prepare(tool)).await,
            // What there is no tool for, the check tells.
            Ok(Target::Prompt(_)) | Err(_) => Ok(()),
        }
    }

    async fn list(&self) -> Listing {
        let prompts = self.tools.iter().map(|(name, tool)| ToolListing {
            timeout: self.timeout_of(tool),
            ..tool.listing(name)
        });
        let mut listing = Listing { tools: prompts.collect(), unreachable: Vec::new() };
        let asked =
            self.servers.iter().map(|(name, server)| async { (name.clone(), server.list().await) });
        for (name, tools) in futures_util::future::join_all(asked).await {
            match tools {
                Ok(tools) => listing.tools.extend(tools),
                Err(error) => {
                    let problem = error.message;
                    listing.unreachable.push(Problem { part: name, problem });
                }
            }
        }
        listing
    }

    fn check(&self, job: &Job) -> Result<CallPlan, JobError> {
        match self.target(job)? {
            Target::Prompt(tool) => {
                schema::check_input(&tool.input, &job.input().to_value())?;
                Ok(CallPlan { timeout: self.timeout_of(tool), repeat: tool.repeat })
            }
            Target::Mcp(server, tool) => server.check(tool, job),
        }
    }

    async fn call(&self, job: &Job, context: &CallContext) -> Result<Outcome, ToolError> {
        match self.target(job).map_err(ToolError::free)? {
            Target::Prompt(tool) => self.answer(job, tool, context).await,
            // Boxed: every prompt's call would keep room for it.
            Target::Mcp(server, tool) => Box::pin(server.call(tool, job, context)).await,
        }
    }

    fn supersedes_offline(&self) -> bool {
        matches!(self.model, Model::Llm { .. })
    }

    fn gates(&self, job: &Job) -> Gates {
        let tool = match self.target(job) {
            Ok(Target::Mcp(server, tool)) => return server.gates(tool),
            Ok(Target::Prompt(tool)) => Some(tool),
            Err(_) => None,
        };
        let model = tool.and_then(|tool| self.model_of(job, tool));
        let upstream = self.gates.of_model(model.map_or("", ModelName::as_str));
        Gates { upstream, tool: tool.map(|tool| Arc::clone(&tool.gate)) }
    }
}

impl Catalog {
    async fn answer(
        &self,
        job: &Job,
        tool: &PromptTool,
        context: &CallContext,
    ) -> Result<Outcome, ToolError> {
        match &self.model {
            Model::Offline => answer_offline(job, tool),
            Model::Llm { client, .. } => {
                let model = self.model_of(job, tool).ok_or_else(no_model)?;
                let gates = self.gates(job);
                let terms = CallTerms {
                    job,
                    model: model.as_str(),
                    models: &self.models,
                    gates: &gates,
                    timeout: context.timeout,
                    attempt: context.attempt,
                    spent_usd: context.spent_usd,
                };
                PromptCall { client, tool, terms }.answer().await
            }
        }
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
