//! The one line that is logged of a batch.

use std::time::Duration;

use crate::{run::Verdict, telemetry::rounded_ms};

/// How the messages of a batch ended.
#[derive(Debug, Default)]
pub(super) struct Tally {
    finished: usize,
    returned: usize,
    left: usize,
}

impl Tally {
    pub(super) fn count(&mut self, verdict: Verdict) {
        match verdict {
            Verdict::Finished => self.finished += 1,
            Verdict::Return(_) => self.returned += 1,
            Verdict::Leave => self.left += 1,
        }
    }

    /// Logs it, if there was anything.
    pub(super) fn note(&self, took: Duration) {
        let Self { finished, returned, left } = self;
        let messages = finished + returned + left;
        if messages > 0 {
            let duration_ms = rounded_ms(took);
            tracing::info!(messages, finished, returned, left, duration_ms, "batch worked off");
        }
    }
}
