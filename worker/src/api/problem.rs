//! What went wrong, as RFC 9457 has it: `application/problem+json` with a `code` for programs, a
//! `detail` for people and the `field` at fault.

use std::{borrow::Cow, time::Duration};

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;

use super::{answer, enqueue::Row};
use crate::{
    error::{ErrorClass, JobError},
    lease::LedgerError,
    queue::QueueError,
};

/// When a caller may try again what cannot be done for the moment.
const TRY_AGAIN: Duration = Duration::from_secs(2);

/// A request that was not carried out.
#[derive(Clone, Debug)]
pub(super) struct Problem {
    status: StatusCode,
    body: Box<Body>,
    retry_after: Option<Duration>,
}

/// The document.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = Problem))]
pub(super) struct Body {
    /// `about:blank`: the status says what kind of problem it is.
    #[serde(rename = "type")]
    #[cfg_attr(test, schema(example = "about:blank"))]
    kind: &'static str,
    /// The status in words.
    title: &'static str,
    /// The HTTP status.
    status: u16,
    /// A stable word for programs.
    #[cfg_attr(test, schema(value_type = String))]
    code: Cow<'static, str>,
    /// A sentence for people.
    detail: String,
    /// The field at fault, where one is.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schema(nullable = false))]
    field: Option<String>,
    /// Where no job of a request could be taken: why, one by one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(test, schema(required = false))]
    jobs: Vec<Row>,
}

impl Problem {
    pub(super) fn new(
        status: StatusCode,
        code: impl Into<Cow<'static, str>>,
        detail: impl Into<String>,
    ) -> Self {
        let body = Body {
            kind: "about:blank",
            title: status.canonical_reason().unwrap_or_default(),
            status: status.as_u16(),
            code: code.into(),
            detail: detail.into(),
            field: None,
            jobs: Vec::new(),
        };
        Self { status, body: Box::new(body), retry_after: None }
    }

    pub(super) fn bad_request(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, detail)
    }

    pub(super) fn not_found(what: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", format!("there is no such {what}"))
    }

    pub(super) fn conflict(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, code, detail)
    }

    /// For the moment; the caller is asked to come again.
    pub(super) fn unavailable(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, code, detail).after(TRY_AGAIN)
    }

    /// A job's failure, told to the one who waits for it.
    pub(super) fn of_failure(error: &JobError) -> Self {
        let status = match error.class {
            ErrorClass::Invalid => StatusCode::BAD_REQUEST,
            ErrorClass::Throttled | ErrorClass::Busy => StatusCode::SERVICE_UNAVAILABLE,
            _ if error.code == "timeout" => StatusCode::GATEWAY_TIMEOUT,
            _ => StatusCode::BAD_GATEWAY,
        };
        let problem = Self::new(status, error.code.clone(), error.message.clone());
        match &error.field {
            Some(field) => problem.at(field),
            None => problem,
        }
    }

    #[must_use]
    pub(super) fn at(mut self, field: &str) -> Self {
        self.body.field = Some(field.to_owned());
        self
    }

    #[must_use]
    pub(super) fn after(self, pause: Duration) -> Self {
        Self { retry_after: Some(pause), ..self }
    }

    #[must_use]
    pub(super) fn with_jobs(mut self, jobs: Vec<Row>) -> Self {
        self.body.jobs = jobs;
        self
    }

    /// For people, in one line.
    pub(super) fn sentence(&self) -> String {
        format!("{}: {}", self.body.code, self.body.detail)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let kind = HeaderValue::from_static("application/problem+json");
        let mut response = answer(self.status, &self.body);
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
        if let Some(pause) = self.retry_after {
            let seconds = pause.as_secs().saturating_add(1);
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        if self.status == StatusCode::UNAUTHORIZED {
            let scheme = HeaderValue::from_static("Bearer");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, scheme);
        }
        response
    }
}

/// What the ledger says is for the log: it may name tables and hosts.
impl From<LedgerError> for Problem {
    fn from(error: LedgerError) -> Self {
        tracing::warn!(%error, "a request could not be carried out");
        Self::unavailable("ledger", "the ledger cannot be reached for the moment")
    }
}

impl From<QueueError> for Problem {
    fn from(error: QueueError) -> Self {
        tracing::warn!(%error, "a request could not be carried out");
        Self::unavailable("queue", "the queue cannot be reached for the moment")
    }
}
