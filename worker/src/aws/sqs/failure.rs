//! What SQS's failures mean, told without what was sent.

use std::{error::Error, sync::Once};

use aws_sdk_sqs::error::{ProvideErrorMetadata, SdkError};

use crate::{
    error::with_causes,
    queue::{Cause, QueueError},
};

const INVALID_RECEIPT: &str = "ReceiptHandleIsInvalid";

/// A failed request: the service's own words, or what kept it from being asked.
pub(super) fn told<E: ProvideErrorMetadata + Error + 'static, R: std::fmt::Debug + 'static>(
    error: &SdkError<E, R>,
) -> QueueError {
    let (told, is_settings) = if let Some(refused) = error.as_service_error() {
        let code = refused.code().unwrap_or("an error without a code");
        let message = refused.message().unwrap_or_default();
        (format!("SQS answered {code}: {message}"), is_settings(code))
    } else {
        (format!("SQS cannot be asked: {}", with_causes(error)), is_unasked(error))
    };
    QueueError::of(told).because(if is_settings { Cause::Settings } else { Cause::Passing })
}

/// Whether the code says that there is no such queue, or no right to use it.
fn is_settings(code: &str) -> bool {
    const CODES: [&str; 13] = [
        "NonExistentQueue",
        "QueueDoesNotExist",
        "InvalidAddress",
        "AccessDenied",
        "AccessDeniedException",
        "KmsAccessDenied",
        "KmsDisabled",
        "KmsNotFound",
        "InvalidClientTokenId",
        "MissingAuthenticationToken",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
        "OptInRequired",
    ];
    CODES.contains(&name(code))
}

/// Whether no request could be made, for want of credentials or a region for instance.
fn is_unasked<E, R>(error: &SdkError<E, R>) -> bool {
    match error {
        SdkError::ConstructionFailure(_) => true,
        SdkError::DispatchFailure(failure) => failure.is_other() || failure.is_user(),
        _ => false,
    }
}

/// Says once that SQS takes a receipt for none of this queue's.
pub(super) fn warn_if_foreign(code: &str) {
    static ONCE: Once = Once::new();
    if name(code) == INVALID_RECEIPT {
        ONCE.call_once(|| {
            tracing::warn!(
                "SQS does not know a receipt: its message can be neither deferred nor deleted; is \
                 MCP_BATCH_QUEUE_URL the queue that messages come from?"
            );
        });
    }
}

/// Whether the code says that the message is somebody else's by now, or deleted. On a FIFO queue an
/// outlived receipt is an `InvalidParameterValue`.
pub(super) fn is_stale(code: &str) -> bool {
    matches!(name(code), INVALID_RECEIPT | "MessageNotInflight" | "InvalidParameterValue")
}

/// SQS's code without what some of its protocols put before it.
fn name(code: &str) -> &str {
    code.rsplit('.').next().unwrap_or(code)
}
