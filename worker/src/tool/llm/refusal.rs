//! An answer that is no success: what its status, its error type and its headers mean for the job.

use std::time::Duration;

use hyper::{StatusCode, header::RETRY_AFTER};
use serde::Deserialize;

use super::{ApiKey, ToolError};
use crate::{
    clock::UnixMs,
    error::{ErrorClass, JobError},
    http::Response,
    retry::retry_after,
};

/// The longest pause an upstream may ask for.
const LONGEST_PAUSE: Duration = Duration::from_mins(15);

/// How long to wait when money is spent: until somebody raises the budget, or a new period begins.
const BUDGET_PAUSE: Duration = Duration::from_mins(1);

/// The most of an upstream's message that is told, in characters.
const MAX_MESSAGE_CHARS: usize = 300;

/// Text of the prompt that an upstream's message may not repeat, in characters.
const QUOTED_CHARS: usize = 24;

/// A prompt that is shorter is a word that any message may hold.
const SHORTEST_PROMPT_CHARS: usize = 8;

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
    job_named_model: bool,
}

/// OpenAI's and LiteLLM's shape: `{"error": {message, type, code}}`.
#[derive(Default, Deserialize)]
struct Body {
    error: Details,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Details {
    message: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
    code: Option<serde_json::Value>,
}

/// What the request said.
#[derive(Default, Deserialize)]
struct Request {
    messages: Vec<Said>,
}

#[derive(Deserialize)]
struct Said {
    content: String,
}

impl Refusal {
    pub(super) fn of(response: &Response, now: UnixMs, job_named_model: bool) -> Self {
        let headers = response.headers();
        // LiteLLM hands the provider's own wish on under another name.
        let asked = headers.get(RETRY_AFTER).or_else(|| headers.get("llm_provider-retry-after"));
        let retry_after = asked
            .and_then(|value| value.to_str().ok())
            .and_then(|value| retry_after(value, now, LONGEST_PAUSE));
        Self { status: response.status(), retry_after, job_named_model }
    }

    /// The verdict, with as much of the upstream's own words as repeats neither key nor prompt.
    pub(super) fn explained_by(self, body: &[u8], request: &[u8], key: Option<&ApiKey>) -> Refused {
        let details = serde_json::from_slice::<Body>(body).unwrap_or_default().error;
        let (class, code) = self.judge(&details);
        let retry_after = match code {
            Some("budget_exceeded") => self.retry_after.or(Some(BUDGET_PAUSE)),
            _ => self.retry_after,
        };
        let blames_key = match code {
            None => self.status == StatusCode::UNAUTHORIZED,
            Some(code) => code == "api_key",
        };
        let code = code.map_or_else(|| format!("http_{}", self.status.as_u16()), str::to_owned);
        let said = details.message.map(|message| shown(&message, request, key)).unwrap_or_default();
        let message = format!("the LLM answered {}{said}", self.status);
        let error = JobError::new(class, code, message);
        let failure = match self.status.as_u16() {
            408 | 504 => ToolError::ambiguous(error),
            _ => ToolError::free(error),
        };
        Refused { error: ToolError { retry_after, ..failure }, blames_key }
    }

    /// The status first, the type second: LiteLLM calls a 408 an invalid request.
    fn judge(&self, details: &Details) -> (ErrorClass, Option<&'static str>) {
        let kind = details.kind.as_deref().unwrap_or_default();
        match self.status.as_u16() {
            _ if kind == "budget_exceeded" => (ErrorClass::Throttled, Some("budget_exceeded")),
            300..=399 | 401 | 403 => (ErrorClass::Configuration, None),
            400 if kind == "no_db_connection" => (ErrorClass::Configuration, Some("api_key")),
            400 | 404 if details.names_unknown_model() => match self.job_named_model {
                true => (ErrorClass::Permanent, Some("unknown_model")),
                false => (ErrorClass::Configuration, Some("unknown_model")),
            },
            408 => (ErrorClass::Transient, Some("timeout")),
            429 => (ErrorClass::Throttled, None),
            503 if self.retry_after.is_some() => (ErrorClass::Throttled, None),
            409 | 425 | 500.. => (ErrorClass::Transient, None),
            _ => (ErrorClass::Permanent, None),
        }
    }
}

impl Details {
    fn names_unknown_model(&self) -> bool {
        let message = self.message.as_deref().unwrap_or_default();
        self.code.as_ref().and_then(serde_json::Value::as_str) == Some("model_not_found")
            || message.contains("Invalid model name")
    }
}

/// The upstream's message, bounded, on one line, without what must not be told.
fn shown(message: &str, request: &[u8], key: Option<&ApiKey>) -> String {
    let key = key.map(ApiKey::expose).filter(|key| !key.is_empty());
    // Before it is cut, which may leave half a key.
    let message = key.map_or_else(|| message.to_owned(), |key| message.replace(key, "[key]"));
    if quotes(&message, request) {
        return " (its message repeats the prompt and is left out)".to_owned();
    }
    format!(": {}", on_one_line(&message).take(MAX_MESSAGE_CHARS).collect::<String>())
}

fn on_one_line(text: &str) -> impl Iterator<Item = char> {
    text.chars().map(|c| if c.is_control() { ' ' } else { c })
}

/// Whether the message repeats a run of a prompt, or the whole of a short one.
fn quotes(message: &str, request: &[u8]) -> bool {
    let chars: Vec<char> = on_one_line(message).collect();
    let message: String = chars.iter().collect();
    prompts(request).iter().any(|prompt| {
        let is_whole = prompt.len() >= SHORTEST_PROMPT_CHARS && message.contains(prompt);
        is_whole
            || chars
                .windows(QUOTED_CHARS)
                .step_by(QUOTED_CHARS / 3)
                .any(|run| prompt.contains(&run.iter().collect::<String>()))
    })
}

/// What was said to the model, as an upstream would repeat it: not as JSON has it.
fn prompts(request: &[u8]) -> Vec<String> {
    let request = serde_json::from_slice::<Request>(request).unwrap_or_default();
    request.messages.iter().map(|said| on_one_line(said.content.trim()).collect()).collect()
}
