//! What has outlived its time is deleted, a little at a time, so that the file stays bounded and no
//! writer waits long. Held jobs, pending hand-offs and the jobs of batches that are not told yet have
//! no end.

use std::time::Duration;

use rusqlite::Connection;

use crate::clock::UnixMs;

/// Rows of a kind that are deleted at once.
const AT_ONCE: u32 = 200;

/// The pause when there is no more to prune.
const EVERY: Duration = Duration::from_secs(60);

/// The pause when there is.
const MORE: Duration = Duration::from_millis(50);

/// How long dead letters are kept, as on AWS.
const DEAD_LETTERS_LIVE_MS: i64 = 14 * 24 * 3600 * 1000;

/// Free pages that are given back to the system at once.
const VACUUM: &str = "PRAGMA incremental_vacuum(2000)";

/// Prunes if it is due; answers when it is due next.
pub(super) fn when_due(connection: &Connection, due: UnixMs, now: UnixMs) -> UnixMs {
    if now < due {
        return due;
    }
    match prune(connection, now) {
        Ok(0) => now.plus(EVERY),
        Ok(pruned) => {
            if let Err(error) = vacuum(connection) {
                tracing::warn!(%error, "free pages could not be given back");
            }
            now.plus(if pruned >= AT_ONCE as usize { MORE } else { EVERY })
        }
        Err(error) => {
            tracing::warn!(%error, "the ledger could not be pruned");
            now.plus(EVERY)
        }
    }
}

/// Each step of the statement gives back a single page.
fn vacuum(connection: &Connection) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached(VACUUM)?;
    let mut pages = statement.query(())?;
    while pages.next()?.is_some() {}
    Ok(())
}

fn prune(connection: &Connection, now: UnixMs) -> rusqlite::Result<usize> {
    let transaction = connection.unchecked_transaction()?;
    let pruned = jobs(connection, now)?
        + batches(connection, now)?
        + letters(connection, now)?
        + requests(connection, now)?;
    transaction.commit()?;
    Ok(pruned)
}

fn jobs(connection: &Connection, now: UnixMs) -> rusqlite::Result<usize> {
    let keys = connection
        .prepare_cached(
            "DELETE FROM jobs WHERE key IN (
                 SELECT key FROM jobs
                 WHERE record_expires_ms <= ?1 AND state <> 'held' AND dead_letter <> 'pending'
                   AND (state NOT IN ('running', 'running_alone') OR lease_ends_ms <= ?1)
                   AND (callback_state IS NOT 'pending' OR state NOT IN ('done', 'failed'))
                   AND NOT EXISTS (SELECT 1 FROM batch_members JOIN batches ON batches.key = batch
                                   WHERE job = jobs.key AND batches.callback_state = 'pending')
                 ORDER BY record_expires_ms LIMIT ?2)
             RETURNING key",
        )?
        .query_map((now.0, AT_ONCE), |row| row.get(0))?
        .collect::<rusqlite::Result<Vec<[u8; 32]>>>()?;
    let mut leave = connection.prepare_cached("DELETE FROM batch_members WHERE job = ?1")?;
    for key in &keys {
        leave.execute([key])?;
    }
    Ok(keys.len())
}

fn requests(connection: &Connection, now: UnixMs) -> rusqlite::Result<usize> {
    connection
        .prepare_cached(
            "DELETE FROM requests WHERE key IN (
                 SELECT key FROM requests WHERE request_expires_ms <= ?1
                 ORDER BY request_expires_ms LIMIT ?2)",
        )?
        .execute((now.0, AT_ONCE))
}

/// Batches that are over and whose last job is gone; those that remember rejected jobs as long as
/// dead letters are kept.
fn batches(connection: &Connection, now: UnixMs) -> rusqlite::Result<usize> {
    let keys = connection
        .prepare_cached(
            "DELETE FROM batches WHERE key IN (
                 SELECT key FROM batches
                 WHERE batch_expires_ms <= ?1 AND callback_state <> 'pending'
                   AND NOT EXISTS (SELECT 1 FROM batch_members WHERE batch = batches.key
                                   AND (rejection IS NULL OR batches.batch_expires_ms > ?2))
                 LIMIT ?3)
             RETURNING key",
        )?
        .query_map((now.0, oldest_letter(now), AT_ONCE), |row| row.get(0))?
        .collect::<rusqlite::Result<Vec<[u8; 32]>>>()?;
    let mut forget = connection.prepare_cached("DELETE FROM batch_members WHERE batch = ?1")?;
    for key in &keys {
        forget.execute([key])?;
    }
    Ok(keys.len())
}

fn oldest_letter(now: UnixMs) -> i64 {
    now.0.saturating_sub(DEAD_LETTERS_LIVE_MS)
}

fn letters(connection: &Connection, now: UnixMs) -> rusqlite::Result<usize> {
    connection
        .prepare_cached(
            "DELETE FROM dead_letters WHERE id IN (
                 SELECT id FROM dead_letters WHERE buried_ms <= ?1 ORDER BY buried_ms LIMIT ?2)",
        )?
        .execute((oldest_letter(now), AT_ONCE))
}
