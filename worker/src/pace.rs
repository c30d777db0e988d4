//! How fast jobs are sent where somebody said how fast they may be.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// A token bucket.
#[derive(Debug)]
pub struct Pace {
    per_job: Duration,
    at_once: usize,
    full: Instant,
}

impl Pace {
    /// So many jobs a second. The bucket holds what may be sent in `burst`, at least one and at most
    /// `most_at_once`.
    pub fn new(jobs_per_second: f64, burst: Duration, most_at_once: u16) -> Self {
        let at_once = (jobs_per_second * burst.as_secs_f64()).floor();
        let at_once = at_once.clamp(1.0, f64::from(most_at_once.max(1)));
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "1 to 65,535")]
        let at_once = at_once as usize;
        let per_job = Duration::from_secs_f64(jobs_per_second.max(1e-6).recip());
        Self { per_job, at_once, full: Instant::now() }
    }

    /// How many jobs may be sent together.
    pub fn at_once(&self) -> usize {
        self.at_once
    }

    /// Returns when so many may be sent, and takes them.
    pub async fn take(&mut self, jobs: usize) {
        sleep_until(self.full).await;
        let jobs = u32::try_from(jobs).unwrap_or(u32::MAX);
        self.full = self.full.max(Instant::now()) + self.per_job * jobs;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn no_more_are_taken_in_any_while_than_the_rate_allows() {
        let mut pace = Pace::new(1_000.0, Duration::from_millis(20), 200);
        assert_eq!(pace.at_once(), 20);
        let began = Instant::now();
        for _ in 0..5 {
            pace.take(20).await;
        }
        assert!(began.elapsed() >= Duration::from_millis(80));
        let at_once = |rate, burst| Pace::new(rate, Duration::from_millis(burst), 100).at_once();
        assert_eq!([at_once(0.5, 100), at_once(600.0, 100), at_once(1e9, 100)], [1, 60, 100]);
    }
}
