//! The callback of a job whose outcome is stored: tries while their pauses are short, each noted in
//! the ledger; then the message goes back to its queue, and the next delivery of it goes on.

use std::time::Duration;

use tokio::time::sleep;

use super::{
    Run,
    handoff::{Later, unnoted},
    jitter,
};
use crate::{
    environment::Ports,
    error::{ErrorClass, JobError},
    lease::{CallbackSlot, CallbackState, Record},
    tell::{Untold, tell},
    webhook::{Event, LEAST_TIME, NotTried},
};

/// A callback that had no turn at its receiver comes back after about this.
const TURN_AGAIN: Duration = Duration::from_secs(10);

/// A message that finds another one of its job at the callback comes back after about this.
const AT_IT_AGAIN: Duration = Duration::from_secs(2);

/// A callback whose receiver fails comes back up to this much later than that is tried again.
const FAILING_AGAIN: Duration = Duration::from_secs(5);

/// The longest pause between two tries for which a message does not go back to its queue.
const LONGEST_PAUSE_HERE: Duration = Duration::from_secs(5);

impl<P: Ports> Run<'_, P> {
    /// Delivers the callback, with further tries while their pauses are short. Neither a permit nor a
    /// turn is held meanwhile.
    pub(super) async fn call_back_if_owed(&self, record: &Record) -> Result<(), Later> {
        let is_due = |slot: &&CallbackSlot| slot.state == CallbackState::Pending;
        let Some(slot) = record.callback.as_ref().filter(is_due) else { return Ok(()) };
        let Some(event) = Event::of_job(record) else { return Ok(()) };
        let mut slot = slot.clone();
        let Some(_calling) = self.bounds.beside.call(record.key) else { return Err(at_it()) };
        loop {
            let pause = slot.due_after(self.environment.clock.now());
            if !pause.is_zero() && !self.can_pause_here(pause).await {
                return Err(not_taken(slot.failures, pause));
            }
            let deadline = self.delivery_deadline();
            let told = tell(self.environment.post(), record, &mut slot, &event, deadline);
            // Boxed: a job that waits for its LLM keeps no room for it.
            Box::pin(told).await.map_err(|untold| match untold {
                Untold::NotTried(why) => self.not_tried(why),
                Untold::Unnoted(error) => unnoted(record, &error),
            })?;
            if slot.state != CallbackState::Pending {
                return Ok(());
            }
        }
    }

    /// Waits for a short pause if another try fits behind it; `false` if the message should.
    pub(super) async fn can_pause_here(&self, pause: Duration) -> bool {
        let fits = self.delivery_deadline().time_left() > pause + LEAST_TIME;
        if pause > LONGEST_PAUSE_HERE || !fits {
            return false;
        }
        tokio::select! {
            () = self.stop.draining() => false,
            () = sleep(pause) => true,
        }
    }

    /// Not counted: nothing was asked of the receiver.
    fn not_tried(&self, why: NotTried) -> Later {
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
        Later { reason: JobError::new(ErrorClass::Transient, code, message), after }
    }
}

fn at_it() -> Later {
    let message = "another message of the job is at its callback";
    let reason = JobError::new(ErrorClass::Transient, "callback_turn", message);
    Later { reason, after: AT_IT_AGAIN + jitter(AT_IT_AGAIN) }
}

fn not_taken(failures: u32, after: Duration) -> Later {
    let message = format!("the callback's receiver did not take it ({failures} tries)");
    Later { reason: JobError::new(ErrorClass::Transient, "callback", message), after }
}
