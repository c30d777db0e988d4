//! A ledger whose reads of a batch's members fail as often as asked.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

use mcp_batch::{
    clock::UnixMs,
    error::{ErrorClass, JobError},
    fan_in::{BatchKey, BatchRecord, CancelRefusal, CloseRefusal, Member, Rejection},
    job::{BodyHash, JobKey, Membership, Namespace, RequestKey},
    lease::{
        Attention, Claim, ClaimRequest, Decision, Delivery, Found, Lease, Ledger, LedgerError,
        Mark, Record, Refusal, Settled, Settlement,
    },
    local::SqliteLedger,
};

type Answer<T> = Result<T, LedgerError>;

/// Everything else is the ledger's own.
pub(super) struct Faulty {
    ledger: SqliteLedger,
    failing_reads: AtomicUsize,
    hanging: AtomicBool,
    unkept: AtomicUsize,
}

impl Faulty {
    pub(super) fn new(ledger: SqliteLedger) -> Self {
        Self {
            ledger,
            failing_reads: AtomicUsize::new(0),
            hanging: AtomicBool::new(false),
            unkept: AtomicUsize::new(0),
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
        if self.hanging.load(SeqCst) {
            return std::future::pending().await;
        }
        let fewer = |times: usize| times.checked_sub(1);
        if self.failing_reads.fetch_update(SeqCst, SeqCst, fewer).is_ok() {
            return Err(LedgerError("it fails as told".to_owned()));
        }
        self.ledger.members(key, from, limit).await
    }

    async fn mark_batch(&self, key: BatchKey, delivery: Delivery, now: UnixMs) -> Answer<()> {
        self.ledger.mark_batch(key, delivery, now).await
    }

    async fn refuse(&self, request: ClaimRequest, error: JobError) -> Answer<Record> {
        self.ledger.refuse(request, error).await
    }

    async fn reject(
        &self,
        namespace: Namespace,
        membership: Membership,
        rejection: Rejection,
    ) -> Answer<()> {
        self.ledger.reject(namespace, membership, rejection).await
    }

    async fn close_batch(
        &self,
        key: BatchKey,
        size: u64,
        now: UnixMs,
    ) -> Answer<Result<BatchRecord, CloseRefusal>> {
        self.ledger.close_batch(key, size, now).await
    }

    async fn renew_batch(&self, key: BatchKey, now: UnixMs) -> Answer<Option<BatchRecord>> {
        self.ledger.renew_batch(key, now).await
    }

    async fn cancel_batch(&self, key: BatchKey) -> Answer<Result<BatchRecord, CancelRefusal>> {
        self.ledger.cancel_batch(key).await
    }

    async fn attention(&self, what: Attention, now: UnixMs, limit: usize) -> Answer<Vec<Found>> {
        self.ledger.attention(what, now, limit).await
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
