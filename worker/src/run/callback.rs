//! The callback of a job whose outcome is stored: tries while their pauses are short, each noted in
//! the ledger; then the message goes back to its queue, and the next delivery of it goes on.

use std::time::Duration;

use tokio::time::sleep;

use super::{Run, Verdict, jitter};
use crate::{
    environment::{Observation, Ports},
    error::{ErrorClass, JobError},
    job::{Job, JobKey},
    lease::{CallbackSlot, CallbackState, Delivery, Mark, Record},
    webhook::{Attempt, Event, LEAST_TIME, NotTried},
};

/// A callback that had no turn at its receiver comes back after about this.
const TURN_AGAIN: Duration = Duration::from_secs(10);

/// A callback whose receiver fails comes back up to this much later than that is tried again.
const FAILING_AGAIN: Duration = Duration::from_secs(5);

/// The longest pause between two tries for which a message does not go back to its queue.
const LONGEST_PAUSE_HERE: Duration = Duration::from_secs(5);

impl<P: Ports> Run<'_, P> {
    /// Delivers the callback, with further tries while their pauses are short. Neither a permit nor a
    /// turn is held meanwhile.
    pub(super) async fn call_back_if_owed(
        &self,
        job: &Job,
        record: &Record,
    ) -> Result<(), Verdict> {
        let is_due = |slot: &&CallbackSlot| slot.state == CallbackState::Pending;
        let Some(slot) = record.callback.as_ref().filter(is_due) else { return Ok(()) };
        let Some(event) = Event::of_job(record, job.metadata()) else { return Ok(()) };
        let mut slot = slot.clone();
        loop {
            // Boxed: a job that waits for its LLM keeps no room for it.
            let attempt = Box::pin(self.call_back(job, record, &mut slot, &event)).await?;
            if slot.state != CallbackState::Pending {
                return Ok(());
            }
            let schedule = &self.environment.policy.callbacks;
            let pause = schedule.pause(&slot, attempt.retry_after, fastrand::f64());
            if !self.can_pause_here(pause).await {
                return Err(self.not_taken(record.key, slot.failures, pause));
            }
        }
    }

    /// One try, noted in the slot and in the ledger.
    async fn call_back(
        &self,
        job: &Job,
        record: &Record,
        slot: &mut CallbackSlot,
        event: &Event,
    ) -> Result<Attempt, Verdict> {
        let deadline = self.delivery_deadline();
        let attempt = self.environment.courier.deliver(slot, event, deadline).await;
        let attempt = attempt.map_err(|why| self.not_tried(record.key, why))?;
        // A duplicate with a callback of its own owes it since that was first seen.
        let owed_since = record.settled.max(self.message.first_seen);
        let delivery = attempt.delivery.judged(self.is_last_delivery(owed_since));
        if delivery != Delivery::Sent {
            self.keep_metadata(job, record).await?;
        }
        self.mark(record, Mark::Callback(slot.callback.clone(), delivery)).await?;
        self.environment
            .observer
            .observe(Observation::Delivered { delivery, latency: attempt.took });
        slot.note(delivery);
        if let Delivery::Dead(why) = delivery {
            let (job_id, host, why) = (&record.job_id, slot.callback.host(), why.name());
            tracing::warn!(%job_id, host, why, "a callback was given up");
        }
        Ok(attempt)
    }

    /// Whoever tells the outcome later, without the job's message, tells it in the same words.
    async fn keep_metadata(&self, job: &Job, record: &Record) -> Result<(), Verdict> {
        match job.metadata().filter(|_| record.metadata.is_none()) {
            Some(metadata) => self.mark(record, Mark::Metadata(metadata.clone())).await,
            None => Ok(()),
        }
    }

    /// Waits for a short pause if another try fits behind it; `false` if the message should.
    async fn can_pause_here(&self, pause: Duration) -> bool {
        let fits = self.delivery_deadline().time_left() > pause + LEAST_TIME;
        if pause > LONGEST_PAUSE_HERE || !fits {
            return false;
        }
        tokio::select! {
            () = self.stop.draining() => false,
            () = sleep(pause) => true,
        }
    }

    fn not_taken(&self, key: JobKey, failures: u32, after: Duration) -> Verdict {
        let message = format!("the callback's receiver did not take it ({failures} tries)");
        self.returned(key, &JobError::new(ErrorClass::Transient, "callback", message), after)
    }

    /// Not counted: nothing was asked of the receiver.
    fn not_tried(&self, key: JobKey, why: NotTried) -> Verdict {
        let (code, message, after) = match why {
            NotTried::NoTurn => (
                "callback_turn",
                "the callback's receiver is busy with others",
                TURN_AGAIN + jitter(TURN_AGAIN),
            ),
            NotTried::NoTime => (
                "callback_time",
                "there was no time left to deliver the callback",
                super::not_started_after(self.stop),
            ),
            NotTried::Failing { after } => (
                "callback_host",
                "the callback's receiver fails, and is left alone for a moment",
                after + jitter(FAILING_AGAIN),
            ),
        };
        self.returned(key, &JobError::new(ErrorClass::Transient, code, message), after)
    }
}
