//! One try to tell a job's outcome to its callback, noted in the ledger, whoever makes it: the run,
//! the sweep, or a person who has it sent again.

use std::time::Duration;

use crate::{
    clock::Deadline,
    environment::{Observation, Post},
    lease::{CallbackSlot, Delivery, Ledger, LedgerError, Mark, Record},
    webhook::{Attempt, Event, NotTried},
};

/// Why nothing is known to have been told.
#[derive(Debug)]
pub(crate) enum Untold {
    /// Nothing was posted.
    NotTried(NotTried),
    /// It may have been, and was not noted.
    Unnoted(LedgerError),
}

/// Tells the record's outcome to the callback of `slot`, by `deadline`; the slot knows it afterwards, and
/// when the next try is due.
pub(crate) async fn tell<L: Ledger>(
    post: Post<'_, L>,
    record: &Record,
    slot: &mut CallbackSlot,
    event: &Event,
    deadline: Deadline,
) -> Result<Attempt, Untold> {
    let attempt = post.courier.deliver(slot, event, deadline).await.map_err(Untold::NotTried)?;
    let now = post.clock.now();
    let schedule = &post.policy.callbacks;
    let delivery = slot.judged(attempt.delivery, now, schedule.max_age);
    let may_have_arrived = slot.may_have_arrived;
    slot.note(delivery, now);
    let again_after = match delivery {
        Delivery::Failed(_) => schedule.pause(slot, attempt.retry_after, fastrand::f64()),
        Delivery::Sent | Delivery::Dead(_) => Duration::ZERO,
    };
    slot.put_off(now.plus(again_after));
    let callback = slot.callback.clone();
    let mark = Mark::Callback { callback, delivery, again_after, may_have_arrived };
    post.ledger.mark(record.key, record.epoch, mark, now).await.map_err(Untold::Unnoted)?;
    post.observer.observe(Observation::Delivered { delivery, latency: attempt.took });
    if let Delivery::Dead(why) = delivery {
        let (job_id, host, why) = (&record.job_id, slot.callback.host(), why.name());
        tracing::warn!(%job_id, host, why, "a callback was given up");
    }
    Ok(Attempt { delivery, ..attempt })
}
