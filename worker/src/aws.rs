//! Everything that knows AWS.

#[cfg(feature = "lambda")]
pub mod lambda;
