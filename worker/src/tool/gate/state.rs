//! What keeps a gate shut, and for about how long.

use std::time::Duration;

use tokio::time::Instant;

use super::{Blocked, Closed, health::Health, line::Turns, window::Window};
use crate::{
    error::{ErrorClass, JobError},
    tool::limits::Bucket,
};

/// A gate that opens later than this is not waited for in the process.
const LONGEST_WAIT: Duration = Duration::from_secs(20);

/// What is known of an upstream, and of those who want to call it.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) health: Health,
    pub(super) bucket: Option<Bucket>,
    pub(super) concurrency: Option<usize>,
    pub(super) window: Window,
    pub(super) in_flight: usize,
    pub(super) in_line: usize,
    pub(super) turns: Turns,
}

/// What keeps a gate shut.
#[derive(Clone, Copy)]
pub(super) enum Shut {
    Until(Instant),
    /// Until a call is over.
    Full,
}

impl State {
    pub(super) fn shut(&self, now: Instant) -> Option<Shut> {
        let closed = self.health.closed().map(Closed::until);
        let empty = self.bucket.as_ref().and_then(|bucket| bucket.empty_until(now));
        match closed.max(empty) {
            Some(until) => Some(Shut::Until(until)),
            None => self.is_full().then_some(Shut::Full),
        }
    }

    fn is_full(&self) -> bool {
        let most = self.concurrency.unwrap_or(usize::MAX).min(self.window.most());
        self.in_flight >= most
    }

    pub(super) fn is_worth_waiting(&self) -> bool {
        self.health.closed().is_none_or(|closed| {
            closed.reason.class != ErrorClass::Configuration && closed.time_left() <= LONGEST_WAIT
        })
    }

    pub(super) fn blocked(&self) -> Blocked {
        let closed = self.health.closed();
        let reason = closed.map_or_else(at_limit, |closed| closed.reason.clone());
        let in_line = self.is_worth_waiting().then(|| self.time_in_line(Instant::now()));
        Blocked { reason, in_line, ahead: self.in_line }
    }

    /// About how long whoever comes now would stand in line.
    pub(super) fn time_in_line(&self, now: Instant) -> Duration {
        let shut = match self.shut(now) {
            Some(Shut::Until(until)) => until.saturating_duration_since(now),
            _ => Duration::ZERO,
        };
        let ahead = u32::try_from(self.in_line).unwrap_or(u32::MAX);
        shut.saturating_add(self.interval(now).saturating_mul(ahead))
    }

    pub(super) fn turn(&mut self) -> Duration {
        let now = Instant::now();
        let closed = self.health.closed();
        if let Some(closed) = closed.filter(|it| it.reason.class == ErrorClass::Configuration) {
            // Nobody knows when a person acts: all look again together, and one of them tries.
            return closed.time_left();
        }
        if self.shut(now).is_none() && self.in_line == 0 {
            return Duration::ZERO;
        }
        self.turns.begin(now);
        self.turns.next(now, self.time_in_line(now), self.interval(now))
    }

    /// Between two jobs that get through: as the catalog says, or as was seen. Where nothing but an
    /// outage holds them up, all get through when it is over.
    pub(super) fn interval(&self, now: Instant) -> Duration {
        match &self.bucket {
            Some(bucket) => bucket.interval(),
            None if self.concurrency.is_some() || self.window.is_narrow() => {
                self.turns.seen_interval(now)
            }
            None => Duration::ZERO,
        }
    }
}

fn at_limit() -> JobError {
    let message = "as many calls are on their way to the upstream, or were made this minute, as \
                   its limits allow";
    JobError::new(ErrorClass::Throttled, "rate_limited", message)
}
