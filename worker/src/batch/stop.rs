//! The end of running batches: nothing more is begun, then what runs is interrupted, and soon after
//! that all is over, whatever hangs by then.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

/// How long what was interrupted may take to save how it ended, and to tell it. Its task is ended
/// then, and its message goes back.
const LAST_TRIES: Duration = Duration::from_secs(3);

/// When, after an interruption, nobody waits any more for messages to be given back or deleted.
const LAST_RETURNS: Duration = Duration::from_secs(4);

/// When, after an interruption, the process ends.
const END: Duration = Duration::from_secs(5);

/// Asks running batches to end.
#[derive(Clone, Debug, Default)]
pub struct Stop {
    drain: CancellationToken,
    interrupt: CancellationToken,
    interrupted: Arc<OnceLock<Instant>>,
}

impl Stop {
    /// No job is begun any more; running ones are finished.
    pub fn drain(&self) {
        self.drain.cancel();
    }

    /// Running jobs are interrupted as well, and five seconds later all is over.
    pub fn interrupt(&self) {
        self.interrupted.get_or_init(Instant::now);
        self.drain.cancel();
        self.interrupt.cancel();
    }

    /// Whether no job is begun any more.
    pub fn is_draining(&self) -> bool {
        self.drain.is_cancelled()
    }

    /// Whether running jobs are interrupted.
    pub fn is_interrupted(&self) -> bool {
        self.interrupt.is_cancelled()
    }

    /// Returns when no job is begun any more.
    pub async fn draining(&self) {
        self.drain.cancelled().await;
    }

    /// Returns when running jobs are to be interrupted.
    pub async fn interrupting(&self) {
        self.interrupt.cancelled().await;
    }

    /// Returns when interrupted jobs have had their time.
    pub async fn tries_over(&self) {
        self.interrupted_for(LAST_TRIES).await;
    }

    /// Returns when what comes back of interrupted batches has had its time.
    pub(super) async fn returns_over(&self) {
        self.interrupted_for(LAST_RETURNS).await;
    }

    /// Returns when the process ends.
    pub async fn over(&self) {
        self.interrupted_for(END).await;
    }

    /// What interrupted jobs have left to save how they ended; without an interruption all of it.
    pub fn tries_left(&self) -> Duration {
        self.left(LAST_TRIES)
    }

    /// What is left until the process ends; without an interruption all of it.
    pub fn time_left(&self) -> Duration {
        self.left(END)
    }

    async fn interrupted_for(&self, time: Duration) {
        self.interrupting().await;
        sleep_until(self.since() + time).await;
    }

    fn left(&self, time: Duration) -> Duration {
        match self.is_interrupted() {
            true => (self.since() + time).saturating_duration_since(Instant::now()),
            false => Duration::MAX,
        }
    }

    fn since(&self) -> Instant {
        *self.interrupted.get_or_init(Instant::now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interruption_leaves_the_same_time_however_often_it_is_asked_for() {
        let stop = Stop::default();
        stop.drain();
        assert_eq!((stop.tries_left(), stop.time_left()), (Duration::MAX, Duration::MAX));

        stop.interrupt();
        let first = stop.since();
        stop.clone().interrupt();
        assert_eq!(stop.since(), first);
        assert!(stop.tries_left() <= LAST_TRIES && stop.time_left() <= END);
    }

    const _: () = assert!(LAST_TRIES.as_secs() < LAST_RETURNS.as_secs());
    const _: () = assert!(LAST_RETURNS.as_secs() < END.as_secs());
}
