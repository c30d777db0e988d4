//! When each of the jobs that find no place in line should come back: one after another, as fast as
//! they get through, rather than all at once when the gate opens.

use std::time::Duration;

use tokio::time::Instant;

/// Nobody is sent away for longer: the upstream may be faster by then.
const LONGEST_TURN: Duration = Duration::from_mins(15);

/// Between two turns while nobody knows how fast jobs get through. Whoever comes too early is given
/// another turn, by what is known then.
const UNKNOWN_INTERVAL: Duration = Duration::from_millis(50);

/// Fewer answers are chance: the first after a pause would count that pause as its own time.
const FEWEST_ANSWERS: u32 = 8;

/// After so long without an answer, what was known is forgotten: nobody may have asked.
const FORGOTTEN: Duration = Duration::from_mins(1);

/// Answers after which those before count half.
const MEMORY: u32 = 64;

/// Turns that were given out, and how fast jobs get through.
#[derive(Debug, Default)]
pub(super) struct Turns {
    next: Option<Instant>,
    counted_since: Option<Instant>,
    latest: Option<Instant>,
    answers: u32,
}

impl Turns {
    /// The time until the next turn, which is not before `least` is over.
    pub(super) fn next(&mut self, now: Instant, least: Duration, interval: Duration) -> Duration {
        let latest = now + LONGEST_TURN;
        let turn = self.next.map_or(now, |next| next.max(now)).max(now + least);
        if turn >= latest {
            // All turns up to then are taken.
            return LONGEST_TURN.mul_f64(f64::midpoint(1.0, fastrand::f64()));
        }
        self.next = Some(turn + interval);
        turn - now
    }

    /// Jobs are held up from now on: what gets through is counted.
    pub(super) fn begin(&mut self, now: Instant) {
        let is_known = |latest| now.saturating_duration_since(latest) < FORGOTTEN;
        if !self.latest.is_some_and(is_known) {
            self.counted_since = Some(now);
            self.latest = Some(now);
            self.answers = 0;
        }
    }

    /// Nothing gets through before `from`, and that says nothing of how fast it will then: what is
    /// counted begins there.
    pub(super) fn begin_anew(&mut self, from: Instant) {
        *self = Self { counted_since: Some(from), latest: Some(from), ..Self::default() };
    }

    /// A job got through.
    pub(super) fn answered(&mut self) {
        let Some(since) = &mut self.counted_since else { return };
        self.answers += 1;
        self.latest = Some(Instant::now());
        if self.answers >= MEMORY {
            self.answers /= 2;
            *since += since.elapsed() / 2;
        }
    }

    /// Between two jobs that got through.
    pub(super) fn seen_interval(&self, now: Instant) -> Duration {
        match (self.counted_since, self.answers) {
            (Some(since), FEWEST_ANSWERS..) => now.saturating_duration_since(since) / self.answers,
            _ => UNKNOWN_INTERVAL,
        }
    }
}
