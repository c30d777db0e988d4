//! Everything that knows AWS: ledger, queue and secrets, and the shell around the worker that
//! Lambda starts.

mod agent;
pub mod clients;
pub mod dynamo;
mod http;
pub mod objects;
pub mod secrets;
pub mod setup;
mod sign;
pub mod sqs;
pub(crate) mod xray;

#[cfg(feature = "lambda")]
pub mod lambda;
