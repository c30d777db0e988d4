//! What comes of an invocation.

use std::process::ExitStatus;

use bytes::Bytes;
use serde_json::Value;

/// What came of one invocation of a function.
#[derive(Debug, Clone)]
pub enum Invocation {
    /// It answered this, which need not be JSON.
    Response(Bytes),
    /// It, or its start, reported an error.
    Error {
        /// `errorType`.
        kind: String,
        /// `errorMessage`.
        message: String,
    },
    /// It did not answer in time. Its process was killed.
    TimedOut,
    /// Its process ended without an answer.
    Crashed(ExitStatus),
}

impl Invocation {
    /// What it answered.
    ///
    /// # Panics
    ///
    /// When it did not, or not in JSON.
    pub fn json(&self) -> Value {
        match self {
            Self::Response(body) => serde_json::from_slice(body).expect("an answer in JSON"),
            other => panic!("the function did not answer: {other:?}"),
        }
    }

    /// The error that a function describes, in the shape of the Runtime API.
    pub(super) fn error(body: &[u8]) -> Self {
        let described: Value = serde_json::from_slice(body).unwrap_or_default();
        let text = |field: &str| described[field].as_str().unwrap_or_default().to_owned();
        Self::Error { kind: text("errorType"), message: text("errorMessage") }
    }
}
