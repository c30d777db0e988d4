//! From what is known of a job's item to what it becomes: decide, write if nothing changed since,
//! else decide again by what came back.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::{
    DynamoLedger,
    alone::Ending,
    attributes::{Item, Reader, bytes, number, text, weight},
    batch_item,
    commit::{self, Committed, Entry},
    failure::Failure,
    item::{self, Known, VERSION},
    patience::Patience,
    places::put_places,
    results::{self, Kept},
    table::{Expression, Reason, Transacted, Written},
};
use crate::{
    clock::UnixMs,
    fan_in::{BatchKey, Place},
    job::JobKey,
    lease::{Lease, LedgerError, Record, Step},
};

/// What must lie in the table for a record to take its place.
pub(super) enum Replaces<'a> {
    /// No item.
    Nothing,
    /// The item as it was read.
    Known(&'a Known),
    /// A running job of this lease's, with the places that the lease knows.
    Leased(&'a Lease),
}

/// What became of a record that was to be written.
pub(super) enum Saved {
    /// It stands.
    Yes,
    /// Something else is there.
    Refused(Option<Box<Known>>),
}

impl Saved {
    pub(super) fn stands(&self) -> bool {
        matches!(self, Self::Yes)
    }
}

impl Replaces<'_> {
    pub(super) fn of(known: Option<&Known>) -> Replaces<'_> {
        known.map_or(Replaces::Nothing, Replaces::Known)
    }

    fn keeps_result_of(&self, record: &Record) -> Kept {
        match self {
            Self::Known(known) if known.record.is_final() && known.record.epoch == record.epoch => {
                Kept::Already
            }
            _ => Kept::Newly,
        }
    }

    /// The condition for it. Of a leased job so many places must be known: others may have come.
    pub(super) fn condition(&self, places: usize) -> Expression {
        match self {
            Self::Nothing => {
                Expression { text: "attribute_not_exists(pk)".into(), values: Vec::new() }
            }
            Self::Known(known) => Expression {
                text: "version = :version".into(),
                values: vec![(":version", number(known.version))],
            },
            Self::Leased(lease) => {
                let mut fence = fence(lease);
                if places == 0 {
                    fence.text += " AND attribute_not_exists(places)";
                } else {
                    fence.text += " AND size(places) = :places";
                    fence.values.push((":places", number(places as u64)));
                }
                fence
            }
        }
    }
}

/// That a job is running and the lease is its latest one.
pub(super) fn fence(lease: &Lease) -> Expression {
    Expression {
        text: "begins_with(job_state, :running) AND owner_token = :token AND epoch = :epoch".into(),
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
            known = self.resumed(known).await?;
            let step = rule(known.as_ref().map(|known| known.record.clone()));
            let Some(record) = step.write else { return Ok(step.answer) };
            let places = known.as_ref().map_or(&[][..], |known| &known.stored.places);
            match self.save(&record, Replaces::of(known.as_ref()), places).await? {
                Saved::Yes => return Ok(step.answer),
                Saved::Refused(other) => known = other.map(|other| *other),
            }
            patience.again().await?;
        }
    }

    /// Writes a record with its places; one that ends a job counts it in those that wait for it.
    pub(super) async fn save(
        &self,
        record: &Record,
        replaces: Replaces<'_>,
        places: &[Place],
    ) -> Result<Saved, Failure> {
        let version = fastrand::u64(..);
        let mut item = self.item(record, version, replaces.keeps_result_of(record)).await?;
        let is_small = results::is_small(&item);
        let condition = replaces.condition(places.len());
        let is_uncounted = |place: &&Place| place.counted_end.is_none();
        let is_written = match places.iter().filter(is_uncounted).count() {
            waiting if waiting > 0 && record.state.is_counted() => {
                self.count(item, condition, places, record.end_number()).await?
            }
            _ => {
                put_places(&mut item, places);
                match self.table.put(item, condition).await? {
                    Written::Done => Attempt::Done,
                    Written::Refused(other) => {
                        Attempt::Refused(self.known_if_any(other).await?.map(Box::new))
                    }
                    Written::InTheWay => {
                        Attempt::Refused(self.look(record.key).await?.map(Box::new))
                    }
                }
            }
        };
        let refused = match is_written {
            Attempt::Done => None,
            Attempt::Refused(other) => Some(other),
            Attempt::Unknown => Some(self.look(record.key).await?.map(Box::new)),
        };
        match refused {
            // Ours after all: its answer was lost, and it was sent again.
            Some(Some(known)) if known.version == version => Ok(Saved::Yes),
            Some(other) => Ok(Saved::Refused(other)),
            None => {
                self.finished.see(record, is_small);
                Ok(Saved::Yes)
            }
        }
    }

    /// Writes the item of a job that ends, and counts it in its places: together with others of its
    /// batch, where it has one, as most have.
    async fn count(
        &self,
        item: Item,
        condition: Expression,
        places: &[Place],
        end: u32,
    ) -> Result<Attempt, Failure> {
        let waiting: Vec<_> = places.iter().filter(|place| place.counted_end.is_none()).collect();
        if let [place] = waiting[..] {
            let bytes = weight(&item);
            let ending = Ending {
                item: item.clone(),
                condition: condition.clone(),
                places: places.to_vec(),
                place: *place,
                end,
            };
            let entry = Entry::Ends(Box::new(ending));
            match self.commit(place.batch, entry, bytes).await? {
                Committed::Yes => return Ok(Attempt::Done),
                Committed::JobRefused => return Ok(Attempt::Unknown),
                // A batch that is over counts nothing more, and the outcome stands all the same.
                Committed::BatchRefused => {}
            }
        }
        self.count_where_possible(item, condition, places, end).await
    }

    async fn count_where_possible(
        &self,
        item: Item,
        condition: Expression,
        places: &[Place],
        end: u32,
    ) -> Result<Attempt, Failure> {
        let mut patience = Patience::new("count");
        loop {
            let countable = self.countable(places).await?;
            let item = counted(item.clone(), places, &countable.iter().collect::<Vec<_>>(), end);
            let mut writes = vec![self.table.replace(item, condition.clone())?];
            let mut batches = BTreeMap::new();
            for place in &countable {
                let (count, highest) = batches.entry(*place.batch.as_bytes()).or_insert((0, 0));
                (*count, *highest) = (*count + 1, place.index.max(*highest));
            }
            for (batch, (jobs, highest)) in batches {
                let pk = batch_item::batch_pk(BatchKey::from_bytes(batch));
                let (update, condition) = commit::count(jobs, highest);
                writes.push(self.table.change(pk, update, condition)?);
            }
            match self.table.transact(writes).await? {
                Transacted::Done => return Ok(Attempt::Done),
                Transacted::Cancelled(reasons) if reasons.first() == Some(&Reason::Refused) => {
                    return Ok(Attempt::Unknown);
                }
                Transacted::Cancelled(_) => patience.again().await?,
            }
        }
    }

    /// A record's whole item but for its places.
    async fn item(&self, record: &Record, version: u64, kept: Kept) -> Result<Item, Failure> {
        let mut item = item::of_record(record)?;
        item.insert(VERSION.to_owned(), number(version));
        self.results.put(&mut item, record, kept).await?;
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

    pub(super) async fn known(&self, item: Item) -> Result<Known, LedgerError> {
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

/// A write that was tried.
enum Attempt {
    Done,
    /// This is there instead.
    Refused(Option<Box<Known>>),
    /// Something else is there.
    Unknown,
}

/// The item of a job that is counted now, with its end of that number, in these of its places.
fn counted(mut item: Item, places: &[Place], now: &[&Place], end: u32) -> Item {
    let count = |place: &Place| {
        let counted_now = now.contains(&place).then_some(end);
        Place { counted_end: place.counted_end.or(counted_now), ..*place }
    };
    put_places(&mut item, &places.iter().map(count).collect::<Vec<_>>());
    item
}
