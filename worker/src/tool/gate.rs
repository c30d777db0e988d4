//! Whether an upstream takes calls now. A pause it asked for, a run of failures, an empty bucket or
//! a full bound closes its gate: jobs then wait in line, or are given back before they are claimed,
//! instead of being burnt one by one.

mod health;
mod line;
mod window;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};

pub use self::health::Closed;
pub(super) use self::health::{ANSWER_EMPTY, ANSWER_SCHEMA, COOLDOWN};
use self::{health::Health, line::Turns, window::Window};
use super::limits::{Bucket, Limits};
use crate::error::{ErrorClass, JobError};

/// A gate that opens later than this is not waited for in the process.
const LONGEST_WAIT: Duration = Duration::from_secs(20);

/// The gate before one upstream, shared by all jobs of the process.
#[derive(Debug, Default)]
pub struct Gate {
    state: Mutex<State>,
    /// Whoever is first in line holds it.
    line: tokio::sync::Mutex<()>,
    /// A call is over, or the gate was closed.
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    health: Health,
    bucket: Option<Bucket>,
    concurrency: Option<usize>,
    window: Window,
    in_flight: usize,
    in_line: usize,
    turns: Turns,
}

/// Why a job does not get through its gates now.
#[derive(Clone, Debug)]
pub struct Blocked {
    /// What its message comes back for.
    pub reason: JobError,
    /// About how long it would stand in line; `None` where waiting in the process makes no sense.
    pub in_line: Option<Duration>,
    /// How many stand there.
    pub ahead: usize,
}

impl Gate {
    /// A gate that keeps to these limits.
    pub fn new(limits: Limits) -> Self {
        let state = State {
            bucket: limits.bucket(),
            concurrency: limits.concurrency(),
            ..State::default()
        };
        Self { state: Mutex::new(state), ..Self::default() }
    }

    /// Why no call should be begun now, if the upstream's state is the reason.
    pub fn closed(&self) -> Option<Closed> {
        self.state().health.closed().cloned()
    }

    /// Lets a call through, unless others stand in line.
    pub fn enter(self: &Arc<Self>) -> Option<Pass> {
        let mut state = self.state();
        if state.in_line > 0 || state.shut(Instant::now()).is_some() {
            return None;
        }
        Some(self.pass(&mut state))
    }

    /// Why [`enter`](Self::enter) lets nobody through.
    pub fn blocked(&self) -> Blocked {
        self.state().blocked()
    }

    /// When somebody who does not wait in line should look again. Everybody who asks is given
    /// another moment.
    fn turn(&self) -> Duration {
        self.state().turn()
    }

    /// Waits in line, first come, first served. `Err`: the gate is closed for a person to act, or
    /// for longer than anybody should wait here.
    pub async fn wait(self: &Arc<Self>) -> Result<Pass, Blocked> {
        let _place = Place::take(self);
        let _first = self.line.lock().await;
        loop {
            let changed = self.changed.notified();
            let shut = {
                let mut state = self.state();
                let Some(shut) = state.shut(Instant::now()) else {
                    return Ok(self.pass(&mut state));
                };
                if !state.is_worth_waiting() {
                    return Err(state.blocked());
                }
                shut
            };
            match shut {
                Shut::Until(until) => tokio::select! {
                    () = sleep_until(until) => {}
                    () = changed => {}
                },
                Shut::Full => changed.await,
            }
        }
    }

    /// A call was answered: the upstream is well. A pause it asked for still holds.
    pub fn succeeded(&self) {
        let mut state = self.state();
        state.health.succeeded();
        state.window.grow(Instant::now());
        state.turns.answered();
    }

    /// The failure as it must be read after those before it: an upstream whose deployments cool down
    /// for ever does not recover by waiting.
    pub fn weigh(&self, error: JobError) -> JobError {
        self.state().health.weigh(error)
    }

    /// A call failed. Answers whether the failure is the upstream's rather than the job's: the
    /// gate was closed already, or closes whatever the job was.
    pub fn failed(&self, error: &JobError, retry_after: Option<Duration>) -> bool {
        let mut state = self.state();
        let now = Instant::now();
        if error.class == ErrorClass::Throttled && state.health.closed().is_none() {
            let in_flight = state.in_flight + 1;
            state.window.shrink(in_flight, now);
        }
        state.turns.begin(now);
        let is_upstreams = state.health.failed(error, retry_after);
        let outage = state.health.closed().filter(|it| it.reason.class != ErrorClass::Throttled);
        if let Some(until) = outage.map(Closed::until) {
            state.turns.begin_anew(until);
        }
        // Whoever is first in line sees whether that makes waiting vain.
        self.changed.notify_waiters();
        is_upstreams
    }

    fn pass(self: &Arc<Self>, state: &mut State) -> Pass {
        if let Some(bucket) = &mut state.bucket {
            bucket.take(Instant::now());
        }
        state.in_flight += 1;
        Pass { gate: Arc::clone(self), is_used: false }
    }

    /// A poisoned lock holds a state that is at worst out of date.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What keeps a gate shut.
#[derive(Clone, Copy)]
enum Shut {
    Until(Instant),
    /// Until a call is over.
    Full,
}

impl State {
    fn shut(&self, now: Instant) -> Option<Shut> {
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

    fn is_worth_waiting(&self) -> bool {
        self.health.closed().is_none_or(|closed| {
            closed.reason.class != ErrorClass::Configuration && closed.time_left() <= LONGEST_WAIT
        })
    }

    fn blocked(&self) -> Blocked {
        let closed = self.health.closed();
        let reason = closed.map_or_else(at_limit, |closed| closed.reason.clone());
        let in_line = self.is_worth_waiting().then(|| self.time_in_line(Instant::now()));
        Blocked { reason, in_line, ahead: self.in_line }
    }

    /// About how long whoever comes now would stand in line.
    fn time_in_line(&self, now: Instant) -> Duration {
        let shut = match self.shut(now) {
            Some(Shut::Until(until)) => until.saturating_duration_since(now),
            _ => Duration::ZERO,
        };
        let ahead = u32::try_from(self.in_line).unwrap_or(u32::MAX);
        shut.saturating_add(self.interval(now).saturating_mul(ahead))
    }

    fn turn(&mut self) -> Duration {
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
    fn interval(&self, now: Instant) -> Duration {
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

/// Somebody in line.
struct Place<'a>(&'a Gate);

impl<'a> Place<'a> {
    fn take(gate: &'a Gate) -> Self {
        gate.state().in_line += 1;
        Self(gate)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.state().in_line -= 1;
    }
}

/// The right to make one call. Dropped before it is used, it counts towards no rate.
#[derive(Debug)]
pub struct Pass {
    gate: Arc<Gate>,
    is_used: bool,
}

impl Drop for Pass {
    fn drop(&mut self) {
        let mut state = self.gate.state();
        state.in_flight -= 1;
        if !self.is_used
            && let Some(bucket) = &mut state.bucket
        {
            bucket.put_back();
        }
        drop(state);
        self.gate.changed.notify_waiters();
    }
}

/// All gates on a job's way: that of its tool, where the catalog limits it, and that of the model
/// or server behind it, which is the one that is told how calls end.
#[derive(Clone, Debug)]
pub struct Gates {
    /// Of the model or server.
    pub upstream: Arc<Gate>,
    /// Of the tool.
    pub tool: Option<Arc<Gate>>,
}

impl Gates {
    /// Lets a call through all of them, or none.
    pub fn enter(&self) -> Result<Passes, Blocked> {
        let tool = match &self.tool {
            Some(gate) => Some(gate.enter().ok_or_else(|| gate.blocked())?),
            None => None,
        };
        let upstream = self.upstream.enter().ok_or_else(|| self.upstream.blocked())?;
        Ok(Passes([tool, Some(upstream)]))
    }

    /// Waits at each of them in turn.
    pub async fn wait(&self) -> Result<Passes, Blocked> {
        let tool = match &self.tool {
            Some(gate) => Some(gate.wait().await?),
            None => None,
        };
        Ok(Passes([tool, Some(self.upstream.wait().await?)]))
    }

    /// When a job that does not wait in line should come back: jobs that ask one after another get
    /// through one after another.
    pub fn turn(&self) -> Duration {
        let of_tool = self.tool.as_ref().map(|gate| gate.turn());
        self.upstream.turn().max(of_tool.unwrap_or_default())
    }
}

impl From<Arc<Gate>> for Gates {
    fn from(upstream: Arc<Gate>) -> Self {
        Self { upstream, tool: None }
    }
}

/// The right to make one call through all its gates, for as long as it is held.
#[derive(Debug, Default)]
pub struct Passes([Option<Pass>; 2]);

impl Passes {
    /// For what needs none.
    pub fn none() -> Self {
        Self::default()
    }

    /// The call is made.
    pub fn use_up(&mut self) {
        for pass in self.0.iter_mut().flatten() {
            pass.is_used = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        health::{FAILURES_BEFORE_CLOSING, FIRST_PAUSE, doubled},
        *,
    };

    fn error(class: ErrorClass) -> JobError {
        JobError::new(class, "no", "no")
    }

    fn fail(gate: &Gate, class: ErrorClass, times: u32) -> Vec<bool> {
        (0..times).map(|_| gate.failed(&error(class), None)).collect()
    }

    #[test]
    fn only_a_run_of_transient_failures_closes_the_gate() {
        let gate = Gate::default();
        for _ in 0..5 {
            fail(&gate, ErrorClass::Transient, FAILURES_BEFORE_CLOSING - 1);
            assert!(gate.closed().is_none());
            gate.succeeded();
        }
        fail(&gate, ErrorClass::Transient, FAILURES_BEFORE_CLOSING - 1);
        fail(&gate, ErrorClass::Permanent, 1);
        assert!(gate.closed().is_none(), "an answer about the job shows that the upstream is well");

        let are_upstreams = fail(&gate, ErrorClass::Transient, FAILURES_BEFORE_CLOSING);
        assert!(gate.closed().is_some());
        assert_eq!(
            are_upstreams, [false; FAILURES_BEFORE_CLOSING as usize],
            "it was open till then"
        );
        assert_eq!(fail(&gate, ErrorClass::Transient, 1), [true], "the gate was closed already");
    }

    #[test]
    fn the_longest_pause_holds_and_a_success_does_not_end_it() {
        let gate = Gate::default();
        let throttled = error(ErrorClass::Throttled);
        assert!(gate.failed(&throttled, Some(Duration::from_secs(100))));
        assert!(gate.failed(&throttled, Some(Duration::from_secs(1))));
        gate.succeeded();
        let closed = gate.closed().expect("it asked for a pause");
        assert!(closed.time_left() > Duration::from_secs(90));
    }

    #[test]
    fn the_first_answer_after_an_outage_says_nothing_of_how_fast_jobs_get_through() {
        for limits in [Limits::default(), Limits::new(None, Some(64)).expect("sound limits")] {
            let gate = Gate::new(limits);
            let began = Instant::now();
            fail(&gate, ErrorClass::Transient, FAILURES_BEFORE_CLOSING);
            let _line: Vec<_> = (0..64).map(|_| Place::take(&gate)).collect();
            for answers in 1..=64 {
                gate.succeeded();
                let after = began + FIRST_PAUSE + Duration::from_millis(100 + answers);
                let about = gate.state().time_in_line(after);
                assert!(about < Duration::from_secs(4), "{limits:?} {answers}: {about:?}");
            }
        }
    }

    #[test]
    fn behind_a_limit_that_was_found_out_jobs_get_through_as_fast_as_was_seen() {
        let gate = Gate::default();
        let began = Instant::now();
        gate.failed(&error(ErrorClass::Throttled), Some(Duration::from_secs(1)));
        for _ in 0..50 {
            gate.succeeded();
        }
        let interval = gate.state().interval(began + Duration::from_secs(10));
        assert!((190..210).contains(&interval.as_millis()), "{interval:?}");
    }

    #[test]
    fn pauses_double_up_to_the_longest() {
        let pauses = [1, 2, 3, 6, 7, u32::MAX].map(|times| doubled(FIRST_PAUSE, times).as_secs());
        assert_eq!(pauses, [2, 4, 8, 60, 60, 60]);
    }

    #[test]
    fn an_answer_that_fits_no_tool_is_the_jobs_own_failure_whatever_the_upstream() {
        let gate = Gate::default();
        for code in [ANSWER_SCHEMA, ANSWER_EMPTY] {
            let answered = JobError::new(ErrorClass::Transient, code, "no");
            for _ in 0..2 * FAILURES_BEFORE_CLOSING {
                assert!(!gate.failed(&answered, None));
            }
            assert!(gate.closed().is_none());

            fail(&gate, ErrorClass::Transient, FAILURES_BEFORE_CLOSING - 1);
            gate.failed(&answered, None);
            fail(&gate, ErrorClass::Transient, FAILURES_BEFORE_CLOSING - 1);
            assert!(gate.closed().is_none(), "an answer shows that the upstream is well");
        }
        fail(&gate, ErrorClass::Transient, 1);
        assert!(gate.closed().is_some());
        let answered = JobError::new(ErrorClass::Transient, ANSWER_SCHEMA, "no");
        assert!(!gate.failed(&answered, None), "its attempt counts though the gate is closed");
    }

    #[test]
    fn a_failure_that_is_the_jobs_own_leaves_the_gate_open() {
        let gate = Gate::default();
        for class in [ErrorClass::Invalid, ErrorClass::Permanent] {
            assert_eq!(fail(&gate, class, 20), [false; 20]);
        }
        assert!(gate.closed().is_none());
    }
}
