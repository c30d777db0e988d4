//! How an upstream is, by how calls to it end.

use std::time::Duration;

use tokio::time::Instant;

use crate::{
    error::{ErrorClass, JobError},
    retry::Backoff,
};

/// Transient failures in a row, with no success between, that close the gate.
pub(super) const FAILURES_BEFORE_CLOSING: u32 = 10;

/// How long it stays closed after the first of such runs; each further one doubles it.
pub(super) const FIRST_PAUSE: Duration = Duration::from_secs(2);

/// The longest it stays closed before somebody tries again.
const LONGEST_PAUSE: Duration = Duration::from_mins(1);

/// The least pause where the upstream names one for being asked too much; it doubles as well with each
/// such refusal in a row: some ask for no pause at all, and mean it for ever.
const LEAST_NAMED_PAUSE: Duration = Duration::from_secs(1);

/// Such a pause is up to this share longer, so that processes that met the same do not come back
/// together.
const JITTER: f64 = 0.25;

/// The first pause when the upstream refuses us as such. It doubles as well: a person has to act.
const FIRST_CONFIGURATION_PAUSE: Duration = Duration::from_secs(1);

/// LiteLLM's word for a model all of whose deployments cool down after failures.
pub(in crate::tool) const COOLDOWN: &str = "all_deployments_in_cooldown";

/// The code of an LLM's answer that does not fit what the tool asks of it.
pub(in crate::tool) const ANSWER_SCHEMA: &str = "answer_schema";

/// The code of an LLM's answer without any text.
pub(in crate::tool) const ANSWER_EMPTY: &str = "answer_empty";

/// The code of a refusal of what the catalog says of a tool: it closes the tool's own gate.
pub(in crate::tool) const TOOL_SETTINGS: &str = "tool_settings";

/// Transient failures that are the job's own: the upstream answered, and was paid.
const JOBS_OWN: [&str; 2] = [ANSWER_SCHEMA, ANSWER_EMPTY];

/// Answers of that kind in a row that are believed. A provider's key that is refused, for one, keeps
/// a deployment cooling, and is told to nobody but the first.
const MOST_COOLDOWNS: u32 = 10;

#[derive(Debug, Default)]
pub(super) struct Health {
    cooldowns_in_a_row: u32,
    throttles_in_a_row: u32,
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

    pub(super) fn until(&self) -> Instant {
        self.until
    }
}

impl Health {
    pub(super) fn closed(&self, now: Instant) -> Option<&Closed> {
        self.closed.as_ref().filter(|closed| closed.until > now)
    }

    pub(super) fn succeeded(&mut self) {
        self.failures_in_a_row = 0;
        self.refusals_in_a_row = 0;
        self.cooldowns_in_a_row = 0;
        self.throttles_in_a_row = 0;
    }

    /// Counts the cooldowns among failures; beyond the ceiling they are a matter of configuration.
    pub(super) fn weigh(&mut self, error: JobError, now: Instant) -> JobError {
        if error.code != COOLDOWN {
            return error;
        }
        // On their way when it closed: one cooldown, however many calls it met.
        if self.closed(now).is_none() {
            self.cooldowns_in_a_row = self.cooldowns_in_a_row.saturating_add(1);
        }
        if self.cooldowns_in_a_row <= MOST_COOLDOWNS {
            return error;
        }
        let message = format!(
            "{} ({} times in a row: look at the router's log, the provider may refuse its key)",
            error.message, self.cooldowns_in_a_row
        );
        JobError { class: ErrorClass::Configuration, message, ..error }
    }

    /// Answers whether the failure is the upstream's rather than the job's.
    pub(super) fn failed(
        &mut self,
        error: &JobError,
        retry_after: Option<Duration>,
        now: Instant,
    ) -> bool {
        if JOBS_OWN.contains(&&*error.code) {
            self.failures_in_a_row = 0;
            return false;
        }
        let was_closed = self.closed(now).is_some();
        let pause = match error.class {
            // Cooldowns have a ceiling of their own.
            ErrorClass::Throttled if was_closed || error.code == COOLDOWN => {
                Some(retry_after.unwrap_or(FIRST_PAUSE))
            }
            ErrorClass::Throttled => Some(self.another_throttle(retry_after)),
            // On their way when it closed: one outage, however many calls it met.
            ErrorClass::Configuration | ErrorClass::Transient if was_closed => None,
            ErrorClass::Configuration => Some(self.another_refusal()),
            ErrorClass::Transient => self.another_failure(),
            _ => {
                self.failures_in_a_row = 0;
                return false;
            }
        };
        if let Some(pause) = pause {
            self.close(error, now + pause);
        }
        was_closed || error.class != ErrorClass::Transient
    }

    /// The pause after a refusal for being asked too much: what the upstream asks for, and longer with
    /// each further one.
    fn another_throttle(&mut self, retry_after: Option<Duration>) -> Duration {
        self.throttles_in_a_row = self.throttles_in_a_row.saturating_add(1);
        let first = if retry_after.is_some() { LEAST_NAMED_PAUSE } else { FIRST_PAUSE };
        let least = doubled(first, self.throttles_in_a_row);
        let jitter = JITTER * fastrand::f64();
        least.mul_f64(1.0 + jitter).max(retry_after.unwrap_or_default())
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
    fn close(&mut self, reason: &JobError, until: Instant) {
        if self.closed.as_ref().is_none_or(|closed| closed.until < until) {
            self.closed = Some(Closed { reason: reason.clone(), until });
        }
    }
}

/// The pause after the `times`th time (from 1).
pub(super) fn doubled(first: Duration, times: u32) -> Duration {
    Backoff { base: first, cap: LONGEST_PAUSE }.delay(times, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The pauses of an upstream that refuses every call for being too many, in seconds: two calls meet
    /// each of them.
    fn pauses(retry_after_s: Option<u64>) -> Vec<f64> {
        let throttled = JobError::new(ErrorClass::Throttled, "http_429", "no");
        let retry_after = retry_after_s.map(Duration::from_secs);
        let mut health = Health::default();
        let mut pause = || {
            let now = Instant::now();
            health.closed = None;
            health.failed(&throttled, retry_after, now);
            health.failed(&throttled, retry_after, now);
            health.closed(now).map_or(0.0, |closed| (closed.until - now).as_secs_f64())
        };
        (0..8).map(|_| pause()).collect()
    }

    #[test]
    fn pauses_of_refusals_in_a_row_grow_whatever_the_upstream_asks_for() {
        for (asked, least) in [
            (None, [2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0]),
            (Some(0), [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]),
            (Some(5), [5.0, 5.0, 5.0, 8.0, 16.0, 32.0, 60.0, 60.0]),
            (Some(600), [600.0; 8]),
        ] {
            let pauses = pauses(asked);
            for (pause, least) in pauses.iter().zip(least) {
                let most = least * (1.0 + JITTER);
                assert!((least - 0.5..=most).contains(pause), "{asked:?}: {pauses:?}");
            }
        }
    }

    #[test]
    fn a_success_makes_the_next_refusal_the_first() {
        let throttled = JobError::new(ErrorClass::Throttled, "http_429", "no");
        let mut health = Health::default();
        for _ in 0..5 {
            let now = Instant::now();
            health.closed = None;
            health.failed(&throttled, Some(Duration::ZERO), now);
            let pause = health.closed(now).map_or(Duration::ZERO, |closed| closed.until - now);
            assert!(pause <= LEAST_NAMED_PAUSE.mul_f64(1.0 + JITTER), "{pause:?}");
            health.succeeded();
        }
    }
}
