//! An answer that is no success: what its status, its error type and its headers mean for the job.

use std::{borrow::Cow, time::Duration};

use hyper::{HeaderMap, StatusCode, header::RETRY_AFTER};
use serde::Deserialize;

use super::{
    ApiKey, ToolError,
    head::cost_usd,
    shown::{prompts, shown},
};
use crate::{
    clock::UnixMs,
    error::{ErrorClass, JobError, code},
    http::Response,
    lease::Usage,
    retry::retry_after,
    tool::{gate::COOLDOWN, words},
};

/// The longest pause an upstream may ask for, and how long jobs are parked whose quota is spent:
/// until somebody pays, or a new period begins.
const LONGEST_PAUSE: Duration = Duration::from_mins(15);

/// How long jobs are parked when LiteLLM's own budget is spent: somebody may raise it any moment.
const BUDGET_PAUSE: Duration = Duration::from_mins(5);

/// A call that brought no answer.
pub(super) struct Refused {
    pub(super) error: ToolError,
    /// Another key would help.
    pub(super) blames_key: bool,
}

impl From<ToolError> for Refused {
    fn from(error: ToolError) -> Self {
        Self { error, blames_key: false }
    }
}

/// What the head of a refusal says.
pub(super) struct Refusal {
    status: StatusCode,
    retry_after: Option<Duration>,
    /// What the refused call cost all the same.
    usage: Usage,
    job_named_model: bool,
}

/// OpenAI's and LiteLLM's shape: `{"error": {message, type, code}}`.
#[derive(Default, Deserialize)]
struct Body {
    error: Details,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Details {
    message: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
    code: Option<serde_json::Value>,
}

impl Refusal {
    pub(super) fn of(response: &Response, now: UnixMs, job_named_model: bool) -> Self {
        let headers = response.headers();
        // LiteLLM hands the provider's own wish on under another name.
        let retry_after = [RETRY_AFTER.as_str(), "llm_provider-retry-after"]
            .into_iter()
            .filter_map(|name| headers.get(name)?.to_str().ok())
            .find_map(|value| retry_after(value, now, LONGEST_PAUSE));
        let usage = cost_of_refusal(headers);
        Self { status: response.status(), retry_after, usage, job_named_model }
    }

    /// The verdict, with as much of the upstream's own words as repeats neither key nor prompt.
    pub(super) fn explained_by(self, body: &[u8], request: &[u8], key: Option<&ApiKey>) -> Refused {
        let mut details = Details::read(body, key);
        let is_bare = details.is_empty();
        let said = details.message.as_deref().map(|message| shown(message, request, key));
        let said = said.unwrap_or_default();
        // Words of the job's own say nothing of the upstream.
        details.message.take_if(|message| words::quotes(message, &prompts(request)));
        let Verdict { class, code, pause } = self.judge(&details, is_bare);
        let blames_key = code == "api_key" || self.status == StatusCode::UNAUTHORIZED;
        let message = format!("the LLM answered {}{said}", self.status);
        let error = JobError::new(class, code, message);
        let failure = match self.status.as_u16() {
            // LiteLLM says that it cost nothing; the provider may have another opinion. What it calls
            // a 500 is any call that it lost, or whose answer it could not read.
            408 | 500 | 502 | 504
                if class == ErrorClass::Transient && !details.says(&OVERLOADED) =>
            {
                let usage =
                    if self.usage.cost_usd.is_some() { self.usage } else { Usage::unknown() };
                ToolError { usage, ..ToolError::ambiguous(error) }
            }
            _ => ToolError { usage: self.usage, ..ToolError::free(error) },
        };
        let retry_after = self.retry_after.or(pause);
        Refused { error: ToolError { retry_after, ..failure }, blames_key }
    }

    /// The status first, the type second, and the text where neither tells: LiteLLM calls a 408 an
    /// invalid request, and a spent quota too many requests.
    fn judge(&self, details: &Details, is_bare: bool) -> Verdict {
        use ErrorClass::{Configuration, Permanent, Throttled, Transient};
        match self.status.as_u16() {
            _ if details.is_budget_spent() => parked(code::BUDGET_EXCEEDED, BUDGET_PAUSE),
            400 | 402 | 403 | 429 if details.is_quota_spent() => {
                parked(code::QUOTA_EXCEEDED, LONGEST_PAUSE)
            }
            400 | 401 | 403 | 500 if details.refuses_our_key() => Configuration.with("api_key"),
            300..=399 | 401 | 402 | 403 => Configuration.with(self.code()),
            400 | 404 if details.names_unknown_model() => match self.job_named_model {
                true => Permanent.with("unknown_model"),
                false => Configuration.with("unknown_model"),
            },
            400 if details.says(&CONTEXT_TOO_LONG) => Permanent.with("context_too_long"),
            400 if details.says(&FILTERED) => Permanent.with("content_filter"),
            // No API answered: a wrong address, or a load balancer that lost what is behind it.
            404 | 405 | 410 if is_bare => Configuration.with(self.code()),
            408 => Transient.with("timeout"),
            429 if details.is(COOLDOWN) => Throttled.with(COOLDOWN),
            429 => Throttled.with(self.code()),
            503 if self.retry_after.is_some() => Throttled.with(self.code()),
            409 | 425 | 500.. => Transient.with(self.code()),
            _ => Permanent.with(self.code()),
        }
    }

    fn code(&self) -> Cow<'static, str> {
        format!("http_{}", self.status.as_u16()).into()
    }
}

/// What is done about a refusal.
struct Verdict {
    class: ErrorClass,
    code: Cow<'static, str>,
    /// Where the upstream names none.
    pause: Option<Duration>,
}

trait WithCode {
    fn with(self, code: impl Into<Cow<'static, str>>) -> Verdict;
}

impl WithCode for ErrorClass {
    fn with(self, code: impl Into<Cow<'static, str>>) -> Verdict {
        Verdict { class: self, code: code.into(), pause: None }
    }
}

/// Money is spent: no attempt is, and the job waits for more of it.
fn parked(code: &'static str, pause: Duration) -> Verdict {
    Verdict { pause: Some(pause), ..ErrorClass::Throttled.with(code) }
}

/// How providers say that a prompt does not fit the model, in LiteLLM's name for it and their own.
const CONTEXT_TOO_LONG: [&str; 2] = ["ContextWindowExceededError", "context_length_exceeded"];

/// How they say that their filter does not let a prompt pass.
const FILTERED: [&str; 3] =
    ["ContentPolicyViolationError", "content management policy", "content_policy_violation"];

/// How they say that an account has no money left.
const QUOTA_SPENT: [&str; 4] = [
    "exceeded your current quota",
    "insufficient_quota",
    "credit balance is too low",
    "billing_hard_limit_reached",
];

/// How a provider says that it did not even begin; LiteLLM tells Anthropic's 529 as a 500.
const OVERLOADED: [&str; 2] = ["overloaded_error", "Overloaded"];

/// How LiteLLM says that it was shown no key, or one it does not know; without a database the
/// status is that of another failure.
const KEY_REFUSED: [&str; 3] =
    ["No api key passed in", "Authentication Error", "LiteLLM Virtual Key expected"];

/// LiteLLM's type for a key of its own that it refuses.
const AUTH_ERROR: &str = "auth_error";

/// How models are said not to exist: by LiteLLM, by OpenAI, by a provider behind LiteLLM.
const UNKNOWN_MODEL: [&str; 3] = ["Invalid model name", "model_not_found", "NotFoundError"];

impl Details {
    /// A body that is not of this shape says nothing. Without a database LiteLLM answers a call that
    /// shows no key with a bare 500.
    fn read(body: &[u8], key: Option<&ApiKey>) -> Self {
        if key.is_none() && body == b"Internal Server Error" {
            let message = "no key was shown, and it may want one: set MCP_BATCH_LLM_API_KEY";
            return Self {
                message: Some(message.to_owned()),
                kind: Some(AUTH_ERROR.to_owned()),
                code: None,
            };
        }
        let read = serde_json::from_slice::<Body>(body);
        read.map(|body| body.error).unwrap_or_default()
    }

    /// Whether the body was no error of an API.
    fn is_empty(&self) -> bool {
        self.message.is_none() && self.kind.is_none() && self.code.is_none()
    }

    fn is(&self, kind: &str) -> bool {
        self.kind.as_deref() == Some(kind)
    }

    /// Whether message or code holds one of these.
    fn says(&self, words: &[&str]) -> bool {
        let message = self.message.as_deref().unwrap_or_default();
        let code = self.code.as_ref().and_then(serde_json::Value::as_str).unwrap_or_default();
        let kind = self.kind.as_deref().unwrap_or_default();
        words.iter().any(|word| message.contains(word) || code == *word || kind == *word)
    }

    /// A key's budget has its own type, a deployment's or provider's only its own words.
    fn is_budget_spent(&self) -> bool {
        self.is("budget_exceeded")
            || self.says(&["crossed budget", "Exceeded budget", "ExceededBudget"])
    }

    fn is_quota_spent(&self) -> bool {
        self.says(&QUOTA_SPENT)
    }

    /// LiteLLM refuses the key it was shown. A provider that refuses LiteLLM's own has another type.
    fn refuses_our_key(&self) -> bool {
        self.is(AUTH_ERROR) || self.is("no_db_connection") || self.says(&KEY_REFUSED)
    }

    fn names_unknown_model(&self) -> bool {
        self.says(&UNKNOWN_MODEL)
    }
}

/// A refused call that tells a cost was billed.
fn cost_of_refusal(headers: &HeaderMap) -> Usage {
    match cost_usd(headers).filter(|cost| *cost > 0.0) {
        Some(cost) => Usage { cost_usd: Some(cost), ..Usage::free() },
        None => Usage::free(),
    }
}
