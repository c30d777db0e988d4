//! A receiver that fails is left alone for a moment: its callbacks are put off at once, instead of
//! being burnt one by one and holding up those of others.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::answer::Answer;
use crate::retry::Backoff;

/// Failures in a row that open it.
const FAILURES_BEFORE_OPENING: u32 = 10;

/// A delivery that was never answered held its turn for long: it weighs as many.
const WEIGHT_OF_SILENCE: u32 = 2;

/// How long it stays open: the first time, twice as long each further time, at most.
const PAUSES: Backoff = Backoff { base: Duration::from_secs(2), cap: Duration::from_secs(60) };

/// The same, at most, after an answer, be it a failure or the wish for a pause: one URL may fail
/// alone, and the others of its host are well.
const LONGEST_IF_ANSWERED: Duration = Duration::from_secs(5);

/// The breaker of one receiver, shared by all deliveries of the process.
#[derive(Debug, Default)]
pub(super) struct Breaker(Mutex<Health>);

#[derive(Debug, Default)]
struct Health {
    failures_in_a_row: u32,
    openings_in_a_row: u32,
    open_until: Option<Instant>,
}

/// What an answer says of the receiver as such.
enum Sign {
    Well,
    Failing {
        weight: u32,
        longest: Duration,
    },
    /// It asks all to wait.
    Busy(Duration),
}

impl Sign {
    fn of(answer: &Answer) -> Self {
        match answer {
            Answer::Status { status: 429 | 503, retry_after: Some(pause), .. } => {
                Self::Busy(*pause)
            }
            Answer::Status { status: 500..=599, .. } => {
                Self::Failing { weight: 1, longest: LONGEST_IF_ANSWERED }
            }
            Answer::Unreached => Self::Failing { weight: 1, longest: PAUSES.cap },
            Answer::Lost => Self::Failing { weight: WEIGHT_OF_SILENCE, longest: PAUSES.cap },
            Answer::Status { .. } | Answer::Forbidden => Self::Well,
        }
    }
}

impl Breaker {
    /// How long it stays open; `None` while deliveries may be tried.
    pub(super) fn open_for(&self, now: Instant) -> Option<Duration> {
        self.health().open_for(now)
    }

    /// Notes how a delivery ended. Once it was open, the first failure afterwards opens it again.
    pub(super) fn note(&self, answer: &Answer, now: Instant) {
        let mut health = self.health();
        let is_open = health.open_for(now).is_some();
        match Sign::of(answer) {
            Sign::Well => *health = Health { open_until: health.open_until, ..Health::default() },
            // What was on its way when it opened says nothing new.
            _ if is_open => {}
            Sign::Busy(pause) => health.open_until = Some(now + pause.min(LONGEST_IF_ANSWERED)),
            Sign::Failing { weight, longest } => health.fail(weight, longest, now),
        }
    }

    /// A poisoned lock holds health that is at worst out of date.
    fn health(&self) -> MutexGuard<'_, Health> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Health {
    fn open_for(&self, now: Instant) -> Option<Duration> {
        let left = self.open_until?.saturating_duration_since(now);
        (!left.is_zero()).then_some(left)
    }

    fn fail(&mut self, weight: u32, longest: Duration, now: Instant) {
        self.failures_in_a_row = self.failures_in_a_row.saturating_add(weight);
        if self.failures_in_a_row >= FAILURES_BEFORE_OPENING {
            self.openings_in_a_row = self.openings_in_a_row.saturating_add(1);
            let pause = PAUSES.delay(self.openings_in_a_row, 1.0).min(longest);
            self.open_until = Some(now + pause);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(status: u16, retry_after: Option<u64>) -> Answer {
        let retry_after = retry_after.map(Duration::from_secs);
        Answer::Status { status, text: String::new(), retry_after }
    }

    fn fail(breaker: &Breaker, times: u32, now: Instant) {
        (0..times).for_each(|_| breaker.note(&said(500, None), now));
    }

    fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    #[test]
    fn ten_failures_in_a_row_open_it_and_a_success_before_that_does_not_let_them() {
        let (breaker, now) = (Breaker::default(), Instant::now());
        fail(&breaker, 9, now);
        breaker.note(&said(204, None), now);
        fail(&breaker, 9, now);
        assert_eq!(breaker.open_for(now), None);
        fail(&breaker, 1, now);
        assert_eq!(breaker.open_for(now), Some(secs(2)));
        assert_eq!(breaker.open_for(now + secs(2)), None);
    }

    #[test]
    fn five_deliveries_without_an_answer_open_it() {
        let (breaker, now) = (Breaker::default(), Instant::now());
        (0..5).for_each(|_| breaker.note(&Answer::Lost, now));
        assert!(breaker.open_for(now).is_some());
    }

    #[test]
    fn once_opened_the_next_failure_opens_it_twice_as_long_and_a_success_ends_that() {
        let (breaker, mut now) = (Breaker::default(), Instant::now());
        fail(&breaker, 10, now);
        fail(&breaker, 10, now);
        assert_eq!(breaker.open_for(now), Some(secs(2)), "these were on their way");
        for pause in [4, 8, 16, 32, 60, 60] {
            now += secs(60);
            assert_eq!(breaker.open_for(now), None);
            breaker.note(&Answer::Unreached, now);
            assert_eq!(breaker.open_for(now), Some(secs(pause)));
        }
        now += secs(60);
        breaker.note(&said(409, None), now);
        fail(&breaker, 9, now);
        assert_eq!(breaker.open_for(now), None);
    }

    #[test]
    fn a_receiver_that_answers_with_failures_is_left_alone_for_five_seconds_at_most() {
        let (breaker, mut now) = (Breaker::default(), Instant::now());
        fail(&breaker, 10, now);
        for pause in [4, 5, 5, 5] {
            now += secs(60);
            fail(&breaker, 1, now);
            assert_eq!(breaker.open_for(now), Some(secs(pause)));
        }
    }

    #[test]
    fn a_receiver_that_asks_for_a_pause_gets_one_from_all_but_five_seconds_at_most() {
        let (breaker, mut now) = (Breaker::default(), Instant::now());
        breaker.note(&said(429, Some(3)), now);
        assert_eq!(breaker.open_for(now), Some(secs(3)));
        now += secs(3);
        breaker.note(&said(503, Some(9000)), now);
        assert_eq!(breaker.open_for(now), Some(secs(5)));
    }
}
