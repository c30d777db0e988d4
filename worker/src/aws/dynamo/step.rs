//! From what is known of a job's item to what it becomes: decide, write if nothing changed since,
//! else decide again by what came back.

use std::collections::{HashMap, HashSet};

use super::{
    DynamoLedger,
    attributes::{Item, Reader, bytes, number, text},
    failure::Failure,
    item::{self, Known, PLACES, VERSION},
    patience::Patience,
    results,
    table::{Expression, Written},
};
use crate::{
    clock::UnixMs,
    job::JobKey,
    lease::{Lease, LedgerError, Record, Step},
};

/// What must lie in the table for a record to take its place.
pub(super) enum Replaces<'a> {
    /// No item.
    Nothing,
    /// The item as it was read.
    Known(&'a Known),
    /// A running job of this lease's, in no batch.
    Leased(&'a Lease),
}

/// What became of a record that was to be written.
pub(super) enum Saved {
    /// It stands.
    Yes,
    /// Something else is there.
    Refused(Option<Box<Known>>),
}

impl Replaces<'_> {
    pub(super) fn of(known: Option<&Known>) -> Replaces<'_> {
        known.map_or(Replaces::Nothing, Replaces::Known)
    }

    pub(super) fn condition(&self) -> Expression {
        match self {
            Self::Nothing => Expression { text: "attribute_not_exists(pk)", values: Vec::new() },
            Self::Known(known) => Expression {
                text: "version = :version",
                values: vec![(":version", number(known.version))],
            },
            Self::Leased(lease) => {
                let mut fence = fence(lease);
                fence.text = "begins_with(job_state, :running) AND owner_token = :token \
                     AND epoch = :epoch AND attribute_not_exists(places)";
                fence
            }
        }
    }

    fn places(&self) -> &[String] {
        match self {
            Self::Known(known) => &known.places,
            Self::Nothing | Self::Leased(_) => &[],
        }
    }
}

/// That a job is running and the lease is its latest one.
pub(super) fn fence(lease: &Lease) -> Expression {
    Expression {
        text: "begins_with(job_state, :running) AND owner_token = :token AND epoch = :epoch",
        values: vec![
            (":running", text("running")),
            (":token", bytes(*lease.token.as_bytes())),
            (":epoch", number(lease.epoch)),
        ],
    }
}

impl DynamoLedger {
    /// Writes what `rule` makes of the record, and answers as it does.
    pub(super) async fn step<T>(
        &self,
        operation: &'static str,
        mut known: Option<Known>,
        rule: impl Fn(Option<Record>) -> Step<T>,
    ) -> Result<T, Failure> {
        let mut patience = Patience::new(operation);
        loop {
            let step = rule(known.as_ref().map(|known| known.record.clone()));
            let Some(record) = step.write else { return Ok(step.answer) };
            match self.save(&record, Replaces::of(known.as_ref())).await? {
                Saved::Yes => return Ok(step.answer),
                Saved::Refused(other) => known = other.map(|other| *other),
            }
            patience.again().await?;
        }
    }

    /// Writes a record; one that ends a job counts it in the places it holds, by a transaction.
    pub(super) async fn save(
        &self,
        record: &Record,
        replaces: Replaces<'_>,
    ) -> Result<Saved, Failure> {
        let version = fastrand::u64(..);
        let mut item = self.item(record, version).await?;
        let is_small = results::is_small(&item);
        let refused = match replaces.places() {
            places if places.is_empty() || !record.state.is_counted() => {
                put_places(&mut item, places);
                match self.table.put(item, replaces.condition()).await? {
                    Written::Done => None,
                    Written::Refused(other) => Some(self.known_if_any(other).await?),
                    Written::InTheWay => Some(self.look(record.key).await?),
                }
            }
            places => {
                let mut writes = vec![self.table.replace(item, replaces.condition())?];
                writes.extend(self.counting(places)?);
                match self.table.transact(writes).await? {
                    true => None,
                    false => Some(self.look(record.key).await?),
                }
            }
        };
        match refused {
            // Ours after all: its answer was lost, and it was sent again.
            Some(Some(known)) if known.version == version => Ok(Saved::Yes),
            Some(other) => Ok(Saved::Refused(other.map(Box::new))),
            None => {
                self.finished.see(record, is_small);
                Ok(Saved::Yes)
            }
        }
    }

    /// A record's whole item but for its places.
    pub(super) async fn item(&self, record: &Record, version: u64) -> Result<Item, Failure> {
        let mut item = item::of_record(record)?;
        item.insert(VERSION.to_owned(), number(version));
        self.results.put(&mut item, record).await?;
        Ok(item)
    }

    /// The record under `key`, and what is kept beside it.
    pub(super) async fn look(&self, key: JobKey) -> Result<Option<Known>, LedgerError> {
        let item = self.table.get(item::pk(key)).await?;
        self.known_if_any(item).await
    }

    pub(super) async fn known_if_any(
        &self,
        item: Option<Item>,
    ) -> Result<Option<Known>, LedgerError> {
        match item {
            Some(item) => self.known(item).await.map(Some),
            None => Ok(None),
        }
    }

    async fn known(&self, item: Item) -> Result<Known, LedgerError> {
        let is_small = results::is_small(&item);
        let mut item = Reader::new(item);
        let result = self.results.take(&mut item).await?;
        let known = item::to_known(&mut item, result)?;
        self.finished.see(&known.record, is_small);
        Ok(known)
    }

    /// The records of `keys` in their order.
    pub(super) async fn look_at_all(
        &self,
        keys: &[JobKey],
    ) -> Result<Vec<Option<Record>>, LedgerError> {
        if let [key] = keys {
            return Ok(vec![self.look(*key).await?.map(|known| known.record)]);
        }
        let pks: HashSet<_> = keys.iter().map(|key| item::pk(*key)).collect();
        let mut records = HashMap::with_capacity(pks.len());
        for item in self.table.get_many(&pks.into_iter().collect::<Vec<_>>()).await? {
            let record = self.known(item).await?.record;
            records.insert(record.key, record);
        }
        Ok(keys.iter().map(|key| records.get(key).cloned()).collect())
    }

    /// Moves the end of a lease that is still held.
    pub(super) async fn extend_lease(
        &self,
        lease: &Lease,
        ends: UnixMs,
    ) -> Result<bool, LedgerError> {
        let mut fence = fence(lease);
        fence.values.push((":ends", number(ends.0)));
        fence.values.push((":version", number(fastrand::u64(..))));
        let update = "SET lease_ends_ms = :ends, version = :version";
        match self.table.update(item::pk(lease.key), update, fence).await? {
            Written::Done => Ok(true),
            Written::Refused(_) => Ok(false),
            Written::InTheWay => Err(LedgerError("UpdateItem: met a transaction".to_owned())),
        }
    }
}

/// The places in which a job is not counted yet; DynamoDB knows no empty set.
pub(super) fn put_places(item: &mut Item, places: &[String]) {
    if !places.is_empty() {
        let places = aws_sdk_dynamodb::types::AttributeValue::Ss(places.to_vec());
        item.insert(PLACES.to_owned(), places);
    }
}
