//! The verdict on a message, which is told to the log and the observer on its way out.

use std::time::Duration;

use super::{Run, Subject, journal};
use crate::{
    batch::Stop,
    environment::{End, Observation, Ports},
    error::{ErrorClass, JobError, code},
    job::JobKey,
    lease::Record,
    queue::Burial,
};

/// A message that was not begun comes back within this.
pub(super) const NOT_STARTED: Duration = Duration::from_secs(5);

/// A message that must wait for something comes back up to this much later than it could.
pub(super) const SPREAD: Duration = Duration::from_millis(500);

/// A message whose ledger cannot be reached comes back after about this, or later the more often it
/// was received.
pub(super) const LEDGER_AGAIN: Duration = Duration::from_secs(5);

/// What becomes of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Its job is settled: delete it.
    Finished,
    /// It comes back after this time.
    Return(Duration),
    /// Its job is settled, but the message stays in the queue until that puts it with the dead
    /// letters itself: neither delete nor defer it.
    Leave,
}

impl<P: Ports> Run<'_, P> {
    pub(super) fn not_begun(&self, subject: &Subject) -> Verdict {
        self.returned(subject.key, &not_started(), not_started_after(self.stop))
    }

    pub(super) fn returned(
        &self,
        key: impl Into<Option<JobKey>>,
        reason: &JobError,
        after: Duration,
    ) -> Verdict {
        journal::returned(reason, after);
        let (message_id, key) = (self.message.id.as_str(), key.into());
        let observation = Observation::Returned { message_id, key, reason, after };
        self.environment.observer.observe(observation);
        Verdict::Return(after)
    }

    /// The job has come to its end, and that is saved. What is owed may be put off: this is not.
    pub(super) fn settled(&self, record: &Record) {
        journal::settled(record);
        self.environment.observer.observe(Observation::Settled(record));
    }

    pub(super) fn ended(&self, key: Option<JobKey>, end: End<'_>, burial: Burial) -> Verdict {
        journal::ended(&end, burial);
        if let Some(error) = end.error() {
            // It ends once.
            let _ = self.failed.set(error.class.as_str());
        }
        let message_id = self.message.id.as_str();
        self.environment.observer.observe(Observation::Ended { message_id, key, end });
        match burial {
            Burial::Taken => Verdict::Finished,
            Burial::LeftToQueue => Verdict::Leave,
        }
    }
}

/// Why a job that was not begun comes back.
pub(crate) fn not_started() -> JobError {
    let message = "there was no time left to begin the job";
    JobError::new(ErrorClass::Interrupted, code::NOT_STARTED, message)
}

/// When it does: at once where a worker stops, else soon.
pub(crate) fn not_started_after(stop: &Stop) -> Duration {
    if stop.is_draining() { Duration::ZERO } else { jitter(NOT_STARTED) }
}

/// An even share of `most`.
pub(super) fn jitter(most: Duration) -> Duration {
    most.mul_f64(fastrand::f64())
}
