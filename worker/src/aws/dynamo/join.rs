//! Jobs that join a batch with their claim. One after the other are written, where they change: the
//! batch, the place in its page, the job. A crash in between leaves a place that waits for its job.
//!
//! A job that has ended before it comes is counted with its place, in one transaction.

use std::sync::Arc;

use super::{
    DynamoLedger,
    alone::Alone,
    attributes::{Item, PK, number},
    batch_item::{self, KnownBatch, Taken},
    commit::{self, Committed, Entry},
    failure::Failure,
    item::{self, Known},
    patience::Patience,
    reserve::{self, Asked, Page},
    step::Replaces,
    table::{Expression, Table, Written},
};
use crate::{
    error::{ErrorClass, JobError},
    fan_in::{BatchKey, BatchRecord, Holder, Place, Places, Rejection},
    job::{JobKey, Membership, Namespace},
    lease::{Claim, ClaimRequest, LedgerError, Record},
};

/// The most places that a job's item knows: all in which it waits are counted in the transaction
/// that ends it.
const MAX_PLACES: usize = 20;

/// How long pages and rejected jobs of a batch are kept that no job's record tells: as long as the
/// queue and the dead letters keep messages, twice.
const KEPT_S: i64 = 45 * 86_400;

/// A place that somebody asks for.
#[derive(Clone, Copy)]
struct Ask<'a> {
    batch: BatchKey,
    membership: &'a Membership,
    /// The second after which neither place nor batch is needed.
    expires_s: i64,
}

/// What the table knows of a job, its batch and the place it asks for.
#[derive(Default)]
struct Seen {
    job: Option<Known>,
    batch: Option<KnownBatch>,
    place: Option<Taken>,
}

impl Seen {
    fn is_cancelled(&self) -> bool {
        self.batch.as_ref().is_some_and(|batch| batch.record.is_cancelled)
    }

    fn record(&self) -> Option<Record> {
        self.job.as_ref().map(|job| job.record.clone())
    }

    fn places(&self) -> &[Place] {
        self.job.as_ref().map_or(&[], |job| &job.stored.places)
    }

    fn batch_record(&self) -> Option<BatchRecord> {
        self.batch.as_ref().map(|batch| batch.record.clone())
    }

    fn holder(&self) -> Option<Holder> {
        self.place.map(|place| place.holder)
    }

    /// Whether the job was left between its end and its count.
    fn is_pending(&self) -> bool {
        self.job.as_ref().is_some_and(|job| job.stored.pending.is_some())
    }

    fn has_ended(&self) -> bool {
        self.job.as_ref().is_some_and(|job| job.record.state.is_counted())
    }

    /// Whether the job's item knows of its place, or need not.
    fn knows(&self, ask: Ask<'_>) -> bool {
        let is_this = |place: &Place| place.batch == ask.batch && place.index == ask.index();
        self.place.is_some_and(|place| place.counted_end.is_some())
            || self.places().iter().any(is_this)
    }

    /// Whether the job has its place already, or may have one more.
    fn check_places(&self) -> Result<(), JobError> {
        let places = self.places().len();
        if self.place.is_some() || self.has_ended() || places < MAX_PLACES {
            return Ok(());
        }
        let message = format!(
            "batch: expected a job with less than {MAX_PLACES} places in batches while it is not \
             finished, found {places}"
        );
        Err(JobError::new(ErrorClass::Invalid, "batch_place", message).at("batch"))
    }
}

impl Ask<'_> {
    fn index(&self) -> u64 {
        self.membership.index()
    }

    fn of(&self, holder: Holder, counted_end: Option<u32>) -> Asked {
        let taken = Taken { index: self.index(), holder, counted_end };
        Asked { taken, expires_s: self.expires_s }
    }
}

impl DynamoLedger {
    /// A claim, and before it the place in the batch, unless the id belongs to another job.
    pub(super) async fn claim_in_batch(
        &self,
        request: &ClaimRequest,
        membership: &Membership,
    ) -> Result<Claim, Failure> {
        let batch = BatchKey::of(&request.namespace, membership.id());
        let expires_s = request.record_ends().seconds() + 1;
        let ask = Ask { batch, membership, expires_s };
        let mut patience = Patience::new("claim");
        loop {
            let seen = self.look_around(ask, Some(request.key)).await?;
            if seen.is_pending() {
                self.resumed(seen.job).await?;
            } else if let Some(claim) = self.try_to_join(ask, request, seen).await? {
                return Ok(claim);
            }
            patience.again().await?;
        }
    }

    /// `None` if something changed meanwhile.
    async fn try_to_join(
        &self,
        ask: Ask<'_>,
        request: &ClaimRequest,
        seen: Seen,
    ) -> Result<Option<Claim>, Failure> {
        let old = seen.record();
        let step = match seen.is_cancelled() {
            true => Record::claim_cancelled(old.clone(), request),
            false => Record::claim(old.clone(), request),
        };
        if matches!(step.answer, Claim::Conflict(_)) {
            return Ok(Some(step.answer));
        }
        let places = Places {
            holder: seen.holder(),
            highest: self.highest_for(ask, seen.batch.as_ref()).await?,
        };
        let joined = BatchRecord::join(
            seen.batch_record(),
            places,
            request.key,
            ask.membership,
            request.now,
        );
        let after = match seen.check_places().and(joined) {
            Ok(after) => after,
            Err(misplaced) => return Ok(Some(Claim::Misplaced(misplaced))),
        };
        if !self.open_or_change(ask, seen.batch.as_ref(), after).await? {
            return Ok(None);
        }
        let step = step.in_batch(old.as_ref(), request);
        let known = seen.job.as_ref();
        let mut places = seen.places().to_vec();
        let ends_no_other_way = step.write.as_ref().is_none_or(|new| new.state.is_counted());
        if seen.has_ended() && ends_no_other_way && seen.place.is_none() {
            // First the record: once it is counted, what it says stays as it is.
            if let Some(record) = &step.write
                && !self.save(record, Replaces::of(known), &places).await?.stands()
            {
                return Ok(None);
            }
            let end = old.as_ref().map(Record::end_number);
            let asked = ask.of(Holder::Job(request.key), end);
            let counted = self.commit(ask.batch, Entry::Ended(asked), 0).await?;
            return Ok((counted == Committed::Yes).then_some(step.answer));
        }
        if seen.place.is_none() && !self.take_place(ask, request.key).await? {
            return Ok(None);
        }
        let is_known = seen.knows(ask);
        if !is_known {
            places.push(Place { batch: ask.batch, index: ask.index(), counted_end: None });
        }
        let answer = with_places(step.answer, &places);
        let Some(record) = step.write.or(old.filter(|_| !is_known)) else {
            return Ok(Some(answer));
        };
        let saved = self.save(&record, Replaces::of(known), &places).await?;
        Ok(saved.stands().then_some(answer))
    }

    async fn look_around(&self, ask: Ask<'_>, job: Option<JobKey>) -> Result<Seen, LedgerError> {
        let batch_pk = batch_item::batch_pk(ask.batch);
        let page_pk = batch_item::page_pk(ask.batch, ask.index());
        let mut pks = vec![batch_pk.clone(), page_pk.clone()];
        pks.extend(job.map(item::pk));
        let mut seen = Seen::default();
        for item in self.table.get_many(&pks).await? {
            match item.get(PK).and_then(|pk| pk.as_s().ok()) {
                Some(pk) if *pk == batch_pk => seen.batch = Some(batch_item::to_batch(item)?),
                Some(pk) if *pk == page_pk => {
                    let mut places = batch_item::to_places(&item)?.into_iter();
                    seen.place = places.find(|place| place.index == ask.index());
                }
                _ => seen.job = self.known_if_any(Some(item)).await?,
            }
        }
        Ok(seen)
    }

    /// The highest place of a batch that learns its size by this.
    async fn highest_for(
        &self,
        ask: Ask<'_>,
        batch: Option<&KnownBatch>,
    ) -> Result<Option<u64>, LedgerError> {
        match (batch, ask.membership.size()) {
            (Some(batch), Some(size)) => self.highest_from(ask.batch, batch, size).await,
            _ => Ok(None),
        }
    }

    /// Opens the batch, tells it its size, or that it has more pages. `false`: somebody else did.
    async fn open_or_change(
        &self,
        ask: Ask<'_>,
        old: Option<&KnownBatch>,
        after: BatchRecord,
    ) -> Result<bool, LedgerError> {
        let pages = batch_item::pages_for(ask.index());
        let pk = batch_item::batch_pk(ask.batch);
        let written = match old {
            None => {
                let pages = after.size.is_none().then_some(pages);
                let version = fastrand::u64(..);
                let alone = Alone::default();
                let opened = KnownBatch { record: after, pages, version, alone };
                let item = batch_item::of_batch(ask.batch, &opened, ask.expires_s);
                let table = self.table.clone();
                let work = move |items| open(table.clone(), items);
                return self.openings.submit(ask.batch, item, 0, work).await;
            }
            Some(old) => {
                let Some((update, condition)) = change(old, &after, pages) else {
                    return Ok(true);
                };
                self.table.update(pk, update, condition).await?
            }
        };
        Ok(matches!(written, Written::Done))
    }

    /// Takes the place for a job that has not ended, together with others of its page.
    async fn take_place(&self, ask: Ask<'_>, job: JobKey) -> Result<bool, LedgerError> {
        let page = Page::of(ask.batch, ask.index());
        let table = self.table.clone();
        let work = move |asked| reserve::reserve(table.clone(), page, asked);
        self.places.submit(page, ask.of(Holder::Job(job), None), 0, work).await
    }

    /// Writes a final state with the count of its batch, together with others of that.
    pub(super) async fn commit(
        &self,
        batch: BatchKey,
        entry: Entry,
        bytes: usize,
    ) -> Result<Committed, LedgerError> {
        let table = self.table.clone();
        let work = move |entries| commit::commit(table.clone(), batch, entries);
        self.commits.submit(batch, entry, bytes, work).await
    }

    /// Counts a job that cannot become a run, if its batch has a place for it.
    pub(super) async fn reject_in_batch(
        &self,
        namespace: &Namespace,
        membership: &Membership,
        rejection: &Rejection,
    ) -> Result<(), LedgerError> {
        let batch = BatchKey::of(namespace, membership.id());
        let expires_s = rejection.rejected.seconds() + KEPT_S;
        let ask = Ask { batch, membership, expires_s };
        let mut patience = Patience::new("reject");
        loop {
            let seen = self.look_around(ask, None).await?;
            let highest = self.highest_for(ask, seen.batch.as_ref()).await?;
            let places = Places { holder: seen.holder(), highest };
            let old = seen.batch_record();
            let counted = old.as_ref().map_or(0, |old| old.counted);
            let Some(after) = BatchRecord::reject(old, places, membership, rejection.rejected)
            else {
                break;
            };
            let after = BatchRecord { counted, ..after };
            if self.open_or_change(ask, seen.batch.as_ref(), after).await? {
                let item = batch_item::of_rejection(batch, ask.index(), rejection, expires_s);
                let asked = ask.of(Holder::Rejected, Some(0));
                let entry = Entry::Rejected(asked, Box::new(item));
                if self.commit(batch, entry, 0).await? == Committed::Yes {
                    break;
                }
            }
            patience.again().await?;
        }
        self.due_if_complete(batch, rejection.rejected).await
    }
}

/// Opens a batch once for all who found it not there: each refused write would be paid.
async fn open(table: Arc<Table>, items: Vec<Item>) -> Vec<Result<bool, LedgerError>> {
    let others = items.len().saturating_sub(1);
    let mut answers = Vec::with_capacity(items.len());
    if let Some(item) = items.into_iter().next() {
        let written = table.put(item, Replaces::Nothing.condition(0)).await;
        answers.push(written.map(|written| matches!(written, Written::Done)));
    }
    answers.extend((0..others).map(|_| Ok(false)));
    answers
}

/// An owner knows where its job is to be counted.
pub(super) fn with_places(answer: Claim, places: &[Place]) -> Claim {
    match answer {
        Claim::Owned(mut lease) => {
            lease.places = places.to_vec();
            Claim::Owned(lease)
        }
        other => other,
    }
}

/// What becomes of a batch's own item: it learns its size or that it has more pages, or is left
/// alone.
fn change(old: &KnownBatch, after: &BatchRecord, pages: u64) -> Option<(&'static str, Expression)> {
    let known = old.pages.unwrap_or(0);
    let (update, new) = match after.size {
        Some(size) if old.record.size.is_none() => ("SET batch_size = :new", size),
        None if known < pages => ("SET pages = :new", pages),
        _ => return None,
    };
    let condition = Expression {
        text: "attribute_not_exists(batch_size) AND attribute_not_exists(expired_ms) \
               AND pages = :pages"
            .into(),
        values: vec![(":new", number(new)), (":pages", number(known))],
    };
    Some((update, condition))
}
