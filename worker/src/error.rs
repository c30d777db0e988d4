//! Why a job did not succeed: the class decides what happens next, code and message tell a person.

use std::{borrow::Cow, error::Error, fmt, iter};

use serde::{Deserialize, Serialize};

/// What is done about a failure depends on its class alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorClass {
    /// The job itself is wrong: told, put with the dead letters, never retried.
    Invalid,
    /// The upstream refused this very job: the same.
    Permanent,
    /// Credentials, model alias or catalog are wrong: nobody's job is killed for it.
    Configuration,
    /// The upstream asked for a pause: deferred by that time, no attempt counted.
    Throttled,
    /// May work the next time: retried, at most as often as the attempts allow.
    Transient,
    /// Transient on the last attempt, or for too long.
    Exhausted,
    /// Stopped while running.
    Interrupted,
    /// Another worker holds a live lease on the job.
    Busy,
}

impl ErrorClass {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Invalid,
        Self::Permanent,
        Self::Configuration,
        Self::Throttled,
        Self::Transient,
        Self::Exhausted,
        Self::Interrupted,
        Self::Busy,
    ];

    /// The class of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.as_str() == name)
    }

    /// The name in results, attributes and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Invalid => "invalid",
            Self::Permanent => "permanent",
            Self::Configuration => "configuration",
            Self::Throttled => "throttled",
            Self::Transient => "transient",
            Self::Exhausted => "exhausted",
            Self::Interrupted => "interrupted",
            Self::Busy => "busy",
        }
    }

    /// Whether the unchanged job could succeed when it is sent again.
    pub fn is_retryable(self) -> bool {
        !matches!(self, Self::Invalid | Self::Permanent)
    }
}

impl fmt::Display for ErrorClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What an upstream said itself stands behind this, at the end of a message.
pub const SAID: &str = ": “";

/// One job's failure, as results, callbacks and dead letters show it.
///
/// `code` is a stable word for programs; `message` is for people and holds neither payload nor
/// secret; `field` is the path of the field at fault, where one is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct JobError {
    /// What is done about it.
    pub class: ErrorClass,
    /// A stable word for programs, such as `unknown_tool`.
    pub code: Cow<'static, str>,
    /// A sentence for people.
    pub message: String,
    /// The field at fault, such as `input.categories`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
}

impl JobError {
    /// A failure of `class` with its stable `code` and a `message` for people.
    pub fn new(
        class: ErrorClass,
        code: impl Into<Cow<'static, str>>,
        message: impl Into<String>,
    ) -> Self {
        Self { class, code: code.into(), message: message.into(), field: None }
    }

    /// The same failure, blamed on the field at `path`.
    #[must_use]
    pub fn at(mut self, path: impl Into<String>) -> Self {
        self.field = Some(path.into());
        self
    }

    /// The message as far as it may stand in a log: an upstream's own words may repeat an input.
    pub fn in_log(&self) -> &str {
        self.message.split(SAID).next().unwrap_or_default()
    }

    /// What is left of a retryable failure when nothing is left to try: same code, told as final.
    #[must_use]
    pub fn exhausted(self, why: &str) -> Self {
        Self {
            class: ErrorClass::Exhausted,
            message: format!("{} ({why}; last failure: {})", self.message, self.class),
            ..self
        }
    }
}

/// What an error says, and what each of its causes says.
pub fn with_causes(error: &dyn Error) -> String {
    let causes = iter::successors(Some(error), |&error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// What the cause at the end of the chain says, where those above it only repeat what was asked.
pub fn innermost(error: &dyn Error) -> String {
    let causes = iter::successors(Some(error), |&error| error.source());
    causes.last().map(ToString::to_string).unwrap_or_default()
}

/// Codes that others than people and their programs go by: metrics tell failures apart by them.
pub mod code {
    /// Another worker runs the job.
    pub const BUSY: &str = "busy";
    /// Another worker took the job over while this one ran it.
    pub const FENCED: &str = "fenced";
    /// There was no time left to begin the job.
    pub const NOT_STARTED: &str = "not_started";
    /// The host of a callback cannot be looked up now.
    pub const CALLBACK_NAME: &str = "callback_name";
    /// A budget of the upstream's is spent.
    pub const BUDGET_EXCEEDED: &str = "budget_exceeded";
    /// A provider's quota is spent.
    pub const QUOTA_EXCEEDED: &str = "quota_exceeded";
}
