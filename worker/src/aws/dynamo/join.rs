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
    fan_in::{BatchKey, BatchRecord, Places},
    job::Membership,
    lease::{Claim, ClaimRequest, LedgerError, Record},
};

/// What the table knows of a job, its batch and the place it asks for.
#[derive(Default)]
struct Seen {
    job: Option<Known>,
    batch: Option<KnownBatch>,
    place: Option<Place>,
}

impl Seen {
    fn places(&self) -> Places {
        Places {
            holder: self.place.as_ref().map(|place| place.job),
            highest: self.batch.as_ref().and_then(|batch| batch.highest),
        }
    }

    /// The batch as its item will be, with `joined` as its record.
    fn batch_with(&self, joined: BatchRecord, index: u64) -> KnownBatch {
        let highest = self.batch.as_ref().and_then(|batch| batch.highest);
        let highest = match joined.size {
            Some(_) => highest,
            None => highest.max(Some(index)),
        };
        let version = self.batch.as_ref().map_or_else(|| fastrand::u64(..), |old| old.version);
        KnownBatch { record: joined, highest, version }
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
        let mut patience = Patience::new("claim");
        loop {
            let seen = self.look_around(request, batch, membership.index()).await?;
            let old = seen.job.as_ref().map(|known| known.record.clone());
            let step = Record::claim(old, request);
            if matches!(step.answer, Claim::Conflict(_)) {
                return Ok(step.answer);
            }
            let old = seen.batch.as_ref().map(|batch| batch.record.clone());
            let joined =
                BatchRecord::join(old, seen.places(), request.key, membership, request.now);
            let joined = match joined {
                Ok(joined) => seen.batch_with(joined, membership.index()),
                Err(misplaced) => return Ok(Claim::Misplaced(misplaced)),
            };
            let writes =
                self.joining(request, membership, &seen, step.write, batch, &joined).await?;
            if writes.is_empty() || self.table.transact(writes).await? {
                return Ok(step.answer);
            }
            patience.again().await?;
        }
    }

    async fn look_around(
        &self,
        request: &ClaimRequest,
        batch: BatchKey,
        index: u64,
    ) -> Result<Seen, LedgerError> {
        let pks = [
            item::pk(request.key),
            batch_item::batch_pk(batch),
            batch_item::place_pk(batch, index),
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

    /// The writes of one claim: none if it changes nothing.
    async fn joining(
        &self,
        request: &ClaimRequest,
        membership: &Membership,
        seen: &Seen,
        write: Option<Record>,
        batch: BatchKey,
        joined: &KnownBatch,
    ) -> Result<Vec<TransactWriteItem>, Failure> {
        let known = seen.job.as_ref();
        let is_new = seen.place.is_none();
        let mut writes = Vec::new();
        let stays = known.map(|known| known.record.clone()).filter(|_| is_new);
        let mut counts = BTreeMap::new();
        if let Some(record) = write.or(stays) {
            let mut item = self.item(&record, fastrand::u64(..)).await?;
            let mut places = known.map_or_else(Vec::new, |known| known.places.clone());
            if record.state.is_counted() {
                counts = batches_of(&places)?;
                writes.extend(self.counted_places(&places)?);
            } else {
                if is_new {
                    places.push(batch_item::place_pk(batch, membership.index()));
                }
                put_places(&mut item, &places);
            }
            if is_new {
                let is_counted = record.state.is_counted();
                let place = Place { index: membership.index(), job: request.key, is_counted };
                let expires_s = request.now.plus(request.record_lives).seconds() + 1;
                let place = batch_item::of_place(batch, &place, expires_s);
                writes.push(self.table.replace(place, Replaces::Nothing.condition())?);
                if is_counted {
                    *counts.entry(batch_item::batch_pk(batch)).or_default() += 1;
                }
            }
            writes.push(self.table.replace(item, Replaces::of(known).condition())?);
        }
        let count = counts.remove(&batch_item::batch_pk(batch)).unwrap_or(0);
        writes.extend(self.batch_change(request, seen.batch.as_ref(), batch, joined, count)?);
        for (batch, count) in counts {
            writes.push(self.count_in(batch, count)?);
        }
        Ok(writes)
    }

    /// What becomes of the batch's own item: it is opened, learns its size or a higher place, is
    /// counted up, or is left alone.
    fn batch_change(
        &self,
        request: &ClaimRequest,
        old: Option<&KnownBatch>,
        key: BatchKey,
        joined: &KnownBatch,
        count: u64,
    ) -> Result<Option<TransactWriteItem>, LedgerError> {
        let Some(old) = old else {
            let kept_until_s = request.now.plus(request.record_lives).seconds() + 1;
            let record = BatchRecord { counted: count, ..joined.record.clone() };
            let opened = KnownBatch { record, ..*joined };
            let item = batch_item::of_batch(key, &opened, kept_until_s);
            return self.table.replace(item, Replaces::Nothing.condition()).map(Some);
        };
        let (update, new) = match (joined.record.size, joined.highest) {
            (Some(size), _) if old.record.size.is_none() => {
                ("SET batch_size = :new ADD counted :count", size)
            }
            (None, Some(highest)) if old.highest < Some(highest) => {
                ("SET highest = :new ADD counted :count", highest)
            }
            _ if count > 0 => return self.count_in(batch_item::batch_pk(key), count).map(Some),
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
        self.table.change(batch_item::batch_pk(key), update, condition).map(Some)
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
