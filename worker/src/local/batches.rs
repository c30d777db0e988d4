//! Batches that are counted, in the tables `batches` and `batch_members`. Every function runs in
//! the transaction of the transition it belongs to.

use rusqlite::{Connection, OptionalExtension, Row, ToSql};
use serde_json::json;

use super::record_row::{self, callback_slot, malformed, maybe_json, parsed};
use crate::{
    clock::UnixMs,
    error::JobError,
    fan_in::{
        BatchKey, BatchMark, BatchRecord, CancelRefusal, CloseRefusal, Holder, Member, MemberKind,
        Places, Rejection, Taking,
    },
    job::{JobKey, Membership, Namespace},
    lease::ClaimRequest,
};

/// Lets a job join its batch, which was read as `old`; the inner error says why it has no place
/// there.
pub(super) fn join(
    connection: &Connection,
    old: Option<BatchRecord>,
    request: &ClaimRequest,
    membership: &Membership,
) -> rusqlite::Result<Result<(), JobError>> {
    let (job, now) = (request.key, request.now);
    let key = BatchKey::of(&request.namespace, membership.id());
    let places = places(connection, key, membership.index())?;
    let batch = match BatchRecord::join(old, places, job, membership, now) {
        Ok(batch) => batch,
        Err(refused) => return Ok(Err(refused)),
    };
    save(connection, key, &batch)?;
    connection
        .prepare_cached(
            "INSERT OR IGNORE INTO batch_members (batch, place, job, is_counted)
             VALUES (?1, ?2, ?3, 0)",
        )?
        .execute((key.as_bytes(), place(membership.index()), job.as_bytes()))?;
    Ok(Ok(()))
}

/// Counts a job that cannot become a run, if its batch has a place for it.
pub(super) fn reject(
    connection: &Connection,
    namespace: &Namespace,
    membership: &Membership,
    rejection: &Rejection,
) -> rusqlite::Result<()> {
    let key = BatchKey::of(namespace, membership.id());
    let places = places(connection, key, membership.index())?;
    let old = load(connection, key)?;
    let Some(batch) = BatchRecord::reject(old, places, membership, rejection.rejected) else {
        return Ok(());
    };
    let batch = batch.due_if_complete(rejection.rejected);
    save(connection, key, &batch)?;
    connection
        .prepare_cached(
            "INSERT INTO batch_members (batch, place, job, is_counted, rejection)
             VALUES (?1, ?2, x'', 1, ?3)",
        )?
        .execute((key.as_bytes(), place(membership.index()), rejection.to_json().to_string()))
        .map(|_| ())
}

/// Counts a job that has ended, once in each batch it is a member of and that is still open.
pub(super) fn count(connection: &Connection, job: JobKey) -> rusqlite::Result<()> {
    let batches = connection
        .prepare_cached(
            "UPDATE batch_members
             SET is_counted = 1 + coalesce(
                 (SELECT json_array_length(past) FROM jobs WHERE key = ?1), 0)
             WHERE job = ?1 AND is_counted = 0
               AND (SELECT expired_ms FROM batches WHERE key = batch) IS NULL
             RETURNING batch",
        )?
        .query_map([job.as_bytes()], |row| row.get(0))?
        .collect::<rusqlite::Result<Vec<[u8; 32]>>>()?;
    for batch in batches {
        connection
            .prepare_cached("UPDATE batches SET counted = counted + 1 WHERE key = ?1")?
            .execute([batch])?;
    }
    Ok(())
}

/// Tells a batch its size.
pub(super) fn close(
    connection: &Connection,
    key: BatchKey,
    size: u64,
    now: UnixMs,
) -> rusqlite::Result<Result<BatchRecord, CloseRefusal>> {
    let highest = highest(connection, key)?;
    let closed = BatchRecord::close(load(connection, key)?, size, highest, now);
    if let Ok(batch) = &closed {
        save(connection, key, batch)?;
    }
    Ok(closed)
}

/// Cancels what of a batch has not started.
pub(super) fn cancel(
    connection: &Connection,
    key: BatchKey,
) -> rusqlite::Result<Result<BatchRecord, CancelRefusal>> {
    let cancelled = BatchRecord::cancel(load(connection, key)?);
    if let Ok(batch) = &cancelled {
        save(connection, key, batch)?;
    }
    Ok(cancelled)
}

pub(super) fn load(
    connection: &Connection,
    key: BatchKey,
) -> rusqlite::Result<Option<BatchRecord>> {
    connection
        .prepare_cached("SELECT * FROM batches WHERE key = ?1")?
        .query_row([key.as_bytes()], record)
        .optional()
}

/// Takes the delivery of a batch's callback, if it is due.
pub(super) fn take(
    connection: &Connection,
    key: BatchKey,
    taking: Taking,
) -> rusqlite::Result<Option<BatchRecord>> {
    let taken = load(connection, key)?.and_then(|batch| batch.take(taking));
    if let Some(batch) = &taken {
        save(connection, key, batch)?;
    }
    Ok(taken)
}

/// Makes a batch's callback due again.
pub(super) fn renew(
    connection: &Connection,
    key: BatchKey,
    now: UnixMs,
) -> rusqlite::Result<Option<BatchRecord>> {
    let renewed = load(connection, key)?.and_then(|batch| batch.renew(now));
    if let Some(batch) = &renewed {
        save(connection, key, batch)?;
    }
    Ok(renewed)
}

/// The members from index `from` on, in order.
pub(super) fn members(
    connection: &Connection,
    key: BatchKey,
    from: u64,
    limit: usize,
) -> rusqlite::Result<Vec<Member>> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut statement = connection.prepare_cached(
        "SELECT place, job, is_counted, rejection FROM batch_members
         WHERE batch = ?1 AND place >= ?2 ORDER BY place LIMIT ?3",
    )?;
    let mut rows = statement.query((key.as_bytes(), place(from), limit))?;
    let mut members = Vec::new();
    while let Some(row) = rows.next()? {
        let index = row.get::<_, i64>("place")?.cast_unsigned();
        let end = row.get::<_, u32>("is_counted")?.checked_sub(1);
        let (is_counted, end) = (end.is_some(), end.unwrap_or_default());
        let kind = member_kind(connection, row)?;
        members.extend(kind.map(|kind| Member { index, is_counted, end, kind }));
    }
    Ok(members)
}

fn member_kind(connection: &Connection, row: &Row<'_>) -> rusqlite::Result<Option<MemberKind>> {
    if let Some(stored) = maybe_json(row, "rejection")? {
        let rejection = Rejection::from_json(stored);
        let rejection = rejection.ok_or_else(|| malformed("rejection", "a rejection"))?;
        return Ok(Some(MemberKind::Rejected(Box::new(rejection))));
    }
    let record = record_row::load(connection, JobKey::from_bytes(row.get("job")?))?;
    Ok(record.map(|record| MemberKind::Job(Box::new(record))))
}

/// Notes what became of a delivery of the batch's callback.
pub(super) fn mark(
    connection: &Connection,
    key: BatchKey,
    mark: BatchMark,
    now: UnixMs,
) -> rusqlite::Result<()> {
    let Some(mut batch) = load(connection, key)? else { return Ok(()) };
    batch.note(mark, now);
    save(connection, key, &batch)
}

fn places(connection: &Connection, key: BatchKey, index: u64) -> rusqlite::Result<Places> {
    let holder = connection
        .prepare_cached("SELECT job, rejection FROM batch_members WHERE batch = ?1 AND place = ?2")?
        .query_row((key.as_bytes(), place(index)), |row| {
            Ok(match row.get::<_, Option<String>>("rejection")? {
                Some(_) => Holder::Rejected,
                None => Holder::Job(JobKey::from_bytes(row.get("job")?)),
            })
        })
        .optional()?;
    Ok(Places { holder, highest: highest(connection, key)? })
}

fn highest(connection: &Connection, key: BatchKey) -> rusqlite::Result<Option<u64>> {
    let highest: Option<i64> = connection
        .prepare_cached("SELECT max(place) FROM batch_members WHERE batch = ?1")?
        .query_row([key.as_bytes()], |row| row.get(0))?;
    Ok(highest.map(i64::cast_unsigned))
}

fn save(connection: &Connection, key: BatchKey, batch: &BatchRecord) -> rusqlite::Result<()> {
    let slot = &batch.callback;
    let attention = batch.attention();
    let values: [&dyn ToSql; 22] = [
        key.as_bytes(),
        &batch.id.as_str(),
        &batch.size.map(place),
        &place(batch.counted),
        &slot.callback.expose_url(),
        &slot.state.name(),
        &slot.failures,
        &slot.refusals,
        &slot.may_have_arrived,
        &batch.delivery_ends.0,
        &batch.opened.0,
        &batch.expires.0,
        &batch.expired.map(|moment| moment.0),
        &batch.is_cancelled,
        &batch.look_after.0,
        &attention.map(|(what, _)| what.as_str()),
        &attention.map(|(_, from)| from.0),
        &slot.failing_since.map(|moment| moment.0),
        &slot.refused_since.map(|moment| moment.0),
        &batch.reading.as_ref().map(|reading| json!(reading).to_string()),
        &slot.due.map(|moment| moment.0),
        &batch.max_body_bytes.map(place),
    ];
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO batches (key, batch_id, size, counted, callback_url,
                 callback_state, callback_failures, callback_refusals, callback_maybe,
                 delivery_ends_ms, opened_ms, batch_expires_ms, expired_ms, is_cancelled,
                 look_after_ms, attention, attention_ms, callback_failing_since_ms,
                 callback_refused_since_ms, reading, callback_due_ms, max_body_bytes)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17,
                 ?18, ?19, ?20, ?21, ?22)",
        )?
        .execute(values.as_slice())
        .map(|_| ())
}

fn record(row: &Row<'_>) -> rusqlite::Result<BatchRecord> {
    let missing = || rusqlite::Error::InvalidColumnName("callback_url".to_owned());
    Ok(BatchRecord {
        id: parsed(row, "batch_id")?,
        size: row.get::<_, Option<i64>>("size")?.map(i64::cast_unsigned),
        counted: row.get::<_, i64>("counted")?.cast_unsigned(),
        callback: callback_slot(row)?.ok_or_else(missing)?,
        delivery_ends: UnixMs(row.get("delivery_ends_ms")?),
        opened: UnixMs(row.get("opened_ms")?),
        expires: UnixMs(row.get("batch_expires_ms")?),
        expired: row.get::<_, Option<i64>>("expired_ms")?.map(UnixMs),
        is_cancelled: row.get("is_cancelled")?,
        look_after: UnixMs(row.get("look_after_ms")?),
        reading: maybe_json(row, "reading")?,
        max_body_bytes: row.get::<_, Option<i64>>("max_body_bytes")?.map(i64::cast_unsigned),
    })
}

/// SQLite's integers have a sign; a batch has a million places at most.
fn place(index: u64) -> i64 {
    index.cast_signed()
}
