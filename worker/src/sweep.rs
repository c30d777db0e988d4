//! **The sweep** looks after what nobody else will: batches past their `expires_at`, callbacks that
//! are owed although their message is gone, jobs that wait for a person. It finds them by the
//! ledger's sparse index, never by reading everything; any number may sweep at once.

use std::{sync::Arc, time::Duration};

use serde::Serialize;
use tokio::{
    task::{JoinError, JoinSet},
    time::sleep,
};

use crate::{
    batch::Stop,
    clock::{Clock, Deadline},
    environment::{Environment, Observer, Policy, Ports, Post},
    fan_in::{self, BatchKey, FanIn},
    lease::{Attention, Delivery, Found, Ledger, LedgerError, Record},
    tell::{self, Untold},
    webhook::{Courier, Event},
};

/// What is looked after in one pass, of each kind: the rest is for the next.
const MOST: usize = 1_000;

/// Held jobs that are listed.
const MOST_LISTED: usize = 100;

/// Held jobs that a log line names.
const MOST_LOGGED: usize = 10;

/// Deliveries at once: the courier has bounds of its own for each receiver.
const AT_ONCE: usize = 16;

/// The pause between two passes of a process that goes on working.
pub const EVERY: Duration = Duration::from_secs(60);

/// What it takes to sweep.
pub struct Sweep<L> {
    /// Who is owed what.
    pub ledger: L,
    /// Who posts it.
    pub courier: Courier,
    /// The wall clock.
    pub clock: Clock,
    /// When to give up.
    pub policy: Policy,
    /// Who is told what becomes of it.
    pub observer: Arc<dyn Observer>,
}

/// Who can tell outcomes: a worker, or a sweep that is nothing else.
pub trait Desk: Send + Sync + 'static {
    /// Its ledger.
    type Ledger: Ledger;

    /// What it takes to tell outcomes.
    fn post(&self) -> Post<'_, Self::Ledger>;
}

impl<L: Ledger> Desk for Sweep<L> {
    type Ledger = L;

    fn post(&self) -> Post<'_, L> {
        let Self { ledger, courier, clock, policy, observer } = self;
        Post { ledger, courier, clock, policy, observer: &**observer }
    }
}

impl<P: Ports> Desk for Environment<P> {
    type Ledger = P::Ledger;

    fn post(&self) -> Post<'_, P::Ledger> {
        Self::post(self)
    }
}

/// What one pass found and did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Swept {
    /// Batches that were closed at their `expires_at` with what there was.
    pub batches_expired: u64,
    /// Callbacks of batches and of jobs that their receivers took.
    pub callbacks_sent: u64,
    /// Those that were not taken this time.
    pub callbacks_failed: u64,
    /// Those that were given up.
    pub callbacks_dead: u64,
    /// Those that there was no time or no turn for, or that somebody else was at.
    pub callbacks_put_off: u64,
    /// What the ledger could not tell or write.
    pub errors: u64,
    /// Jobs that wait for a person, 1,000 at most.
    pub held: u64,
    /// Which: the first 100, since when they wait.
    pub held_jobs: Vec<HeldJob>,
    /// Callbacks of jobs and of batches that were given up before, 1,000 of each at most.
    pub dead: u64,
}

/// A job that waits for a person.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct HeldJob {
    /// Whose job it is.
    pub namespace: String,
    /// Its id.
    pub id: String,
    /// Its tool.
    pub tool: String,
    /// Since when, RFC 3339.
    pub held_since: String,
}

impl HeldJob {
    fn of(found: Found) -> Option<Self> {
        let Found::Job(record) = found else { return None };
        Some(Self {
            namespace: record.namespace.as_str().to_owned(),
            id: record.job_id.to_string(),
            tool: record.tool.to_string(),
            held_since: record.settled.rfc3339(),
        })
    }
}

impl Swept {
    fn add(&mut self, told: &Result<End, JoinError>) {
        let count = match told {
            Ok(End::Sent) => &mut self.callbacks_sent,
            Ok(End::Failed) => &mut self.callbacks_failed,
            Ok(End::Dead) => &mut self.callbacks_dead,
            Ok(End::PutOff) => &mut self.callbacks_put_off,
            Ok(End::Error) | Err(_) => &mut self.errors,
        };
        *count += 1;
    }

    /// Logs it.
    pub(crate) fn note(&self) {
        let held_ids = self.held_jobs.iter().take(MOST_LOGGED).map(|job| &*job.id);
        tracing::info!(
            batches_expired = self.batches_expired,
            callbacks_sent = self.callbacks_sent,
            callbacks_failed = self.callbacks_failed,
            callbacks_dead = self.callbacks_dead,
            callbacks_put_off = self.callbacks_put_off,
            errors = self.errors,
            held = self.held,
            held_ids = held_ids.collect::<Vec<_>>().join(" "),
            dead = self.dead,
            "swept"
        );
    }

    /// Whether there is nothing to tell.
    pub fn is_idle(&self) -> bool {
        let Self { held, dead, held_jobs, .. } = self;
        *self == Self { held: *held, dead: *dead, held_jobs: held_jobs.clone(), ..Self::default() }
    }
}

/// How a callback that was looked after ended.
#[derive(Clone, Copy, Debug)]
enum End {
    Sent,
    Failed,
    Dead,
    PutOff,
    Error,
}

/// One pass, over soon after `deadline`. It fails only if the index cannot be asked.
pub async fn sweep<D: Desk>(desk: &Arc<D>, deadline: Deadline) -> Result<Swept, LedgerError> {
    let ledger = desk.post().ledger;
    let now = desk.post().clock.now();
    let mut swept = Swept::default();
    let batches = ledger.attention(Attention::Batch, now, MOST).await?;
    let callbacks = ledger.attention(Attention::Callback, now, MOST).await?;
    let expires = |found: &&Found| matches!(found, Found::Batch(_, batch) if !batch.is_over() && batch.expires <= now);
    swept.batches_expired = batches.iter().filter(expires).count() as u64;
    let mut telling = JoinSet::new();
    for found in batches.into_iter().chain(callbacks) {
        if telling.len() >= AT_ONCE
            && let Some(told) = telling.join_next().await
        {
            swept.add(&told);
        }
        let desk = Arc::clone(desk);
        telling.spawn(async move { tell(desk.post(), found, deadline).await });
    }
    while let Some(told) = telling.join_next().await {
        swept.add(&told);
    }
    for what in [Attention::DeadCallback, Attention::DeadBatchCallback] {
        swept.dead += ledger.attention(what, now, MOST).await?.len() as u64;
    }
    let held = ledger.attention(Attention::Held, now, MOST).await?;
    swept.held = held.len() as u64;
    swept.held_jobs = held.into_iter().filter_map(HeldJob::of).take(MOST_LISTED).collect();
    Ok(swept)
}

/// Sweeps again and again beside a worker, about so often, until it stops.
pub async fn sweep_until_stopped<D: Desk>(desk: Arc<D>, every: Duration, stop: Stop) {
    loop {
        // Not all processes at once.
        let pause = every.mul_f64(0.75 + fastrand::f64() / 2.0);
        tokio::select! {
            () = stop.draining() => return,
            () = sleep(pause) => {}
        }
        tokio::select! {
            () = stop.draining() => return,
            swept = sweep(&desk, Deadline::after(every)) => match swept {
                Ok(swept) if swept.is_idle() => {}
                Ok(swept) => swept.note(),
                Err(error) => tracing::warn!(%error, "nothing can be swept"),
            },
        }
    }
}

async fn tell<L: Ledger>(post: Post<'_, L>, found: Found, deadline: Deadline) -> End {
    let told = match found {
        Found::Batch(key, _) => tell_batch(post, key, deadline).await,
        Found::Job(record) => tell_job(post, &record, deadline).await,
    };
    told.unwrap_or_else(|error| {
        tracing::warn!(%error, "an owed callback cannot be looked after yet");
        End::Error
    })
}

/// A batch whose time has come is closed by the very taking of its delivery.
async fn tell_batch<L: Ledger>(
    post: Post<'_, L>,
    key: BatchKey,
    deadline: Deadline,
) -> Result<End, LedgerError> {
    Ok(match fan_in::deliver_if_over(post, key, deadline).await? {
        FanIn::Sent => End::Sent,
        FanIn::NotTaken { .. } => End::Failed,
        FanIn::Dead(_) => End::Dead,
        FanIn::Settled
        | FanIn::NotDue { .. }
        | FanIn::NoTime
        | FanIn::NoTurn { .. }
        | FanIn::Taken { .. } => End::PutOff,
    })
}

async fn tell_job<L: Ledger>(
    post: Post<'_, L>,
    record: &Record,
    deadline: Deadline,
) -> Result<End, LedgerError> {
    let slot = record.callback.clone().filter(|_| record.owes_callback());
    let (Some(mut slot), Some(event)) = (slot, Event::of_job(record)) else {
        return Ok(End::PutOff);
    };
    if !slot.due_after(post.clock.now()).is_zero() {
        return Ok(End::PutOff);
    }
    slot.come_upon();
    match tell::tell(post, record, &mut slot, &event, deadline).await {
        Ok(attempt) => Ok(match attempt.delivery {
            Delivery::Sent => End::Sent,
            Delivery::Failed(_) => End::Failed,
            Delivery::Dead(_) => End::Dead,
        }),
        Err(Untold::NotTried(_)) => Ok(End::PutOff),
        Err(Untold::Unnoted(error)) => Err(error),
    }
}
