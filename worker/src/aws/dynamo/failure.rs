//! What can go wrong on the way to a table or a bucket, without a word of what lies there.

use std::{error::Error, fmt::Write};

use aws_sdk_dynamodb::error::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

use crate::lease::LedgerError;

/// Why a transition was not written.
#[derive(Debug)]
pub(super) enum Failure {
    /// Nothing can keep a result of so many bytes.
    ResultTooLarge(usize),
    /// The store is out of reach or answers nonsense.
    Ledger(LedgerError),
}

impl From<LedgerError> for Failure {
    fn from(error: LedgerError) -> Self {
        Self::Ledger(error)
    }
}

impl From<Failure> for LedgerError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::ResultTooLarge(bytes) => Self(format!(
                "a result of {bytes} bytes: expected one that fits an item of the table, or a bucket for it"
            )),
            Failure::Ledger(error) => error,
        }
    }
}

/// A request that failed, as the service's code and message, or as what became of the connection.
pub(super) fn of_request<E>(operation: &str, error: &SdkError<E>) -> LedgerError
where
    E: ProvideErrorMetadata + Error + 'static,
{
    if let Some(answer) = error.as_service_error() {
        let code = answer.code().unwrap_or("an error without a code");
        let message = answer.message().unwrap_or("no message");
        return LedgerError(format!("{operation}: {code}: {message}"));
    }
    let mut text = format!("{operation}: {error}");
    let mut cause = error.source();
    while let Some(error) = cause {
        // Writing to a string does not fail.
        let _ = write!(text, ": {error}");
        cause = error.source();
    }
    LedgerError(text)
}

/// An item that this program did not write.
pub(super) fn malformed(attribute: &str, expected: &str) -> LedgerError {
    LedgerError(format!("attribute {attribute} of an item: expected {expected}"))
}
