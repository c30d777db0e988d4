//! Jobs that join a batch with their claim, and are counted in it when they end: transactions over
//! the job, its places and the batches these belong to.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::types::{AttributeValue, TransactWriteItem};

use super::{
    DynamoLedger,
    attributes::{PK, number},
    batch_item::{self, KnownBatch, Place},
    failure::Failure,
    item::{self, Known},
    patience::Patience,
    step::{Replaces, put_places},
    table::Expression,
};
use crate::{
    error::{ErrorClass, JobError},
    fan_in::{BatchKey, BatchRecord, Places},
    job::Membership,
    lease::{Claim, ClaimRequest, LedgerError, Record},
};

/// The most places in which a job waits to be counted: all of them, and their batches, are counted
/// in the transaction that ends it, and such a one has room for 100 items.
const MAX_PLACES: usize = 20;

/// A claim for a place in a batch.
struct Join<'a> {
    request: &'a ClaimRequest,
    membership: &'a Membership,
    batch: BatchKey,
}

/// What the table knows of a job, its batch and the place it asks for.
#[derive(Default)]
struct Seen {
    job: Option<Known>,
    batch: Option<KnownBatch>,
    place: Option<Place>,
}

impl Seen {
    /// Whether the job has its place already, or may have one more.
    fn check_places(&self) -> Result<(), JobError> {
        let places = self.job.as_ref().map_or(0, |job| job.places.len());
        if self.place.is_some() || places < MAX_PLACES {
            return Ok(());
        }
        let message = format!(
            "batch: expected a job with less than {MAX_PLACES} places in batches while it is not \
             finished, found {places}"
        );
        Err(JobError::new(ErrorClass::Invalid, "batch_place", message).at("batch"))
    }
}

impl Join<'_> {
    fn index(&self) -> u64 {
        self.membership.index()
    }

    /// The second after which neither place nor batch is needed.
    fn expires_s(&self) -> i64 {
        self.request.now.plus(self.request.record_lives).seconds() + 1
    }

    /// The batch as it is afterwards, or why the job has no place in it.
    fn batch_after(&self, seen: &Seen) -> Result<KnownBatch, JobError> {
        seen.check_places()?;
        let (old, highest) = match &seen.batch {
            Some(batch) => (Some(batch.record.clone()), batch.highest),
            None => (None, None),
        };
        let places = Places { holder: seen.place.as_ref().map(|place| place.job), highest };
        let Self { request, membership, .. } = self;
        let record = BatchRecord::join(old, places, request.key, membership, request.now)?;
        let highest = match record.size {
            Some(_) => highest,
            None => highest.max(Some(self.index())),
        };
        let version = seen.batch.as_ref().map_or_else(|| fastrand::u64(..), |old| old.version);
        Ok(KnownBatch { record, highest, version })
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
        let join = Join { request, membership, batch };
        let mut patience = Patience::new("claim");
        loop {
            let seen = self.look_around(&join).await?;
            let step = Record::claim(seen.job.as_ref().map(|job| job.record.clone()), request);
            if matches!(step.answer, Claim::Conflict(_)) {
                return Ok(step.answer);
            }
            let after = match join.batch_after(&seen) {
                Ok(after) => after,
                Err(misplaced) => return Ok(Claim::Misplaced(misplaced)),
            };
            let writes = self.joining(&join, &seen, step.write, &after).await?;
            if writes.is_empty() || self.table.transact(writes).await? {
                return Ok(step.answer);
            }
            patience.again().await?;
        }
    }

    async fn look_around(&self, join: &Join<'_>) -> Result<Seen, LedgerError> {
        let pks = [
            item::pk(join.request.key),
            batch_item::batch_pk(join.batch),
            batch_item::place_pk(join.batch, join.index()),
        ];
        let mut seen = Seen::default();
        for item in self.table.get_many(&pks).await? {
            match item.get(PK).and_then(|pk| pk.as_s().ok()) {
                Some(pk) if *pk == pks[0] => seen.job = self.known_if_any(Some(item)).await?,
                Some(pk) if *pk == pks[1] => seen.batch = Some(batch_item::to_batch(item)?),
                _ => seen.place = Some(batch_item::to_place(item)?),
            }
        }
        Ok(seen)
    }

    /// The writes of one claim: none if it changes nothing. A job that gets a place is written even
    /// if the claim itself leaves it as it is, since it knows its places.
    async fn joining(
        &self,
        join: &Join<'_>,
        seen: &Seen,
        write: Option<Record>,
        after: &KnownBatch,
    ) -> Result<Vec<TransactWriteItem>, Failure> {
        let is_new = seen.place.is_none();
        let stays = seen.job.as_ref().map(|job| job.record.clone()).filter(|_| is_new);
        let mut writes = Vec::new();
        let mut counts = BTreeMap::new();
        if let Some(record) = write.or(stays) {
            let is_counted = record.state.is_counted();
            let mut places = seen.job.as_ref().map_or_else(Vec::new, |job| job.places.clone());
            if is_new {
                places.push(batch_item::place_pk(join.batch, join.index()));
                writes.push(self.new_place(join, is_counted)?);
            }
            let mut item = self.item(&record, fastrand::u64(..)).await?;
            if is_counted {
                counts = batches_of(&places)?;
                let known = seen.job.as_ref().map_or(&[][..], |job| &job.places);
                writes.extend(self.counted_places(known)?);
            } else {
                put_places(&mut item, &places);
            }
            let condition = Replaces::of(seen.job.as_ref()).condition();
            writes.push(self.table.replace(item, condition)?);
        }
        let count = counts.remove(&batch_item::batch_pk(join.batch)).unwrap_or(0);
        writes.extend(self.batch_change(join, seen.batch.as_ref(), after, count)?);
        for (other, count) in counts {
            writes.push(self.count_in(other, count)?);
        }
        Ok(writes)
    }

    fn new_place(
        &self,
        join: &Join<'_>,
        is_counted: bool,
    ) -> Result<TransactWriteItem, LedgerError> {
        let place = Place { index: join.index(), job: join.request.key, is_counted };
        let item = batch_item::of_place(join.batch, &place, join.expires_s());
        self.table.replace(item, Replaces::Nothing.condition())
    }

    /// What becomes of the batch's own item: it is opened, learns its size or a higher place, is
    /// counted up, or is left alone.
    fn batch_change(
        &self,
        join: &Join<'_>,
        old: Option<&KnownBatch>,
        after: &KnownBatch,
        count: u64,
    ) -> Result<Option<TransactWriteItem>, LedgerError> {
        let Some(old) = old else {
            let record = BatchRecord { counted: count, ..after.record.clone() };
            let opened = KnownBatch { record, ..*after };
            let item = batch_item::of_batch(join.batch, &opened, join.expires_s());
            return self.table.replace(item, Replaces::Nothing.condition()).map(Some);
        };
        let (update, new) = match (after.record.size, after.highest) {
            (Some(size), _) if old.record.size.is_none() => {
                ("SET batch_size = :new ADD counted :count", size)
            }
            (None, Some(highest)) if old.highest < Some(highest) => {
                ("SET highest = :new ADD counted :count", highest)
            }
            _ if count > 0 => {
                return self.count_in(batch_item::batch_pk(join.batch), count).map(Some);
            }
            _ => return Ok(None),
        };
        let condition = Expression {
            text: "attribute_not_exists(batch_size) AND highest = :highest",
            values: vec![
                (":new", number(new)),
                (":count", number(count)),
                (":highest", number(old.highest.unwrap_or(0))),
            ],
        };
        self.table.change(batch_item::batch_pk(join.batch), update, condition).map(Some)
    }

    /// Counts a job that ends in the places where it is not counted yet.
    pub(super) fn counting(
        &self,
        places: &[String],
    ) -> Result<Vec<TransactWriteItem>, LedgerError> {
        let mut writes = self.counted_places(places)?;
        for (batch, count) in batches_of(places)? {
            writes.push(self.count_in(batch, count)?);
        }
        Ok(writes)
    }

    fn counted_places(&self, places: &[String]) -> Result<Vec<TransactWriteItem>, LedgerError> {
        let count = |place: &String| {
            let condition = Expression {
                text: "is_counted = :no",
                values: vec![
                    (":no", AttributeValue::Bool(false)),
                    (":yes", AttributeValue::Bool(true)),
                ],
            };
            self.table.change(place.clone(), "SET is_counted = :yes", condition)
        };
        places.iter().map(count).collect()
    }

    fn count_in(&self, batch_pk: String, count: u64) -> Result<TransactWriteItem, LedgerError> {
        let condition =
            Expression { text: "attribute_exists(pk)", values: vec![(":count", number(count))] };
        self.table.change(batch_pk, "ADD counted :count", condition)
    }
}

/// How many of the places lie in which batch.
fn batches_of(places: &[String]) -> Result<BTreeMap<String, u64>, LedgerError> {
    let mut counts = BTreeMap::new();
    for place in places {
        *counts.entry(batch_item::batch_of_place(place)?).or_default() += 1;
    }
    Ok(counts)
}
