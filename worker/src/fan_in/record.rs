//! One batch as the ledger keeps it, and the rules by which it changes.

use std::time::Duration;

use super::{member::Holder, reading::Reading};
use crate::{
    clock::UnixMs,
    error::{ErrorClass, JobError},
    job::{BatchId, JobKey, LONGEST_BATCH, Membership},
    lease::{CallbackSlot, CallbackState, Delivery},
};

/// When a batch is closed with what there is, if its first job does not say.
const BATCH_LIVES: Duration = Duration::from_hours(24);

/// The sweep tries what is due this much later than a message, where there is one: it comes first.
const MESSAGE_COMES_FIRST: Duration = Duration::from_secs(60);

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
    /// When its first job came.
    pub opened: UnixMs,
    /// When it is closed with what there is.
    pub expires: UnixMs,
    /// When it was closed for that reason: nothing is counted any more.
    pub expired: Option<UnixMs>,
    /// What of it has not started is cancelled when it is claimed.
    pub is_cancelled: bool,
    /// When the sweep is to look after it, as long as its callback is owed.
    pub look_after: UnixMs,
    /// How far its members were read by those who had no time for all of them.
    pub reading: Option<Reading>,
    /// The most bytes that its callback's body may have, as whoever took the delivery first had it: all
    /// tries say the same.
    pub max_body_bytes: Option<u64>,
}

/// A wish to deliver a batch's callback.
#[derive(Clone, Copy, Debug)]
pub struct Taking {
    /// The present moment.
    pub now: UnixMs,
    /// Until then others leave the delivery alone, unless that is moved on.
    pub until: UnixMs,
    /// The most bytes that the body may have, unless somebody has taken it before.
    pub max_body_bytes: u64,
}

/// What became of a delivery that somebody had taken.
#[derive(Clone, Debug, PartialEq)]
pub enum BatchMark {
    /// A try was made.
    Delivery {
        /// How it ended.
        delivery: Delivery,
        /// When the next one is due, if it failed.
        again_after: Duration,
    },
    /// Nothing was posted: it was not its turn.
    NotTried {
        /// When the next try is due.
        again_after: Duration,
    },
    /// There was no time to read all members: so far it came.
    Reading(Box<Reading>),
    /// Whoever took it until then is still at it.
    StillAtIt {
        /// Until when it was taken.
        until: UnixMs,
        /// Until when others leave it alone now.
        further: UnixMs,
    },
}

/// What a batch knows of the place a job asks for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Places {
    /// Who has that place.
    pub holder: Option<Holder>,
    /// The highest place that is taken, of a batch whose size nobody has said yet.
    pub highest: Option<u64>,
}

/// Why a batch cannot be closed with a size.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CloseRefusal {
    /// No job has joined it.
    #[error("the ledger knows no such batch: expected one that at least one job has joined")]
    Unknown,
    /// It does not fit what there is.
    #[error("{0}")]
    Misfit(JobError),
}

/// Why a batch cannot be cancelled.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum CancelRefusal {
    /// No job has joined it.
    #[error("the ledger knows no such batch: expected one that at least one job has joined")]
    Unknown,
    /// Nothing of it is still to come.
    #[error("the batch is over, and its results stand: expected one of which jobs are awaited")]
    Over(Box<BatchRecord>),
}

impl BatchRecord {
    /// Whether every job of it has ended.
    pub fn is_complete(&self) -> bool {
        self.size == Some(self.counted)
    }

    /// Whether nothing more will be counted.
    pub fn is_over(&self) -> bool {
        self.is_complete() || self.expired.is_some()
    }

    /// Whether whoever takes its delivery closes it for its time.
    pub(crate) fn is_closed_at(&self, now: UnixMs) -> bool {
        !self.is_over() && self.expires <= now
    }

    /// Takes the delivery of its callback upon oneself: the batch as it is then, if it is over, its
    /// callback is owed and nobody else is at it. One whose time has come is over.
    pub fn take(mut self, taking: Taking) -> Option<Self> {
        let Taking { now, until, max_body_bytes } = taking;
        if self.is_closed_at(now) {
            self.expired = Some(now);
        }
        let is_due = self.callback.state == CallbackState::Pending && self.delivery_ends <= now;
        self.max_body_bytes.get_or_insert(max_body_bytes);
        // Whoever had taken it before never said how that ended.
        self.callback.may_have_arrived |= self.delivery_ends != UnixMs::default();
        self.delivery_ends = until;
        self.look_after = until.plus(MESSAGE_COMES_FIRST);
        (is_due && self.is_over()).then_some(self)
    }

    /// Makes its callback due again, if it is over.
    pub fn renew(mut self, now: UnixMs) -> Option<Self> {
        self.callback.renew();
        self.delivery_ends = UnixMs::default();
        self.look_after = now.plus(MESSAGE_COMES_FIRST);
        self.is_over().then_some(self)
    }

    /// How long somebody may still be at the delivery of its callback; `None` once nothing is owed,
    /// or as long as jobs of it are awaited.
    pub fn owed_after(&self, now: UnixMs) -> Option<Duration> {
        let is_over = self.is_over() || self.expires <= now;
        let is_owed = self.callback.state == CallbackState::Pending && is_over;
        is_owed.then(|| self.delivery_ends.since(now))
    }

    /// Notes what became of a delivery.
    pub fn note(&mut self, mark: BatchMark, now: UnixMs) {
        self.look_after = match mark {
            BatchMark::StillAtIt { until, further } => {
                if self.delivery_ends == until {
                    self.delivery_ends = further;
                    self.look_after = further.plus(MESSAGE_COMES_FIRST);
                }
                return;
            }
            BatchMark::Delivery { delivery, again_after } => {
                if matches!(delivery, Delivery::Failed(_)) {
                    self.callback.put_off(now.plus(again_after));
                }
                self.callback.note(delivery, now);
                now.plus(again_after + MESSAGE_COMES_FIRST)
            }
            BatchMark::NotTried { again_after } => now.plus(again_after + MESSAGE_COMES_FIRST),
            BatchMark::Reading(reading) => {
                self.reading = Some(*reading);
                now
            }
        };
        self.delivery_ends = UnixMs::default();
    }

    /// Whether somebody may have been told of it: a try was made, or begun and never noted.
    pub(super) fn may_be_told(&self) -> bool {
        let slot = &self.callback;
        self.delivery_ends != UnixMs::default() || slot.failures > 0 || slot.may_have_arrived
    }

    /// Lets a job join: the batch as it is afterwards, or why the job has no place in it.
    pub fn join(
        old: Option<Self>,
        places: Places,
        job: JobKey,
        membership: &Membership,
        now: UnixMs,
    ) -> Result<Self, JobError> {
        membership.check_lifetime(now)?;
        let Some(mut batch) = old else { return Ok(Self::open(membership, now)) };
        batch.check_callback(membership)?;
        if places.holder.is_some_and(|holder| holder != Holder::Job(job)) {
            let expected = "an index that no other job of the batch has";
            return Err(misplaced("batch.index", expected, &membership.index().to_string()));
        }
        // What is closed for its time is told, and told again, as it was then.
        let is_closed = batch.expired.is_some() || batch.expires <= now;
        if let Some(size) = membership.size().filter(|_| !is_closed) {
            batch.take_size("batch.size", size, places.highest)?;
        }
        batch.check_index(membership.index())?;
        if places.holder.is_none() {
            batch.check_time(now)?;
        }
        Ok(batch)
    }

    /// Lets a job that cannot become a run take its place and be counted, unless it has no place
    /// there: `None`. A size that contradicts the batch's is overlooked.
    pub fn reject(
        old: Option<Self>,
        places: Places,
        membership: &Membership,
        now: UnixMs,
    ) -> Option<Self> {
        let mut batch = old.unwrap_or_else(|| Self::open(membership, now));
        batch.check_callback(membership).ok()?;
        if let Some(size) = membership.size() {
            let _ = batch.take_size("batch.size", size, places.highest);
        }
        batch.check_index(membership.index()).ok()?;
        batch.check_time(now).ok()?;
        batch.counted += 1;
        places.holder.is_none().then_some(batch)
    }

    /// Closes it with its size: as many jobs are waited for, and no more.
    pub fn close(
        old: Option<Self>,
        size: u64,
        highest: Option<u64>,
        now: UnixMs,
    ) -> Result<Self, CloseRefusal> {
        let mut batch = old.ok_or(CloseRefusal::Unknown)?;
        if batch.size != Some(size) {
            batch.check_time(now).map_err(CloseRefusal::Misfit)?;
        }
        batch.take_size("size", size, highest).map_err(CloseRefusal::Misfit)?;
        Ok(batch.due_if_complete(now))
    }

    /// Cancels what of it has not started.
    pub fn cancel(old: Option<Self>) -> Result<Self, CancelRefusal> {
        let batch = old.ok_or(CancelRefusal::Unknown)?;
        match batch.is_over() {
            true => Err(CancelRefusal::Over(Box::new(batch))),
            false => Ok(Self { is_cancelled: true, ..batch }),
        }
    }

    /// Lets the sweep look after a batch that is complete at once, where no message of a job comes back to do so.
    #[must_use]
    pub fn due_if_complete(mut self, now: UnixMs) -> Self {
        if self.is_complete() && self.callback.state == CallbackState::Pending {
            self.look_after = self.look_after.min(now);
        }
        self
    }

    fn open(membership: &Membership, now: UnixMs) -> Self {
        let expires = membership.expires_at().unwrap_or(now.plus(BATCH_LIVES));
        let expires = expires.min(now.plus(LONGEST_BATCH));
        Self {
            id: membership.id().clone(),
            size: membership.size(),
            counted: 0,
            callback: CallbackSlot::pending(membership.callback().clone()),
            delivery_ends: UnixMs::default(),
            opened: now,
            expires,
            expired: None,
            is_cancelled: false,
            look_after: expires,
            reading: None,
            max_body_bytes: None,
        }
    }

    /// Another callback is another batch's: an n8n execution that is run again has a new URL, and
    /// would wait for ever for one that the old URL is told.
    fn check_callback(&self, membership: &Membership) -> Result<(), JobError> {
        if self.callback.callback == *membership.callback() {
            return Ok(());
        }
        let expected = format!(
            "the callback that the batch has since {}, or another batch.id",
            self.opened.rfc3339()
        );
        Err(misplaced("batch.callback", &expected, "another one"))
    }

    fn check_index(&self, index: u64) -> Result<(), JobError> {
        match self.size.filter(|size| index >= *size) {
            None => Ok(()),
            Some(size) => {
                let expected = format!("an index below the batch's size of {size}");
                Err(misplaced("batch.index", &expected, &index.to_string()))
            }
        }
    }

    fn check_time(&self, now: UnixMs) -> Result<(), JobError> {
        if self.is_complete() || (self.expired.is_none() && now < self.expires) {
            return Ok(());
        }
        let expires = self.expires.rfc3339();
        let message = format!(
            "batch: expected a batch that is still open, found one that was closed at its \
             expires_at, {expires}"
        );
        Err(JobError::new(ErrorClass::Invalid, "batch_expired", message).at("batch"))
    }

    fn take_size(&mut self, field: &str, size: u64, highest: Option<u64>) -> Result<(), JobError> {
        if let Some(known) = self.size {
            let expected = format!("{known}, as before");
            let is_same = known == size;
            return is_same
                .then_some(())
                .ok_or_else(|| misplaced(field, &expected, &size.to_string()));
        }
        if let Some(highest) = highest.filter(|highest| *highest >= size) {
            let expected = format!("more than the index {highest} that a job of it has");
            return Err(misplaced(field, &expected, &size.to_string()));
        }
        self.size = Some(size);
        Ok(())
    }
}

fn misplaced(field: &str, expected: &str, found: &str) -> JobError {
    let message = format!("{field}: expected {expected}, found {found}");
    JobError::new(ErrorClass::Invalid, "batch_place", message).at(field)
}
