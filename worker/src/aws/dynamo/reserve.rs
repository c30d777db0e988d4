//! Places that are taken in a page of a batch, several at once.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    attributes::{RECORD_EXPIRES_S, number},
    batch_item::{self, PAGE, Taken},
    patience::Patience,
    table::{Expression, Table, Written},
};
use crate::{fan_in::BatchKey, lease::LedgerError};

/// One placeholder for each place of a page.
const PLACEHOLDERS: [&str; 20] = [
    ":p0", ":p1", ":p2", ":p3", ":p4", ":p5", ":p6", ":p7", ":p8", ":p9", ":p10", ":p11", ":p12",
    ":p13", ":p14", ":p15", ":p16", ":p17", ":p18", ":p19",
];

/// A page of a batch: the number of its first place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Page {
    batch: BatchKey,
    first: u64,
}

impl Page {
    pub(super) fn of(batch: BatchKey, index: u64) -> Self {
        Self { batch, first: index - index % PAGE }
    }
}

/// A place that somebody asks for, and until when its page is kept.
#[derive(Clone, Copy)]
pub(super) struct Asked {
    pub(super) taken: Taken,
    pub(super) expires_s: i64,
}

/// Takes places of one page: `false` for each that somebody else has, or in which the job is counted
/// meanwhile: whoever asks for it has to look again.
pub(super) async fn reserve(
    table: Arc<Table>,
    page: Page,
    asked: Vec<Asked>,
) -> Vec<Result<bool, LedgerError>> {
    // Of two who ask for the same place at once, the first gets it.
    let mut wanted = BTreeMap::new();
    for one in &asked {
        wanted.entry(one.taken.index).or_insert(*one);
    }
    match take(&table, page, wanted).await {
        Ok(stored) => {
            asked.iter().map(|one| Ok(stored.get(&one.taken.index) == Some(&one.taken))).collect()
        }
        Err(error) => asked.iter().map(|_| Err(LedgerError(error.0.clone()))).collect(),
    }
}

/// What stands at each of the wanted places in the end.
async fn take(
    table: &Table,
    page: Page,
    mut wanted: BTreeMap<u64, Asked>,
) -> Result<BTreeMap<u64, Taken>, LedgerError> {
    let mut stored = BTreeMap::new();
    let mut patience = Patience::new("place");
    while !wanted.is_empty() {
        let (update, condition) = taking(wanted.values());
        let pk = batch_item::page_pk(page.batch, page.first);
        match table.update(pk, update, condition).await? {
            Written::Done => {
                stored.extend(wanted.iter().map(|(index, one)| (*index, one.taken)));
                break;
            }
            Written::Refused(Some(item)) => {
                for taken in batch_item::to_places(&item)? {
                    if wanted.remove(&taken.index).is_some() {
                        stored.insert(taken.index, taken);
                    }
                }
            }
            Written::Refused(None) | Written::InTheWay => {}
        }
        patience.again().await?;
    }
    Ok(stored)
}

const _: () = assert!(PLACEHOLDERS.len() as u64 == PAGE);

fn placeholder(index: u64) -> &'static str {
    let place = usize::try_from(index % PAGE).unwrap_or_default();
    PLACEHOLDERS.get(place).copied().unwrap_or_default()
}

/// Takes all of these places, if nobody has one of them.
pub(super) fn taking<'a>(asked: impl Iterator<Item = &'a Asked>) -> (String, Expression) {
    let mut update = format!("SET {RECORD_EXPIRES_S} = :expires");
    let (mut conditions, mut values, mut expires_s) = (Vec::new(), Vec::new(), 0);
    for one in asked {
        let name = batch_item::place_name(one.taken.index);
        let placeholder = placeholder(one.taken.index);
        update.extend([", ", &name, " = ", placeholder]);
        conditions.push(format!("attribute_not_exists({name})"));
        values.push((placeholder, batch_item::place_value(&one.taken)));
        expires_s = expires_s.max(one.expires_s);
    }
    values.push((":expires", number(expires_s)));
    (update, Expression { text: conditions.join(" AND ").into(), values })
}
