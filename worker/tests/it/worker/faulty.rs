//! A ledger whose reads of a batch's members fail as often as asked.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::SeqCst},
    time::Duration,
};

use mcp_batch::{error::ErrorClass, local::SqliteLedger};

use crate::forward::prelude::*;

/// Everything else is the ledger's own.
pub(super) struct Faulty {
    ledger: SqliteLedger,
    failing_reads: AtomicUsize,
    hanging: AtomicBool,
    unkept: AtomicUsize,
    reading_takes_ms: AtomicU64,
}

impl Faulty {
    pub(super) fn new(ledger: SqliteLedger) -> Self {
        Self {
            ledger,
            failing_reads: AtomicUsize::new(0),
            hanging: AtomicBool::new(false),
            unkept: AtomicUsize::new(0),
            reading_takes_ms: AtomicU64::new(0),
        }
    }

    /// Has no place for the next results.
    pub(super) fn keep_no_results(&self, times: usize) {
        self.unkept.store(times, SeqCst);
    }

    /// Lets reads of members hang, or not any more.
    pub(super) fn hang_when_reading_members(&self, hangs: bool) {
        self.hanging.store(hangs, SeqCst);
    }

    /// Lets each page of members take so long.
    pub(super) fn read_members_within(&self, takes_ms: u64) {
        self.reading_takes_ms.store(takes_ms, SeqCst);
    }

    /// Lets the next reads of members fail.
    pub(super) fn fail_to_read_members(&self, times: usize) {
        self.failing_reads.store(times, SeqCst);
    }
}

impl Ledger for Faulty {
    async fn settle(&self, lease: &Lease, how: Settlement, now: UnixMs) -> Answer<Settled> {
        let fewer = |times: usize| times.checked_sub(1);
        if matches!(how, Settlement::Complete(_))
            && self.unkept.fetch_update(SeqCst, SeqCst, fewer).is_ok()
        {
            let why = "the bucket does not take it";
            let error = JobError::new(ErrorClass::Permanent, "result_not_stored", why);
            return Ok(Settled::Unkept(error));
        }
        self.ledger.settle(lease, how, now).await
    }

    async fn members(&self, key: BatchKey, from: u64, limit: usize) -> Answer<Vec<Member>> {
        if self.hanging.load(SeqCst) {
            return std::future::pending().await;
        }
        let fewer = |times: usize| times.checked_sub(1);
        if self.failing_reads.fetch_update(SeqCst, SeqCst, fewer).is_ok() {
            return Err(LedgerError("it fails as told".to_owned()));
        }
        tokio::time::sleep(Duration::from_millis(self.reading_takes_ms.load(SeqCst))).await;
        self.ledger.members(key, from, limit).await
    }

    forward! { ledger:
        claim extend mark cancel decide batch take_batch mark_batch refuse reject close_batch
        renew_batch cancel_batch attention note_request read
    }
}
