//! Everything that knows AWS: ledger, queue and secrets, and the shell around the worker that
//! Lambda starts.

pub mod clients;
pub mod dynamo;
pub mod sqs;

pub mod secrets;

#[cfg(feature = "lambda")]
pub mod lambda;
