//! All the LLM can be told to do.

use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;

use super::Status;

/// What the LLM does with a call. Most can be asked for from inside a prompt, by the marker
/// in the last column; anything else in double brackets is just text.
///
/// | behaviour | marker |
/// |---|---|
/// | [`Echo`](Self::Echo) | `[[echo]]` |
/// | [`Answer`](Self::Answer) | `[[answer:TEXT]]` |
/// | [`Json`](Self::Json) | `[[json:VALUE]]` |
/// | [`FinishReason`](Self::FinishReason) | `[[length]]`, `[[content_filter]]` |
/// | [`Cached`](Self::Cached) | `[[cached]]` |
/// | [`Status`](Self::Status) | `[[500]]` and so on, `[[429:WAIT]]` |
/// | [`throttled_by_provider`](Self::throttled_by_provider) | `[[provider-429:WAIT]]` |
/// | [`quota_spent`](Self::quota_spent) | `[[quota]]` |
/// | [`cooling_down`](Self::cooling_down) | `[[cooldown]]` |
/// | [`budget_exceeded`](Self::budget_exceeded) | `[[budget]]` |
/// | [`low_credit`](Self::low_credit) | `[[low-credit]]` |
/// | [`context_too_long`](Self::context_too_long) | `[[too-long]]` |
/// | [`filtered_request`](Self::filtered_request) | `[[filter]]` |
/// | [`model_not_found`](Self::model_not_found) | `[[model-not-found]]` |
/// | [`not_found`](Self::not_found) | `[[not-found]]` |
/// | [`bad_gateway_html`](Self::bad_gateway_html) | `[[html]]` |
/// | [`GarbageJson`](Self::GarbageJson) | `[[garbage]]` |
/// | [`EmptyChoices`](Self::EmptyChoices) | `[[empty]]` |
/// | [`HalfBody`](Self::HalfBody) | `[[half]]` |
/// | [`HugeBody`](Self::HugeBody) | `[[huge:BYTES]]` |
/// | [`Trickle`](Self::Trickle) | `[[trickle]]` |
/// | [`HeadAlone`](Self::HeadAlone) | `[[head]]` |
/// | [`Slow`](Self::Slow) | `[[slow:SECONDS]]` |
/// | [`Hold`](Self::Hold) | `[[hold]]` |
/// | [`Hang`](Self::Hang) | `[[hang]]` |
/// | [`Drop`](Self::Drop) | `[[drop]]` |
#[derive(Debug, Clone, PartialEq)]
pub enum Behaviour {
    /// A good answer: `Echo: ` and the first 80 characters of the last user message.
    Echo,
    /// A good answer with this text.
    Answer(String),
    /// A good answer whose text is this value as JSON, for tools with a schema.
    Json(Value),
    /// A good answer that ends for this reason, `length` or `content_filter`. The filter
    /// leaves no text, but costs the same.
    FinishReason(String),
    /// A good answer to a prompt of 1,020 tokens, of which the provider had 900 in its cache and
    /// (Anthropic alone) put 100 there, with 7 tokens of reasoning (`OpenAI` alone).
    Cached,
    /// An error in `LiteLLM`'s shape.
    Status(Status),
    /// This status, type and body, as they stand.
    Raw {
        /// The HTTP status.
        status: u16,
        /// The Content-Type.
        content_type: &'static str,
        /// The body.
        body: Bytes,
    },
    /// A 200 of the right type whose body is not JSON.
    GarbageJson,
    /// A 200 without any choice in it.
    EmptyChoices,
    /// A good answer cut off in the middle: its Content-Length promises the whole, then the
    /// connection is closed.
    HalfBody,
    /// A good answer of this many bytes, sent without a Content-Length.
    HugeBody(usize),
    /// A byte a second, for ever.
    Trickle,
    /// The head of an answer, and never a byte of its body.
    HeadAlone,
    /// [`Echo`](Self::Echo) after this long.
    Slow(Duration),
    /// [`Echo`](Self::Echo) once [`FakeLlm::release`](crate::FakeLlm::release) says so: slow
    /// for exactly as long as a test wants.
    Hold,
    /// Never an answer. [`FakeLlm::clients_left`](crate::FakeLlm::clients_left) tells when the
    /// client has given up.
    Hang,
    /// The connection is closed without an answer.
    Drop,
}

impl Behaviour {
    /// A good answer with this text.
    pub fn answer(text: impl Into<String>) -> Self {
        Self::Answer(text.into())
    }

    /// The usual error under this status.
    pub fn status(code: u16) -> Self {
        Status::of(code).into()
    }

    /// A 429 with a `retry-after`, in seconds or as an HTTP date.
    pub fn throttled(wait: &str) -> Self {
        Status::of(429).retry_after(wait).into()
    }

    /// A 429 of the provider's, the wait in `llm_provider-retry-after`.
    pub fn throttled_by_provider(wait: &str) -> Self {
        Status::of(429).provider_retry_after(wait).into()
    }

    /// A 429 that waiting does not cure: only its text tells.
    pub fn quota_spent() -> Self {
        let message = "litellm.RateLimitError: You exceeded your current quota, please check \
                       your plan and billing details.";
        Status::of(429).message(message).into()
    }

    /// A 429 because all deployments of the model are cooling down.
    pub fn cooling_down() -> Self {
        let message = "No deployments available for selected model, Try again in 5 seconds.";
        Status::of(429).kind("all_deployments_in_cooldown").message(message).retry_after("5").into()
    }

    /// A 422 because the key's budget is spent: its type tells.
    pub fn budget_exceeded() -> Self {
        let message = "Budget has been exceeded! Current cost: 1.01, Max budget: 1.0";
        Status::of(422).kind("budget_exceeded").message(message).into()
    }

    /// A 400 because the account has no money left: only its text tells.
    pub fn low_credit() -> Self {
        let message = "Your credit balance is too low to access the Anthropic API. Please go to \
                       Plans & Billing to upgrade or purchase credits.";
        Status::of(400).message(message).into()
    }

    /// A 400 because the prompt does not fit the model.
    pub fn context_too_long() -> Self {
        let message = "litellm.ContextWindowExceededError: prompt is too long";
        Status::of(400).message(message).into()
    }

    /// A 400 because the prompt did not pass the provider's filter.
    pub fn filtered_request() -> Self {
        let message = "litellm.ContentPolicyViolationError: The response was filtered due to \
                       the prompt triggering Azure OpenAI's content management policy.";
        Status::of(400).message(message).into()
    }

    /// A 404 with the code `model_not_found`.
    pub fn model_not_found() -> Self {
        let message = "litellm.NotFoundError: The model does not exist";
        Status::of(404).message(message).error_code("model_not_found").into()
    }

    /// The 404 of a wrong base URL.
    pub fn not_found() -> Self {
        Self::json_of(404, r#"{"detail":"Not Found"}"#)
    }

    /// The 502 of a proxy in between, in HTML.
    pub fn bad_gateway_html() -> Self {
        let body = "<html><head><title>502 Bad Gateway</title></head></html>";
        Self::raw(502, "text/html", body)
    }

    /// This status and body, as JSON.
    pub fn json_of(status: u16, body: impl Into<Bytes>) -> Self {
        Self::raw(status, "application/json", body)
    }

    /// This status, type and body.
    pub fn raw(status: u16, content_type: &'static str, body: impl Into<Bytes>) -> Self {
        Self::Raw { status, content_type, body: body.into() }
    }
}

impl From<Status> for Behaviour {
    fn from(status: Status) -> Self {
        Self::Status(status)
    }
}
