//! Whether an upstream takes calls now. A pause it asked for, a run of failures, an empty bucket or
//! a full bound closes its gate: jobs then wait in line, or are given back before they are claimed,
//! instead of being burnt one by one.

mod health;
mod line;
mod passes;
mod state;
mod throughput;
mod window;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};

pub(super) use self::health::{ANSWER_EMPTY, ANSWER_SCHEMA, COOLDOWN, TOOL_SETTINGS};
pub use self::{
    health::Closed,
    passes::{Gates, Passes},
};
use self::{
    passes::Pass,
    state::{Shut, State},
};
use super::limits::Limits;
use crate::error::JobError;

/// The gate before one upstream, shared by all jobs of the process.
#[derive(Debug, Default)]
pub struct Gate {
    state: Mutex<State>,
    /// Whoever is first in line holds it.
    line: tokio::sync::Mutex<()>,
    /// A call is over, or the gate was closed.
    changed: Notify,
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
        self.state().health.closed(Instant::now()).cloned()
    }

    /// Lets a call through, unless others stand in line.
    pub fn enter(self: &Arc<Self>) -> Option<Pass> {
        let is_in = self.state().enter(Instant::now());
        is_in.then(|| Pass::of(Arc::clone(self)))
    }

    /// Why [`enter`](Self::enter) lets nobody through.
    pub fn blocked(&self) -> Blocked {
        self.state().blocked(Instant::now())
    }

    /// When somebody who does not wait in line should look again. Everybody who asks is given
    /// another moment.
    fn turn(&self) -> Duration {
        self.state().turn(Instant::now())
    }

    /// Waits in line, first come, first served. `Err`: the gate is closed for a person to act, or
    /// for longer than anybody should wait here.
    pub async fn wait(self: &Arc<Self>) -> Result<Pass, Blocked> {
        let _place = Place::take(self);
        let _first = self.line.lock().await;
        loop {
            let changed = self.changed.notified();
            let shut = {
                let (mut state, now) = (self.state(), Instant::now());
                let Some(shut) = state.shut(now) else {
                    state.let_in(now);
                    return Ok(Pass::of(Arc::clone(self)));
                };
                if !state.is_worth_waiting(now) {
                    return Err(state.blocked(now));
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

    /// A call was answered, and its pass is still held: the upstream is well. A pause it asked for
    /// still holds.
    pub(super) fn succeeded(&self) {
        self.state().succeeded(Instant::now());
    }

    /// Nothing is wrong with what it is told of no more.
    fn recovered(&self) {
        self.state().health.succeeded();
    }

    /// The failure as it must be read after those before it: an upstream whose deployments cool down
    /// for ever does not recover by waiting.
    pub fn weigh(&self, error: JobError) -> JobError {
        self.state().health.weigh(error, Instant::now())
    }

    /// A call failed, and its pass is still held. Answers whether the failure is the upstream's rather
    /// than the job's: the gate was closed already, or closes whatever the job was.
    pub fn failed(&self, error: &JobError, retry_after: Option<Duration>) -> bool {
        let is_upstreams = self.state().failed(error, retry_after, Instant::now());
        // Whoever is first in line sees whether that makes waiting vain.
        self.changed.notify_waiters();
        is_upstreams
    }

    /// Takes one more of the minute's calls for a job that holds its pass already, and waits until it
    /// may be made. `false`: that would be after `latest`, and nothing is taken.
    async fn take_another(&self, latest: Instant) -> bool {
        let turn = {
            let mut state = self.state();
            let Some(bucket) = &mut state.bucket else { return true };
            let now = Instant::now();
            let turn = bucket.empty_until(now).unwrap_or(now);
            if turn > latest {
                return false;
            }
            bucket.take(now);
            turn
        };
        sleep_until(turn).await;
        true
    }

    /// A poisoned lock holds a state that is at worst out of date.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Somebody in line.
struct Place<'a>(&'a Gate);

impl<'a> Place<'a> {
    fn take(gate: &'a Gate) -> Self {
        gate.state().line_up(Instant::now());
        Self(gate)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.state().leave_line(Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use super::{
        health::{FAILURES_BEFORE_CLOSING, FIRST_PAUSE, doubled},
        *,
    };
    use crate::error::ErrorClass;

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

    #[tokio::test]
    async fn another_call_of_a_job_counts_towards_the_rate_and_is_not_waited_for_too_long() {
        let gate = Arc::new(Gate::new(Limits::new(Some(300.0), None).expect("sound limits")));
        let gates = Gates::from(Arc::clone(&gate));
        let began = Instant::now();
        let mut passes = gates.enter().expect("it is open");
        passes.use_up();
        let interval = Duration::from_millis(200);
        assert!(!gates.take_another(began + interval / 4).await, "its turn comes later");
        assert!(gates.take_another(began + 10 * interval).await);
        assert!(began.elapsed() >= interval);
        assert!(gate.enter().is_none(), "the next one waits as long");
    }

    #[test]
    fn calls_that_meet_one_cooldown_together_count_as_one() {
        let gate = Gate::default();
        let cooling = JobError::new(ErrorClass::Throttled, COOLDOWN, "no");
        for _ in 0..64 {
            let weighed = gate.weigh(cooling.clone());
            gate.failed(&weighed, Some(Duration::from_secs(5)));
            assert_eq!(weighed.class, ErrorClass::Throttled);
        }
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
