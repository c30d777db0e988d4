//! The LLM behind the prompt tools: any endpoint with OpenAI's `/chat/completions`, in production
//! LiteLLM.

mod answer;
mod blamed;
mod details;
mod head;
mod key;
mod models;
mod refusal;
mod request;
mod shown;
mod tokens;

use std::{sync::Arc, time::Duration};

use http_body_util::Full;
use hyper::{
    Request,
    body::Bytes,
    header::{AUTHORIZATION, CONTENT_TYPE},
};
use tokio::time::{Instant, timeout_at};
use url::Url;

pub(super) use self::answer::Answer;
pub use self::key::ApiKey;
pub(super) use self::request::{Attribution, CallTerms, ChatMessage, Completion, as_user};
use self::{
    head::Head,
    refusal::{Refusal, Refused},
};
use super::ToolError;
use crate::{
    clock::Clock,
    config::Keys,
    error::{ErrorClass, JobError, innermost},
    http::{NoAnswer, Response, Upstream},
    secret::Secrets,
    trace,
};

/// The longest answer that is read, in bytes.
const MAX_ANSWER_BYTES: usize = 8 * 1024 * 1024;

/// The most of a refusal's body that is read, in bytes.
const MAX_REFUSAL_BYTES: usize = 64 * 1024;

/// What the endpoint understands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LlmApi {
    /// LiteLLM's, with its fields `timeout` and `metadata` and its header for the call's id.
    #[default]
    LiteLlm,
    /// OpenAI's alone, which may refuse a field that it does not know.
    OpenAi,
}

/// Where the LLM is, and how it is called.
#[derive(Clone, Debug)]
pub struct LlmSettings {
    /// The base to which `/chat/completions` is added.
    pub url: Url,
    /// What it understands.
    pub api: LlmApi,
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

impl LlmClient {
    /// A client for the endpoint of `settings`, which is shown the present key of `secrets`.
    pub fn new(settings: LlmSettings, secrets: Secrets, clock: Clock) -> Result<Self, String> {
        let upstream = Upstream::new(&settings.url)?;
        let endpoint = endpoint(&settings.url, "chat/completions");
        let settings = Arc::new(settings);
        Ok(Self { upstream, endpoint: endpoint.into(), settings, secrets, clock })
    }

    /// How the endpoint is called.
    pub(super) fn settings(&self) -> &LlmSettings {
        &self.settings
    }

    /// Makes one call with `body`, which writes a [`Completion`] in JSON for the time that the
    /// upstream has. It is asked again for
    /// what a refusal may not repeat: while a call waits, nothing here keeps its request. Where the
    /// key is refused and has been replaced, the call is made once more in the time that is left.
    pub(super) async fn complete(
        &self,
        body: impl Fn(Duration) -> Result<String, ToolError>,
        terms: CallTerms<'_>,
    ) -> Result<Answer, ToolError> {
        let ends = Instant::now() + terms.timeout;
        let keys = self.secrets.current();
        let refused = match self.try_once(&body, terms, keys.llm.as_ref()).await {
            Ok(answer) => return Ok(answer),
            Err(refused) if refused.blames_key => refused.error,
            Err(refused) => return Err(refused.error),
        };
        // Boxed: it happens seldom, and every call would keep room for it.
        Box::pin(self.try_with_other_key(&body, terms, &keys, ends)).await.unwrap_or(Err(refused))
    }

    /// The call over again, if the refused key has been replaced and there is still time.
    async fn try_with_other_key(
        &self,
        body: &impl Fn(Duration) -> Result<String, ToolError>,
        terms: CallTerms<'_>,
        refused: &Arc<Keys>,
        ends: Instant,
    ) -> Option<Result<Answer, ToolError>> {
        let renewed = self.other_key(refused, ends).await?;
        if !terms.gates.take_another(ends).await {
            return None;
        }
        let timeout = ends.saturating_duration_since(Instant::now());
        let again = self.try_once(body, CallTerms { timeout, ..terms }, renewed.llm.as_ref());
        Some(again.await.map_err(|refused| refused.error))
    }

    /// The keys, if the refused one has been replaced.
    async fn other_key(&self, refused: &Arc<Keys>, ends: Instant) -> Option<Arc<Keys>> {
        let renewed = timeout_at(ends, self.secrets.renew(refused)).await.ok()?;
        (renewed.llm != refused.llm).then_some(renewed)
    }

    async fn try_once(
        &self,
        body: &impl Fn(Duration) -> Result<String, ToolError>,
        terms: CallTerms<'_>,
        key: Option<&ApiKey>,
    ) -> Result<Answer, Refused> {
        let upstream_timeout = terms.upstream_timeout();
        let request = body(upstream_timeout)?;
        let answer = self.post(request, terms, key)?;
        let response = answer.await.map_err(|error| failed(&error))?;
        if response.status().is_success() {
            let head = Head::of(response.headers());
            let body = response.beginning(MAX_ANSWER_BYTES).await.map_err(|error| {
                // The head has told what the lost body cost.
                ToolError { usage: head.usage_of_lost_answer(&terms), ..failed(&error) }
            })?;
            return Ok(Answer::parse(&body, &head, &terms)?);
        }
        let request = body(upstream_timeout)?;
        Err(Box::pin(self.refused(response, request.as_bytes(), key, terms)).await)
    }

    /// Begins a call. What is returned waits for its answer, and keeps little else.
    fn post(
        &self,
        body: String,
        terms: CallTerms<'_>,
        key: Option<&ApiKey>,
    ) -> Result<impl Future<Output = Result<Response, NoAnswer>>, ToolError> {
        let mut request = Request::post(&*self.endpoint).header(CONTENT_TYPE, "application/json");
        if self.settings.api == LlmApi::LiteLlm {
            request = request.header("x-litellm-call-id", terms.job.id().as_str());
        }
        if let Some(context) = trace::current() {
            request = request.header("traceparent", context.to_string());
        }
        if let Some(key) = key {
            request = request.header(AUTHORIZATION, key.header());
        }
        let request = request.body(Full::new(Bytes::from(body))).map_err(|error| {
            let message = format!("the request cannot be written: {error}");
            ToolError::free(JobError::new(ErrorClass::Permanent, "request", message))
        })?;
        Ok(self.upstream.send(request, terms.timeout))
    }

    async fn refused(
        &self,
        response: Response,
        request: &[u8],
        key: Option<&ApiKey>,
        terms: CallTerms<'_>,
    ) -> Refused {
        let refusal = Refusal::of(&response, self.clock.now(), terms.job_named_model());
        let body = response.beginning(MAX_REFUSAL_BYTES).await.unwrap_or_default();
        refusal.explained_by(&body.bytes, request, key)
    }
}

/// The path of what is called, below the base that `url` may have.
fn endpoint(url: &Url, called: &str) -> String {
    let query = url.query().map(|query| format!("?{query}")).unwrap_or_default();
    format!("{}/{called}{query}", url.path().trim_end_matches('/'))
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
