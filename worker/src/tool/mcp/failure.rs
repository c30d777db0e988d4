//! A call or a handshake that failed: what it means for the job.

use std::time::Duration;

use reqwest::StatusCode;
use rmcp::{
    model::{ErrorCode, ErrorData},
    service::{ClientInitializeError, ServiceError},
    transport::DynamicTransportError,
};

use super::{
    http::{HttpError, HttpFailure},
    oauth::NoToken,
    reply::{OURS_TOO_LARGE, is_ours},
};
use crate::{
    error::{ErrorClass, JobError},
    lease::Usage,
    tool::{ToolError, words},
};

/// Errors of a server's own making, to which no specification gives a meaning.
const OWN_CODES: std::ops::RangeInclusive<i32> = -32_019..=-32_000;

/// What a call's failure is told with.
pub(super) struct Terms<'a> {
    pub(super) server: &'a str,
    /// What was sent and must not be repeated.
    pub(super) payloads: Vec<String>,
    pub(super) secrets: Vec<String>,
    /// The job's calls begun, this one included.
    pub(super) attempt: u32,
}

/// What is known of a failure, before it is told.
struct Verdict {
    class: ErrorClass,
    code: String,
    what: String,
    said: String,
    is_ambiguous: bool,
    retry_after: Option<Duration>,
}

impl Verdict {
    fn new(class: ErrorClass, code: impl Into<String>, what: impl Into<String>) -> Self {
        Self {
            class,
            code: code.into(),
            what: what.into(),
            said: String::new(),
            is_ambiguous: false,
            retry_after: None,
        }
    }

    /// Nobody saw how the call ended.
    fn ambiguous(self) -> Self {
        Self { is_ambiguous: true, ..self }
    }

    fn said(self, said: impl Into<String>) -> Self {
        Self { said: said.into(), ..self }
    }

    fn told(self, terms: &Terms<'_>) -> ToolError {
        let said = words::told(&self.said, &terms.payloads, terms.secrets.iter().cloned());
        let message = format!("the MCP server {} {}{said}", terms.server, self.what);
        ToolError {
            error: JobError::new(self.class, self.code, message),
            usage: Usage::free(),
            retry_after: self.retry_after,
            is_ambiguous: self.is_ambiguous,
        }
    }
}

/// A call that brought no result.
pub(super) fn of_call(error: &ServiceError, terms: &Terms<'_>) -> ToolError {
    of_service(error, terms.attempt).told(terms)
}

/// A call for which the time is over, or that was silent for too long.
pub(super) fn timed_out(after: Duration, what: &str, terms: &Terms<'_>) -> ToolError {
    let what = format!("{what} within {} s", after.as_secs_f64());
    Verdict::new(ErrorClass::Transient, "timeout", what).ambiguous().told(terms)
}

/// An answer to a call that is no result of a tool.
pub(super) fn not_a_result(code: &'static str, what: &str, terms: &Terms<'_>) -> ToolError {
    Verdict::new(ErrorClass::Permanent, code, what).told(terms)
}

/// Arguments that the server refused.
pub(super) fn refused_arguments(said: &str, terms: &Terms<'_>) -> ToolError {
    Verdict::new(ErrorClass::Permanent, "invalid_params", "refused the call").said(said).told(terms)
}

/// A handshake that failed. It is about no job: what would be the end of a job is a matter of the
/// catalog here.
pub(super) fn of_handshake(error: &ClientInitializeError, terms: &Terms<'_>) -> ToolError {
    connecting(of_initialize(error)).told(terms)
}

/// A list of tools that could not be read, likewise.
pub(super) fn of_list(error: &ServiceError, terms: &Terms<'_>) -> ToolError {
    connecting(of_service(error, u32::MAX)).told(terms)
}

/// A server that did not answer while it was being connected to.
pub(super) fn slow_handshake(after: Duration, terms: &Terms<'_>) -> ToolError {
    let what = format!("did not finish the handshake within {} s", after.as_secs_f64());
    Verdict::new(ErrorClass::Transient, "connect_timeout", what).told(terms)
}

/// A server that somebody else has been connecting to for a while; it is asked for again after this.
pub(super) fn being_connected_to(after: Duration, terms: &Terms<'_>) -> ToolError {
    let what = "is being connected to and has not answered yet";
    let verdict = Verdict::new(ErrorClass::Transient, "connecting", what);
    Verdict { retry_after: Some(after), ..verdict }.told(terms)
}

/// A server whose connection ended soon after it was made.
pub(super) fn short_life(terms: &Terms<'_>) -> ToolError {
    let what = "ended soon after it was connected to";
    Verdict::new(ErrorClass::Transient, "connection", what).told(terms)
}

/// A server that is a program and cannot be started.
#[cfg(feature = "stdio")]
pub(super) fn not_started(why: &str, terms: &Terms<'_>) -> ToolError {
    let what = format!("cannot be started: {why}");
    Verdict::new(ErrorClass::Configuration, "not_started", what).told(terms)
}

fn connecting(verdict: Verdict) -> Verdict {
    let class = match verdict.class {
        ErrorClass::Permanent | ErrorClass::Invalid => ErrorClass::Configuration,
        class => class,
    };
    // No tool was called.
    Verdict { class, is_ambiguous: false, ..verdict }
}

fn of_initialize(error: &ClientInitializeError) -> Verdict {
    match error {
        ClientInitializeError::TransportError { error, .. } => of_transport(error, u32::MAX),
        ClientInitializeError::JsonRpcError(error) => of_protocol(error, u32::MAX),
        ClientInitializeError::LegacyFallbackFailed { fallback, .. } => of_initialize(fallback),
        ClientInitializeError::NoCompatibleProtocolVersion { .. } => {
            let what = "speaks no revision of the protocol that is known here";
            Verdict::new(ErrorClass::Configuration, "protocol_version", what)
        }
        ClientInitializeError::ConnectionClosed(_) | ClientInitializeError::Cancelled => {
            let what = "ended the connection in the middle of the handshake";
            Verdict::new(ErrorClass::Transient, "connection", what)
        }
        _ => {
            let what = "answered the handshake with something else (is it an MCP server? its \
                        setting era may help)";
            Verdict::new(ErrorClass::Configuration, "handshake", what)
        }
    }
}

fn of_service(error: &ServiceError, attempt: u32) -> Verdict {
    match error {
        ServiceError::McpError(error) => of_protocol(error, attempt),
        ServiceError::TransportSend(error) => of_transport(error, attempt),
        ServiceError::TransportClosed => {
            let what = "ended its answer before the result came";
            Verdict::new(ErrorClass::Transient, "connection", what).ambiguous()
        }
        ServiceError::UnexpectedResponse => unusable("answered with something else", attempt),
        _ => Verdict::new(ErrorClass::Transient, "call", "did not finish the call").ambiguous(),
    }
}

/// An error of the protocol.
fn of_protocol(error: &ErrorData, attempt: u32) -> Verdict {
    let code = error.code;
    if is_ours(error) {
        return match code {
            OURS_TOO_LARGE => too_large(&error.message),
            _ => unusable(&format!("answered something unusable: {}", error.message), attempt),
        };
    }
    let what = format!("answered with the error {}", code.0);
    let verdict = match code {
        ErrorCode::INVALID_PARAMS => {
            Verdict::new(ErrorClass::Permanent, "invalid_params", "refused the call")
        }
        // It may have begun before it failed.
        ErrorCode::INTERNAL_ERROR => {
            Verdict::new(ErrorClass::Transient, "mcp_32603", what).ambiguous()
        }
        ErrorCode(code) if OWN_CODES.contains(&code) => {
            Verdict::new(ErrorClass::Transient, format!("mcp_{}", code.unsigned_abs()), what)
                .ambiguous()
        }
        ErrorCode(code) => {
            Verdict::new(ErrorClass::Permanent, format!("mcp_{}", code.unsigned_abs()), what)
        }
    };
    verdict.said(error.message.as_ref())
}

fn of_transport(error: &DynamicTransportError, attempt: u32) -> Verdict {
    match error.error.downcast_ref::<HttpError>() {
        Some(HttpError::Client(failure)) => of_http(failure, attempt),
        // The call was sent again, in a new session. Whoever says so twice may not mean its sessions.
        Some(HttpError::SessionExpired) => {
            let what = "knows the session no more, nor the one that it gave instead";
            Verdict::new(ErrorClass::Transient, "session", what).ambiguous()
        }
        Some(HttpError::SessionRecoveryTimeout) => {
            let what = "lost the session while the call ran";
            Verdict::new(ErrorClass::Transient, "session", what).ambiguous()
        }
        Some(HttpError::ReinitializationFailed(error)) => {
            let what = "refused to begin another session";
            Verdict::new(ErrorClass::Transient, "session", what).said(error.message.as_ref())
        }
        _ => {
            let what = "ended the connection";
            Verdict::new(ErrorClass::Transient, "connection", what).ambiguous()
        }
    }
}

fn of_http(failure: &HttpFailure, attempt: u32) -> Verdict {
    match failure {
        HttpFailure::NoToken(NoToken::NoSecret(problem)) => {
            let what = format!("cannot be called: {problem}");
            Verdict::new(ErrorClass::Configuration, "no_secret", what)
        }
        HttpFailure::NoToken(NoToken::Refused(why)) => {
            let what = "cannot be called, since no access token is given for it";
            Verdict::new(ErrorClass::Configuration, "no_token", what).said(why.as_str())
        }
        HttpFailure::NoToken(NoToken::Unreachable(why)) => {
            let what = "cannot be called, since no access token can be had for it now";
            Verdict::new(ErrorClass::Transient, "no_token", what).said(why.as_str())
        }
        HttpFailure::Unreachable(why) => {
            let what = format!("cannot be reached: {why}");
            Verdict::new(ErrorClass::Transient, "connect", what)
        }
        HttpFailure::Broken(why) => {
            let what = format!("broke off the connection: {why}");
            Verdict::new(ErrorClass::Transient, "connection", what).ambiguous()
        }
        HttpFailure::Unusable(what) => {
            unusable(&format!("answered something unusable: {what}"), attempt)
        }
        HttpFailure::TooLarge { .. } => too_large(&failure.to_string()),
        HttpFailure::Status { status, retry_after, said } => {
            of_status(*status, *retry_after).said(said.as_str())
        }
    }
}

fn of_status(status: StatusCode, retry_after: Option<Duration>) -> Verdict {
    let verdict = |class| {
        let code = format!("http_{}", status.as_u16());
        Verdict { retry_after, ..Verdict::new(class, code, format!("answered {status}")) }
    };
    match status.as_u16() {
        // We are refused, or nobody there speaks the protocol: a wrong address, or a proxy that lost
        // its server.
        401 | 403 | 300..=399 | 404 | 405 | 410 => verdict(ErrorClass::Configuration),
        429 => verdict(ErrorClass::Throttled),
        503 if retry_after.is_some() => verdict(ErrorClass::Throttled),
        408 | 500.. => verdict(ErrorClass::Transient).ambiguous(),
        409 | 425 => verdict(ErrorClass::Transient),
        _ => verdict(ErrorClass::Permanent),
    }
}

/// What is no answer of the protocol may be one the next time, when no proxy stands between.
fn unusable(what: &str, attempt: u32) -> Verdict {
    match attempt {
        ..=1 => Verdict::new(ErrorClass::Transient, "unusable_answer", what).ambiguous(),
        _ => Verdict::new(ErrorClass::Permanent, "unusable_answer", what),
    }
}

fn too_large(what: &str) -> Verdict {
    let what = format!("sent too much: {what} (max_result_bytes of the server in the catalog)");
    Verdict::new(ErrorClass::Permanent, "result_too_large", what)
}
