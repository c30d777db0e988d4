//! How fast jobs are sent.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// At most so many a second, over any while.
pub(super) struct Pace {
    per_second: Option<u64>,
    /// When the next ones may go.
    next: Instant,
}

impl Pace {
    /// Without a rate nothing waits.
    pub(super) fn new(per_second: Option<u64>) -> Self {
        Self { per_second, next: Instant::now() }
    }

    /// How many go together at that rate, of `most`.
    pub(super) fn group(&self, most: usize) -> usize {
        let rate = self.per_second.and_then(|rate| usize::try_from(rate).ok());
        rate.map_or(most, |rate| rate.min(most))
    }

    /// Waits until `jobs` more may go.
    pub(super) async fn wait(&mut self, jobs: usize) {
        let Some(rate) = self.per_second else { return };
        sleep_until(self.next).await;
        let nanoseconds = jobs as u64 * 1_000_000_000 / rate;
        self.next = Instant::now() + Duration::from_nanos(nanoseconds);
    }
}
