//! An outcome that is told again because a person asks for it, whatever became of its callback.

use crate::{
    clock::{Clock, Deadline},
    job::JobKey,
    lease::{CallbackState, Decision, Ledger, LedgerError, Mark, Record, Refusal},
    webhook::{Courier, Event, NotTried},
};

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resent {
    /// One try was made; where the receiver did not take it, the callback is due again.
    Tried(CallbackState),
    /// No try could be made; the callback is due again.
    Untried(NotTried),
    /// There is nothing to tell.
    Refused(Refusal),
}

/// Makes the callback of a finished job due, and tries to deliver it once.
pub async fn resend<L: Ledger>(
    ledger: &L,
    courier: &Courier,
    clock: &Clock,
    key: JobKey,
    deadline: Deadline,
) -> Result<Resent, LedgerError> {
    match ledger.decide(key, Decision::Resend, clock.now()).await? {
        Ok(record) => deliver(ledger, courier, clock, &record, deadline).await,
        Err(refusal) => Ok(Resent::Refused(refusal)),
    }
}

async fn deliver<L: Ledger>(
    ledger: &L,
    courier: &Courier,
    clock: &Clock,
    record: &Record,
    deadline: Deadline,
) -> Result<Resent, LedgerError> {
    let owed = record.callback.clone().zip(Event::of_job(record, None));
    let Some((mut slot, event)) = owed else { return Ok(Resent::Refused(Refusal::NoCallback)) };
    let attempt = match courier.deliver(&slot, &event, deadline).await {
        Ok(attempt) => attempt,
        Err(why) => return Ok(Resent::Untried(why)),
    };
    let mark = Mark::Callback(slot.callback.clone(), attempt.delivery);
    ledger.mark(record.key, record.epoch, mark, clock.now()).await?;
    slot.note(attempt.delivery);
    Ok(Resent::Tried(slot.state))
}
