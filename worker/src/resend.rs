//! An outcome that is told again because a person asks for it, whatever became of its callback.

use crate::{
    clock::Deadline,
    environment::Post,
    fan_in::{BatchKey, FanIn, deliver_if_over},
    job::JobKey,
    lease::{CallbackState, Decision, Ledger, LedgerError, Record, Refusal},
    tell::{Untold, tell},
    webhook::Event,
};

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resent {
    /// One try was made; where the receiver did not take it, the callback is due again.
    Tried(CallbackState),
    /// No try could be made: the receiver fails or is busy. The callback is due again.
    Untried,
    /// There is nothing to tell.
    Refused(Refusal),
    /// There is no such batch, or jobs of it are still awaited.
    NotOver,
}

/// Makes the callback of a finished job due, and tries to deliver it once.
pub async fn resend<L: Ledger>(
    post: Post<'_, L>,
    key: JobKey,
    deadline: Deadline,
) -> Result<Resent, LedgerError> {
    match post.ledger.decide(key, Decision::Resend, post.clock.now()).await? {
        Ok(record) => deliver(post, &record, deadline).await,
        Err(refusal) => Ok(Resent::Refused(refusal)),
    }
}

async fn deliver<L: Ledger>(
    post: Post<'_, L>,
    record: &Record,
    deadline: Deadline,
) -> Result<Resent, LedgerError> {
    let owed = record.callback.clone().zip(Event::of_job(record));
    let Some((mut slot, event)) = owed else { return Ok(Resent::Refused(Refusal::NoCallback)) };
    match tell(post, record, &mut slot, &event, deadline).await {
        Ok(_) => Ok(Resent::Tried(slot.state)),
        Err(Untold::NotTried(_)) => Ok(Resent::Untried),
        Err(Untold::Unnoted(error)) => Err(error),
    }
}

/// The same for a batch that is over.
pub async fn resend_batch<L: Ledger>(
    post: Post<'_, L>,
    key: BatchKey,
    deadline: Deadline,
) -> Result<Resent, LedgerError> {
    if post.ledger.renew_batch(key, post.clock.now()).await?.is_none() {
        return Ok(Resent::NotOver);
    }
    Ok(match deliver_if_over(post, key, deadline).await? {
        FanIn::Sent => Resent::Tried(CallbackState::Sent),
        FanIn::NotTaken { .. } => Resent::Tried(CallbackState::Pending),
        FanIn::Dead(why) => Resent::Tried(CallbackState::Dead(why)),
        FanIn::NotDue { .. } | FanIn::NoTime | FanIn::NoTurn { .. } | FanIn::Taken { .. } => {
            Resent::Untried
        }
        FanIn::Settled => Resent::NotOver,
    })
}
