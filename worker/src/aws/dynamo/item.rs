//! A ledger record as an item of the table, and back. What a job does not have, its item does not
//! have either, and whole items stay below the kilobyte that one write unit pays for.
//!
//! Debts are attributes: `callback_pending` and `dead_letter_pending` are there while something is
//! owed, so that the update which pays one can tell by the other whether it was the last. The
//! latter says until when the letter alone keeps the item.

use aws_sdk_dynamodb::types::AttributeValue;
use data_encoding::HEXLOWER_PERMISSIVE;
use serde_json::Value;

use super::{
    attributes::{
        ATTENTION, ATTENTION_MS, CALLBACK_DUE_MS, CALLBACK_FAILING_SINCE_MS,
        CALLBACK_REFUSED_SINCE_MS, Item, KEPT_UNTIL_S, PK, RECORD_EXPIRES_S, Reader, bytes, json,
        number, shard_of, text,
    },
    failure::malformed,
    places::StoredPlaces,
};
use crate::{
    clock::UnixMs,
    fan_in::BatchKey,
    job::{Callback, JobKey, PayloadHash},
    lease::{
        CallbackSlot, CallbackState, DeadLetterState, LedgerError, OwnerToken, Record, State, Usage,
    },
};

pub(super) const STATE: &str = "job_state";
const TOKEN: &str = "owner_token";
const EPOCH: &str = "epoch";
pub(super) const VERSION: &str = "version";

const JOB: &str = "job";
const METADATA: &str = "metadata";
const AWAITED: &str = "awaited";
const LEASE_ENDS_MS: &str = "lease_ends_ms";
const CALLBACK_PENDING: &str = "callback_pending";
const CALLBACK_END: &str = "callback_end";
const DEAD_LETTER_PENDING: &str = "dead_letter_pending";
const DEAD_LETTER_SENT: &str = "dead_letter_sent";
const EXPIRES_MS: &str = "expires_ms";

/// A job's record and what the table keeps beside it.
#[derive(Debug)]
pub(super) struct Known {
    /// The record.
    pub(super) record: Record,
    /// Another one after each write.
    pub(super) version: u64,
    /// Its places in batches.
    pub(super) stored: StoredPlaces,
}

/// The hash key of a job's item.
pub(super) fn pk(key: JobKey) -> String {
    format!("job#{key}")
}

/// The item of a record, but for its result, its version and its places.
pub(super) fn of_record(record: &Record) -> Result<Item, LedgerError> {
    let mut item = Item::with_capacity(28);
    let mut put = |name: &str, value| {
        item.insert(name.to_owned(), value);
    };
    put(PK, text(pk(record.key)));
    put(JOB, text(record.job_id.as_str()));
    put("namespace", text(record.namespace.as_str()));
    put("tool", text(record.tool.as_str()));
    put(STATE, text(record.state.name()));
    put(TOKEN, bytes(*record.token.as_bytes()));
    put(EPOCH, number(record.epoch));
    put("attempts", number(record.attempts));
    put("first_seen_ms", number(record.first_seen.0));
    put("claimed_ms", number(record.claimed.0));
    put("settled_ms", number(record.settled.0));
    put(EXPIRES_MS, number(record.expires.0));
    put_ttl(record, &mut put);
    if let Some(tenant) = &record.tenant {
        put("tenant", text(tenant.as_str()));
    }
    if let Some(hash) = &record.payload_hash {
        put("payload_hash", bytes(*hash.as_bytes()));
    }
    if record.usage != Usage::free() {
        put("usage", json(&record.usage)?);
    }
    match &record.metadata {
        Some(metadata) => put(METADATA, text(metadata.to_string())),
        // Metadata and callback are only there for somebody.
        None if record.is_awaited && record.callback.is_none() => {
            put(AWAITED, AttributeValue::Bool(true));
        }
        None => {}
    }
    if let Some(deferred) = record.deferred {
        put("deferred_ms", number(deferred.0));
    }
    if let Some((what, from)) = record.attention().filter(|_| !is_left_to_its_message(record)) {
        put(ATTENTION, text(shard_of(what, record.key.as_bytes())));
        put(ATTENTION_MS, number(from.0));
    }
    if !record.past.is_empty() {
        put("past", json(&record.past)?);
    }
    if record.offline {
        put("offline", AttributeValue::Bool(true));
    }
    match &record.state {
        State::Running { lease_ends, .. } => put(LEASE_ENDS_MS, number(lease_ends.0)),
        State::Failed(error) | State::Held(error) | State::Retry(Some(error)) => {
            put("error", json(error)?);
        }
        State::Done(_) | State::Retry(None) | State::Cancelled => {}
    }
    put_debts(record, put);
    Ok(item)
}

/// A callback that was not deferred yet stands in no index: its message is there, and the index would
/// cost each job two write units more.
fn is_left_to_its_message(record: &Record) -> bool {
    record.owes_callback() && record.deferred.is_none()
}

fn put_debts(record: &Record, mut put: impl FnMut(&str, AttributeValue)) {
    if let Some(slot) = &record.callback {
        put("callback_url", text(slot.callback.expose_url()));
        match slot.state {
            CallbackState::Pending => put(CALLBACK_PENDING, AttributeValue::Bool(true)),
            over => put(CALLBACK_END, text(over.name())),
        }
        if slot.failures > 0 {
            put("callback_failures", number(slot.failures));
        }
        if let Some(since) = slot.failing_since {
            put(CALLBACK_FAILING_SINCE_MS, number(since.0));
        }
        if slot.refusals > 0 {
            put("callback_refusals", number(slot.refusals));
        }
        if let Some(since) = slot.refused_since {
            put(CALLBACK_REFUSED_SINCE_MS, number(since.0));
        }
        if slot.may_have_arrived {
            put("callback_maybe", AttributeValue::Bool(true));
        }
        if let Some(due) = slot.due {
            put(CALLBACK_DUE_MS, number(due.0));
        }
    }
    match record.dead_letter {
        DeadLetterState::None => {}
        DeadLetterState::Pending => {
            put(DEAD_LETTER_PENDING, number(letter_kept_until_s(record)));
        }
        DeadLetterState::Sent => put(DEAD_LETTER_SENT, AttributeValue::Bool(true)),
    }
}

/// What is owed to a callback, or waits for a person, is not deleted: its end stands where DynamoDB
/// does not look. A dead letter that is left to the queue is never told to be there, so it keeps its
/// item for a while only.
fn put_ttl(record: &Record, mut put: impl FnMut(&str, AttributeValue)) {
    let kept_until = number(kept_until_s(record));
    match record.dead_letter {
        _ if matches!(record.state, State::Held(_)) || record.owes_callback() => {
            put(KEPT_UNTIL_S, kept_until);
        }
        DeadLetterState::Pending => {
            put(KEPT_UNTIL_S, kept_until);
            put(RECORD_EXPIRES_S, number(letter_kept_until_s(record)));
        }
        DeadLetterState::None | DeadLetterState::Sent => put(RECORD_EXPIRES_S, kept_until),
    }
}

/// A record's life after the record itself would have ended: longer than any queue keeps a message.
fn letter_kept_until_s(record: &Record) -> i64 {
    kept_until_s(record)
        .saturating_add(record.expires.since(record.claimed).as_secs().cast_signed())
}

/// The first whole second at which nobody needs the record any more.
fn kept_until_s(record: &Record) -> i64 {
    let ends = match record.state {
        State::Running { lease_ends, .. } => lease_ends.max(record.expires),
        _ => record.expires,
    };
    UnixMs(ends.0.saturating_add(999)).seconds()
}

/// A record as it was stored, with `result` for that of a job that is done.
pub(super) fn to_known(item: &mut Reader, result: Option<Value>) -> Result<Known, LedgerError> {
    let pk = item.text(PK)?;
    let stored = StoredPlaces::take(item)?;
    let (callback, metadata) = (callback(item)?, item.maybe_json(METADATA)?);
    let record = Record {
        key: key_of(&pk).ok_or_else(|| malformed(PK, "job# and 64 hexadecimal digits"))?,
        namespace: item.parsed("namespace")?,
        job_id: item.parsed(JOB)?,
        tool: item.parsed("tool")?,
        tenant: item.has("tenant").then(|| item.parsed("tenant")).transpose()?,
        payload_hash: item.maybe_array("payload_hash")?.map(PayloadHash::from_bytes),
        state: state(item, result)?,
        token: OwnerToken::from_bytes(item.array(TOKEN)?),
        epoch: item.number(EPOCH)?,
        attempts: item.number("attempts")?,
        usage: item.maybe_json("usage")?.unwrap_or_default(),
        is_awaited: item.has(AWAITED)
            || callback.is_some()
            || metadata.is_some()
            || !stored.places.is_empty(),
        callback,
        metadata,
        dead_letter: match () {
            () if item.has(DEAD_LETTER_PENDING) => DeadLetterState::Pending,
            () if item.has(DEAD_LETTER_SENT) => DeadLetterState::Sent,
            () => DeadLetterState::None,
        },
        offline: item.has("offline"),
        first_seen: UnixMs(item.number("first_seen_ms")?),
        claimed: UnixMs(item.number("claimed_ms")?),
        settled: UnixMs(item.number("settled_ms")?),
        expires: UnixMs(item.number(EXPIRES_MS)?),
        deferred: item.maybe_number("deferred_ms")?.map(UnixMs),
        past: item.maybe_json("past")?.unwrap_or_default(),
    };
    Ok(Known { record, version: item.number(VERSION)?, stored })
}

fn state(item: &mut Reader, result: Option<Value>) -> Result<State, LedgerError> {
    let name = item.text(STATE)?;
    let error = item.maybe_json("error")?;
    let reason = || malformed("error", "why the job is not done");
    let mut lease_ends = || item.number(LEASE_ENDS_MS).map(UnixMs);
    Ok(match name.as_str() {
        "running" => State::Running { lease_ends: lease_ends()?, alone: false },
        "running_alone" => State::Running { lease_ends: lease_ends()?, alone: true },
        "retry" => State::Retry(error),
        "done" => State::Done(result.ok_or_else(|| malformed("result", "one"))?),
        "failed" => State::Failed(error.ok_or_else(reason)?),
        "held" => State::Held(error.ok_or_else(reason)?),
        "cancelled" => State::Cancelled,
        _ => return Err(malformed(STATE, "a state's name")),
    })
}

fn callback(item: &mut Reader) -> Result<Option<CallbackSlot>, LedgerError> {
    let Some(url) = item.maybe_text("callback_url")? else { return Ok(None) };
    let callback = Callback::from_url(url).map_err(|_| malformed("callback_url", "a URL"))?;
    let state = match item.maybe_text(CALLBACK_END)?.as_deref() {
        None => CallbackState::Pending,
        Some(end) => CallbackState::from_name(end)
            .ok_or_else(|| malformed(CALLBACK_END, "sent, or why it is dead"))?,
    };
    Ok(Some(CallbackSlot {
        callback,
        state,
        failures: item.maybe_number("callback_failures")?.unwrap_or(0),
        failing_since: item.maybe_number(CALLBACK_FAILING_SINCE_MS)?.map(UnixMs),
        refusals: item.maybe_number("callback_refusals")?.unwrap_or(0),
        refused_since: item.maybe_number(CALLBACK_REFUSED_SINCE_MS)?.map(UnixMs),
        may_have_arrived: item.has("callback_maybe"),
        due: item.maybe_number(CALLBACK_DUE_MS)?.map(UnixMs),
    }))
}

/// A text of an item; an empty one, if it has none of that name.
pub(super) fn text_of(item: &Item, name: &str) -> String {
    item.get(name).and_then(|value| value.as_s().ok()).cloned().unwrap_or_default()
}

/// The key in a job's hash key.
pub(super) fn key_of(pk: &str) -> Option<JobKey> {
    digest(pk.strip_prefix("job#")?).map(JobKey::from_bytes)
}

/// The key in a batch's hash key.
pub(super) fn batch_of(pk: &str) -> Option<BatchKey> {
    digest(pk.strip_prefix("batch#")?).map(BatchKey::from_bytes)
}

pub(super) fn digest(digits: &str) -> Option<[u8; 32]> {
    HEXLOWER_PERMISSIVE.decode(digits.as_bytes()).ok()?.try_into().ok()
}
