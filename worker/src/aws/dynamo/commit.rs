//! Final states on their way into the table, each with its batch's count: those of one batch share
//! a transaction, and so the two write units that the count costs in it. One by itself is
//! [`alone`].

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use super::{
    alone::{self, Ending},
    attributes::{Item, number},
    batch_item,
    patience::Patience,
    reserve::{self, Asked},
    step::Replaces,
    table::{Expression, Reason, Table, Transacted},
};
use crate::{fan_in::BatchKey, lease::LedgerError};

/// Jobs in one transaction: half of what DynamoDB takes, so that few are held up by one.
pub(super) const MOST: usize = 49;

/// That a batch is open and has all places up to the highest.
pub(super) const TAKES: &str = "attribute_exists(pk) AND attribute_not_exists(expired_ms) \
     AND (attribute_not_exists(batch_size) OR batch_size > :highest)";

/// Something to be counted in one batch.
pub(super) enum Entry {
    /// A job that ends.
    Ends(Box<Ending>),
    /// A place for a job that has ended before.
    Ended(Asked),
    /// A place for a job that was rejected, and what is remembered of it.
    Rejected(Asked, Box<Item>),
}

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Committed {
    /// It stands, and is counted: a job that ended alone unless its batch was over just then.
    Yes,
    /// Something else is there.
    JobRefused,
    /// The batch is over, gone, or has no such place.
    BatchRefused,
}

/// Writes entries of one batch: all of them, but for those that something stands in the way of.
pub(super) async fn commit(
    table: Arc<Table>,
    batch: BatchKey,
    entries: Vec<Entry>,
) -> Vec<Result<Committed, LedgerError>> {
    if let [Entry::Ends(ending)] = &entries[..]
        && let Some(answer) = alone::end(&table, batch, ending).await.transpose()
    {
        return vec![answer];
    }
    let mut answers: Vec<Option<Result<Committed, LedgerError>>> = Vec::new();
    answers.resize_with(entries.len(), || None);
    let mut patience = Patience::new("count");
    loop {
        let open: Vec<usize> = (0..entries.len()).filter(|at| answers[*at].is_none()).collect();
        if open.is_empty() {
            break;
        }
        match transact(&table, batch, &entries, &open).await {
            Ok(Verdicts::All(verdict)) => {
                for at in open {
                    answers[at] = Some(Ok(verdict));
                }
            }
            Ok(Verdicts::Refused(refused)) if !refused.is_empty() => {
                for at in refused {
                    answers[at] = Some(Ok(Committed::JobRefused));
                }
            }
            // Somebody else's transaction was at one of the items.
            Ok(Verdicts::Refused(_)) => {
                if let Err(error) = patience.again().await {
                    give_up(&mut answers, &open, &error);
                }
            }
            Err(error) => give_up(&mut answers, &open, &error),
        }
    }
    answers.into_iter().map(|answer| answer.unwrap_or(Ok(Committed::JobRefused))).collect()
}

fn give_up(
    answers: &mut [Option<Result<Committed, LedgerError>>],
    open: &[usize],
    error: &LedgerError,
) {
    for at in open {
        answers[*at] = Some(Err(LedgerError(error.0.clone())));
    }
}

/// What a transaction came to.
enum Verdicts {
    /// The same for all entries.
    All(Committed),
    /// Nothing was written because of these.
    Refused(Vec<usize>),
}

async fn transact(
    table: &Table,
    batch: BatchKey,
    entries: &[Entry],
    open: &[usize],
) -> Result<Verdicts, LedgerError> {
    let (mut writes, mut owners) = (Vec::new(), Vec::new());
    let mut pages: BTreeMap<String, Vec<(usize, Asked)>> = BTreeMap::new();
    let (mut places, mut highest) = (HashSet::new(), 0);
    for at in open {
        let asked = match &entries[*at] {
            Entry::Ends(ending) => {
                highest = highest.max(ending.place.index);
                writes.push(table.replace(ending.counted(), ending.condition.clone())?);
                owners.push(vec![*at]);
                continue;
            }
            Entry::Ended(asked) => asked,
            Entry::Rejected(asked, item) => {
                writes.push(table.replace((**item).clone(), Replaces::Nothing.condition(0))?);
                owners.push(vec![*at]);
                asked
            }
        };
        if !places.insert(asked.taken.index) {
            // The one before it gets the place; this one looks again.
            return Ok(Verdicts::Refused(vec![*at]));
        }
        highest = highest.max(asked.taken.index);
        let page = batch_item::page_pk(batch, asked.taken.index);
        pages.entry(page).or_default().push((*at, *asked));
    }
    for (page, asked) in pages {
        let (update, condition) = reserve::taking(asked.iter().map(|(_, asked)| asked));
        writes.push(table.change(page, update, condition)?);
        owners.push(asked.into_iter().map(|(at, _)| at).collect());
    }
    let (update, condition) = count(open.len() as u64, highest);
    writes.push(table.change(batch_item::batch_pk(batch), update, condition)?);
    Ok(match table.transact(writes).await? {
        Transacted::Done => Verdicts::All(Committed::Yes),
        Transacted::Cancelled(reasons) if reasons.last() == Some(&Reason::Refused) => {
            Verdicts::All(Committed::BatchRefused)
        }
        Transacted::Cancelled(reasons) => {
            let refused = owners.into_iter().zip(reasons);
            let refused = refused.filter(|(_, reason)| *reason == Reason::Refused);
            Verdicts::Refused(refused.flat_map(|(owners, _)| owners).collect())
        }
    })
}

/// So many more are counted, none of them at a place beyond `highest`: of a batch that is open and
/// has that place.
pub(super) fn count(entries: u64, highest: u64) -> (&'static str, Expression) {
    let condition = Expression {
        text: TAKES.into(),
        values: vec![(":count", number(entries)), (":highest", number(highest))],
    };
    ("ADD counted :count", condition)
}
