//! What the batch's item knows of jobs that ended alone, told to their own items: their places are
//! pending no more, and the batch's item may forget them.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::try_join_all;

use super::{
    alone::Alone,
    attributes::{Item, PK, Reader, number},
    batch_item::{self, PAGE},
    item::{self, VERSION},
    places::{self, Pending, StoredPlaces},
    table::{Expression, Table, Written},
};
use crate::{
    fan_in::{BatchKey, Holder},
    lease::LedgerError,
};

/// The indexes of those whose items tell by themselves that they are counted; none before there are
/// enough of them.
pub(super) async fn if_full(
    table: &Table,
    batch: BatchKey,
    alone: &Alone,
) -> Result<BTreeSet<u64>, LedgerError> {
    if !alone.is_full() {
        return Ok(BTreeSet::new());
    }
    let holders = holders(table, batch, alone).await?;
    let mut pks: Vec<_> = holders.values().cloned().collect();
    pks.sort_unstable();
    pks.dedup();
    let mut items = BTreeMap::new();
    for item in table.get_many(&pks).await? {
        items.insert(item::text_of(&item, PK), item);
    }
    let told = holders.into_iter().map(|(index, pk)| {
        let item = items.get(&pk).cloned();
        told(table, batch, index, item)
    });
    Ok(try_join_all(told).await?.into_iter().flatten().collect())
}

/// The hash key of the job at each index.
async fn holders(
    table: &Table,
    batch: BatchKey,
    alone: &Alone,
) -> Result<BTreeMap<u64, String>, LedgerError> {
    let firsts: BTreeSet<_> = alone.indexes().iter().map(|index| index / PAGE * PAGE).collect();
    let pages: Vec<_> = firsts.into_iter().map(|it| batch_item::page_pk(batch, it)).collect();
    let mut holders = BTreeMap::new();
    for page in table.get_many(&pages).await? {
        for place in batch_item::to_places(&page)? {
            if let Holder::Job(job) = place.holder
                && alone.has(place.index)
            {
                holders.insert(place.index, item::pk(job));
            }
        }
    }
    Ok(holders)
}

/// The index, if the job's item tells by itself that it is counted there, or there is none any more.
async fn told(
    table: &Table,
    batch: BatchKey,
    index: u64,
    item: Option<Item>,
) -> Result<Option<u64>, LedgerError> {
    let Some(item) = item else { return Ok(Some(index)) };
    let pk = item::text_of(&item, PK);
    let stored = StoredPlaces::take(&mut Reader::new(item))?;
    let is_told = match stored.pending.filter(|pending| pending.is_at(batch, index)) {
        Some(pending) => settle(table, pk, &stored, pending, true).await?,
        None => true,
    };
    Ok(is_told.then_some(index))
}

/// Writes into a job's item that it is counted at its pending place, or that it is not, unless
/// somebody else has. `false`: it may still be pending.
pub(super) async fn settle(
    table: &Table,
    pk: String,
    stored: &StoredPlaces,
    pending: Pending,
    is_counted: bool,
) -> Result<bool, LedgerError> {
    let places = match is_counted {
        true => pending.counted_in(&stored.places),
        false => stored.places.clone(),
    };
    let Some(places) = places::set_of(&places) else { return Ok(false) };
    // As long as it is pending, nobody writes anything else into its places.
    let condition = Expression {
        text: "contains(places, :pending)".into(),
        values: vec![
            (":pending", pending.stored()),
            (":places", places),
            (":version", number(fastrand::u64(..))),
        ],
    };
    let update = format!("SET places = :places, {VERSION} = :version");
    Ok(match table.update(pk, update, condition).await? {
        Written::Done => true,
        Written::Refused(Some(other)) => {
            StoredPlaces::take(&mut Reader::new(other))?.pending != Some(pending)
        }
        Written::Refused(None) | Written::InTheWay => false,
    })
}
