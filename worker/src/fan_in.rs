//! **Fan-in.** Jobs that share a batch are counted when they end, each once, with the
//! write that ends them. Whoever finds the count complete delivers the one callback of the batch; the
//! message that completed it is not finished before that is settled.

mod event;
mod member;
mod patience;
mod reading;
mod record;

use std::{convert::Infallible, fmt, time::Duration};

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};
use tokio::time::{sleep, timeout};

use self::event::Account;
pub use self::{
    event::member_data,
    member::{Holder, Member, MemberKind, Place, Rejection},
    patience::deliver_patiently,
    reading::Reading,
    record::{BatchMark, BatchRecord, CancelRefusal, CloseRefusal, Places, Taking},
};
use crate::{
    clock::{Deadline, UnixMs},
    environment::{Observation, Post},
    job::{BatchId, Namespace},
    lease::{Delivery, Ledger, LedgerError, WhyDead},
    webhook::{LEAST_TIME, NotTried},
};

/// For how long others leave a delivery alone: whoever is at it moves that on, so that one who was
/// killed is soon followed by another.
const TAKEN_FOR: Duration = Duration::from_secs(30);

/// How often.
const MOVED_ON_EVERY: Duration = Duration::from_secs(10);

/// A batch that had no turn at its receiver is tried again after this.
const TURN_AGAIN: Duration = Duration::from_secs(10);

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
        fmt::Display::fmt(&HEXLOWER.encode_display(&self.0), f)
    }
}

/// What became of a batch's callback.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FanIn {
    /// Nothing was to be done: it was told or given up before, or jobs are awaited.
    Settled,
    /// The receiver took it.
    Sent,
    /// It was given up.
    Dead(WhyDead),
    /// The receiver did not take it; the next try is due after this.
    NotTaken {
        /// From now.
        again_after: Duration,
    },
    /// Its next try is not due yet.
    NotDue {
        /// From now.
        again_after: Duration,
    },
    /// It is owed, and there was no time left to begin with it.
    NoTime,
    /// It was not its turn; the next try is due after this.
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

/// A batch whose delivery was taken.
pub(crate) struct Taken {
    key: BatchKey,
    batch: BatchRecord,
    /// Until when, unless that is moved on.
    until: UnixMs,
    /// Whether somebody may have been told of it before.
    may_be_told: bool,
}

/// Delivers the batch's callback by `deadline` if nothing more will be counted.
pub async fn deliver_if_over<L: Ledger>(
    post: Post<'_, L>,
    key: BatchKey,
    deadline: Deadline,
) -> Result<FanIn, LedgerError> {
    match take_if_over(post, key, deadline).await? {
        Ok(taken) => deliver(post, taken, deadline).await,
        Err(told) => Ok(told),
    }
}

/// Takes the delivery of the batch's callback if nothing more will be counted; else says why not.
pub(crate) async fn take_if_over<L: Ledger>(
    post: Post<'_, L>,
    key: BatchKey,
    deadline: Deadline,
) -> Result<Result<Taken, FanIn>, LedgerError> {
    let now = post.clock.now();
    let batch = match owed(post.ledger, key, now).await? {
        Ok(batch) => batch,
        Err(nothing) => return Ok(Err(nothing)),
    };
    if deadline.time_left() < LEAST_TIME {
        return Ok(Err(FanIn::NoTime));
    }
    let (until, may_be_told) = (now.plus(TAKEN_FOR), batch.may_be_told());
    let max_body_bytes = post.policy.max_batch_body_bytes as u64;
    match post.ledger.take_batch(key, Taking { now, until, max_body_bytes }).await? {
        Some(batch) => Ok(Ok(Taken { key, batch, until, may_be_told })),
        // Somebody was quicker.
        None => Ok(Err(owed(post.ledger, key, now).await?.err().unwrap_or(FanIn::Settled))),
    }
}

/// The batch, if its delivery can be taken; else why not.
async fn owed<L: Ledger>(
    ledger: &L,
    key: BatchKey,
    now: UnixMs,
) -> Result<Result<BatchRecord, FanIn>, LedgerError> {
    let Some(batch) = ledger.batch(key).await? else { return Ok(Err(FanIn::Settled)) };
    Ok(match (batch.owed_after(now), batch.callback.due_after(now)) {
        (None, _) => Err(FanIn::Settled),
        (Some(again_after), _) if !again_after.is_zero() => Err(FanIn::Taken { again_after }),
        (Some(_), again_after) if !again_after.is_zero() => Err(FanIn::NotDue { again_after }),
        (Some(_), _) => Ok(batch),
    })
}

/// Delivers what was taken. Others leave it alone meanwhile.
pub(crate) async fn deliver<L: Ledger>(
    post: Post<'_, L>,
    taken: Taken,
    deadline: Deadline,
) -> Result<FanIn, LedgerError> {
    let (key, until) = (taken.key, taken.until);
    tokio::select! {
        told = tell(post, taken, deadline) => told,
        never = stay_at(post, key, until) => match never {},
    }
}

/// Lets others know, again and again, that somebody is still at the delivery.
async fn stay_at<L: Ledger>(post: Post<'_, L>, key: BatchKey, mut until: UnixMs) -> Infallible {
    loop {
        sleep(MOVED_ON_EVERY).await;
        let now = post.clock.now();
        let further = now.plus(TAKEN_FOR);
        match post.ledger.mark_batch(key, BatchMark::StillAtIt { until, further }, now).await {
            Ok(()) => until = further,
            Err(error) => {
                tracing::warn!(%error, "another may come upon a batch that is being told");
            }
        }
    }
}

/// Reads a batch and posts it.
async fn tell<L: Ledger>(
    post: Post<'_, L>,
    taken: Taken,
    deadline: Deadline,
) -> Result<FanIn, LedgerError> {
    let Taken { key, batch, .. } = &taken;
    let key = *key;
    let max_body_bytes = batch.max_body_bytes.and_then(|bytes| usize::try_from(bytes).ok());
    let max_body_bytes = max_body_bytes.unwrap_or(post.policy.max_batch_body_bytes);
    let mut account = Account::from(batch.reading.clone(), max_body_bytes);
    let reading_ends = deadline.minus(LEAST_TIME).time_left();
    match timeout(reading_ends, read_on(post.ledger, key, batch, &mut account)).await {
        Ok(read) => read?,
        Err(_) => return cut_off(post, taken, account).await,
    }
    let event = account.event(key, batch);
    let batch = taken.batch;
    let mut slot = batch.callback;
    let attempt = match post.courier.deliver(&slot, &event, deadline).await {
        Ok(attempt) => attempt,
        Err(why) => return give_back(post, key, why).await,
    };
    let now = post.clock.now();
    let schedule = &post.policy.callbacks;
    let delivery = slot.judged(attempt.delivery, now, schedule.max_age);
    slot.note(delivery, now);
    let again_after = match delivery {
        Delivery::Failed(_) => schedule.pause(&slot, attempt.retry_after, fastrand::f64()),
        Delivery::Sent | Delivery::Dead(_) => Duration::ZERO,
    };
    post.ledger.mark_batch(key, BatchMark::Delivery { delivery, again_after }, now).await?;
    post.observer.observe(Observation::Delivered { delivery, latency: attempt.took });
    Ok(match delivery {
        Delivery::Sent => FanIn::Sent,
        Delivery::Failed(_) => FanIn::NotTaken { again_after },
        Delivery::Dead(why) => {
            let host = slot.callback.host();
            tracing::warn!(batch_id = %batch.id, host, why = why.name(), "a batch's callback was given up");
            FanIn::Dead(why)
        }
    })
}

/// Gives the delivery of a batch back of which nothing was posted.
async fn give_back<L: Ledger>(
    post: Post<'_, L>,
    key: BatchKey,
    why: NotTried,
) -> Result<FanIn, LedgerError> {
    let (told, again_after) = match why {
        NotTried::NoTime => (FanIn::NoTime, Duration::ZERO),
        NotTried::NoTurn => (FanIn::NoTurn { again_after: TURN_AGAIN }, TURN_AGAIN),
        NotTried::Failing { after } => (FanIn::NoTurn { again_after: after }, after),
    };
    post.ledger.mark_batch(key, BatchMark::NotTried { again_after }, post.clock.now()).await?;
    Ok(told)
}

/// Gives the delivery of a batch back that there was no time to read, for another to go on with.
async fn cut_off<L: Ledger>(
    post: Post<'_, L>,
    Taken { key, batch, may_be_told, .. }: Taken,
    account: Account,
) -> Result<FanIn, LedgerError> {
    let (read, members) = (account.members(), batch.counted);
    tracing::warn!(batch_id = %batch.id, read, members, "there was no time to read all of a batch");
    let Some(reading) = account.cut_off(may_be_told) else {
        return Ok(FanIn::NoTurn { again_after: TAKEN_FOR });
    };
    let mark = BatchMark::Reading(Box::new(reading));
    post.ledger.mark_batch(key, mark, post.clock.now()).await?;
    Ok(FanIn::NoTime)
}

/// Reads, page by page, until there are exactly the counted members: each as it was counted, so that
/// whoever tells the batch later tells it in the same words. What was read stays if this is dropped.
async fn read_on<L: Ledger>(
    ledger: &L,
    key: BatchKey,
    batch: &BatchRecord,
    account: &mut Account,
) -> Result<(), LedgerError> {
    loop {
        let page = ledger.members(key, account.next(), READ_AT_ONCE).await?;
        if page.is_empty() {
            break;
        }
        for member in page {
            match member.is_counted {
                true => account.add(&member.as_counted()),
                false => account.miss(member.index),
            }
        }
    }
    match account.members() {
        members if members == batch.counted => Ok(()),
        members => Err(LedgerError(format!("{members} of {} members were read", batch.counted))),
    }
}
