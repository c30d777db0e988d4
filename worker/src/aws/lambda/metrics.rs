//! What is measured in the function, told by its log after each invocation.

use std::{
    env,
    io::{self, Write},
    sync::Arc,
};

use crate::{
    clock::Clock,
    environment::Observer,
    telemetry::{emf::Emf, metered::Metered},
};

/// What was measured and not yet told.
#[derive(Clone)]
pub(super) struct Metrics(Arc<Metered<Emf>>);

impl Metrics {
    /// Those of this function. `MCP_BATCH_…` settings are not needed for it, nor can they change it.
    pub(super) fn new() -> Self {
        let function = env::var("AWS_LAMBDA_FUNCTION_NAME").unwrap_or_default();
        Self(Arc::new(Metered::new(Emf::new(function))))
    }

    /// Who measures.
    pub(super) fn observer(&self) -> Arc<dyn Observer> {
        Arc::clone(&self.0) as _
    }

    /// Tells what came since the last time.
    pub(super) fn tell(&self, request_id: &str) {
        let lines = self.0.meter().lines(Clock::system().now(), Some(request_id));
        lines.into_iter().for_each(write_line);
    }
}

/// Writes a line among those of the log, in one piece.
fn write_line(mut line: String) {
    line.push('\n');
    // There is nobody to tell that it cannot be written.
    let _ = io::stderr().lock().write_all(line.as_bytes());
}
