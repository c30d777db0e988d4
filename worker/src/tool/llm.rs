//! The LLM behind the prompt tools: any endpoint with OpenAI's `/chat/completions`, in production
//! LiteLLM.

mod answer;
mod key;
mod refusal;

use std::{sync::Arc, time::Duration};

use http_body_util::Full;
use hyper::{
    Request,
    body::Bytes,
    header::{AUTHORIZATION, CONTENT_TYPE},
};
use serde::Serialize;
use serde_json::Value;
use tokio::time::{Instant, timeout_at};
use url::Url;

pub(super) use self::answer::Answer;
pub use self::key::ApiKey;
use self::refusal::{Refusal, Refused};
use super::ToolError;
use crate::{
    clock::Clock,
    config::Keys,
    error::{ErrorClass, JobError},
    http::{NoAnswer, Response, Upstream},
    secret::Secrets,
};

/// LiteLLM gives up by itself this much before we do, so that nothing is billed afterwards.
const UPSTREAM_GIVES_UP_EARLIER: Duration = Duration::from_secs(1);

/// The longest answer that is read, in bytes.
const MAX_ANSWER_BYTES: usize = 8 * 1024 * 1024;

/// The most of a refusal's body that is read, in bytes.
const MAX_REFUSAL_BYTES: usize = 64 * 1024;

/// Where the LLM is, and how it is called.
#[derive(Clone, Debug)]
pub struct LlmSettings {
    /// The base to which `/chat/completions` is added.
    pub url: Url,
    /// The model where neither job nor tool names one; overrides the catalog's.
    pub model: Option<String>,
    /// The longest a call may take where the tool does not say.
    pub timeout: Duration,
}

/// A client of one LLM endpoint; clones share its connections.
#[derive(Clone, Debug)]
pub struct LlmClient {
    upstream: Upstream,
    /// The path of what is called.
    endpoint: Arc<str>,
    settings: Arc<LlmSettings>,
    secrets: Secrets,
    clock: Clock,
}

/// One chat completion.
#[derive(Debug, Serialize)]
pub(super) struct Completion<'a> {
    pub(super) model: &'a str,
    pub(super) messages: Vec<ChatMessage<'a>>,
    pub(super) max_tokens: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) temperature: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) response_format: Option<Value>,
}

/// One message of it.
#[derive(Debug, Serialize)]
pub(super) struct ChatMessage<'a> {
    pub(super) role: &'static str,
    pub(super) content: &'a str,
}

impl Completion<'_> {
    /// The request's body.
    pub(super) fn to_body(&self) -> Result<String, ToolError> {
        serde_json::to_string(self).map_err(|error| {
            let message = format!("the request cannot be written: {error}");
            ToolError::free(JobError::new(ErrorClass::Permanent, "request", message))
        })
    }
}

/// What a call is made under.
#[derive(Clone, Copy, Debug)]
pub(super) struct CallTerms<'a> {
    /// The job's id, echoed by LiteLLM and kept in its spend logs.
    pub(super) call_id: &'a str,
    pub(super) timeout: Duration,
    /// Whether the job itself named the model: then a wrong name is the job's fault.
    pub(super) job_named_model: bool,
}

impl LlmClient {
    /// A client for the endpoint of `settings`, which is shown the present key of `secrets`.
    pub fn new(settings: LlmSettings, secrets: Secrets, clock: Clock) -> Result<Self, String> {
        let upstream = Upstream::new(&settings.url)?;
        let endpoint = endpoint(&settings.url);
        let settings = Arc::new(settings);
        Ok(Self { upstream, endpoint: endpoint.into(), settings, secrets, clock })
    }

    /// How the endpoint is called.
    pub(super) fn settings(&self) -> &LlmSettings {
        &self.settings
    }

    /// Makes one call with `body`, which writes a [`Completion`] in JSON. It is asked again for
    /// what a refusal may not repeat: while a call waits, nothing here keeps its request. Where the
    /// key is refused and has been replaced, the call is made once more in the time that is left.
    pub(super) async fn complete(
        &self,
        body: impl Fn() -> Result<String, ToolError>,
        terms: CallTerms<'_>,
    ) -> Result<Answer, ToolError> {
        let ends = Instant::now() + terms.timeout;
        let keys = self.secrets.current();
        match self.try_once(&body, terms, keys.llm.as_ref()).await {
            Ok(answer) => Ok(answer),
            Err(refused) if refused.blames_key => {
                // Boxed: it happens seldom, and every call would keep room for it.
                let Some(renewed) = Box::pin(self.other_key(&keys, ends)).await else {
                    return Err(refused.error);
                };
                let timeout = ends.saturating_duration_since(Instant::now());
                let terms = CallTerms { timeout, ..terms };
                let again = Box::pin(self.try_once(&body, terms, renewed.llm.as_ref())).await;
                again.map_err(|refused| refused.error)
            }
            Err(refused) => Err(refused.error),
        }
    }

    /// The keys, if the refused one has been replaced.
    async fn other_key(&self, refused: &Arc<Keys>, ends: Instant) -> Option<Arc<Keys>> {
        let renewed = timeout_at(ends, self.secrets.renew(refused)).await.ok()?;
        (renewed.llm != refused.llm).then_some(renewed)
    }

    async fn try_once(
        &self,
        body: &impl Fn() -> Result<String, ToolError>,
        terms: CallTerms<'_>,
        key: Option<&ApiKey>,
    ) -> Result<Answer, Refused> {
        let response = self.post(body()?, terms, key).await?;
        if response.status().is_success() {
            let text = read(response, MAX_ANSWER_BYTES).await?;
            return Ok(Answer::parse(&text.head, text.headers_cost, text.is_cut)?);
        }
        Err(Box::pin(self.refused(response, body()?.as_bytes(), key, terms)).await)
    }

    async fn post(
        &self,
        body: String,
        terms: CallTerms<'_>,
        key: Option<&ApiKey>,
    ) -> Result<Response, ToolError> {
        let gives_up = terms.timeout.saturating_sub(UPSTREAM_GIVES_UP_EARLIER);
        let upstream_timeout = if gives_up.is_zero() { terms.timeout } else { gives_up };
        let mut request = Request::post(&*self.endpoint)
            .header(CONTENT_TYPE, "application/json")
            .header("x-litellm-call-id", terms.call_id)
            .header("x-litellm-timeout", format!("{:.3}", upstream_timeout.as_secs_f64()));
        if let Some(key) = key {
            request = request.header(AUTHORIZATION, key.header());
        }
        let request = request.body(Full::new(Bytes::from(body))).map_err(|error| {
            let message = format!("the request cannot be written: {error}");
            ToolError::free(JobError::new(ErrorClass::Permanent, "request", message))
        })?;
        self.upstream.send(request, terms.timeout).await.map_err(|error| failed(&error))
    }

    async fn refused(
        &self,
        response: Response,
        request: &[u8],
        key: Option<&ApiKey>,
        terms: CallTerms<'_>,
    ) -> Refused {
        let refusal = Refusal::of(&response, self.clock.now(), terms.job_named_model);
        let body =
            read(response, MAX_REFUSAL_BYTES).await.map(|text| text.head).unwrap_or_default();
        refusal.explained_by(&body, request, key)
    }
}

/// The first bytes of a body, and what its head said.
struct Text {
    head: Vec<u8>,
    is_cut: bool,
    headers_cost: answer::HeaderCost,
}

async fn read(mut response: Response, max_bytes: usize) -> Result<Text, ToolError> {
    let headers_cost = answer::HeaderCost::of(response.headers());
    let mut head = Vec::with_capacity(expected_bytes(&response, max_bytes));
    while let Some(chunk) = response.chunk().await.map_err(|error| failed(&error))? {
        let room = max_bytes - head.len();
        head.extend_from_slice(chunk.get(..room).unwrap_or(&chunk));
        if chunk.len() > room {
            return Ok(Text { head, is_cut: true, headers_cost });
        }
    }
    Ok(Text { head, is_cut: false, headers_cost })
}

fn expected_bytes(response: &Response, max_bytes: usize) -> usize {
    let announced = response.content_length().and_then(|bytes| usize::try_from(bytes).ok());
    announced.unwrap_or(0).min(max_bytes).min(64 * 1024)
}

/// The path that is called, below the base that `url` may have.
fn endpoint(url: &Url) -> String {
    let query = url.query().map(|query| format!("?{query}")).unwrap_or_default();
    format!("{}/chat/completions{query}", url.path().trim_end_matches('/'))
}

/// Nothing came back. Whether the call was billed depends on how far it got.
fn failed(error: &NoAnswer) -> ToolError {
    let (code, message) = match error {
        NoAnswer::Unconnected(_) => {
            let message = format!("the LLM cannot be reached: {}", innermost(error));
            return ToolError::free(JobError::new(ErrorClass::Transient, "connect", message));
        }
        NoAnswer::Late => ("timeout", "the LLM did not answer in time".to_owned()),
        NoAnswer::Broken(_) => {
            ("connection", format!("the connection to the LLM broke off: {}", innermost(error)))
        }
    };
    ToolError::ambiguous(JobError::new(ErrorClass::Transient, code, message))
}

/// The cause at the end of the chain: the ones above it repeat the URL.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}
