//! A ledger record as a row of the table `jobs`, and back.

use rusqlite::{
    Connection, OptionalExtension, Row, ToSql,
    types::{FromSql, Type},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::{
    clock::UnixMs,
    error::{ErrorClass, JobError},
    job::{Callback, JobKey, PayloadHash, Tenant},
    lease::{CallbackSlot, CallbackState, OwnerToken, Record, State},
};

const COLUMNS: &str = "key, namespace, job_id, tool, tenant, payload_hash, state, token, epoch, \
     attempts, lease_ends_ms, result, error, usage, offline, callback_url, callback_state, \
     callback_failures, callback_refusals, callback_maybe, dead_letter, first_seen_ms, claimed_ms, \
     settled_ms, record_expires_ms, metadata, deferred_ms, callback_failing_since_ms, \
     callback_refused_since_ms, past, is_awaited, callback_due_ms";

/// The record under `key`, if there is one.
pub(super) fn load(connection: &Connection, key: JobKey) -> rusqlite::Result<Option<Record>> {
    connection
        .prepare_cached(&format!("SELECT {COLUMNS} FROM jobs WHERE key = ?1"))?
        .query_row([key.as_bytes()], record)
        .optional()
}

/// Writes the record in place of the one under its key.
pub(super) fn save(connection: &Connection, record: &Record, worker: &str) -> rusqlite::Result<()> {
    let (lease_ends, result, error) = match &record.state {
        State::Running { lease_ends, .. } => (Some(lease_ends.0), None, None),
        State::Done(result) => (None, Some(result.to_string()), None),
        State::Failed(error) | State::Held(error) | State::Retry(Some(error)) => {
            (None, None, Some(json(error)?))
        }
        State::Retry(None) | State::Cancelled => (None, None, None),
    };
    let slot = record.callback.as_ref();
    let attention = record.attention();
    let past = match record.past.is_empty() {
        true => None,
        false => Some(json(&record.past)?),
    };
    let values: [&dyn ToSql; 35] = [
        record.key.as_bytes(),
        &record.namespace.as_str(),
        &record.job_id.as_str(),
        &record.tool.as_str(),
        &record.tenant.as_ref().map(Tenant::as_str),
        &record.payload_hash.as_ref().map(PayloadHash::as_bytes),
        &record.state.name(),
        record.token.as_bytes(),
        &record.epoch.cast_signed(),
        &record.attempts,
        &lease_ends,
        &result,
        &error,
        &json(&record.usage)?,
        &record.offline,
        &slot.map(|slot| slot.callback.expose_url()),
        &slot.map(|slot| slot.state.name()),
        &slot.map(|slot| slot.failures),
        &slot.map_or(0, |slot| slot.refusals),
        &slot.is_some_and(|slot| slot.may_have_arrived),
        &word(&record.dead_letter)?,
        &record.first_seen.0,
        &record.claimed.0,
        &record.settled.0,
        &record.expires.0,
        &record.metadata.as_ref().map(Value::to_string),
        &record.deferred.map(|moment| moment.0),
        &slot.and_then(|slot| slot.failing_since).map(|moment| moment.0),
        &slot.and_then(|slot| slot.refused_since).map(|moment| moment.0),
        &past,
        &record.is_awaited,
        &slot.and_then(|slot| slot.due).map(|moment| moment.0),
        &lease_ends.map(|_| worker),
        &attention.map(|(what, _)| what.as_str()),
        &attention.map(|(_, from)| from.0),
    ];
    let marks = (1..=values.len()).map(|n| format!("?{n}")).collect::<Vec<_>>().join(", ");
    connection
        .prepare_cached(&format!(
            "INSERT OR REPLACE INTO jobs ({COLUMNS}, worker, attention, attention_ms) VALUES ({marks})"
        ))?
        .execute(values.as_slice())?;
    Ok(())
}

fn record(row: &Row<'_>) -> rusqlite::Result<Record> {
    Ok(Record {
        key: JobKey::from_bytes(row.get("key")?),
        namespace: parsed(row, "namespace")?,
        job_id: parsed(row, "job_id")?,
        tool: parsed(row, "tool")?,
        tenant: row.get::<_, Option<String>>("tenant")?.and_then(|text| text.parse().ok()),
        payload_hash: row.get::<_, Option<_>>("payload_hash")?.map(PayloadHash::from_bytes),
        state: state(row)?,
        token: OwnerToken::from_bytes(row.get("token")?),
        epoch: row.get::<_, i64>("epoch")?.cast_unsigned(),
        attempts: row.get("attempts")?,
        usage: from_json(row, "usage")?,
        callback: callback_slot(row)?,
        dead_letter: from_word(row, "dead_letter")?,
        offline: row.get("offline")?,
        first_seen: moment(row, "first_seen_ms")?,
        claimed: moment(row, "claimed_ms")?,
        settled: moment(row, "settled_ms")?,
        expires: moment(row, "record_expires_ms")?,
        metadata: maybe_json(row, "metadata")?,
        is_awaited: row.get("is_awaited")?,
        deferred: maybe_moment(row, "deferred_ms")?,
        past: match row.get::<_, Option<String>>("past")? {
            None => Vec::new(),
            Some(_) => from_json(row, "past")?,
        },
    })
}

fn state(row: &Row<'_>) -> rusqlite::Result<State> {
    Ok(match row.get::<_, String>("state")?.as_str() {
        "running" => State::Running { lease_ends: moment(row, "lease_ends_ms")?, alone: false },
        "running_alone" => {
            State::Running { lease_ends: moment(row, "lease_ends_ms")?, alone: true }
        }
        "done" => State::Done(from_json::<Value>(row, "result")?),
        "failed" => State::Failed(error(row)?),
        "held" => State::Held(error(row)?),
        "cancelled" => State::Cancelled,
        _ => State::Retry(match row.get::<_, Option<String>>("error")? {
            Some(_) => Some(error(row)?),
            None => None,
        }),
    })
}

fn error(row: &Row<'_>) -> rusqlite::Result<JobError> {
    let missing = || JobError::new(ErrorClass::Transient, "unknown", "no reason was stored");
    Ok(from_json::<Option<JobError>>(row, "error")?.unwrap_or_else(missing))
}

pub(super) fn callback_slot(row: &Row<'_>) -> rusqlite::Result<Option<CallbackSlot>> {
    let Some(url) = row.get::<_, Option<String>>("callback_url")? else { return Ok(None) };
    let callback = Callback::from_url(url).map_err(|found| malformed("callback_url", found))?;
    let state = CallbackState::from_name(row.get_ref("callback_state")?.as_str()?)
        .ok_or_else(|| malformed("callback_state", "no state of a callback"))?;
    Ok(Some(CallbackSlot {
        callback,
        state,
        failures: row.get("callback_failures")?,
        failing_since: maybe_moment(row, "callback_failing_since_ms")?,
        refusals: row.get("callback_refusals")?,
        refused_since: maybe_moment(row, "callback_refused_since_ms")?,
        may_have_arrived: row.get("callback_maybe")?,
        due: maybe_moment(row, "callback_due_ms")?,
    }))
}

fn maybe_moment(row: &Row<'_>, column: &str) -> rusqlite::Result<Option<UnixMs>> {
    Ok(row.get::<_, Option<i64>>(column)?.map(UnixMs))
}

pub(super) fn moment(row: &Row<'_>, column: &str) -> rusqlite::Result<UnixMs> {
    row.get(column).map(UnixMs)
}

pub(super) fn parsed<T: std::str::FromStr<Err = String>>(
    row: &Row<'_>,
    column: &str,
) -> rusqlite::Result<T> {
    row.get::<_, String>(column)?.parse().map_err(|error: String| malformed(column, error))
}

fn json<T: Serialize>(value: &T) -> rusqlite::Result<String> {
    serde_json::to_string(value)
        .map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))
}

pub(super) fn from_json<T: DeserializeOwned>(row: &Row<'_>, column: &str) -> rusqlite::Result<T> {
    let text: String = row.get(column)?;
    serde_json::from_str(&text).map_err(|error| malformed(column, error.to_string()))
}

pub(super) fn maybe_json<T: DeserializeOwned>(
    row: &Row<'_>,
    column: &str,
) -> rusqlite::Result<Option<T>> {
    match row.get::<_, Option<String>>(column)? {
        None => Ok(None),
        Some(_) => from_json(row, column).map(Some),
    }
}

/// A fieldless enum as the plain word that a person who opens the file reads.
fn word<T: Serialize>(value: &T) -> rusqlite::Result<String> {
    Ok(json(value)?.trim_matches('"').to_owned())
}

fn from_word<T: DeserializeOwned>(row: &Row<'_>, column: &str) -> rusqlite::Result<T> {
    let text: String = String::column_result(row.get_ref(column)?)
        .map_err(|error| malformed(column, error.to_string()))?;
    serde_json::from_value(Value::String(text))
        .map_err(|error| malformed(column, error.to_string()))
}

pub(super) fn malformed(column: &str, error: impl Into<String>) -> rusqlite::Error {
    let what = format!("column {column} of table jobs: {}", error.into());
    rusqlite::Error::FromSqlConversionFailure(0, Type::Text, what.into())
}
