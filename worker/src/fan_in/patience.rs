//! A delivery that nobody's message brings back: whoever made it due tries for a while.

use std::time::Duration;

use tokio::time::sleep;

use super::{BatchKey, FanIn, deliver_if_over};
use crate::{
    clock::Deadline,
    environment::Post,
    lease::{Ledger, LedgerError},
};

/// How long one delivery may take, its wait for a turn included.
const DELIVERY_TIME: Duration = Duration::from_secs(60);

/// The pause where there was no time for a try.
const SOON: Duration = Duration::from_millis(100);

/// How soon it is looked again whether somebody else's delivery is over.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Delivers the batch's callback if it is over, and tries again until `patience` ends. What is
/// not told by then is left to a sweep.
pub async fn deliver_patiently<L: Ledger>(
    post: Post<'_, L>,
    key: BatchKey,
    patience: Deadline,
) -> Result<FanIn, LedgerError> {
    loop {
        let told = deliver_if_over(post, key, Deadline::after(DELIVERY_TIME)).await?;
        let again_after = match told {
            FanIn::Settled | FanIn::Sent | FanIn::Dead(_) => return Ok(told),
            FanIn::NoTime => SOON,
            FanIn::NotTaken { again_after }
            | FanIn::NotDue { again_after }
            | FanIn::NoTurn { again_after } => again_after,
            // It may be over long before.
            FanIn::Taken { again_after } => again_after.min(LOOK_AGAIN),
        };
        if patience.time_left() < again_after {
            return Ok(told);
        }
        sleep(again_after).await;
    }
}
