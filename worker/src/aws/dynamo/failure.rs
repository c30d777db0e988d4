//! What can go wrong on the way to a table or a bucket, without a word of what lies there.

use std::error::Error;

use aws_sdk_dynamodb::{error::SdkError, operation::query::QueryError};
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

use crate::{
    error::{ErrorClass, JobError, with_causes},
    lease::LedgerError,
};

/// Why a transition was not written.
#[derive(Debug)]
pub(super) enum Failure {
    /// Nothing can keep a result of so many bytes.
    ResultTooLarge(usize),
    /// Only the bucket could keep a result of so many bytes, and did not take it.
    ResultNotStored(usize),
    /// The store is out of reach or answers nonsense.
    Ledger(LedgerError),
}

/// Why a job fails whose result of so many bytes nothing can keep.
pub(super) fn result_too_large(bytes: usize) -> JobError {
    let message = format!(
        "the result has {bytes} bytes: expected one that fits the ledger (376 KB compressed), or a \
         bucket for larger ones"
    );
    JobError::new(ErrorClass::Permanent, "result_too_large", message)
}

/// Why a job fails whose result only the bucket can keep, which does not take it.
pub(super) fn result_not_stored(bytes: usize) -> JobError {
    let message = format!(
        "the result has {bytes} bytes, more than fits the ledger: expected the bucket for such \
         results to take it"
    );
    JobError::new(ErrorClass::Permanent, "result_not_stored", message)
}

impl From<LedgerError> for Failure {
    fn from(error: LedgerError) -> Self {
        Self::Ledger(error)
    }
}

impl From<Failure> for LedgerError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::ResultNotStored(bytes) => Self(format!(
                "a result of {bytes} bytes: expected the bucket to take it, since no item can"
            )),
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
    LedgerError(format!("{operation}: {}", with_causes(error)))
}

/// The same of a query, where the index may not be there: it has to be made by hand or by Terraform.
pub(super) fn of_query(table: &str, index: &str, error: &SdkError<QueryError>) -> LedgerError {
    let failure = of_request("Query", error);
    let is_unknown = failure.0.contains("ValidationException");
    match is_unknown {
        false => failure,
        true => LedgerError(format!(
            "table {table}: expected an index “{index}” (docs/aws.md, “What there has to be”), found \
             none that can be asked: nothing can be swept, jobs are worked off all the same ({failure})"
        )),
    }
}

/// An item that this program did not write.
pub(super) fn malformed(attribute: &str, expected: &str) -> LedgerError {
    LedgerError(format!("attribute {attribute} of an item: expected {expected}"))
}
