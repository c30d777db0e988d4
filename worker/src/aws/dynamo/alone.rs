//! A job that ends alone, with no other of its batch to share a transaction: two writes of one unit
//! each, where a transaction of its own would be four.
//!
//! 1. *The end.* The job's item gets its final state. Its place there is pending: whether the job is
//!    counted, the batch's item says.
//! 2. *The count.* The job's index joins a set in the batch's item, and with that write it is counted: a
//!    batch has counted as many as its number says, and those in its set.
//!
//! A set has an index once. So the second write may be done again, by whoever finds the job after a
//! crash between the two ([`resume`]), and a request that is sent twice does no harm.
//!
//! Sixteen in the set are told to their jobs' items, whose places are not pending any more, and leave
//! the set for the number with the next write that counts. From then on it would not be known of an index
//! that it was there. So that write begins a new *round*, and an index joins in the round alone that was read
//! *before* its job was seen pending, or was made so. In a later round a write that was long on its way is
//! refused: its index may have come and gone. In the same one, none has gone.

use std::{collections::BTreeSet, iter};

use aws_sdk_dynamodb::types::AttributeValue;

use super::{
    attributes::{Item, PK, Reader, number},
    batch_item,
    commit::{Committed, TAKES},
    item::{self, VERSION},
    patience::Patience,
    places::{Pending, put_pending, put_places},
    resume,
    table::{Expression, Table, Written},
    tell,
};
use crate::{
    fan_in::{BatchKey, Place},
    lease::LedgerError,
};

/// So many in the set are told to their jobs' items: what the set weighs stays small beside a kilobyte.
const FULL: usize = 16;

/// With so many that could not be told, the next job is counted in a transaction.
const MOST: usize = 2 * FULL;

const SET: &str = "alone";
const ROUND: &str = "alone_round";

/// Those of a batch that ended alone, as its item has them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Alone {
    round: u64,
    indexes: BTreeSet<u64>,
}

impl Alone {
    /// Those of a batch's item.
    pub(super) fn take(item: &mut Reader) -> Result<Self, LedgerError> {
        let round = item.maybe_number(ROUND)?.unwrap_or(0);
        Ok(Self { round, indexes: item.numbers(SET)?.into_iter().collect() })
    }

    /// How many are counted beside the batch's number.
    pub(super) fn count(&self) -> u64 {
        self.indexes.len() as u64
    }

    /// Whether the job with this index is counted here.
    pub(super) fn has(&self, index: u64) -> bool {
        self.indexes.contains(&index)
    }

    /// Their indexes.
    pub(super) fn indexes(&self) -> &BTreeSet<u64> {
        &self.indexes
    }

    pub(super) fn is_full(&self) -> bool {
        self.indexes.len() >= FULL
    }

    /// That the round is still this one.
    fn is_round(&self) -> Expression {
        match self.round {
            0 => Expression { text: "attribute_not_exists(alone_round)".into(), values: vec![] },
            round => Expression {
                text: "alone_round = :round".into(),
                values: vec![(":round", number(round))],
            },
        }
    }

    /// That nobody has joined or left: within a round, none leaves.
    pub(super) fn is_unchanged(&self) -> Expression {
        let Expression { text, mut values } = self.is_round();
        let same_size = match self.indexes.len() {
            0 => "attribute_not_exists(alone)",
            size => {
                values.push((":alone", number(size as u64)));
                "size(alone) = :alone"
            }
        };
        Expression { text: format!("{text} AND {same_size}").into(), values }
    }

    /// The write that counts one more, by which those leave that were told to their jobs' items.
    pub(super) fn joined_by(&self, index: u64, told: &BTreeSet<u64>) -> (String, Expression) {
        let (update, Expression { text, mut values }) = if told.is_empty() {
            let mut round = self.is_round();
            round.values.push((":set", set_of(iter::once(&index))));
            ("ADD alone :set", round)
        } else {
            let mut unchanged = self.is_unchanged();
            let left = self.indexes.difference(told);
            unchanged.values.push((":set", set_of(left.chain(iter::once(&index)))));
            unchanged.values.push((":told", number(told.len() as u64)));
            unchanged.values.push((":one", number(1)));
            ("SET alone = :set ADD counted :told, alone_round :one", unchanged)
        };
        values.push((":highest", number(index)));
        (update.to_owned(), Expression { text: format!("{TAKES} AND {text}").into(), values })
    }
}

fn set_of<'a>(indexes: impl Iterator<Item = &'a u64>) -> AttributeValue {
    AttributeValue::Ns(indexes.map(u64::to_string).collect())
}

/// A job that ends with one place in which it is to be counted.
pub(super) struct Ending {
    /// Its whole item but for its places.
    pub(super) item: Item,
    /// What must lie in the table for it to take its place.
    pub(super) condition: Expression,
    /// All its places.
    pub(super) places: Vec<Place>,
    /// The one in question.
    pub(super) place: Place,
    /// With which of its ends it is counted.
    pub(super) end: u32,
}

impl Ending {
    /// The item of a job that is counted with it.
    pub(super) fn counted(&self) -> Item {
        let mut item = self.item.clone();
        put_places(&mut item, &self.pending().counted_in(&self.places));
        item
    }

    fn pending(&self) -> Pending {
        Pending { batch: self.place.batch, index: self.place.index, end: self.end }
    }

    fn item_with_pending_place(&self) -> Item {
        let mut item = self.item.clone();
        put_pending(&mut item, &self.places, self.pending());
        item
    }

    fn pk(&self) -> String {
        item::text_of(&self.item, PK)
    }

    fn is_this(&self, other: &Item) -> bool {
        self.item.get(VERSION) == other.get(VERSION)
    }
}

/// Ends a job and counts it; `None` if the batch's item has no room for one more, and nothing was done.
pub(super) async fn end(
    table: &Table,
    batch: BatchKey,
    ending: &Ending,
) -> Result<Option<Committed>, LedgerError> {
    // The round, before the job is pending.
    let batch_pk = batch_item::batch_pk(batch);
    let index = ending.place.index;
    let known = table.get(batch_pk.clone()).await?.map(batch_item::to_batch).transpose()?;
    let Some(known) = known.filter(|known| known.takes(index)) else {
        return Ok(Some(Committed::BatchRefused));
    };
    let told = tell::if_full(table, batch, &known.alone).await?;
    if known.alone.indexes.len() - told.len() >= MOST {
        return Ok(None);
    }
    if !write_end(table, ending).await? {
        return Ok(Some(Committed::JobRefused));
    }
    let (update, condition) = known.alone.joined_by(index, &told);
    if !matches!(table.update(batch_pk, update, condition).await?, Written::Done) {
        resume::count(table, ending.pending(), &ending.pk()).await?;
    }
    Ok(Some(Committed::Yes))
}

/// `false`: something else is there.
async fn write_end(table: &Table, ending: &Ending) -> Result<bool, LedgerError> {
    let mut patience = Patience::new("end");
    loop {
        let item = ending.item_with_pending_place();
        match table.put(item, ending.condition.clone()).await? {
            Written::Done => return Ok(true),
            // Ours after all: its answer was lost, and it was sent again.
            Written::Refused(other) => return Ok(other.is_some_and(|it| ending.is_this(&it))),
            Written::InTheWay => patience.again().await?,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alone(round: u64, indexes: impl IntoIterator<Item = u64>) -> Alone {
        Alone { round, indexes: indexes.into_iter().collect() }
    }

    #[test]
    fn one_joins_in_the_round_that_was_read() {
        for (round, expected) in
            [(0, "attribute_not_exists(alone_round)"), (3, "alone_round = :round")]
        {
            let (update, condition) = alone(round, [4]).joined_by(7, &BTreeSet::new());
            assert_eq!(update, "ADD alone :set");
            assert!(condition.text.ends_with(expected), "{}", condition.text);
            assert!(condition.values.contains(&(":set", AttributeValue::Ns(vec!["7".into()]))));
        }
    }

    #[test]
    fn those_that_were_told_leave_by_a_write_that_begins_a_round_and_sees_all_who_joined() {
        let (update, condition) = alone(3, [1, 2, 4]).joined_by(7, &BTreeSet::from([1, 4]));
        assert_eq!(update, "SET alone = :set ADD counted :told, alone_round :one");
        assert!(condition.text.contains("alone_round = :round AND size(alone) = :alone"));
        let left = AttributeValue::Ns(vec!["2".into(), "7".into()]);
        for value in [(":set", left), (":told", number(2)), (":alone", number(3))] {
            assert!(condition.values.contains(&value), "{value:?}");
        }
    }
}
