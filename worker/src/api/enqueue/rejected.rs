//! Jobs that are not sent, counted as rejected in their batches: else these would wait for them
//! until they expire.

use std::collections::HashSet;

use super::{Fate, Order, submission::Batch};
use crate::{
    api::{Api, access::Caller, batches::deliver_soon, problem::Problem},
    environment::Ports,
    fan_in::BatchKey,
    lease::Ledger,
};

impl<P: Ports> Api<P> {
    /// Counts them. Whoever finds out that the ledger is out of reach sends the whole request again:
    /// nothing of it was sent yet, and what is counted already is counted once.
    pub(super) async fn count_rejected(
        &self,
        caller: &Caller,
        orders: &[Order],
        batch: Option<&Batch>,
    ) -> Result<(), Problem> {
        let mut batches = HashSet::new();
        for (index, order) in orders.iter().enumerate() {
            let Fate::Refused(refused) = &order.fate else { continue };
            if refused.may_pass() {
                continue;
            }
            let place = match batch {
                Some(batch) => batch.membership(index),
                None => refused.place.clone(),
            };
            let Some(place) = place else { continue };
            let namespace = caller.namespace.clone();
            batches.insert(BatchKey::of(&namespace, place.id()));
            let rejection = refused.rejection.clone();
            self.environment.ledger.reject(namespace, place, rejection).await?;
        }
        // With the others ended, or where all were rejected, they are over by that.
        deliver_soon(&self.environment, batches).await;
        Ok(())
    }
}
