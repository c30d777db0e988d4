//! `POST /mcp`: the catalog's tools, and four of our own, for agents. Stateless, JSON answers, both
//! eras of the protocol.

mod own;

use std::{borrow::Cow, sync::Arc};

use axum::{
    http::request::Parts,
    routing::{MethodRouter, post_service},
};
use rmcp::{
    ErrorData, RoleServer, ServerHandler,
    model::{
        CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, Implementation,
        JsonObject, ListToolsResult, PaginatedRequestParams, ServerCapabilities, ServerConfig,
        Tool, ToolAnnotations,
    },
    service::RequestContext,
    transport::streamable_http_server::{
        StreamableHttpServerConfig, StreamableHttpService, session::never::NeverSessionManager,
    },
};
use serde_json::{Value, json};

use super::{Api, access::Caller, body::MAX_BODY_BYTES, idempotency::Identity, problem::Problem};
use crate::{
    config::{ApiSettings, Scope},
    environment::Ports,
    job::Job,
    tool::{ToolListing, Tools},
};

const INSTRUCTIONS: &str = "Tools of the catalog answer at once. For many calls, or long ones, use \
     enqueue_jobs, and then job_status, batch_status and batch_results: a job is paid once, however \
     often it is sent.";

/// Stands for the slash of `server/tool`, which names of MCP tools may not have.
const SLASH: &str = "__";

/// The route's methods.
pub(super) fn methods<P: Ports>(api: &Api<P>, settings: &ApiSettings) -> MethodRouter<Api<P>> {
    let config = StreamableHttpServerConfig::default()
        .with_legacy_session_mode(false)
        .with_json_response(true)
        .with_sse_keep_alive(None)
        .with_max_request_body_bytes(MAX_BODY_BYTES)
        .with_allowed_hosts(settings.hosts.iter().cloned());
    let endpoint = Endpoint(api.clone());
    let service = StreamableHttpService::new(
        move || Ok(endpoint.clone()),
        Arc::new(NeverSessionManager::default()),
        config,
    );
    post_service(service)
}

struct Endpoint<P: Ports>(Api<P>);

impl<P: Ports> Clone for Endpoint<P> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<P: Ports> ServerHandler for Endpoint<P> {
    fn get_info(&self) -> ServerConfig {
        let mut info = ServerConfig::new(ServerCapabilities::builder().enable_tools().build());
        info.server_info = Implementation::new("mcp-batch", env!("CARGO_PKG_VERSION"));
        info.instructions = Some(INSTRUCTIONS.to_owned());
        info
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let caller = caller(&context)?;
        let mut tools = own::tools(caller);
        if caller.may(Scope::Call) {
            let listing = self.0.environment.tools.list().await;
            tools.extend(listing.tools.into_iter().map(tool));
        }
        Ok(ListToolsResult::with_all_items(tools))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let caller = caller(&context)?;
        let arguments = request.arguments.unwrap_or_default();
        let called = match own::Own::named(&request.name).filter(|own| caller.may(own.scope())) {
            Some(own) => own.call(&self.0, caller, arguments).await,
            None if caller.may(Scope::Call) => self.call_catalog(&request.name, arguments).await?,
            None => return Err(unknown(&request.name)),
        };
        let result = called.unwrap_or_else(|problem| {
            CallToolResult::error(vec![ContentBlock::text(problem.sentence())])
        });
        Ok(result.into())
    }
}

impl<P: Ports> Endpoint<P> {
    /// A wrong input is the tool's own error, which models can mend; an unknown tool is the
    /// protocol's.
    async fn call_catalog(
        &self,
        name: &str,
        arguments: JsonObject,
    ) -> Result<Result<CallToolResult, Problem>, ErrorData> {
        let input = Value::Object(arguments);
        for name in [name.into(), Cow::from(name.replacen(SLASH, "/", 1))] {
            let id = Identity::Fresh.job_id(0);
            let text = json!({"id": id.as_str(), "tool": name, "input": input}).to_string();
            let Ok(job) = Job::parse(&text.into()) else { continue };
            match self.0.check(&job).await {
                Err(error) if error.code == "unknown_tool" => {}
                Err(error) => return Ok(Err(Problem::of_failure(&error))),
                Ok(_) => return Ok(self.0.call(&job).await.map(|answer| result(answer.result))),
            }
        }
        Err(unknown(name))
    }
}

/// A text is content; JSON is structured content as well.
fn result(result: Value) -> CallToolResult {
    match result {
        Value::String(text) => CallToolResult::success(vec![ContentBlock::text(text)]),
        structured => CallToolResult::structured(structured),
    }
}

fn caller(context: &RequestContext<RoleServer>) -> Result<&Caller, ErrorData> {
    let parts = context.extensions.get::<Parts>();
    let caller = parts.and_then(|parts| parts.extensions.get::<Caller>());
    caller.ok_or_else(|| ErrorData::internal_error("nobody asks", None))
}

fn unknown(name: &str) -> ErrorData {
    let shown: String = name.chars().filter(|c| !c.is_control()).take(128).collect();
    ErrorData::invalid_params(format!("there is no tool “{shown}” for this key"), None)
}

/// A tool of the catalog as MCP has it.
fn tool(listing: ToolListing) -> Tool {
    let is_prompt = !listing.name.contains('/');
    let annotations = match listing.annotations {
        Some(given) => serde_json::from_value(given).unwrap_or_default(),
        None if is_prompt => ToolAnnotations::new().read_only(true).open_world(true),
        None => ToolAnnotations::new(),
    };
    let mut tool = Tool::new(
        listing.name.replacen('/', SLASH, 1),
        listing.description,
        object(listing.input_schema),
    );
    tool.title = listing.title;
    // Older clients know structured results of objects alone.
    let is_object = |schema: &Value| schema.get("type").is_some_and(|kind| kind == "object");
    tool.output_schema = listing.output_schema.filter(is_object).map(|it| Arc::new(object(it)));
    tool.with_annotations(annotations)
}

fn object(schema: Value) -> JsonObject {
    match schema {
        Value::Object(object) => object,
        _ => JsonObject::from_iter([("type".to_owned(), "object".into())]),
    }
}
