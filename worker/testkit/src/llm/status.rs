//! Errors in the shape `LiteLLM` gives them.

use std::borrow::Cow;

use bytes::Bytes;
use hyper::header::{HeaderName, HeaderValue};
use serde_json::json;

use crate::server::header;

/// An error in the shape `LiteLLM` gives it: a status, the body
/// `{"error": {message, type, param, code}}`, and headers.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct Status {
    pub(super) code: u16,
    kind: Cow<'static, str>,
    message: Cow<'static, str>,
    error_code: Cow<'static, str>,
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
}

impl Status {
    /// The error that `LiteLLM` most often gives under this status.
    pub fn of(code: u16) -> Self {
        let (kind, message) = match code {
            400 => ("invalid_request_error", "litellm.BadRequestError: bad request"),
            401 => ("authentication_error", "litellm.AuthenticationError: bad api key"),
            403 => ("permission_error", "litellm.PermissionDeniedError: not allowed"),
            404 => ("invalid_request_error", "litellm.NotFoundError: not found"),
            // Not the type one would expect.
            408 => ("invalid_request_error", "litellm.Timeout: request timed out"),
            422 => ("invalid_request_error", "litellm.UnprocessableEntityError: unprocessable"),
            429 => ("throttling_error", "litellm.RateLimitError: rate limit reached"),
            502 => ("internal_server_error", "litellm.BadGatewayError: bad gateway"),
            503 => ("internal_server_error", "litellm.ServiceUnavailableError: unavailable"),
            529 => ("internal_server_error", "litellm.InternalServerError: overloaded"),
            _ => ("internal_server_error", "litellm.InternalServerError: internal error"),
        };
        Self {
            code,
            kind: kind.into(),
            message: message.into(),
            error_code: code.to_string().into(),
            headers: Vec::new(),
        }
    }

    /// Replaces `error.type`.
    pub fn kind(mut self, kind: impl Into<Cow<'static, str>>) -> Self {
        self.kind = kind.into();
        self
    }

    /// Replaces `error.message`.
    pub fn message(mut self, message: impl Into<Cow<'static, str>>) -> Self {
        self.message = message.into();
        self
    }

    /// Replaces `error.code`, which is the status as text.
    pub fn error_code(mut self, error_code: impl Into<Cow<'static, str>>) -> Self {
        self.error_code = error_code.into();
        self
    }

    /// The wait in seconds or as an HTTP date, as the proxy itself names it.
    pub fn retry_after(self, wait: &str) -> Self {
        self.header("retry-after", wait)
    }

    /// The wait as the proxy hands it on from the provider: `llm_provider-retry-after`.
    pub fn provider_retry_after(self, wait: &str) -> Self {
        self.header("llm_provider-retry-after", wait)
    }

    /// Adds a header.
    ///
    /// # Panics
    ///
    /// When it is not a valid one.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push(header(name, value));
        self
    }

    /// The same in Anthropic's shape.
    pub(super) fn anthropic_body(&self) -> Bytes {
        let kind = match self.code {
            400 | 413 | 422 => "invalid_request_error",
            401 => "authentication_error",
            403 => "permission_error",
            404 => "not_found_error",
            429 => "rate_limit_error",
            529 => "overloaded_error",
            _ => "api_error",
        };
        let error = json!({"type": kind, "message": self.message});
        json!({"type": "error", "error": error}).to_string().into()
    }

    pub(super) fn body(&self) -> Bytes {
        let error = json!({
            "message": self.message,
            "type": self.kind,
            "param": null,
            "code": self.error_code,
        });
        json!({ "error": error }).to_string().into()
    }
}
