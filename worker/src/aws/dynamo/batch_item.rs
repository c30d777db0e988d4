//! Batches and the places of their jobs as items of the table.
//!
//! A page holds twenty places: an attribute `p` and the index for each that is taken. Whether the
//! job there was counted stands in the job's own item, which the count is written with; or in the
//! page, if the job had ended before it came; or in the batch's item, if it ended alone. Jobs that
//! join do not touch the batch's item, unless they open it, bring its size, or need more pages than a
//! batch without a size has so far.

use std::ops::Range;

use aws_sdk_dynamodb::types::AttributeValue;

use super::{
    alone::Alone,
    attributes::{
        ATTENTION, ATTENTION_MS, CALLBACK_DUE_MS, CALLBACK_FAILING_SINCE_MS,
        CALLBACK_REFUSED_SINCE_MS, Item, KEPT_UNTIL_S, PK, RECORD_EXPIRES_S, Reader, bytes, number,
        shard_of, text,
    },
    failure::malformed,
    item::VERSION,
    table::Expression,
};
use crate::{
    clock::UnixMs,
    fan_in::{BatchKey, BatchRecord, Holder, Rejection},
    job::{Callback, JobKey},
    lease::{CallbackSlot, CallbackState, LedgerError},
};

/// Places in one page: together they stay below the kilobyte that a write unit pays for.
pub(super) const PAGE: u64 = 20;

/// Pages that are read at once.
const PAGES_AT_ONCE: usize = 10;

/// Pages of a batch whose size nobody has said yet.
const FIRST_PAGES: u64 = 8;

/// How far a batch's members were read, in its item.
pub(super) const READING: &str = "reading";

/// The largest body its callback may have, in its item.
pub(super) const MAX_BODY_BYTES: &str = "max_body_bytes";

/// What stands at a place whose job was rejected.
const REJECTED: &str = "rejected";

/// What follows a job's key where the job had ended before it came: this, and the number of its end.
const COUNTED: u8 = 1;

/// A batch's record and what the table keeps beside it.
#[derive(Clone)]
pub(super) struct KnownBatch {
    /// The record.
    pub(super) record: BatchRecord,
    /// No place beyond so many pages is taken, of a batch that was opened without a size.
    pub(super) pages: Option<u64>,
    /// Another one after each change that is no count.
    pub(super) version: u64,
    /// Those of its jobs that are counted beside the item's number.
    pub(super) alone: Alone,
}

impl KnownBatch {
    /// Whether it counts a job with this index that ends now.
    pub(super) fn takes(&self, index: u64) -> bool {
        self.record.expired.is_none() && self.record.size.is_none_or(|size| index < size)
    }

    /// The pages that its places may be in from this index on, as many at a time as are read at once.
    pub(super) fn pages_from(&self, index: u64) -> impl Iterator<Item = Range<u64>> + use<> {
        let ends = self.record.size.map(|size| size.div_ceil(PAGE)).or(self.pages).unwrap_or(0);
        let starts = (index / PAGE..ends).step_by(PAGES_AT_ONCE);
        starts.map(move |start| start..ends.min(start + PAGES_AT_ONCE as u64))
    }

    /// That nothing was counted since it was read.
    pub(super) fn count_is_unchanged(&self) -> Expression {
        let Expression { text, mut values } = self.alone.is_unchanged();
        let by_number = self.record.counted.saturating_sub(self.alone.count());
        values.push((":counted", number(by_number)));
        Expression { text: format!("counted = :counted AND {text}").into(), values }
    }
}

/// A place that is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Taken {
    /// Its index.
    pub(super) index: u64,
    /// By whom.
    pub(super) holder: Holder,
    /// With which end its job was counted when it was taken, if it was.
    pub(super) counted_end: Option<u32>,
}

/// The hash key of a batch's item.
pub(super) fn batch_pk(key: BatchKey) -> String {
    format!("batch#{key:?}")
}

/// The hash key of the page with an index.
pub(super) fn page_pk(key: BatchKey, index: u64) -> String {
    format!("page#{key:?}#{}", index / PAGE)
}

/// The hash key of what is remembered of a rejected job.
pub(super) fn rejection_pk(key: BatchKey, index: u64) -> String {
    format!("rejected#{key:?}#{index}")
}

/// A place's attribute in its page.
pub(super) fn place_name(index: u64) -> String {
    format!("p{index}")
}

/// The value of a place's attribute.
pub(super) fn place_value(taken: &Taken) -> AttributeValue {
    match taken.holder {
        Holder::Rejected => text(REJECTED),
        Holder::Job(job) => {
            let mut value = job.as_bytes().to_vec();
            let end = |end: u32| u8::try_from(end).unwrap_or(u8::MAX);
            value.extend(taken.counted_end.map(|number| COUNTED.saturating_add(end(number))));
            bytes(value)
        }
    }
}

/// The pages that a batch without a size needs for an index.
pub(super) fn pages_for(index: u64) -> u64 {
    (index / PAGE + 1).next_power_of_two().max(FIRST_PAGES)
}

/// The places of a page, in order.
pub(super) fn to_places(page: &Item) -> Result<Vec<Taken>, LedgerError> {
    let mut places = Vec::with_capacity(page.len());
    for (name, value) in page {
        if let Some(index) = name.strip_prefix('p').and_then(|index| index.parse().ok()) {
            places.push(to_place(index, value)?);
        }
    }
    places.sort_unstable_by_key(|place| place.index);
    Ok(places)
}

fn to_place(index: u64, value: &AttributeValue) -> Result<Taken, LedgerError> {
    let wrong = || malformed("of a place", "a job's key, or that it was rejected");
    match value {
        AttributeValue::S(_) => Ok(Taken { index, holder: Holder::Rejected, counted_end: Some(0) }),
        AttributeValue::B(stored) => {
            let (key, rest) = stored.as_ref().split_at_checked(32).ok_or_else(wrong)?;
            let key: [u8; 32] = key.try_into().map_err(|_| wrong())?;
            let holder = Holder::Job(JobKey::from_bytes(key));
            let counted_end = rest.first().and_then(|mark| mark.checked_sub(COUNTED));
            Ok(Taken { index, holder, counted_end: counted_end.map(u32::from) })
        }
        _ => Err(wrong()),
    }
}

/// The item of a new batch, kept until then once its callback is over.
pub(super) fn of_batch(key: BatchKey, batch: &KnownBatch, kept_until_s: i64) -> Item {
    let record = &batch.record;
    let slot = &record.callback;
    let mut item = Item::with_capacity(18);
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
    put("look_after_ms", number(record.look_after.0));
    put(KEPT_UNTIL_S, number(kept_until_s));
    put(VERSION, number(batch.version));
    if let Some(size) = record.size {
        put("batch_size", number(size));
    }
    if let Some(pages) = batch.pages {
        put("pages", number(pages));
    }
    if let Some((what, from)) = record.attention() {
        put(ATTENTION, text(shard_of(what, key.as_bytes())));
        put(ATTENTION_MS, number(from.0));
    }
    item
}

/// What remembers a rejected job, deleted at that second.
pub(super) fn of_rejection(
    key: BatchKey,
    index: u64,
    rejection: &Rejection,
    expires_s: i64,
) -> Item {
    Item::from([
        (PK.to_owned(), text(rejection_pk(key, index))),
        ("rejection".to_owned(), text(rejection.to_json().to_string())),
        (RECORD_EXPIRES_S.to_owned(), number(expires_s)),
    ])
}

/// A rejected job as it was stored.
pub(super) fn to_rejection(item: Item) -> Result<Rejection, LedgerError> {
    let stored = Reader::new(item).maybe_json("rejection")?.and_then(Rejection::from_json);
    stored.ok_or_else(|| malformed("rejection", "a rejection"))
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
        failing_since: item.maybe_number(CALLBACK_FAILING_SINCE_MS)?.map(UnixMs),
        refusals: item.maybe_number("callback_refusals")?.unwrap_or(0),
        refused_since: item.maybe_number(CALLBACK_REFUSED_SINCE_MS)?.map(UnixMs),
        may_have_arrived: item.is_true("callback_maybe"),
        due: item.maybe_number(CALLBACK_DUE_MS)?.map(UnixMs),
    };
    let alone = Alone::take(&mut item)?;
    let record = BatchRecord {
        id: item.parsed("batch")?,
        size: item.maybe_number("batch_size")?,
        counted: item.number::<u64>("counted")? + alone.count(),
        callback: slot,
        delivery_ends: UnixMs(item.number("delivery_ends_ms")?),
        opened: UnixMs(item.number("opened_ms")?),
        expires: UnixMs(item.number("batch_expires_ms")?),
        expired: item.maybe_number("expired_ms")?.map(UnixMs),
        is_cancelled: item.has("is_cancelled"),
        look_after: UnixMs(item.number("look_after_ms")?),
        reading: item.maybe_json(READING)?,
        max_body_bytes: item.maybe_number(MAX_BODY_BYTES)?,
    };
    let (pages, version) = (item.maybe_number("pages")?, item.number(VERSION)?);
    Ok(KnownBatch { record, pages, version, alone })
}
