//! How fast jobs are sent.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// The most jobs that are sent at once.
const MOST_AT_ONCE: u32 = 100;

/// A token bucket that holds a tenth of a second's worth of jobs, at least one.
#[derive(Debug)]
pub struct Pace {
    per_job: Duration,
    at_once: usize,
    full: Instant,
}

impl Pace {
    /// So many jobs a second.
    pub fn new(jobs_per_second: f64) -> Self {
        let tenth = (jobs_per_second / 10.0).floor().clamp(1.0, f64::from(MOST_AT_ONCE));
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "1 to 100")]
        let at_once = tenth as usize;
        Self {
            per_job: Duration::from_secs_f64(jobs_per_second.max(1e-6).recip()),
            at_once,
            full: Instant::now(),
        }
    }

    /// How many jobs may be sent together.
    pub(super) fn at_once(&self) -> usize {
        self.at_once
    }

    /// Returns when so many may be sent, and takes them.
    pub(super) async fn take(&mut self, jobs: usize) {
        sleep_until(self.full).await;
        let jobs = u32::try_from(jobs).unwrap_or(u32::MAX);
        self.full = self.full.max(Instant::now()) + self.per_job * jobs;
    }
}
