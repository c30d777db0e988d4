//! A job's places in batches, as texts of a set in its item: where it waits to be counted, where it
//! was, and with which of its ends.

use aws_sdk_dynamodb::types::AttributeValue;

use super::{
    alone::Alone,
    attributes::{Item, Reader, text},
    failure::malformed,
    item::digest,
};
use crate::{
    fan_in::{BatchKey, Place},
    lease::LedgerError,
};

pub(super) const PLACES: &str = "places";

/// A job's places in batches, as its item has them: those where it is to be counted, and those where
/// it was.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct StoredPlaces {
    /// All of them; the pending one is not counted here.
    pub(super) places: Vec<Place>,
    /// The one of which the batch's item says whether it is counted.
    pub(super) pending: Option<Pending>,
}

/// A place of a job that has ended, of which the batch's item says whether it is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pending {
    /// The batch.
    pub(super) batch: BatchKey,
    /// The index in it.
    pub(super) index: u64,
    /// With which of the job's ends it is counted.
    pub(super) end: u32,
}

impl StoredPlaces {
    /// Those of a job's item.
    pub(super) fn take(item: &mut Reader) -> Result<Self, LedgerError> {
        let mut stored = Self::default();
        for text in item.texts(PLACES)? {
            let place = to_place(&text);
            let (place, pending) =
                place.ok_or_else(|| malformed(PLACES, "a batch's key and an index"))?;
            stored.places.push(place);
            stored.pending = stored.pending.or(pending);
        }
        Ok(stored)
    }

    /// With which of its ends the job is counted there, if it is: its batch's item was read before.
    pub(super) fn counted_end(&self, batch: BatchKey, index: u64, alone: &Alone) -> Option<u32> {
        let is_here = |place: &&Place| (place.batch, place.index) == (batch, index);
        let told = self.places.iter().find(is_here).and_then(|place| place.counted_end);
        let pending = self.pending.filter(|pending| pending.is_at(batch, index));
        told.or_else(|| pending.filter(|_| alone.has(index)).map(|pending| pending.end))
    }
}

impl Pending {
    /// Whether it is this place.
    pub(super) fn is_at(&self, batch: BatchKey, index: u64) -> bool {
        (self.batch, self.index) == (batch, index)
    }

    /// A job's places, of which it is counted in this one.
    pub(super) fn counted_in(&self, places: &[Place]) -> Vec<Place> {
        let count = |place: &Place| match self.is_at(place.batch, place.index) {
            true => Place { counted_end: Some(self.end), ..*place },
            false => *place,
        };
        places.iter().map(count).collect()
    }

    /// As an item has it.
    pub(super) fn stored(&self) -> AttributeValue {
        text(self.to_text())
    }

    fn to_text(self) -> String {
        let Self { batch, index, end } = self;
        format!("{batch:?}#{index}?{end}")
    }
}

/// A job's places beside its record.
pub(super) fn put_places(item: &mut Item, places: &[Place]) {
    item.extend(set_of(places).map(|places| (PLACES.to_owned(), places)));
}

/// The same, one of which is pending.
pub(super) fn put_pending(item: &mut Item, places: &[Place], pending: Pending) {
    let others = places.iter().filter(|place| !pending.is_at(place.batch, place.index));
    let texts = others.map(of_place).chain([pending.to_text()]).collect();
    item.insert(PLACES.to_owned(), AttributeValue::Ss(texts));
}

/// Places as an item has them; `DynamoDB` knows no empty set.
pub(super) fn set_of(places: &[Place]) -> Option<AttributeValue> {
    let set = || AttributeValue::Ss(places.iter().map(of_place).collect());
    (!places.is_empty()).then(set)
}

fn of_place(place: &Place) -> String {
    let Place { batch, index, counted_end } = place;
    match counted_end {
        None => format!("{batch:?}#{index}"),
        Some(0) => format!("{batch:?}#{index}+"),
        Some(end) => format!("{batch:?}#{index}+{end}"),
    }
}

fn to_place(stored: &str) -> Option<(Place, Option<Pending>)> {
    let (batch, index) = stored.split_once('#')?;
    let batch = BatchKey::from_bytes(digest(batch)?);
    if let Some((index, end)) = index.split_once('?') {
        let (index, end) = (index.parse().ok()?, end.parse().ok()?);
        let place = Place { batch, index, counted_end: None };
        return Some((place, Some(Pending { batch, index, end })));
    }
    let (index, counted_end) = match index.split_once('+') {
        None => (index, None),
        Some((index, "")) => (index, Some(0)),
        Some((index, end)) => (index, Some(end.parse().ok()?)),
    };
    Some((Place { batch, index: index.parse().ok()?, counted_end }, None))
}
