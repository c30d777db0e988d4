//! What keeps a gate shut, and for about how long.

use std::time::Duration;

use tokio::time::Instant;

use super::{
    Blocked, Closed,
    health::Health,
    line::{LONGEST_TURN, Turns},
    throughput::Throughput,
    window::Window,
};
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
    pub(super) throughput: Throughput,
}

/// What keeps a gate shut.
#[derive(Clone, Copy)]
pub(super) enum Shut {
    Until(Instant),
    /// Until a call is over.
    Full,
}

impl State {
    /// Lets a call through, if nothing keeps it and nobody stands in line.
    pub(super) fn enter(&mut self, now: Instant) -> bool {
        if self.in_line == 0 && self.window.forget(now) {
            self.turns.forget();
        }
        let is_open = self.in_line == 0 && self.shut(now).is_none();
        match is_open {
            true => self.let_in(now),
            false => self.window.held_up(now),
        }
        is_open
    }

    /// Lets the first in line through.
    pub(super) fn let_in(&mut self, now: Instant) {
        if let Some(bucket) = &mut self.bucket {
            bucket.take(now);
        }
        self.in_flight += 1;
        self.watch(now);
    }

    /// Whoever was let in is gone; without a call, it counts towards no rate.
    pub(super) fn leave(&mut self, is_used: bool, now: Instant) {
        self.in_flight -= 1;
        if let Some(bucket) = self.bucket.as_mut().filter(|_| !is_used) {
            bucket.put_back();
        }
        self.watch(now);
    }

    pub(super) fn line_up(&mut self, now: Instant) {
        self.in_line += 1;
        self.watch(now);
    }

    pub(super) fn leave_line(&mut self, now: Instant) {
        self.in_line -= 1;
        self.window.held_up(now);
        self.watch(now);
    }

    /// A call that is still on its way, as far as is known here, was answered.
    pub(super) fn succeeded(&mut self, now: Instant) {
        self.throughput.got_through(now);
        self.health.succeeded();
        self.window.grow(now);
        self.watch(now);
    }

    /// Such a call failed. Answers whether the failure is the upstream's rather than the job's.
    pub(super) fn failed(
        &mut self,
        error: &JobError,
        retry_after: Option<Duration>,
        now: Instant,
    ) -> bool {
        let was_closed = self.health.closed(now).is_some();
        match error.class {
            ErrorClass::Throttled if was_closed => {}
            ErrorClass::Throttled => {
                self.window.shrink(self.in_flight, now);
                self.throughput.refused();
            }
            _ => self.throughput.got_through(now),
        }
        let is_upstreams = self.health.failed(error, retry_after, now);
        if let Some(closed) = self.health.closed(now) {
            let until = closed.until();
            if closed.reason.class == ErrorClass::Throttled {
                self.throughput.pause(now, until);
                self.window.pause(until);
            } else {
                self.throughput.begin_anew(now, until);
                self.turns.forget();
            }
        }
        self.watch(now);
        is_upstreams
    }

    /// Sees whether jobs are held up: by others before them, or since no more fit.
    fn watch(&mut self, now: Instant) {
        self.throughput.watch(self.in_line > 0 || self.is_full(), now);
    }

    pub(super) fn shut(&self, now: Instant) -> Option<Shut> {
        let closed = self.health.closed(now).map(Closed::until);
        let empty = self.bucket.as_ref().and_then(|bucket| bucket.empty_until(now));
        match closed.max(empty) {
            Some(until) => Some(Shut::Until(until)),
            None => self.is_full().then_some(Shut::Full),
        }
    }

    fn is_full(&self) -> bool {
        self.in_flight >= self.concurrency.unwrap_or(usize::MAX).min(self.window.most())
    }

    /// Whether the window keeps more out than the catalog does.
    fn is_narrow(&self) -> bool {
        self.window.most() < self.concurrency.unwrap_or(usize::MAX)
    }

    pub(super) fn is_worth_waiting(&self, now: Instant) -> bool {
        self.health.closed(now).is_none_or(|closed| {
            closed.reason.class != ErrorClass::Configuration && closed.until() <= now + LONGEST_WAIT
        })
    }

    pub(super) fn blocked(&self, now: Instant) -> Blocked {
        let closed = self.health.closed(now);
        let reason = closed.map_or_else(at_limit, |closed| closed.reason.clone());
        let in_line = self.is_worth_waiting(now).then(|| self.time_in_line(now));
        Blocked { reason, in_line, ahead: self.in_line }
    }

    /// About how long whoever comes now would stand in line.
    pub(super) fn time_in_line(&self, now: Instant) -> Duration {
        let ahead = u32::try_from(self.in_line).unwrap_or(u32::MAX);
        self.time_shut(now).saturating_add(self.interval(now).saturating_mul(ahead))
    }

    fn time_shut(&self, now: Instant) -> Duration {
        match self.shut(now) {
            Some(Shut::Until(until)) => until.saturating_duration_since(now),
            _ => Duration::ZERO,
        }
    }

    pub(super) fn turn(&mut self, now: Instant) -> Duration {
        let closed = self.health.closed(now);
        if let Some(closed) = closed.filter(|it| it.reason.class == ErrorClass::Configuration) {
            // Nobody knows when a person acts: all look again together, and one of them tries.
            return closed.until() - now;
        }
        if self.shut(now).is_none() && self.in_line == 0 {
            return Duration::ZERO;
        }
        let (least, interval) = (self.time_in_line(now), self.interval(now));
        let most = match self.bucket.is_none() && self.is_narrow() {
            true => self.window.longest_turn(),
            false => LONGEST_TURN,
        };
        let longest = (self.time_shut(now) + most).min(LONGEST_TURN);
        let turn = self.turns.next(now, least, interval, longest);
        turn.unwrap_or_else(|| longest.saturating_sub(most.mul_f64(fastrand::f64() / 2.0)))
    }

    /// Between two jobs that get through: as the catalog says, or as was seen. Where nothing but an
    /// outage holds them up, all get through when it is over.
    pub(super) fn interval(&self, now: Instant) -> Duration {
        match &self.bucket {
            Some(bucket) => bucket.interval(),
            None if self.concurrency.is_some() || self.is_narrow() => self.throughput.interval(now),
            None => Duration::ZERO,
        }
    }
}

fn at_limit() -> JobError {
    let message = "as many calls are on their way to the upstream, or were made this minute, as \
                   its limits allow";
    JobError::new(ErrorClass::Throttled, "rate_limited", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn enter(state: &mut State, count: usize, now: Instant) {
        for _ in 0..count {
            state.enter(now);
        }
    }

    /// A call that is refused, with a pause of a second.
    fn refuse(state: &mut State, now: Instant) {
        let refused = JobError::new(ErrorClass::Throttled, "http_429", "no");
        state.failed(&refused, Some(SECOND), now);
    }

    /// A state in which one call was refused that had nothing beside it.
    fn after_a_lone_refusal(now: Instant) -> State {
        let mut state = State::default();
        assert!(state.enter(now));
        refuse(&mut state, now);
        state.leave(true, now);
        state
    }

    /// A call that nobody waits for.
    fn call(state: &mut State, now: Instant, lasts: Duration) {
        assert!(state.enter(now));
        state.succeeded(now + lasts);
        state.leave(true, now + lasts);
    }

    /// How long so many calls take that come together.
    fn burst(state: &mut State, count: usize, lasts: Duration, now: Instant) -> Duration {
        let (mut left, mut at) = (count, now);
        while left > 0 {
            let let_in = (0..left).take_while(|_| state.enter(at)).count();
            left -= let_in;
            (0..left).for_each(|_| state.line_up(at));
            at += lasts;
            for _ in 0..let_in {
                state.succeeded(at);
                state.leave(true, at);
            }
            (0..left).for_each(|_| state.leave_line(at));
        }
        at - now
    }

    #[test]
    fn a_refusal_that_is_long_over_holds_no_burst_up() {
        let mut now = Instant::now();
        let mut state = after_a_lone_refusal(now);
        for _ in 0..10 {
            now += 16 * SECOND;
            call(&mut state, now, Duration::from_millis(5));
        }
        assert_eq!((0..200).filter(|_| state.enter(now + SECOND)).count(), 200);
    }

    #[test]
    fn a_refusal_just_over_holds_a_burst_up_for_seconds() {
        let now = Instant::now();
        let mut state = after_a_lone_refusal(now);
        let took = burst(&mut state, 200, SECOND, now + 3 * SECOND);
        assert!(took < 10 * SECOND, "{took:?}");
    }

    #[test]
    fn whoever_finds_no_place_after_one_refusal_comes_back_within_a_minute() {
        let now = Instant::now();
        let mut state = after_a_lone_refusal(now);
        for k in 1..20 {
            call(&mut state, now + 2 * k * SECOND, SECOND);
        }
        let now = now + 45 * SECOND;
        while state.enter(now) {}
        let turns: Vec<_> = (0..5_000).map(|_| state.turn(now)).collect();
        assert!(turns.iter().all(|turn| *turn <= 60 * SECOND), "{turns:?}");
        assert!(turns[4_000..].iter().all(|turn| *turn >= 30 * SECOND), "they are spread");
    }

    #[test]
    fn a_limit_that_refuses_again_and_again_is_believed_for_longer() {
        let mut now = Instant::now();
        let mut state = State::default();
        for most in [60, 120, 240, 480, 900, 900] {
            enter(&mut state, 8, now);
            refuse(&mut state, now);
            let slowly = now + 20 * SECOND;
            (0..8).for_each(|_| state.succeeded(slowly));
            while state.in_flight > 0 {
                state.leave(true, slowly);
            }
            while state.enter(slowly) {}
            let turns: Vec<_> = (0..20_000).map(|_| state.turn(slowly)).collect();
            let longest = turns.into_iter().max().unwrap_or_default();
            assert!(longest <= most * SECOND && longest > most * SECOND / 2, "{longest:?}");
            while state.in_flight > 0 {
                state.leave(true, slowly);
            }
            now = slowly + 20 * SECOND;
        }
    }

    #[test]
    fn nobody_is_sent_away_for_less_than_the_pause_that_was_asked_for() {
        let now = Instant::now();
        let mut state = State::default();
        assert!(state.enter(now));
        let refused = JobError::new(ErrorClass::Throttled, "http_429", "no");
        state.failed(&refused, Some(100 * SECOND), now);
        let turns: Vec<_> = (0..20_000).map(|_| state.turn(now)).collect();
        assert!(turns.iter().all(|turn| *turn >= 100 * SECOND && *turn <= 185 * SECOND));
    }

    #[test]
    fn the_time_in_which_nobody_waits_is_no_time_that_jobs_take() {
        let mut now = Instant::now();
        let mut state = State { concurrency: Some(1), ..State::default() };
        for _ in 0..20 {
            call(&mut state, now, SECOND / 10);
            now += 16 * SECOND;
        }
        assert_eq!(state.interval(now), SECOND / 10);
    }

    #[test]
    fn behind_a_limit_that_was_found_out_jobs_get_through_as_fast_as_was_seen() {
        let now = Instant::now();
        let mut state = State::default();
        (0..64).for_each(|_| state.line_up(now));
        refuse(&mut state, now);
        (0..50).for_each(|_| state.succeeded(now));
        let seen = state.interval(now + 11 * SECOND);
        assert!((190..=200).contains(&seen.as_millis()), "its pause may not recur: {seen:?}");

        refuse(&mut state, now + 11 * SECOND);
        let seen = state.interval(now + 11 * SECOND);
        assert_eq!(seen.as_millis(), 220, "it recurred");
    }

    #[test]
    fn a_limit_that_holds_jobs_up_is_not_forgotten() {
        let mut now = Instant::now();
        let mut state = State::default();
        enter(&mut state, 64, now);
        refuse(&mut state, now);
        (0..64).for_each(|_| state.leave(true, now));
        for _ in 0..20 {
            now += 10 * SECOND;
            while state.enter(now) {}
            (0..state.in_flight).for_each(|_| state.leave(true, now));
        }
        assert_eq!(state.window.most(), 32);
    }
}
