//! Batches that are counted, in the tables `batches` and `batch_members`. Every function runs in
//! the transaction of the transition it belongs to.

use rusqlite::{Connection, OptionalExtension, Row};

use super::record_row::{self, callback_slot, parsed};
use crate::{
    clock::UnixMs,
    error::JobError,
    fan_in::{BatchKey, BatchRecord, Member, Places},
    job::JobKey,
    lease::{ClaimRequest, Delivery},
};

/// Lets a job join its batch, if it has one; the inner error says why it has no place there.
pub(super) fn join(
    connection: &Connection,
    request: &ClaimRequest,
) -> rusqlite::Result<Result<(), JobError>> {
    let Some(membership) = &request.membership else { return Ok(Ok(())) };
    let (job, now) = (request.key, request.now);
    let key = BatchKey::of(&request.namespace, membership.id());
    let places = places(connection, key, membership.index())?;
    let batch = match BatchRecord::join(load(connection, key)?, places, job, membership, now) {
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

/// Counts a job that has ended, once in each batch it is a member of.
pub(super) fn count(connection: &Connection, job: JobKey) -> rusqlite::Result<()> {
    let batches = connection
        .prepare_cached(
            "UPDATE batch_members SET is_counted = 1 WHERE job = ?1 AND is_counted = 0
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
    now: UnixMs,
    until: UnixMs,
) -> rusqlite::Result<Option<BatchRecord>> {
    let taken = load(connection, key)?.and_then(|batch| batch.take(now, until));
    if let Some(batch) = &taken {
        save(connection, key, batch)?;
    }
    Ok(taken)
}

/// The counted members from index `from` on, in order.
pub(super) fn members(
    connection: &Connection,
    key: BatchKey,
    from: u64,
    limit: usize,
) -> rusqlite::Result<Vec<Member>> {
    let places = connection
        .prepare_cached(
            "SELECT place, job FROM batch_members
             WHERE batch = ?1 AND place >= ?2 AND is_counted = 1 ORDER BY place LIMIT ?3",
        )?
        .query_map(
            (key.as_bytes(), place(from), i64::try_from(limit).unwrap_or(i64::MAX)),
            |row| Ok((row.get::<_, i64>(0)?, row.get::<_, [u8; 32]>(1)?)),
        )?
        .collect::<rusqlite::Result<Vec<_>>>()?;
    let mut members = Vec::with_capacity(places.len());
    for (place, job) in places {
        if let Some(record) = record_row::load(connection, JobKey::from_bytes(job))? {
            members.push(Member { index: place.cast_unsigned(), record });
        }
    }
    Ok(members)
}

/// Notes what became of a delivery of the batch's callback.
pub(super) fn mark(
    connection: &Connection,
    key: BatchKey,
    delivery: Delivery,
) -> rusqlite::Result<()> {
    let Some(mut batch) = load(connection, key)? else { return Ok(()) };
    batch.note(delivery);
    save(connection, key, &batch)
}

fn places(connection: &Connection, key: BatchKey, index: u64) -> rusqlite::Result<Places> {
    let holder: Option<[u8; 32]> = connection
        .prepare_cached("SELECT job FROM batch_members WHERE batch = ?1 AND place = ?2")?
        .query_row((key.as_bytes(), place(index)), |row| row.get(0))
        .optional()?;
    let highest: Option<i64> = connection
        .prepare_cached("SELECT max(place) FROM batch_members WHERE batch = ?1")?
        .query_row([key.as_bytes()], |row| row.get(0))?;
    Ok(Places { holder: holder.map(JobKey::from_bytes), highest: highest.map(i64::cast_unsigned) })
}

fn save(connection: &Connection, key: BatchKey, batch: &BatchRecord) -> rusqlite::Result<()> {
    let slot = &batch.callback;
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO batches (key, batch_id, size, counted, callback_url,
                 callback_state, callback_failures, callback_refusals, callback_maybe,
                 delivery_ends_ms, opened_ms, batch_expires_ms)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
        )?
        .execute((
            key.as_bytes(),
            batch.id.as_str(),
            batch.size.map(place),
            place(batch.counted),
            slot.callback.expose_url(),
            slot.state.name(),
            slot.failures,
            slot.refusals,
            slot.may_have_arrived,
            batch.delivery_ends.0,
            batch.opened.0,
            batch.expires.0,
        ))
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
    })
}

/// SQLite's integers have a sign; a batch has a million places at most.
fn place(index: u64) -> i64 {
    index.cast_signed()
}
