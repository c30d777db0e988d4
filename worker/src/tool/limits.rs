//! How much an upstream is asked for: calls a minute and calls at once, as the catalog says for a
//! model, a tool or a server. [`Limits::new`] checks the two keys `rate_per_minute` and
//! `concurrency`, which stand as they are in the specs of `[models.NAME]`, `[tools.NAME]` and
//! `[servers.NAME]`; a [`Gate`](super::Gate) made of them keeps them.

use std::time::Duration;

use tokio::time::Instant;

/// Calls a minute that may be named.
const RATES: std::ops::RangeInclusive<f64> = 1.0..=1_000_000.0;

/// Calls at once that may be named.
const CONCURRENCIES: std::ops::RangeInclusive<usize> = 1..=10_000;

/// What the catalog says an upstream takes from this process; without a word, whatever comes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Limits {
    rate_per_minute: Option<f64>,
    concurrency: Option<usize>,
}

impl Limits {
    /// Checks `rate_per_minute` (1 to 1,000,000) and `concurrency` (1 to 10,000); the error names
    /// the key at fault.
    pub fn new(rate_per_minute: Option<f64>, concurrency: Option<usize>) -> Result<Self, String> {
        if let Some(rate) = rate_per_minute.filter(|rate| !RATES.contains(rate)) {
            return Err(format!("rate_per_minute: expected 1 to 1000000, found {rate}"));
        }
        if let Some(found) = concurrency.filter(|most| !CONCURRENCIES.contains(most)) {
            return Err(format!("concurrency: expected 1 to 10000, found {found}"));
        }
        Ok(Self { rate_per_minute, concurrency })
    }

    /// Whether there are any.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }

    pub(super) fn concurrency(&self) -> Option<usize> {
        self.concurrency
    }

    pub(super) fn bucket(&self) -> Option<Bucket> {
        self.rate_per_minute.map(Bucket::new)
    }
}

/// A token bucket: a second's worth of calls may come at once, and never more than the rate within
/// any minute. Kept as the moment when it will be full (the generic cell rate algorithm).
#[derive(Debug)]
pub(super) struct Bucket {
    /// Between two calls of a steady stream.
    interval: Duration,
    /// How far ahead of that stream a call may be.
    burst: Duration,
    full: Option<Instant>,
}

impl Bucket {
    fn new(rate_per_minute: f64) -> Self {
        let at_once = (rate_per_minute / 60.0).floor().max(1.0);
        // A full bucket and a minute's refill together are the rate.
        let interval = Duration::from_secs_f64(60.0 / (rate_per_minute - at_once + 1.0));
        Self { interval, burst: interval.mul_f64(at_once - 1.0), full: None }
    }

    pub(super) fn interval(&self) -> Duration {
        self.interval
    }

    /// When there will be a token; `None` if there is one now.
    pub(super) fn empty_until(&self, now: Instant) -> Option<Instant> {
        let until = self.full?.checked_sub(self.burst)?;
        (until > now).then_some(until)
    }

    /// Takes a token.
    pub(super) fn take(&mut self, now: Instant) {
        self.full = Some(self.full.map_or(now, |full| full.max(now)) + self.interval);
    }

    /// Gives back one that was not used.
    pub(super) fn put_back(&mut self) {
        self.full = self.full.and_then(|full| full.checked_sub(self.interval));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The moments, in milliseconds, at which somebody who always has a call gets a token.
    fn taken(rate_per_minute: f64, within: Duration) -> Vec<u128> {
        let mut bucket = Bucket::new(rate_per_minute);
        let start = Instant::now();
        let mut now = start;
        let mut taken = Vec::new();
        while now - start < within {
            if let Some(until) = bucket.empty_until(now) {
                now = until;
            } else {
                bucket.take(now);
                taken.push((now - start).as_millis());
            }
        }
        taken
    }

    #[test]
    fn no_minute_sees_more_calls_than_the_rate() {
        for (rate, expected) in [(1.0, 1), (7.5, 7), (50.0, 50), (600.0, 600), (6_000.0, 6_000)] {
            let taken = taken(rate, Duration::from_secs(180));
            let within =
                |from: u128| taken.iter().filter(|at| (from..from + 59_990).contains(*at)).count();
            let most = taken.iter().map(|from| within(*from)).max().unwrap_or_default();
            assert!(most <= expected, "{rate} a minute: {most}");
            assert!(taken.len() >= expected * 29 / 10, "{rate} a minute: {}", taken.len());
        }
    }

    #[test]
    fn a_token_that_is_given_back_can_be_taken_again() {
        let mut bucket = Bucket::new(1.0);
        let now = Instant::now();
        bucket.take(now);
        assert_eq!(bucket.empty_until(now), Some(now + Duration::from_mins(1)));
        bucket.put_back();
        assert_eq!(bucket.empty_until(now), None);
    }

    #[test]
    fn limits_that_make_no_sense_are_refused_by_name() {
        for rate in [0.0, 0.5, -1.0, f64::NAN, f64::INFINITY, 1e7] {
            let refused = Limits::new(Some(rate), None).expect_err("it makes no sense");
            assert!(refused.starts_with("rate_per_minute: "), "{refused}");
        }
        for most in [0, 10_001] {
            let refused = Limits::new(None, Some(most)).expect_err("it makes no sense");
            assert!(refused.starts_with("concurrency: "), "{refused}");
        }
        assert!(Limits::new(Some(50.0), Some(4)).is_ok_and(|limits| !limits.is_none()));
    }
}
