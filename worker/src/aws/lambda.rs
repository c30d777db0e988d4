//! The Lambda function, and the only place that knows Lambda's types. As a worker: an event of SQS
//! comes in, a partial batch response goes out, and every rule between them is the core's. As the
//! HTTP face: a request of API Gateway comes in, the router answers.

mod event;
mod init_error;
mod metrics;

use std::{
    collections::BTreeSet,
    fmt,
    future::ready,
    pin::Pin,
    process::ExitCode,
    sync::{
        Arc, Once,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
    time::{Duration, SystemTime},
};

use anyhow::Context as _;
use aws_lambda_events::sqs::SqsBatchResponse;
use lambda_http::{Body, IntoResponse, RequestExt, Response, request::RequestContext};
use lambda_runtime::{LambdaEvent, service_fn};
use serde::de::IgnoredAny;
use tokio::runtime;
use tower::ServiceExt;
use tracing::{Instrument, Span};

use self::{
    event::{Event, Record},
    metrics::Metrics,
};
use super::{
    setup::{AwsPorts, AwsSweep, AwsWorker, Fallback},
    sqs::{Origin, SqsQueue, order_of},
};
use crate::{
    api::{Access, Api, Vouched},
    batch::{BatchAnswer, Order, Stop, Worker},
    clock::Deadline,
    config::{self, AccessToken, ApiSettings, ConfigError, Grant, Role, Source},
    lease::LedgerError,
    queue::{Message, Queue as _},
    telemetry, trace,
};

/// Time kept free at the end of an invocation for deferring messages and for the answer itself.
const ANSWER_MARGIN: Duration = Duration::from_secs(1);

/// Time kept free for the answer behind what is sent to a collector.
const FLUSH_MARGIN: Duration = Duration::from_millis(300);

/// The longest timeout that a function can have.
const LONGEST_TIMEOUT: Duration = Duration::from_secs(90 * 60);

/// The longest that an answer waits for a collector.
const LONGEST_FLUSH: Duration = Duration::from_secs(2);

/// Starts the function, and ends only if it cannot be started or the runtime goes away.
pub fn main() -> ExitCode {
    let level = config::log_level(&Source::from_env());
    telemetry::init_in_lambda(level.as_ref().ok().copied().flatten());
    // Lambda allows no more than it gives; elsewhere the limit may be a default.
    let _ = rlimit::increase_nofile_limit(u64::MAX);
    let level = level.map(drop);
    let started = runtime().and_then(|runtime| runtime.block_on(start(level)));
    match started {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Below two CPUs, threads only cost.
fn runtime() -> anyhow::Result<runtime::Runtime> {
    let cpus = thread::available_parallelism().map_or(1, usize::from);
    let mut builder = match cpus {
        1 => runtime::Builder::new_current_thread(),
        _ => runtime::Builder::new_multi_thread(),
    };
    builder.enable_all().build().context("the async runtime cannot be started")
}

/// The cold start, and then invocation after invocation.
async fn start(level: Result<(), ConfigError>) -> anyhow::Result<()> {
    let metrics = Metrics::new();
    let opened = match level {
        Ok(()) => Function::open(Source::from_env(), &metrics).await,
        Err(error) => Err(error.into()),
    };
    match opened {
        Ok(Function::Worker(aws)) => work(aws, metrics).await,
        Ok(Function::Api(aws, settings, tokens)) => serve(aws, &settings, tokens, metrics).await,
        Ok(Function::Sweep(aws)) => sweep(aws, metrics).await,
        Err(error) => {
            init_error::report(&error).await;
            Err(error)
        }
    }
}

/// The function in its role, with everything that invocations share.
enum Function {
    Worker(AwsWorker),
    Api(AwsWorker, ApiSettings, Vec<AccessToken>),
    Sweep(AwsSweep),
}

impl Function {
    async fn open(source: Source, metrics: &Metrics) -> anyhow::Result<Self> {
        Ok(match config::role(&source)? {
            Role::Worker => Self::Worker(open(source, metrics).await?),
            Role::Api => {
                let aws = open(source, metrics).await?;
                let (settings, tokens) = aws.api_settings()?;
                Self::Api(aws, settings, tokens)
            }
            Role::Sweep => Self::Sweep(AwsSweep::open(source, metrics.observer()).await?),
        })
    }
}

async fn open(source: Source, metrics: &Metrics) -> anyhow::Result<AwsWorker> {
    let (concurrency, observer) = (config::LAMBDA_CONCURRENCY, metrics.observer());
    AwsWorker::open(source, concurrency, Fallback::Refused, None, observer).await
}

/// What the lines of an invocation have in common.
fn span(request_id: &str) -> Span {
    tracing::error_span!("invocation", request_id)
}

/// Each event of the schedule is one pass; what it says does not matter.
async fn sweep(sweep: AwsSweep, metrics: Metrics) -> anyhow::Result<()> {
    let handler = move |event: LambdaEvent<IgnoredAny>| {
        let (sweep, metrics) = (sweep.clone(), metrics.clone());
        async move {
            let (id, deadline) = (&*event.context.request_id, deadline(ends(&event.context)));
            let swept = async {
                let swept = sweep.pass(deadline).await?;
                swept.note();
                Ok::<_, LedgerError>(swept)
            };
            let swept = swept.instrument(span(id)).await;
            metrics.tell(id);
            swept
        }
    };
    lambda_runtime::run_concurrent(service_fn(handler)).await.map_err(anyhow::Error::from_boxed)
}

async fn work(worker: AwsWorker, metrics: Metrics) -> anyhow::Result<()> {
    let handler = move |event: LambdaEvent<Event>| {
        let (worker, metrics) = (worker.clone(), metrics.clone());
        async move {
            let LambdaEvent { payload, context } = event;
            let (id, ends) = (&*context.request_id, ends(&context));
            let mut traced = worker.invocation(&context, "pubsub");
            let answer = traced.scope(worker.handle(payload, ends)).instrument(span(id)).await;
            if answer.is_err() {
                trace::failed(&mut traced, "invalid_event");
            }
            drop(traced);
            metrics.tell(id);
            worker.flush(ends).await;
            answer
        }
    };
    // One at a time on classic Lambda, several on Managed Instances.
    lambda_runtime::run_concurrent(service_fn(handler)).await.map_err(anyhow::Error::from_boxed)
}

/// The keys are those of the secret, which is read again as before a batch.
async fn serve(
    aws: AwsWorker,
    settings: &ApiSettings,
    tokens: Vec<AccessToken>,
    metrics: Metrics,
) -> anyhow::Result<()> {
    let tokens: Arc<[AccessToken]> = tokens.into();
    let environment = Arc::clone(aws.worker().environment());
    let access = Access::Keys(aws.secrets().clone());
    let api = Api::new(environment, access, aws.concurrency(), Stop::default());
    let router = api.router(settings, axum::Router::new());
    let handler = move |mut request: lambda_http::Request| {
        if let Some(grant) = vouched(&request, &tokens) {
            request.extensions_mut().insert(Vouched(grant));
        }
        let (aws, router, metrics) = (aws.clone(), router.clone(), metrics.clone());
        let context = request.lambda_context_ref().cloned().unwrap_or_default();
        async move {
            let ends = ends(&context);
            let answer = async {
                aws.keep_fresh().await;
                let Ok(response) = router.oneshot(request).await;
                whole(response).await
            };
            let traced = aws.invocation(&context, "http");
            let answer = traced.scope(answer).instrument(span(&context.request_id)).await;
            drop(traced);
            metrics.tell(&context.request_id);
            aws.flush(ends).await;
            answer
        }
    };
    lambda_http::run_concurrent(service_fn(handler)).await.map_err(anyhow::Error::from_boxed)
}

/// What API Gateway's JWT authorizer says of the request's token stands in the event, beside the
/// request: no header gets there.
fn vouched(request: &lambda_http::Request, tokens: &[AccessToken]) -> Option<Grant> {
    let RequestContext::ApiGatewayV2(context) = request.request_context_ref()? else {
        return None;
    };
    let jwt = context.authorizer.as_ref()?.jwt.as_ref()?;
    AccessToken::grant(tokens, &jwt.claims).cloned()
}

/// An answer whose body is read. `lambda_http` would read it by its charset, and bring the tables of all
/// there are.
struct Whole(Response<Body>);

impl IntoResponse for Whole {
    fn into_response(self) -> Pin<Box<dyn Future<Output = Response<Body>> + Send>> {
        Box::pin(ready(self.0))
    }
}

/// Lambda answers with texts, and every answer is one.
async fn whole(response: axum::response::Response) -> Result<Whole, String> {
    let (parts, body) = response.into_parts();
    let bytes = axum::body::to_bytes(body, usize::MAX).await.map_err(|error| error.to_string())?;
    let body = String::from_utf8(bytes.into()).map_or_else(|it| it.into_bytes().into(), Body::Text);
    Ok(Whole(Response::from_parts(parts, body)))
}

impl AwsWorker {
    /// The span of an invocation.
    fn invocation(&self, context: &lambda_runtime::Context, trigger: &'static str) -> trace::Span {
        static IS_WARM: AtomicBool = AtomicBool::new(false);
        let is_cold = !IS_WARM.swap(true, Relaxed);
        trace::invocation(&self.worker().environment().tracer, context, trigger, is_cold)
    }

    /// Sends spans while the invocation has time for it: afterwards the process is frozen.
    async fn flush(&self, ends: SystemTime) {
        let left = ends.duration_since(SystemTime::now()).unwrap_or_default();
        let time = left.saturating_sub(FLUSH_MARGIN).min(LONGEST_FLUSH);
        self.worker().environment().tracer.flush(time).await;
    }

    async fn handle(&self, event: Event, ends: SystemTime) -> Result<SqsBatchResponse, EventError> {
        self.keep_fresh().await;
        let deadline = deadline(ends);
        warn_if_short(deadline, self.longest_job());
        let answer = work_off(self.worker(), event, deadline).await;
        if let Err(error) = &answer {
            tracing::error!(%error, "the event cannot be worked off: all of it comes back");
        }
        answer
    }
}

/// Jobs of the slowest tools would come back for ever, and nobody would know why.
fn warn_if_short(deadline: Deadline, longest_job: Duration) {
    static ONCE: Once = Once::new();
    let time_left = deadline.time_left();
    if time_left < longest_job {
        ONCE.call_once(|| {
            tracing::error!(
                needed_s = longest_job.as_secs(),
                found_s = time_left.as_secs(),
                "the function's timeout is shorter than its slowest tool's and the time to save an \
                 outcome: jobs of that tool are never begun; raise the timeout of the function, or \
                 lower that of the tool (MCP_BATCH_LLM_TIMEOUT_S)"
            );
        });
    }
}

/// When the invocation is over. `cargo lambda watch` tells how long it may take, in the place of that.
fn ends(context: &lambda_runtime::Context) -> SystemTime {
    let told = context.deadline();
    match told.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(time) if time <= LONGEST_TIMEOUT => SystemTime::now() + time,
        _ => told,
    }
}

fn deadline(ends: SystemTime) -> Deadline {
    let left = ends.duration_since(SystemTime::now()).unwrap_or_default();
    Deadline::after(left.saturating_sub(ANSWER_MARGIN))
}

/// One event. Nothing that a record holds makes it fail but the lack of an id: such a record could
/// not be named in the answer, and an answer without it would delete it.
async fn work_off(
    worker: &Worker<AwsPorts>,
    event: Event,
    deadline: Deadline,
) -> Result<SqsBatchResponse, EventError> {
    let environment = worker.environment();
    let (order, origin) = (order(&event, &environment.queue), origin(&event, &environment.queue));
    let now = environment.clock.now();
    let messages = event.records.into_iter().map(|record| record.into_message(now));
    let mut messages = messages.collect::<Option<Vec<_>>>().ok_or(EventError::NoMessageId)?;
    match origin {
        Origin::Own => {}
        // To this queue they are none: what comes back is left to the queue that it came from.
        Origin::Other => messages.iter_mut().for_each(|message| message.receipt.0.clear()),
        Origin::DeadLetters => return Ok(none_of(messages)),
    }
    let event = trace::event(&environment.tracer, messages.len());
    let stop = Stop::default();
    let answer = event.scope(worker.process(messages, order, deadline, &stop)).await;
    Ok(response(answer))
}

/// All records of an event come from one queue, which it names.
fn order(event: &Event, queue: &SqsQueue) -> Order {
    event.records.iter().find_map(Record::queue_arn).map_or_else(|| queue.order(), order_of)
}

/// From which queue an event comes. Another one than this function's is an error of the settings,
/// which is told with each event.
fn origin(event: &Event, queue: &SqsQueue) -> Origin {
    let arns = event.records.iter().filter_map(Record::queue_arn);
    let others = arns.map(|arn| (arn, queue.origin(arn)));
    let Some((arn, origin)) = others.into_iter().find(|(_, origin)| *origin != Origin::Own) else {
        return Origin::Own;
    };
    let expected = queue.url().as_str();
    if origin == Origin::DeadLetters {
        tracing::error!(
            expected,
            found = arn,
            "an event came from the queue of dead letters (MCP_BATCH_DLQ_URL): expected one of \
             MCP_BATCH_QUEUE_URL; none of its jobs is run, since each that fails would come back as its \
             own replay; remove the event source mapping"
        );
    } else {
        tracing::error!(
            expected,
            found = arn,
            "an event came from another queue than MCP_BATCH_QUEUE_URL: its jobs are run, but those that \
             have to wait come back by the visibility timeout of their own queue alone; expected the \
             event source mapping and MCP_BATCH_QUEUE_URL to name one queue"
        );
    }
    origin
}

/// All come back, and none is looked at.
fn none_of(messages: Vec<Message>) -> SqsBatchResponse {
    let returned = messages.into_iter().map(|message| message.id).collect();
    response(BatchAnswer { finished: Vec::new(), returned })
}

/// "Lambda treats a batch as a complete failure if your function returns" an id that is empty or
/// not in the batch (Lambda developer guide, "Implementing partial batch responses"): so these are
/// the batch's own, each once.
fn response(answer: BatchAnswer) -> SqsBatchResponse {
    let returned: BTreeSet<_> = answer.returned.into_iter().collect();
    let mut response = SqsBatchResponse::default();
    response.set_failures(returned);
    response
}

/// Why an event cannot be worked off at all. Lambda then delivers all of it again.
#[derive(thiserror::Error)]
enum EventError {
    #[error("Records: expected a messageId in every record of SQS, found one without it")]
    NoMessageId,
}

/// The runtime logs it so.
impl fmt::Debug for EventError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl From<LedgerError> for lambda_runtime::Diagnostic {
    fn from(error: LedgerError) -> Self {
        Self { error_type: "Ledger".to_owned(), error_message: error.to_string() }
    }
}

impl From<EventError> for lambda_runtime::Diagnostic {
    fn from(error: EventError) -> Self {
        Self { error_type: "InvalidEvent".to_owned(), error_message: error.to_string() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invocation_ends_when_it_is_told_or_after_as_long_as_it_is_told() {
        let mut context = lambda_runtime::Context::default();
        let began = SystemTime::now();
        context.deadline = 600_000;
        let after = ends(&context).duration_since(began).expect("it lies ahead");
        assert!((600..660).contains(&after.as_secs()), "{after:?}");

        context.deadline = 1_795_993_774_414;
        assert_eq!(ends(&context), context.deadline());
    }
}
