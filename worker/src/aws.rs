//! Everything that knows AWS.

pub mod clients;

#[cfg(feature = "lambda")]
pub mod lambda;
