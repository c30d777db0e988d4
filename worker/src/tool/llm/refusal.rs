//! An answer that is no success: what its status, its error type and its headers mean for the job.

use std::{borrow::Cow, time::Duration};

use hyper::{
    HeaderMap, StatusCode,
    header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER},
};

use super::{
    ApiKey, ToolError,
    blamed::Blamed,
    details::Details,
    head::cost_usd,
    shown::{prompts, shown},
};
use crate::{
    clock::UnixMs,
    error::{ErrorClass, JobError, code},
    http::Response,
    lease::Usage,
    retry::retry_after,
    tool::{
        gate::{COOLDOWN, TOOL_SETTINGS},
        words,
    },
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
    content_type: Option<HeaderValue>,
    retry_after: Option<Duration>,
    /// What the refused call cost all the same.
    usage: Usage,
    job_named_model: bool,
}

impl Refusal {
    pub(super) fn of(response: &Response, now: UnixMs, job_named_model: bool) -> Self {
        let headers = response.headers();
        // LiteLLM hands the provider's own wish on under another name. The longer of two pauses holds.
        let retry_after = [RETRY_AFTER.as_str(), "llm_provider-retry-after"]
            .into_iter()
            .filter_map(|name| headers.get(name)?.to_str().ok())
            .filter_map(|value| retry_after(value, now, LONGEST_PAUSE))
            .max();
        let usage = cost_of_refusal(headers);
        let content_type = headers.get(CONTENT_TYPE).cloned();
        Self { status: response.status(), content_type, retry_after, usage, job_named_model }
    }

    /// The verdict, with as much of the upstream's own words as repeats neither key nor prompt.
    pub(super) fn explained_by(self, body: &[u8], request: &[u8], key: Option<&ApiKey>) -> Refused {
        let mut details = Details::read(body, self.content_type.as_ref(), key);
        let said = details.message.as_deref().map(|message| shown(message, request, key));
        let said = said.unwrap_or_default();
        // Words of the job's own say nothing of the upstream.
        details.message.take_if(|message| words::quotes(message, &prompts(request)));
        let Verdict { class, code, pause, remedy } = self.judge(&details);
        let blames_key = code == "api_key" || self.status == StatusCode::UNAUTHORIZED;
        let remedy = remedy.map(|remedy| format!(" ({remedy})")).unwrap_or_default();
        let message = format!("the LLM answered {}{remedy}{said}", self.status);
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
    fn judge(&self, details: &Details) -> Verdict {
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
            400 | 422 if let Some(blamed) = Blamed::by(details) => self.not_the_jobs(blamed),
            // No job said what is not found, in whichever words.
            404 if !self.job_named_model => Configuration.with(self.code()),
            // No API answered: a wrong address, or a load balancer that lost what is behind it.
            404 | 405 | 410 if !details.is_apis => Configuration.with(self.code()),
            408 => Transient.with("timeout"),
            429 if details.is(COOLDOWN) => Throttled.with(COOLDOWN),
            429 => Throttled.with(self.code()),
            503 if self.retry_after.is_some() => Throttled.with(self.code()),
            409 | 425 | 500.. => Transient.with(self.code()),
            _ => Permanent.with(self.code()),
        }
    }

    /// Who names the model may have named one that does not take what the catalog says.
    fn not_the_jobs(&self, blamed: Blamed) -> Verdict {
        use ErrorClass::{Configuration, Permanent};
        let verdict = match blamed {
            Blamed::LiteLlmsField => Configuration.with("llm_api"),
            _ if self.job_named_model => Permanent.with(TOOL_SETTINGS),
            _ => Configuration.with(TOOL_SETTINGS),
        };
        Verdict { remedy: Some(blamed.remedy()), ..verdict }
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
    /// What a person may do about it, where that is known.
    remedy: Option<&'static str>,
}

trait WithCode {
    fn with(self, code: impl Into<Cow<'static, str>>) -> Verdict;
}

impl WithCode for ErrorClass {
    fn with(self, code: impl Into<Cow<'static, str>>) -> Verdict {
        Verdict { class: self, code: code.into(), pause: None, remedy: None }
    }
}

/// Money is spent: no attempt is, and the job waits for more of it.
fn parked(code: &'static str, pause: Duration) -> Verdict {
    Verdict { pause: Some(pause), ..ErrorClass::Throttled.with(code) }
}

/// How providers say that a prompt does not fit the model, in LiteLLM's name for it and their own.
const CONTEXT_TOO_LONG: [&str; 4] = [
    "ContextWindowExceededError",
    "context_length_exceeded",
    "maximum context length",
    "exceed context limit",
];

/// How they say that their filter does not let a prompt pass.
const FILTERED: [&str; 3] =
    ["ContentPolicyViolationError", "content management policy", "content_policy_violation"];

/// How LiteLLM says that a budget of its own is spent, where its type does not tell.
const BUDGET_SPENT: [&str; 4] =
    ["Budget has been exceeded", "crossed budget", "Exceeded budget", "ExceededBudget"];

/// How they say that an account has no money left.
const QUOTA_SPENT: [&str; 4] = [
    "exceeded your current quota",
    "insufficient_quota",
    "credit balance is too low",
    "billing_hard_limit_reached",
];

/// How a provider says that it did not even begin; LiteLLM tells Anthropic's 529 as a 500.
const OVERLOADED: [&str; 2] = ["overloaded_error", "Overloaded"];

/// How models are said not to exist: by LiteLLM, by OpenAI, by Azure, by a provider behind LiteLLM.
const UNKNOWN_MODEL: [&str; 5] = [
    "Invalid model name",
    "model_not_found",
    "DeploymentNotFound",
    "NotFoundError",
    "does not exist or you do not have access",
];

impl Details {
    /// A key's budget has its own type, a deployment's or provider's only its own words.
    fn is_budget_spent(&self) -> bool {
        self.is("budget_exceeded") || self.says(&BUDGET_SPENT)
    }

    fn is_quota_spent(&self) -> bool {
        self.says(&QUOTA_SPENT)
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
