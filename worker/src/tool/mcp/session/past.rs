//! What became of earlier tries to connect, and who is at it now: how long the others wait.

use std::{
    sync::{Mutex as Cell, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use crate::{
    retry::Backoff,
    tool::{ToolError, mcp::settings::Era},
};

/// How long nobody tries again after a connection failed; doubling.
const AFTER_FAILURE: Backoff =
    Backoff { base: Duration::from_secs(1), cap: Duration::from_secs(30) };

/// How long the others wait for the one who connects, from when it began. A server that is silent
/// must not hold up the jobs of all others.
pub(super) const OTHERS_WAIT: Duration = Duration::from_secs(2);

/// The same where the last try failed: while they wait they take up room that others could use, and
/// the server may be down for hours.
const OTHERS_WAIT_AGAIN: Duration = Duration::from_millis(200);

/// A connection that ends earlier was no success: a program that dies after each handshake is not
/// started again at once.
const SOUND_AFTER: Duration = Duration::from_secs(10);

/// What became of earlier tries.
#[derive(Default)]
pub(super) struct Past {
    pub(super) era: Option<Era>,
    failures: u32,
    failed: Option<Failed>,
    /// Connections in a row that ended soon after they were made.
    short_lives: u32,
}

struct Failed {
    error: ToolError,
    until: Instant,
}

impl Past {
    /// The latest failure, while nobody tries again.
    pub(super) fn still(&self) -> Option<ToolError> {
        let failed = self.failed.as_ref()?;
        let left = failed.until.saturating_duration_since(Instant::now());
        let error = ToolError { retry_after: Some(left), ..failed.error.clone() };
        (!left.is_zero()).then_some(error)
    }

    pub(super) fn others_wait(&self) -> Duration {
        if self.failures == 0 { OTHERS_WAIT } else { OTHERS_WAIT_AGAIN }
    }

    pub(super) fn succeeded(&mut self, era: Era) {
        *self = Self { era: Some(era), short_lives: self.short_lives, ..Self::default() };
    }

    /// A connection was lost after this; answers whether that was too soon, more than once.
    pub(super) fn lived(&mut self, age: Duration) -> bool {
        let is_early = age < SOUND_AFTER;
        self.short_lives = if is_early { self.short_lives.saturating_add(1) } else { 0 };
        self.short_lives > 1
    }

    /// Nobody connected. The server may have been replaced by one of another era.
    pub(super) fn failed(&mut self, error: ToolError) -> ToolError {
        self.failures = self.failures.saturating_add(1);
        self.era = None;
        self.pause(error)
    }

    /// Keeps a failure for those who come next.
    pub(super) fn pause(&mut self, error: ToolError) -> ToolError {
        let times = self.failures + self.short_lives.saturating_sub(1);
        let pause = AFTER_FAILURE.delay(times, 1.0);
        let pause = error.retry_after.map_or(pause, |asked| asked.max(pause));
        let error = ToolError { retry_after: Some(pause), ..error };
        self.failed = Some(Failed { error: error.clone(), until: Instant::now() + pause });
        error
    }
}

/// Somebody connects.
#[derive(Clone, Copy)]
pub(super) struct Attempt {
    pub(super) began: Instant,
    /// How long from then on the others wait.
    pub(super) others_wait: Duration,
}

impl Attempt {
    pub(super) fn begin(others_wait: Duration) -> Self {
        Self { began: Instant::now(), others_wait }
    }
}

/// Somebody connects, until this is dropped.
pub(super) struct Connecting<'a>(&'a Cell<Option<Attempt>>);

impl<'a> Connecting<'a> {
    pub(super) fn begin(attempt: &'a Cell<Option<Attempt>>, others_wait: Duration) -> Self {
        let begun = Attempt::begin(others_wait);
        *attempt.lock().unwrap_or_else(PoisonError::into_inner) = Some(begun);
        Self(attempt)
    }
}

impl Drop for Connecting<'_> {
    fn drop(&mut self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}
