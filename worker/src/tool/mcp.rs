//! The tools of a remote MCP server: found in its own list, checked against its own schemas, called
//! over one connection that all jobs of the process share.

mod call;
mod credentials;
mod events;
mod failure;
mod http;
mod list;
mod oauth;
#[cfg(feature = "stdio")]
mod program;
mod progress;
mod reply;
mod result;
mod session;
mod settings;
mod unfolded;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use serde_json::Value;

pub(super) use self::settings::ServerSpec;
use self::{
    call::{Caller, Unanswered},
    credentials::Credentials,
    failure::Terms,
    http::McpHttp,
    list::{RemoteTool, ToolList},
    oauth::Grant,
    session::{Live, Session, Way},
    settings::{Place, ServerSettings},
};
use super::{
    CallContext, CallPlan, Gate, Gates, Problem, ToolError, listing::ToolListing, schema, words,
};
use crate::{
    clock::Clock,
    error::{ErrorClass, JobError},
    http as client,
    job::{Job, ToolName},
    lease::{Outcome, Repeat},
    secret::Secrets,
};

/// The most names of tools that an error tells.
const MAX_NAMES: usize = 20;

/// The most of each of them, in characters: a server may name them as it likes.
const MAX_NAME_CHARS: usize = 64;

/// One server of the catalog.
pub(super) struct McpServer {
    name: Arc<str>,
    settings: Arc<ServerSettings>,
    session: Session,
    gate: Arc<Gate>,
    /// Of the tools that the catalog limits.
    tool_gates: BTreeMap<String, Arc<Gate>>,
}

impl McpServer {
    /// Checks a server of the catalog; nothing is connected to before a job needs it.
    pub(super) fn new(
        name: &str,
        mut spec: ServerSpec,
        secrets: Secrets,
        clock: Clock,
    ) -> Result<Self, String> {
        let way = match settings::place(&mut spec)? {
            Place::Remote(url, shown, oauth) => {
                let http = client::build(client::builder(usize::MAX)?)?;
                let grant = oauth.map(|oauth| Grant::new(oauth, url.clone(), http.clone()));
                let credentials = Credentials::new(shown, grant.transpose()?, secrets);
                Way::Http(url, McpHttp::new(http, credentials, clock))
            }
            #[cfg(feature = "stdio")]
            Place::Program(program) => Way::Program(program, secrets),
        };
        let settings = Arc::new(ServerSettings::new(spec)?);
        let name = Arc::<str>::from(name);
        let gate = Arc::new(Gate::new(settings.limits));
        let tool_gates = settings.limited_tools();
        let tool_gates =
            tool_gates.map(|(tool, limits)| (tool.to_owned(), Arc::new(Gate::new(limits))));
        let tool_gates = tool_gates.collect();
        let session = Session::new(Arc::clone(&name), Arc::clone(&settings), way);
        Ok(Self { name, settings, session, gate, tool_gates })
    }

    /// On the way of a call: the server's gate, and the tool's where the catalog limits it.
    pub(super) fn gates(&self, tool: &str) -> Gates {
        Gates { upstream: Arc::clone(&self.gate), tool: self.tool_gates.get(tool).cloned() }
    }

    /// The longest any call may take.
    pub(super) fn longest_timeout(&self) -> Duration {
        self.settings.longest_timeout()
    }

    /// Sees to it that the server is connected to, and its list known and young enough.
    pub(super) async fn prepare(&self, tool: &str) -> Result<(), ToolError> {
        let live = self.session.live_soon().await?;
        live.refresh(tool, &self.session).await;
        Ok(())
    }

    /// Judges a call as far as the server's list is known.
    pub(super) fn check(&self, tool: &str, job: &Job) -> Result<CallPlan, JobError> {
        if !self.settings.allows(tool) {
            let message =
                format!("tool: the catalog does not allow {tool} of the MCP server {}", self.name);
            return Err(JobError::new(ErrorClass::Invalid, "unknown_tool", message).at("tool"));
        }
        let timeout = self.settings.timeouts(tool).total;
        let stated = self.settings.repeat(tool);
        let Some(live) = self.session.present() else {
            return Ok(CallPlan { timeout, repeat: stated.unwrap_or(Repeat::Never) });
        };
        let list = live.tools();
        let known = list.get(tool).ok_or_else(|| self.unknown(tool, &list))?;
        // A schema that cannot be used is the server's to apply.
        if let Ok(schema) = known.input() {
            schema::fitting(schema, job.input().to_value())?;
        }
        Ok(CallPlan { timeout, repeat: stated.unwrap_or_else(|| known.repeat()) })
    }

    fn unknown(&self, tool: &str, list: &ToolList) -> JobError {
        let told = |name| words::on_one_line(name).take(MAX_NAME_CHARS).collect::<String>();
        let mut names: Vec<String> = list.names().take(MAX_NAMES + 1).map(told).collect();
        if names.len() > MAX_NAMES {
            "…".clone_into(&mut names[MAX_NAMES]);
        }
        let known = names.join(", ");
        let cut_off = list.cut_off().map(|why| format!("; {why}")).unwrap_or_default();
        let message = format!(
            "tool: expected a tool of the MCP server {} ({known}{cut_off}), found “{tool}”",
            self.name
        );
        JobError::new(ErrorClass::Invalid, "unknown_tool", message).at("tool")
    }

    /// Calls a tool for a job.
    pub(super) async fn call(
        &self,
        tool: &str,
        job: &Job,
        context: &CallContext,
    ) -> Result<Outcome, ToolError> {
        let live = self.session.live().await?;
        let input = job.input().to_value();
        let list = live.tools();
        let input = match list.get(tool).map(|known| known.input()) {
            Some(Ok(schema)) => schema::fitting(schema, input).map_err(ToolError::free)?,
            _ => input,
        };
        let Value::Object(arguments) = input else {
            let error = JobError::new(ErrorClass::Invalid, "input", "input: expected an object");
            return Err(ToolError::free(error));
        };
        let caller = Caller { job_id: job.id(), epoch: context.epoch };
        let mut timeouts = self.settings.timeouts(tool);
        timeouts.total = context.timeout;
        let answer = call::call(&live, tool, arguments, caller, timeouts).await;
        let outcome = match answer {
            Ok(answer) => result::outcome(answer, &self.terms(job, context)),
            Err(unanswered) => Err(self.unanswered(&unanswered, job, context, timeouts)),
        };
        outcome.inspect_err(|failure| self.note(failure, &live))
    }

    fn unanswered(
        &self,
        unanswered: &Unanswered,
        job: &Job,
        context: &CallContext,
        timeouts: settings::Timeouts,
    ) -> ToolError {
        let terms = self.terms(job, context);
        match unanswered {
            Unanswered::Failed(error) => failure::of_call(error, &terms),
            Unanswered::TooLong => failure::timed_out(timeouts.total, "did not answer", &terms),
            Unanswered::Silent => {
                failure::timed_out(timeouts.idle, "showed neither answer nor progress", &terms)
            }
        }
    }

    /// What a failure says of the server rather than of the job.
    fn note(&self, failure: &ToolError, live: &Arc<Live>) {
        match &*failure.error.code {
            // It allowed the call by its list: that is old.
            "invalid_params" => live.listener().note_list_changed(),
            // Jobs are given back, unclaimed, until it is there again.
            "connect" => self.session.forget(live),
            _ => {}
        }
    }

    /// Only failures are told with it: it reads the input once more.
    fn terms(&self, job: &Job, context: &CallContext) -> Terms<'_> {
        let mut payloads = Vec::new();
        collect_texts(&job.input().to_value(), &mut payloads);
        Terms { payloads, attempt: context.attempt, ..self.session.terms() }
    }

    /// What the server lists now, less what the catalog forbids.
    pub(super) async fn list(&self) -> Result<Vec<ToolListing>, JobError> {
        let live = self.session.live().await.map_err(|failure| failure.error)?;
        Ok(live.tools().iter().map(|tool| self.listing(tool)).collect())
    }

    /// What is wrong with the server's list, if it is known: it is cut off, has tools that cannot be
    /// read or are named twice, or lacks tools that the catalog names.
    pub(super) fn problems(&self) -> Vec<Problem> {
        let Some(live) = self.session.present() else { return Vec::new() };
        let list = live.tools();
        let of_list = list.cut_off().into_iter().chain(list.faults().iter().cloned());
        let of_list = of_list.map(|problem| Problem { part: self.name.to_string(), problem });
        let unknown = self.settings.named_tools().filter(|name| list.get(name).is_none());
        let misnamed = unknown.map(|name| Problem {
            part: format!("{}/{name}", self.name),
            problem: "the catalog names this tool, and the server does not list it".to_owned(),
        });
        of_list.chain(misnamed).collect()
    }

    fn listing(&self, known: &RemoteTool) -> ToolListing {
        let tool = &known.tool;
        let name = format!("{}/{}", self.name, tool.name);
        let unnamed = name.parse::<ToolName>().err();
        let unnamed = unnamed.map(|why| format!("no job can name it: {why}"));
        let unusable = known.input().err();
        let unusable = unusable.map(|why| format!("its input schema cannot be used: {why}"));
        ToolListing {
            name,
            title: tool.title.clone(),
            description: tool.description.as_deref().unwrap_or_default().to_owned(),
            input_schema: Value::Object((*tool.input_schema).clone()),
            output_schema: tool.output_schema.as_deref().cloned().map(Value::Object),
            annotations: tool.annotations.as_ref().and_then(|it| serde_json::to_value(it).ok()),
            repeat: self.settings.repeat(&tool.name).unwrap_or_else(|| known.repeat()),
            timeout: self.settings.timeouts(&tool.name).total,
            problem: unnamed.or(unusable),
        }
    }
}

/// Every text of an input, as a server may repeat it.
fn collect_texts(value: &Value, texts: &mut Vec<String>) {
    match value {
        Value::String(text) => texts.push(text.clone()),
        Value::Array(items) => items.iter().for_each(|item| collect_texts(item, texts)),
        Value::Object(fields) => fields.values().for_each(|item| collect_texts(item, texts)),
        _ => {}
    }
}
