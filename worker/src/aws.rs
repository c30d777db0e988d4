//! Everything that knows AWS.

pub mod clients;
pub mod dynamo;

#[cfg(feature = "lambda")]
pub mod lambda;
