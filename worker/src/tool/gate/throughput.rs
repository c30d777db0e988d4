//! How fast jobs get through a gate that holds others up. Only busy time counts: an upstream that is
//! asked once in a while is not slow.

use std::time::Duration;

use tokio::time::Instant;

/// What is said while nobody knows. Whoever comes too early for it is told again, by what is known then.
const UNKNOWN_INTERVAL: Duration = Duration::from_millis(50);

/// Fewer calls are chance.
const FEWEST_CALLS: u32 = 8;

/// After so long without a busy moment, what was known is forgotten.
const FORGOTTEN: Duration = Duration::from_mins(1);

/// Calls after which those before count half.
const MEMORY: u32 = 64;

/// Calls that got through while others waited, and the time that they took together.
#[derive(Debug, Default)]
pub(super) struct Throughput {
    calls: u32,
    busy: Duration,
    /// Since when busy time is not yet in `busy`, while there is any.
    since: Option<Instant>,
    /// When there was some for the last time.
    was_busy: Option<Instant>,
    /// Before this nothing gets through.
    paused_until: Option<Instant>,
    /// The latest pause that the upstream asked for. It counts once it asks for another: a pause that
    /// does not recur says nothing of how fast jobs get through.
    pause: Duration,
}

impl Throughput {
    /// From now on jobs are held up, or none is.
    pub(super) fn watch(&mut self, is_busy: bool, now: Instant) {
        match (self.since, is_busy) {
            (None, true) => {
                let known = self.was_busy.max(self.paused_until);
                if known.is_none_or(|known| now.saturating_duration_since(known) >= FORGOTTEN) {
                    *self = Self { paused_until: self.paused_until, ..Self::default() };
                }
                self.since = Some(now);
            }
            (Some(_), false) => {
                self.lap(now);
                self.since = None;
                self.was_busy = Some(now);
            }
            _ => {}
        }
    }

    /// A call is over that the upstream took.
    pub(super) fn got_through(&mut self, now: Instant) {
        if self.since.is_none() {
            return;
        }
        self.calls += 1;
        if self.calls >= MEMORY {
            self.lap(now);
            self.calls /= 2;
            self.busy /= 2;
        }
    }

    /// The upstream refused a call for being too many, and was not known to refuse any.
    pub(super) fn refused(&mut self) {
        self.busy += std::mem::take(&mut self.pause);
    }

    /// Nothing gets through before `until`, since the upstream asked for that.
    pub(super) fn pause(&mut self, now: Instant, until: Instant) {
        self.lap(now);
        let from = self.paused_until.map_or(now, |paused| paused.max(now));
        self.pause += until.saturating_duration_since(from);
        self.paused_until = Some(from.max(until));
    }

    /// Nothing gets through before `until`, and what was known before is of no use then.
    pub(super) fn begin_anew(&mut self, now: Instant, until: Instant) {
        let since = self.since.map(|_| now);
        *self = Self { since, paused_until: Some(until), ..Self::default() };
    }

    /// Between two calls.
    pub(super) fn interval(&self, now: Instant) -> Duration {
        match self.calls {
            FEWEST_CALLS.. => (self.busy + self.uncounted(now)) / self.calls,
            _ => UNKNOWN_INTERVAL,
        }
    }

    fn lap(&mut self, now: Instant) {
        self.busy += self.uncounted(now);
        self.since = self.since.map(|_| now);
    }

    fn uncounted(&self, now: Instant) -> Duration {
        self.since.map_or(Duration::ZERO, |since| {
            now.saturating_duration_since(self.paused_until.map_or(since, |until| since.max(until)))
        })
    }
}
