//! The settings of a mapping, and which of them AWS refuses.

use std::time::Duration;

/// The settings of an event source mapping. By default 10 messages a batch, no window, partial
/// batch responses, and a function timeout of 30 seconds.
#[derive(Debug, Clone, Copy)]
#[must_use]
pub struct Mapping {
    pub(super) batch_size: usize,
    pub(super) window: Duration,
    pub(super) reports_failures: bool,
    pub(super) function_timeout: Duration,
}

impl Default for Mapping {
    fn default() -> Self {
        Self {
            batch_size: 10,
            window: Duration::ZERO,
            reports_failures: true,
            function_timeout: Duration::from_secs(30),
        }
    }
}

/// Why AWS refuses a mapping (`InvalidParameterValueException`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// "For standard queues, the maximum is 10,000. For FIFO queues, the maximum is 10."
    BatchSize,
    /// "When you set `BatchSize` to a value greater than 10, you must set
    /// `MaximumBatchingWindowInSeconds` to at least 1."
    WindowTooShort,
    /// "Batching window is not supported for FIFO queues."
    WindowOnFifo,
    /// "Queue visibility timeout: 30 seconds is less than Function timeout: 60 seconds."
    VisibilityTimeout,
}

impl Mapping {
    /// `BatchSize`: the most messages of a batch.
    pub fn batch_size(mut self, batch_size: usize) -> Self {
        self.batch_size = batch_size;
        self
    }

    /// `MaximumBatchingWindowInSeconds`: how long a batch that is not full gathers messages.
    pub fn window_s(mut self, window_s: u64) -> Self {
        self.window = Duration::from_secs(window_s);
        self
    }

    /// Leaves `ReportBatchItemFailures` out of the `FunctionResponseTypes`.
    pub fn without_failure_reports(mut self) -> Self {
        self.reports_failures = false;
        self
    }

    /// The function's timeout.
    pub fn function_timeout(mut self, timeout: Duration) -> Self {
        self.function_timeout = timeout;
        self
    }

    pub(super) fn check(&self, arn: &str, visibility_timeout: Duration) -> Result<(), Refused> {
        let is_fifo = is_fifo(arn);
        let most = if is_fifo { 10 } else { 10_000 };
        if !(1..=most).contains(&self.batch_size) {
            return Err(Refused::BatchSize);
        }
        if is_fifo && !self.window.is_zero() {
            return Err(Refused::WindowOnFifo);
        }
        if self.batch_size > 10 && self.window < Duration::from_secs(1) {
            return Err(Refused::WindowTooShort);
        }
        if visibility_timeout < self.function_timeout {
            return Err(Refused::VisibilityTimeout);
        }
        Ok(())
    }
}

/// The name alone tells: messages of standard queues may have a group too.
fn is_fifo(arn: &str) -> bool {
    arn.rsplit_once('.').is_some_and(|(_, suffix)| suffix == "fifo")
}
