//! What spans are called and what they tell: OpenTelemetry's semantic conventions for messaging, FaaS,
//! HTTP, GenAI and MCP, most of them still in development, so every name of theirs is here. Neither
//! input nor result is ever told.

use super::{Destination, Kind, Span, TraceContext, Tracer, span::Ended};
use crate::{
    job::{Callback, Job, ModelName, Tenant},
    lease::{Outcome, Usage},
    queue::Message,
    tool::ToolError,
};

/// An invocation of the function.
#[cfg(feature = "lambda")]
pub(crate) fn invocation(
    tracer: &Tracer,
    context: &lambda_runtime::Context,
    trigger: &'static str,
    is_cold: bool,
) -> Span {
    let parent = context.xray_trace_id.as_deref().and_then(TraceContext::parse_xray);
    let name = context.env_config.function_name.clone();
    let mut span = tracer.begin(Kind::Server, parent, |_| name.into());
    span.tell(|span| {
        span.set("faas.invocation_id", &*context.request_id);
        span.set("faas.coldstart", is_cold);
        span.set("faas.trigger", trigger);
        span.set("cloud.resource_id", &*context.invoked_function_arn);
        span.set("aws.lambda.invoked_arn", &*context.invoked_function_arn);
    });
    span
}

/// The messages of an event, together.
#[cfg(feature = "lambda")]
pub(crate) fn event(tracer: &Tracer, messages: usize) -> Span {
    let name = || of_queue("process", tracer.destination());
    let mut span = Span::child(Kind::Consumer, || name().into());
    span.tell(|span| {
        messaging(span, tracer.destination(), "process");
        span.set("messaging.batch.message_count", messages as u64);
    });
    span
}

/// One message, from its receive to its verdict: a part of its sender's trace, to which it is linked as
/// well, as to the event that brought it.
pub(crate) fn message(
    tracer: &Tracer,
    message: &Message,
    job: Option<&Job>,
    event: Option<TraceContext>,
) -> Span {
    let of_queue_service = message.trace.as_deref().and_then(handed_over);
    let sender = job.and_then(Job::trace).or(of_queue_service);
    let mut span =
        tracer.begin(Kind::Consumer, sender, |queue| of_queue("process", Some(queue)).into());
    span.tell(|span| {
        messaging(span, tracer.destination(), "process");
        span.set("messaging.message.id", &*message.id);
        span.set("messaging.message.body.size", message.body.len() as u64);
        span.link(sender);
        span.link(of_queue_service.filter(|context| Some(*context) != sender));
        span.link(event);
        let Some(job) = job else { return };
        span.set("mcp_batch.job.id", job.id().as_str());
        span.set("gen_ai.tool.name", job.tool().as_str());
        span.set_if("mcp_batch.batch.id", job.batch().map(|batch| batch.id().as_str()));
        span.set_if("mcp_batch.tenant", job.tenant().map(Tenant::as_str));
    });
    span
}

/// As a queue hands it over: X-Ray's header on SQS, elsewhere W3C's.
fn handed_over(text: &str) -> Option<TraceContext> {
    TraceContext::parse_xray(text).or_else(|| TraceContext::parse(text))
}

/// It failed, for this reason, which is one of few.
pub(crate) fn failed(span: &mut Span, error_type: &'static str) {
    span.tell(|span| span.fail(error_type));
}

/// A call of a job's tool: a chat with a model, or a call of an MCP server's tool.
pub(crate) fn call(job: &Job) -> Span {
    let tool = job.tool().as_str();
    let mcp = tool.split_once('/');
    let mut span = Span::child(Kind::Client, || match mcp {
        Some((_, tool)) => format!("tools/call {tool}").into(),
        None => "chat".into(),
    });
    span.tell(|span| {
        let Some((server, tool)) = mcp else {
            span.set("gen_ai.operation.name", "chat");
            // By the shape of its API: which provider answers behind a proxy, the model tells.
            span.set("gen_ai.provider.name", "openai");
            span.set("mcp_batch.tool", tool);
            return;
        };
        span.set("mcp.method.name", "tools/call");
        span.set("gen_ai.operation.name", "execute_tool");
        span.set("gen_ai.tool.name", tool);
        span.set("mcp_batch.server", server);
    });
    span
}

/// How that call ended.
pub(crate) fn called(span: &mut Span, job: &Job, end: Result<&Outcome, &ToolError>) {
    let is_chat = !job.tool().as_str().contains('/');
    span.tell(|span| {
        let usage = match end {
            Ok(outcome) => &outcome.usage,
            Err(failure) => {
                span.fail(&*failure.error.code);
                &failure.usage
            }
        };
        if is_chat {
            chat(span, usage, job);
        }
        span.set_if("mcp_batch.cost_usd", usage.cost_usd.map(|usd| usd.to_string()));
    });
}

fn chat(span: &mut Ended, usage: &Usage, job: &Job) {
    let told = usage.requested_model.as_deref().or(usage.model.as_deref());
    // A call that was cut off tells nothing.
    let requested = told.or_else(|| job.model().map(ModelName::as_str));
    if let Some(model) = requested {
        span.name = format!("chat {model}").into();
        span.set("gen_ai.request.model", model);
    }
    span.set_if("gen_ai.response.model", usage.model.as_deref());
    span.set("gen_ai.usage.input_tokens", usage.input_tokens);
    span.set("gen_ai.usage.output_tokens", usage.output_tokens);
    span.set("gen_ai.usage.cache_read.input_tokens", usage.cached_input_tokens);
    span.set("gen_ai.usage.cache_creation.input_tokens", usage.cache_write_tokens);
    span.set("gen_ai.usage.reasoning.output_tokens", usage.reasoning_tokens);
}

/// The POST of a callback. Its path may be a secret, and is not told.
pub(crate) fn callback(callback: &Callback) -> Span {
    let mut span = Span::child(Kind::Client, || "POST".into());
    span.tell(|span| {
        span.set("http.request.method", "POST");
        span.set("server.address", callback.host());
    });
    span
}

/// What the receiver answered, if it did.
pub(crate) fn delivered(span: &mut Span, status: Option<u16>) {
    span.tell(|span| {
        span.set_if("http.response.status_code", status.map(u64::from));
        match status {
            Some(status) if status < 400 => {}
            Some(status) => span.fail(status.to_string()),
            None => span.fail("no_answer"),
        }
    });
}

/// A request to the HTTP face, by a client whose span `parent` is.
#[cfg(feature = "api")]
pub(crate) fn request(
    tracer: &Tracer,
    method: &str,
    route: &str,
    parent: Option<TraceContext>,
) -> Span {
    let name = || format!("{method} {route}").into();
    // In the function, a part of its invocation.
    let mut span = match parent.is_none() && super::is_traced() {
        true => Span::child(Kind::Server, name),
        false => tracer.begin(Kind::Server, parent, |_| name()),
    };
    span.tell(|span| {
        span.set("http.request.method", method);
        span.set("http.route", route);
        span.set("url.scheme", "http");
    });
    span
}

/// What it was answered with.
#[cfg(feature = "api")]
pub(crate) fn answered(span: &mut Span, status: u16) {
    span.tell(|span| {
        span.set("http.response.status_code", u64::from(status));
        if status >= 500 {
            span.fail(status.to_string());
        }
    });
}

/// Jobs on their way into the queue: a part of the request that brought them, or the first of a trace.
#[cfg(feature = "api")]
pub(crate) fn enqueue(tracer: &Tracer, messages: usize) -> Span {
    let name = || of_queue("send", tracer.destination()).into();
    let mut span = match super::is_traced() {
        true => Span::child(Kind::Producer, name),
        false => tracer.begin(Kind::Producer, super::current(), |_| name()),
    };
    span.tell(|span| {
        messaging(span, tracer.destination(), "send");
        span.set("messaging.batch.message_count", messages as u64);
    });
    span
}

fn of_queue(operation: &str, queue: Option<&Destination>) -> String {
    match queue {
        Some(queue) => format!("{operation} {}", queue.name),
        None => operation.to_owned(),
    }
}

fn messaging(span: &mut Ended, queue: Option<&Destination>, operation: &'static str) {
    span.set_if("messaging.system", queue.map(|queue| queue.system));
    span.set_if("messaging.destination.name", queue.map(|queue| &*queue.name));
    span.set("messaging.operation.name", operation);
    span.set("messaging.operation.type", operation);
}
