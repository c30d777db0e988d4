//! Whether an upstream takes calls now. A pause it asked for, or a run of failures, closes its
//! gate: jobs are then given back before they are claimed, instead of being burnt one by one.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use crate::{
    error::{ErrorClass, JobError},
    retry::Backoff,
};

/// Transient failures in a row, with no success between, that close the gate.
const FAILURES_BEFORE_CLOSING: u32 = 10;

/// How long it stays closed after the first of such runs; each further one doubles it.
const FIRST_PAUSE: Duration = Duration::from_secs(2);

/// The longest it stays closed before somebody tries again.
const LONGEST_PAUSE: Duration = Duration::from_mins(1);

/// The first pause when the upstream refuses us as such. It doubles as well: a person has to act.
const FIRST_CONFIGURATION_PAUSE: Duration = Duration::from_secs(1);

/// The gate before one upstream, shared by all jobs of the process.
#[derive(Debug, Default)]
pub struct Gate(Mutex<Health>);

#[derive(Debug, Default)]
struct Health {
    failures_in_a_row: u32,
    refusals_in_a_row: u32,
    closed: Option<Closed>,
}

/// Why a gate is closed, and until when.
#[derive(Clone, Debug)]
pub struct Closed {
    /// The failure that closed it.
    pub reason: JobError,
    until: Instant,
}

impl Closed {
    /// How long it stays so.
    pub fn time_left(&self) -> Duration {
        self.until.saturating_duration_since(Instant::now())
    }
}

impl Gate {
    /// Why no call should be begun now, if there is a reason.
    pub fn closed(&self) -> Option<Closed> {
        self.health().closed().cloned()
    }

    /// A call was answered: the upstream is well. A pause it asked for still holds.
    pub fn succeeded(&self) {
        let mut health = self.health();
        health.failures_in_a_row = 0;
        health.refusals_in_a_row = 0;
    }

    /// A call failed. Answers whether the failure is the upstream's rather than the job's: the
    /// gate was closed already, or closes whatever the job was.
    pub fn failed(&self, error: &JobError, retry_after: Option<Duration>) -> bool {
        let mut health = self.health();
        let was_closed = health.closed().is_some();
        let pause = match error.class {
            ErrorClass::Throttled => Some(retry_after.unwrap_or(FIRST_PAUSE)),
            ErrorClass::Configuration if was_closed => None,
            ErrorClass::Configuration => Some(health.another_refusal()),
            ErrorClass::Transient => health.another_failure(),
            _ => {
                health.failures_in_a_row = 0;
                return false;
            }
        };
        if let Some(pause) = pause {
            health.close(error, pause);
        }
        was_closed || error.class != ErrorClass::Transient
    }

    /// A poisoned lock holds health that is at worst out of date.
    fn health(&self) -> MutexGuard<'_, Health> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Health {
    fn closed(&self) -> Option<&Closed> {
        self.closed.as_ref().filter(|closed| !closed.time_left().is_zero())
    }

    /// The pause that a run of transient failures has earned.
    fn another_failure(&mut self) -> Option<Duration> {
        self.failures_in_a_row = self.failures_in_a_row.saturating_add(1);
        let is_end_of_run = self.failures_in_a_row.is_multiple_of(FAILURES_BEFORE_CLOSING);
        is_end_of_run
            .then(|| doubled(FIRST_PAUSE, self.failures_in_a_row / FAILURES_BEFORE_CLOSING))
    }

    fn another_refusal(&mut self) -> Duration {
        self.refusals_in_a_row = self.refusals_in_a_row.saturating_add(1);
        doubled(FIRST_CONFIGURATION_PAUSE, self.refusals_in_a_row)
    }

    /// The longer of two pauses holds.
    fn close(&mut self, reason: &JobError, pause: Duration) {
        let until = Instant::now() + pause;
        if self.closed.as_ref().is_none_or(|closed| closed.until < until) {
            self.closed = Some(Closed { reason: reason.clone(), until });
        }
    }
}

/// The pause after the `times`th time (from 1).
fn doubled(first: Duration, times: u32) -> Duration {
    Backoff { base: first, cap: LONGEST_PAUSE }.delay(times, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn pauses_double_up_to_the_longest() {
        let pauses = [1, 2, 3, 6, 7, u32::MAX].map(|times| doubled(FIRST_PAUSE, times).as_secs());
        assert_eq!(pauses, [2, 4, 8, 60, 60, 60]);
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
