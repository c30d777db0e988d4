//! The ledger in the file, from one end to the other.

use rusqlite::{Connection, Row};

use super::{
    ledger::SqliteLedger,
    record_row::{from_json, moment, parsed},
};
use crate::{
    fan_in::BatchKey,
    job::JobKey,
    lease::LedgerError,
    spending::{Books, Page, Spent},
};

/// Jobs that are read at once: the writer waits for no more than these.
const AT_ONCE: usize = 500;

impl Books for SqliteLedger {
    async fn page(&self, after: Option<String>) -> Result<Page, LedgerError> {
        let after = after.and_then(|text| JobKey::from_hex(&text));
        let read = move |connection: &Connection| page(connection, after);
        self.database.write(read).await.map_err(LedgerError)
    }
}

fn page(connection: &Connection, after: Option<JobKey>) -> rusqlite::Result<Page> {
    let after: &[u8] = after.as_ref().map_or(&[], |key| key.as_bytes());
    let mut read = connection.prepare_cached(
        "SELECT key, namespace, tool, tenant, settled_ms, state, usage FROM jobs
         WHERE key > ?1 ORDER BY key LIMIT ?2",
    )?;
    let jobs = read.query_map((after, AT_ONCE.cast_signed()), |row| {
        Ok((JobKey::from_bytes(row.get("key")?), spent(row)?))
    })?;
    let mut jobs = jobs.collect::<rusqlite::Result<Vec<(JobKey, Spent)>>>()?;
    let mut batches =
        connection.prepare_cached("SELECT DISTINCT batch FROM batch_members WHERE job = ?1")?;
    for (key, spent) in &mut jobs {
        let of_job =
            batches.query_map([key.as_bytes()], |row| row.get(0).map(BatchKey::from_bytes))?;
        spent.batches = of_job.collect::<rusqlite::Result<_>>()?;
    }
    let next = jobs.last().filter(|_| jobs.len() == AT_ONCE).map(|(key, _)| key.to_string());
    Ok(Page { jobs: jobs.into_iter().map(|(_, spent)| spent).collect(), next })
}

fn spent(row: &Row<'_>) -> rusqlite::Result<Spent> {
    Ok(Spent {
        namespace: parsed(row, "namespace")?,
        tool: parsed(row, "tool")?,
        tenant: row.get::<_, Option<String>>("tenant")?.and_then(|text| text.parse().ok()),
        batches: Vec::new(),
        settled: moment(row, "settled_ms")?,
        is_done: row.get::<_, String>("state")? == "done",
        usage: from_json(row, "usage")?,
    })
}
