//! A ledger whose reads of a batch's members fail as often as asked.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use mcp_batch::{
    clock::UnixMs,
    fan_in::{BatchKey, BatchRecord, Member},
    job::{BodyHash, JobKey, RequestKey},
    lease::{
        Claim, ClaimRequest, Decision, Delivery, Lease, Ledger, LedgerError, Mark, Record, Refusal,
        Settled, Settlement,
    },
    local::SqliteLedger,
};

type Answer<T> = Result<T, LedgerError>;

/// Everything else is the ledger's own.
pub(super) struct Faulty {
    ledger: SqliteLedger,
    failing_reads: AtomicUsize,
}

impl Faulty {
    pub(super) fn new(ledger: SqliteLedger) -> Self {
        Self { ledger, failing_reads: AtomicUsize::new(0) }
    }

    /// Lets the next reads of members fail.
    pub(super) fn fail_to_read_members(&self, times: usize) {
        self.failing_reads.store(times, SeqCst);
    }
}

impl Ledger for Faulty {
    async fn claim(&self, request: ClaimRequest) -> Answer<Claim> {
        self.ledger.claim(request).await
    }

    async fn extend(&self, lease: &Lease, ends: UnixMs) -> Answer<bool> {
        self.ledger.extend(lease, ends).await
    }

    async fn settle(&self, lease: &Lease, how: Settlement, now: UnixMs) -> Answer<Settled> {
        self.ledger.settle(lease, how, now).await
    }

    async fn mark(&self, key: JobKey, epoch: u64, mark: Mark, now: UnixMs) -> Answer<()> {
        self.ledger.mark(key, epoch, mark, now).await
    }

    async fn cancel(&self, request: ClaimRequest) -> Answer<Result<Record, Refusal>> {
        self.ledger.cancel(request).await
    }

    async fn decide(
        &self,
        key: JobKey,
        decision: Decision,
        now: UnixMs,
    ) -> Answer<Result<Record, Refusal>> {
        self.ledger.decide(key, decision, now).await
    }

    async fn batch(&self, key: BatchKey) -> Answer<Option<BatchRecord>> {
        self.ledger.batch(key).await
    }

    async fn take_batch(
        &self,
        key: BatchKey,
        now: UnixMs,
        until: UnixMs,
    ) -> Answer<Option<BatchRecord>> {
        self.ledger.take_batch(key, now, until).await
    }

    async fn members(&self, key: BatchKey, from: u64, limit: usize) -> Answer<Vec<Member>> {
        let fewer = |times: usize| times.checked_sub(1);
        if self.failing_reads.fetch_update(SeqCst, SeqCst, fewer).is_ok() {
            return Err(LedgerError("it fails as told".to_owned()));
        }
        self.ledger.members(key, from, limit).await
    }

    async fn mark_batch(&self, key: BatchKey, delivery: Delivery) -> Answer<()> {
        self.ledger.mark_batch(key, delivery).await
    }

    async fn note_request(
        &self,
        key: RequestKey,
        body: BodyHash,
        now: UnixMs,
        expires: UnixMs,
    ) -> Answer<BodyHash> {
        self.ledger.note_request(key, body, now, expires).await
    }

    async fn read(&self, keys: Vec<JobKey>) -> Answer<Vec<Option<Record>>> {
        self.ledger.read(keys).await
    }
}
