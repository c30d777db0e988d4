//! Everything that knows AWS.

pub mod clients;
pub mod sqs;

#[cfg(feature = "lambda")]
pub mod lambda;
