//! Batches and the places of their jobs as items of the table.
//!
//! Jobs that join a batch of a known size do not touch its item; without a size the highest place
//! is kept there, so that no smaller size can be told later.

use aws_sdk_dynamodb::types::AttributeValue;

use super::{
    attributes::{Item, KEPT_UNTIL_S, PK, RECORD_EXPIRES_S, Reader, number, text},
    failure::malformed,
    item::{self, VERSION},
};
use crate::{
    clock::UnixMs,
    fan_in::{BatchKey, BatchRecord},
    job::{Callback, JobKey},
    lease::{CallbackSlot, CallbackState, LedgerError},
};

const JOB: &str = "job";

/// A batch's record and what the table keeps beside it.
pub(super) struct KnownBatch {
    /// The record.
    pub(super) record: BatchRecord,
    /// The highest place that is taken, of a batch that was opened without a size.
    pub(super) highest: Option<u64>,
    /// Another one after each change of its delivery.
    pub(super) version: u64,
}

/// The place of a job in a batch.
pub(super) struct Place {
    /// Its index.
    pub(super) index: u64,
    /// Who has it.
    pub(super) job: JobKey,
    /// Whether the job was counted there.
    pub(super) is_counted: bool,
}

/// The hash key of a batch's item.
pub(super) fn batch_pk(key: BatchKey) -> String {
    format!("batch#{key:?}")
}

/// The hash key of a place's item.
pub(super) fn place_pk(key: BatchKey, index: u64) -> String {
    format!("place#{key:?}#{index}")
}

/// The hash key of the batch that a place belongs to.
pub(super) fn batch_of_place(place_pk: &str) -> Result<String, LedgerError> {
    let digits = place_pk.strip_prefix("place#").and_then(|rest| rest.split('#').next());
    let digits = digits.ok_or_else(|| malformed(item::PLACES, "place#, a batch and an index"))?;
    Ok(format!("batch#{digits}"))
}

/// The item of a new batch, kept until then once its callback is over.
pub(super) fn of_batch(key: BatchKey, batch: &KnownBatch, kept_until_s: i64) -> Item {
    let record = &batch.record;
    let slot = &record.callback;
    let mut item = Item::with_capacity(14);
    let mut put = |name: &str, value| {
        item.insert(name.to_owned(), value);
    };
    put(PK, text(batch_pk(key)));
    put("batch", text(record.id.as_str()));
    put("counted", number(record.counted));
    put("callback_url", text(slot.callback.expose_url()));
    put("callback_state", text(slot.state.name()));
    put("callback_failures", number(slot.failures));
    put("callback_refusals", number(slot.refusals));
    put("callback_maybe", AttributeValue::Bool(slot.may_have_arrived));
    put("delivery_ends_ms", number(record.delivery_ends.0));
    put("opened_ms", number(record.opened.0));
    put("batch_expires_ms", number(record.expires.0));
    put(KEPT_UNTIL_S, number(kept_until_s));
    put(VERSION, number(batch.version));
    if let Some(size) = record.size {
        put("batch_size", number(size));
    }
    if let Some(highest) = batch.highest {
        put("highest", number(highest));
    }
    item
}

/// A batch as it was stored.
pub(super) fn to_batch(item: Item) -> Result<KnownBatch, LedgerError> {
    let mut item = Reader::new(item);
    let url = item.text("callback_url")?;
    let callback = Callback::from_url(url).map_err(|_| malformed("callback_url", "a URL"))?;
    let state = CallbackState::from_name(&item.text("callback_state")?)
        .ok_or_else(|| malformed("callback_state", "pending, sent, or why it is dead"))?;
    let slot = CallbackSlot {
        callback,
        state,
        failures: item.number("callback_failures")?,
        refusals: item.maybe_number("callback_refusals")?.unwrap_or(0),
        may_have_arrived: item.is_true("callback_maybe"),
    };
    let record = BatchRecord {
        id: item.parsed("batch")?,
        size: item.maybe_number("batch_size")?,
        counted: item.number("counted")?,
        callback: slot,
        delivery_ends: UnixMs(item.number("delivery_ends_ms")?),
        opened: UnixMs(item.number("opened_ms")?),
        expires: UnixMs(item.number("batch_expires_ms")?),
    };
    Ok(KnownBatch {
        record,
        highest: item.maybe_number("highest")?,
        version: item.number(VERSION)?,
    })
}

/// The item of a place that is taken, deleted at that second.
pub(super) fn of_place(key: BatchKey, place: &Place, expires_s: i64) -> Item {
    Item::from([
        (PK.to_owned(), text(place_pk(key, place.index))),
        (JOB.to_owned(), text(item::pk(place.job))),
        ("place".to_owned(), number(place.index)),
        ("is_counted".to_owned(), AttributeValue::Bool(place.is_counted)),
        (RECORD_EXPIRES_S.to_owned(), number(expires_s)),
    ])
}

/// A place as it was stored.
pub(super) fn to_place(mut item: Item) -> Result<Place, LedgerError> {
    let Some(AttributeValue::Bool(is_counted)) = item.remove("is_counted") else {
        return Err(malformed("is_counted", "true or false"));
    };
    let mut item = Reader::new(item);
    let job = item::key_of(&item.text(JOB)?);
    let job = job.ok_or_else(|| malformed(JOB, "the key of a job's item"))?;
    Ok(Place { index: item.number("place")?, job, is_counted })
}
