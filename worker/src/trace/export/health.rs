//! Whether a collector is asked at all: one that fails is left alone for a while, and longer each time.

use std::time::Duration;

use tokio::time::Instant;

use super::post::NotSent;
use crate::retry::Backoff;

/// How long a collector that fails is left alone.
pub(super) const REST: Backoff =
    Backoff { base: Duration::from_secs(5), cap: Duration::from_secs(300) };

/// What the last tries tell of the next one.
#[derive(Default)]
pub(super) struct Health {
    pub(super) failures: u32,
    pub(super) rests_until: Option<Instant>,
}

impl Health {
    pub(super) fn rests(&self) -> bool {
        self.rests_until.is_some_and(|until| Instant::now() < until)
    }

    /// How many tries had failed before this one.
    pub(super) fn note(&mut self, sent: &Result<(), NotSent>) -> u32 {
        let before = self.failures;
        match sent {
            Ok(()) => *self = Self::default(),
            Err(error) => {
                self.failures = before.saturating_add(1);
                let rest = error.after.unwrap_or_default().max(REST.delay(self.failures, 1.0));
                self.rests_until = Some(Instant::now() + rest);
            }
        }
        before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_collector_is_left_alone_longer_each_time_and_as_long_as_it_asks() {
        let mut health = Health::default();
        let mut rest = |after| {
            let before = Instant::now();
            let failed = NotSent { after, ..NotSent::passing(&"it is down") };
            health.note(&Err(failed));
            (health.rests_until.expect("it rests") - before).as_secs()
        };
        let rests: Vec<_> = (0..8).map(|_| rest(None)).collect();
        assert_eq!(rests, [5, 10, 20, 40, 80, 160, 300, 300]);
        let mut health = Health::default();
        health.note(&Err(NotSent {
            after: Some(Duration::from_secs(60)),
            ..NotSent::passing(&"429")
        }));
        assert!(
            health.rests_until.expect("it rests") > Instant::now() + Duration::from_secs(60) / 2
        );
    }
}
