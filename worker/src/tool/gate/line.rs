//! When each of the jobs that find no place in line should come back: one after another, as fast as
//! they get through, rather than all at once when the gate opens.

use std::time::Duration;

use tokio::time::Instant;

/// Nobody is sent away for longer: the upstream may be faster by then.
pub(super) const LONGEST_TURN: Duration = Duration::from_mins(15);

/// Turns that were given out.
#[derive(Debug, Default)]
pub(super) struct Turns {
    next: Option<Instant>,
}

impl Turns {
    /// The time until the next turn, which is not before `least` is over; `None` if all turns up to
    /// `longest` are taken.
    pub(super) fn next(
        &mut self,
        now: Instant,
        least: Duration,
        interval: Duration,
        longest: Duration,
    ) -> Option<Duration> {
        let turn = self.next.map_or(now, |next| next.max(now)).max(now + least);
        if turn >= now + longest {
            return None;
        }
        self.next = Some(turn + interval);
        Some(turn - now)
    }

    /// Those that were given out count no more.
    pub(super) fn forget(&mut self) {
        self.next = None;
    }
}
