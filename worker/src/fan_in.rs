//! **Fan-in.** Jobs that share a batch are counted when they end, each once, in the transaction
//! that ends them. Whoever finds the count complete delivers the one callback of the batch; the
//! message that completed it is not finished before that is settled.

mod event;

use std::{fmt, time::Duration};

use sha2::{Digest, Sha256};

use self::event::Account;
pub use self::event::Member;
use crate::{
    clock::{Deadline, UnixMs},
    environment::{Environment, Ports},
    error::{ErrorClass, JobError},
    job::{BatchId, JobKey, Membership, Namespace},
    lease::{CallbackSlot, CallbackState, Delivery, Ledger, LedgerError},
    webhook::LEAST_TIME,
};

/// When a batch is closed with what there is, if its first job does not say.
const BATCH_LIVES: Duration = Duration::from_secs(24 * 3600);

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

/// A batch as the ledger keeps it.
#[derive(Clone, Debug, PartialEq)]
pub struct BatchRecord {
    /// The caller's id.
    pub id: BatchId,
    /// How many jobs it has, once somebody has said so.
    pub size: Option<u64>,
    /// How many of them have ended.
    pub counted: u64,
    /// Where its outcome is posted.
    pub callback: CallbackSlot,
    /// Until then somebody is delivering it.
    pub delivery_ends: UnixMs,
    /// When its first job was claimed.
    pub opened: UnixMs,
    /// When it is closed with what there is.
    pub expires: UnixMs,
}

/// What a batch knows of the place a job asks for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Places {
    /// Who has that place.
    pub holder: Option<JobKey>,
    /// The highest place that is taken.
    pub highest: Option<u64>,
}

impl BatchRecord {
    /// Whether every job of it has ended.
    pub fn is_complete(&self) -> bool {
        self.size == Some(self.counted)
    }

    /// Takes the delivery of its callback upon oneself until `until`: the batch as it is then, if
    /// it is complete, its callback is due and nobody else is at it.
    pub fn take(mut self, now: UnixMs, until: UnixMs) -> Option<Self> {
        let is_due = self.callback.state == CallbackState::Pending && self.delivery_ends <= now;
        self.delivery_ends = until;
        (is_due && self.is_complete()).then_some(self)
    }

    /// How long somebody may still be at the delivery of its callback; `None` once nothing is owed,
    /// or as long as jobs of it run.
    pub fn owed_after(&self, now: UnixMs) -> Option<Duration> {
        let is_owed = self.callback.state == CallbackState::Pending && self.is_complete();
        is_owed.then(|| self.delivery_ends.since(now))
    }

    /// Notes what became of a delivery.
    pub fn note(&mut self, delivery: Delivery) {
        self.callback.note(delivery);
        self.delivery_ends = UnixMs::default();
    }

    /// Lets a job join: the batch as it is afterwards, or why the job has no place in it.
    pub fn join(
        old: Option<Self>,
        places: Places,
        job: JobKey,
        membership: &Membership,
        now: UnixMs,
    ) -> Result<Self, JobError> {
        let Some(mut batch) = old else { return Ok(Self::open(membership, now)) };
        if places.holder.is_some_and(|holder| holder != job) {
            let expected = "an index that no other job of the batch has";
            return Err(misplaced("batch.index", expected, membership.index()));
        }
        batch.size = match (batch.size, membership.size()) {
            (Some(size), Some(other)) if size != other => {
                return Err(misplaced("batch.size", &format!("{size}, as before"), other));
            }
            (size, other) => size.or(other),
        };
        if let Some(size) = batch.size {
            if membership.index() >= size {
                let expected = format!("an index below the batch's size of {size}");
                return Err(misplaced("batch.index", &expected, membership.index()));
            }
            if let Some(highest) = places.highest.filter(|highest| *highest >= size) {
                let expected = format!("more than the index {highest} that a job of it has");
                return Err(misplaced("batch.size", &expected, size));
            }
        }
        Ok(batch)
    }

    fn open(membership: &Membership, now: UnixMs) -> Self {
        Self {
            id: membership.id().clone(),
            size: membership.size(),
            counted: 0,
            callback: CallbackSlot::pending(membership.callback().clone()),
            delivery_ends: UnixMs::default(),
            opened: now,
            expires: membership.expires_at().unwrap_or(now.plus(BATCH_LIVES)),
        }
    }
}

fn misplaced(field: &str, expected: &str, found: u64) -> JobError {
    let message = format!("{field}: expected {expected}, found {found}");
    JobError::new(ErrorClass::Invalid, "batch_place", message).at(field)
}

/// What became of a batch's callback.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FanIn {
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

/// Delivers the batch's callback by `deadline` if its count is complete. `is_last` says whether it is given up
/// if the receiver does not take it now.
pub(crate) async fn deliver_if_complete<P: Ports>(
    environment: &Environment<P>,
    key: BatchKey,
    deadline: Deadline,
    is_last: bool,
) -> Result<FanIn, LedgerError> {
    let ledger = &environment.ledger;
    let now = environment.clock.now();
    if deadline.time_left() < LEAST_TIME {
        let owed_after = ledger.batch(key).await?.and_then(|batch| batch.owed_after(now));
        return Ok(owed_after.map_or(FanIn::Settled, |_| FanIn::NoTime));
    }
    let delivery_takes = DELIVERY_TAKES.max(environment.courier.longest_delivery() + SAVING_TAKES);
    let Some(batch) = ledger.take_batch(key, now, now.plus(delivery_takes)).await? else {
        let batch = ledger.batch(key).await?;
        let again_after = batch.and_then(|batch| batch.owed_after(now));
        return Ok(again_after.map_or(FanIn::Settled, |again_after| FanIn::Taken { again_after }));
    };
    let event = account_of(ledger, key, batch.counted).await?.event(key, &batch);
    let mut slot = batch.callback;
    let Ok(attempt) = environment.courier.deliver(&slot, &event, deadline).await else {
        return Ok(FanIn::NoTurn { again_after: delivery_takes });
    };
    let delivery = attempt.delivery.judged(is_last);
    ledger.mark_batch(key, delivery).await?;
    slot.note(delivery);
    match delivery {
        Delivery::Failed(_) => {
            let schedule = &environment.policy.callbacks;
            let again_after = schedule.pause(&slot, attempt.retry_after, fastrand::f64());
            Ok(FanIn::NotTaken { again_after })
        }
        Delivery::Sent | Delivery::Dead(_) => Ok(FanIn::Settled),
    }
}

/// Reads, page by page, until there are exactly the counted members.
async fn account_of<L: Ledger>(
    ledger: &L,
    key: BatchKey,
    counted: u64,
) -> Result<Account, LedgerError> {
    let (mut account, mut from) = (Account::default(), 0);
    loop {
        let page = ledger.members(key, from, READ_AT_ONCE).await?;
        let Some(last) = page.last() else { break };
        from = last.index + 1;
        for member in &page {
            account.add(member);
        }
    }
    match account.members() {
        members if members == counted => Ok(account),
        members => Err(LedgerError(format!("{members} of {counted} members were read"))),
    }
}
