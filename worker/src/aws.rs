//! Everything that knows AWS.

pub mod clients;

pub mod secrets;

#[cfg(feature = "lambda")]
pub mod lambda;
