//! What needs attention, found by the partial indexes of `jobs` and `batches`.

use rusqlite::Connection;

use super::{batches, record_row};
use crate::{
    clock::UnixMs,
    fan_in::BatchKey,
    job::JobKey,
    lease::{Attention, Found},
};

const JOBS: &str = "SELECT key FROM jobs
     WHERE attention IS NOT NULL AND attention = ?1 AND attention_ms <= ?2
     ORDER BY attention_ms LIMIT ?3";

const BATCHES: &str = "SELECT key FROM batches
     WHERE attention IS NOT NULL AND attention = ?1 AND attention_ms <= ?2
     ORDER BY attention_ms LIMIT ?3";

/// Up to `limit` of what needs it and is due, the earliest first.
pub(super) fn find(
    connection: &Connection,
    what: Attention,
    now: UnixMs,
    limit: usize,
) -> rusqlite::Result<Vec<Found>> {
    let query = if what.is_of_batch() { BATCHES } else { JOBS };
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let keys = connection
        .prepare_cached(query)?
        .query_map((what.as_str(), now.0, limit), |row| row.get(0))?
        .collect::<rusqlite::Result<Vec<[u8; 32]>>>()?;
    let mut found = Vec::with_capacity(keys.len());
    for key in keys {
        found.extend(match what.is_of_batch() {
            true => {
                let key = BatchKey::from_bytes(key);
                batches::load(connection, key)?.map(|batch| Found::Batch(key, Box::new(batch)))
            }
            false => record_row::load(connection, JobKey::from_bytes(key))?
                .map(|record| Found::Job(Box::new(record))),
        });
    }
    Ok(found)
}
