//! What SQS's failures mean, told without what was sent.

use std::error::Error;

use aws_sdk_sqs::error::{ProvideErrorMetadata, SdkError};

use crate::queue::QueueError;

/// A failed request: the service's own words, or what kept it from being asked.
pub(super) fn told<E: ProvideErrorMetadata + Error + 'static, R: std::fmt::Debug + 'static>(
    error: &SdkError<E, R>,
) -> QueueError {
    match error.as_service_error() {
        Some(refused) => {
            let code = refused.code().unwrap_or("an error without a code");
            QueueError(format!("SQS answered {code}: {}", refused.message().unwrap_or_default()))
        }
        None => QueueError(format!("SQS cannot be asked: {}", chain(error))),
    }
}

fn chain(error: &dyn Error) -> String {
    let causes = std::iter::successors(Some(error), |error| (*error).source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// Whether the code says that the message is somebody else's by now, or deleted. On a FIFO queue an
/// outlived receipt is an `InvalidParameterValue`.
pub(super) fn is_stale(code: &str) -> bool {
    let name = code.rsplit('.').next().unwrap_or(code);
    matches!(name, "ReceiptHandleIsInvalid" | "MessageNotInflight" | "InvalidParameterValue")
}
