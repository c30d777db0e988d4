//! **Fan-in.** Jobs that share a batch are counted when they end, each once, in the transaction
//! that ends them. Whoever finds the count complete delivers the one callback of the batch; the
//! message that completed it is not finished before that is settled.

mod event;
mod member;
mod patience;
mod record;

use std::{fmt, time::Duration};

use sha2::{Digest, Sha256};

use self::event::Account;
pub use self::{
    event::member_data,
    member::{Holder, Member, MemberKind, Place, Rejection},
    patience::deliver_patiently,
    record::{BatchRecord, CloseRefusal, Places},
};
use crate::{
    clock::Deadline,
    environment::{Observation, Post},
    job::{BatchId, Namespace},
    lease::{Delivery, Ledger, LedgerError},
    webhook::LEAST_TIME,
};

/// How long one delivery may take before somebody else may try, unless the courier waits longer.
const DELIVERY_TAKES: Duration = Duration::from_secs(60);

/// How much longer than the courier a delivery may take, to be noted in the ledger.
const SAVING_TAKES: Duration = Duration::from_secs(5);

/// Members that are read at once.
const READ_AT_ONCE: usize = 200;

/// The ledger's key of a batch: SHA-256 over version, namespace and id.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct BatchKey([u8; 32]);

impl BatchKey {
    /// The key of batch `id` in `namespace`.
    pub fn of(namespace: &Namespace, id: &BatchId) -> Self {
        let mut hasher = Sha256::new();
        // Neither name can hold the character between them.
        hasher.update(format!("mcp-batch batch v1\n{}\n{id}", namespace.as_str()));
        Self(hasher.finalize().into())
    }

    /// A key that was stored.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The key's bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for BatchKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// What became of a batch's callback.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FanIn {
    /// Nothing is to be done, now or ever.
    Settled,
    /// The receiver did not take it; the next try is due after this.
    NotTaken {
        /// From now.
        again_after: Duration,
    },
    /// It is owed, and there was no time left to begin with it.
    NoTime,
    /// It was not its turn; the delivery stays taken for this long.
    NoTurn {
        /// From now.
        again_after: Duration,
    },
    /// Somebody has taken the delivery for this long: another message, or this one when it was
    /// received before and was cut off.
    Taken {
        /// From now.
        again_after: Duration,
    },
}

/// Delivers the batch's callback by `deadline` if nothing more will be counted. `is_last` says
/// whether it is given up if the receiver does not take it now.
pub async fn deliver_if_over<L: Ledger>(
    post: Post<'_, L>,
    key: BatchKey,
    deadline: Deadline,
    is_last: bool,
) -> Result<FanIn, LedgerError> {
    let ledger = post.ledger;
    let now = post.clock.now();
    if deadline.time_left() < LEAST_TIME {
        let owed_after = ledger.batch(key).await?.and_then(|batch| batch.owed_after(now));
        return Ok(owed_after.map_or(FanIn::Settled, |_| FanIn::NoTime));
    }
    let delivery_takes = DELIVERY_TAKES.max(post.courier.longest_delivery() + SAVING_TAKES);
    let Some(batch) = ledger.take_batch(key, now, now.plus(delivery_takes)).await? else {
        let batch = ledger.batch(key).await?;
        let again_after = batch.and_then(|batch| batch.owed_after(now));
        return Ok(again_after.map_or(FanIn::Settled, |again_after| FanIn::Taken { again_after }));
    };
    let account = account_of(ledger, key, &batch, post.policy.max_batch_body_bytes).await?;
    let event = account.event(key, &batch);
    let mut slot = batch.callback;
    let Ok(attempt) = post.courier.deliver(&slot, &event, deadline).await else {
        return Ok(FanIn::NoTurn { again_after: delivery_takes });
    };
    let delivery = attempt.delivery.judged(is_last);
    ledger.mark_batch(key, delivery, post.clock.now()).await?;
    post.observer.observe(Observation::Delivered { delivery, latency: attempt.took });
    slot.note(delivery);
    match delivery {
        Delivery::Sent => Ok(FanIn::Settled),
        Delivery::Failed(_) => {
            let schedule = &post.policy.callbacks;
            let again_after = schedule.pause(&slot, attempt.retry_after, fastrand::f64());
            Ok(FanIn::NotTaken { again_after })
        }
        Delivery::Dead(why) => {
            let (host, why) = (slot.callback.host(), why.name());
            tracing::warn!(batch = %batch.id, host, why, "a batch's callback was given up");
            Ok(FanIn::Settled)
        }
    }
}

/// Reads, page by page, until there are exactly the counted members.
async fn account_of<L: Ledger>(
    ledger: &L,
    key: BatchKey,
    batch: &BatchRecord,
    max_body_bytes: usize,
) -> Result<Account, LedgerError> {
    let (mut account, mut from) = (Account::new(max_body_bytes), 0);
    loop {
        let page = ledger.members(key, from, READ_AT_ONCE).await?;
        let Some(last) = page.last() else { break };
        from = last.index + 1;
        for member in &page {
            match member.is_counted {
                true => account.add(member),
                false => account.miss(member.index),
            }
        }
    }
    match account.members() {
        members if members == batch.counted => Ok(account),
        members => Err(LedgerError(format!("{members} of {} members were read", batch.counted))),
    }
}
