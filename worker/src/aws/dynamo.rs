//! The ledger in DynamoDB. The state machine's rules decide, each transition is one write under a
//! condition, and a refused one brings back the item that stands in its way.
//!
//! The table's hash key is `pk` (string), its TTL attribute `record_expires_s`. Items are jobs
//! (`job#…`), batches (`batch#…`), the places of jobs in batches (`place#…#…`) and requests that may
//! be repeated (`request#…`).
//!
//! | step | requests | |
//! |---|---|---|
//! | claim | 1 | a redelivered job is read first: a read costs a fifth of a refused write |
//! | settle | 1 | under the lease's fence |
//! | mark | 1 | |
//! | a finished duplicate | 0 or 1 | none if this process saw it finished |
//!
//! A job in a batch is claimed and ended by transactions, with its place and the batch's count.

mod attributes;
mod batch_item;
mod batches;
mod failure;
mod finished;
mod item;
mod join;
mod mark;
mod patience;
mod requests;
mod results;
mod step;
mod table;

use std::num::NonZeroUsize;

use tokio::sync::{Semaphore, SemaphorePermit};

use self::{
    failure::Failure, finished::Finished, results::ResultStore, step::Replaces, table::Table,
};
use super::clients::Clients;
use crate::{
    clock::UnixMs,
    fan_in::{BatchKey, BatchRecord, Member},
    job::{BodyHash, JobKey, RequestKey},
    lease::{
        Claim, ClaimRequest, Decision, Delivery, Lease, Ledger, LedgerError, Mark, Record, Refusal,
        Settled, Settlement,
    },
};

/// Requests at once, where nothing else is said.
pub const DEFAULT_REQUESTS: usize = 64;

/// Requests to the bucket at once; each may hold a whole result.
pub const MAX_OBJECT_REQUESTS: usize = 32;

/// Finished jobs that are remembered, where nothing else is said: at most about 2 MB.
pub const DEFAULT_REMEMBERED: NonZeroUsize = NonZeroUsize::MIN.saturating_add(999);

/// Where the ledger lies and what it may use.
#[derive(Clone, Debug)]
pub struct DynamoSettings {
    /// The table's name.
    pub table: String,
    /// The bucket for results that do not fit the table; without one such a job fails.
    pub bucket: Option<String>,
    /// The most requests to the table at once.
    pub max_requests: usize,
    /// The most finished jobs that are remembered.
    pub remembered: NonZeroUsize,
}

impl DynamoSettings {
    /// Those of `table`, with the defaults.
    pub fn of_table(table: impl Into<String>) -> Self {
        Self {
            table: table.into(),
            bucket: None,
            max_requests: DEFAULT_REQUESTS,
            remembered: DEFAULT_REMEMBERED,
        }
    }
}

/// One table, and perhaps a bucket beside it.
pub struct DynamoLedger {
    table: Table,
    results: ResultStore,
    finished: Finished,
    /// Steps under way: a whole batch begins at once, and each waits before it takes memory.
    turns: Semaphore,
}

impl DynamoLedger {
    /// The ledger that `settings` name. Nothing is asked of it yet.
    pub fn new(clients: &Clients, settings: DynamoSettings) -> Self {
        let DynamoSettings { table, bucket, max_requests, remembered } = settings;
        Self {
            table: Table::new(clients.dynamodb.clone(), table, max_requests),
            results: ResultStore::new(clients.s3.clone(), bucket),
            finished: Finished::new(remembered),
            turns: Semaphore::new(2 * max_requests),
        }
    }

    async fn turn(&self) -> Result<SemaphorePermit<'_>, LedgerError> {
        self.turns.acquire().await.map_err(LedgerError::of)
    }

    async fn claim_alone(&self, request: &ClaimRequest) -> Result<Claim, Failure> {
        let known = match request.redelivered {
            true => self.look(request.key).await?,
            false => None,
        };
        self.step("claim", known, |old| Record::claim(old, request)).await
    }

    /// The claim left the record with the owner, so nothing is read. Where lease and record do not
    /// agree, what is stored decides.
    async fn settle_as(
        &self,
        lease: &Lease,
        settlement: &Settlement,
        now: UnixMs,
    ) -> Result<Settled, Failure> {
        let rule = |old| Record::settle(old, lease, settlement.clone(), now);
        let held = Some((*lease.record).clone()).filter(|record| record.key == lease.key);
        let step = rule(held);
        let known = match step.write {
            Some(record) => match self.save(&record, Replaces::Leased(lease)).await? {
                step::Saved::Yes => return Ok(step.answer),
                step::Saved::Refused(known) => known.map(|known| *known),
            },
            None => self.look(lease.key).await?,
        };
        self.step("settle", known, rule).await
    }
}

// The steps of most jobs are boxed: a job that waits for its LLM keeps no room for them.
impl Ledger for DynamoLedger {
    async fn claim(&self, request: ClaimRequest) -> Result<Claim, LedgerError> {
        if let Some(answer) = self.finished.answer(&request) {
            return Ok(answer);
        }
        let _turn = self.turn().await?;
        let claim = match &request.membership {
            Some(membership) => Box::pin(self.claim_in_batch(&request, membership)).await,
            None => Box::pin(self.claim_alone(&request)).await,
        };
        Ok(claim?)
    }

    async fn extend(&self, lease: &Lease, ends: UnixMs) -> Result<bool, LedgerError> {
        self.extend_lease(lease, ends).await
    }

    async fn settle(
        &self,
        lease: &Lease,
        settlement: Settlement,
        now: UnixMs,
    ) -> Result<Settled, LedgerError> {
        // What goes to the bucket may be long in coming back from there.
        let _turn = match self.results.may_go_outside(&settlement) {
            true => None,
            false => Some(self.turn().await?),
        };
        let failure = match Box::pin(self.settle_as(lease, &settlement, now)).await {
            Ok(settled) => return Ok(settled),
            Err(failure) => failure,
        };
        match (failure.of_result(), settlement) {
            (Some(error), Settlement::Complete(outcome)) => {
                let failed = Settlement::Fail(error, outcome.usage);
                Ok(Box::pin(self.settle_as(lease, &failed, now)).await?)
            }
            _ => Err(failure.into()),
        }
    }

    async fn mark(
        &self,
        key: JobKey,
        epoch: u64,
        mark: Mark,
        _now: UnixMs,
    ) -> Result<(), LedgerError> {
        let _turn = self.turn().await?;
        Ok(Box::pin(self.mark_handoff(key, epoch, &mark)).await?)
    }

    async fn cancel(&self, request: ClaimRequest) -> Result<Result<Record, Refusal>, LedgerError> {
        let known = self.look(request.key).await?;
        Ok(self.step("cancel", known, |old| Record::cancel(old, &request)).await?)
    }

    async fn decide(
        &self,
        key: JobKey,
        decision: Decision,
        now: UnixMs,
    ) -> Result<Result<Record, Refusal>, LedgerError> {
        let known = self.look(key).await?;
        let rule = |old| Record::decide(old, decision.clone(), now);
        Ok(self.step("decide", known, rule).await?)
    }

    async fn batch(&self, key: BatchKey) -> Result<Option<BatchRecord>, LedgerError> {
        Ok(self.look_at_batch(key).await?.map(|batch| batch.record))
    }

    async fn take_batch(
        &self,
        key: BatchKey,
        now: UnixMs,
        until: UnixMs,
    ) -> Result<Option<BatchRecord>, LedgerError> {
        self.take_delivery(key, now, until).await
    }

    async fn members(
        &self,
        key: BatchKey,
        from: u64,
        limit: usize,
    ) -> Result<Vec<Member>, LedgerError> {
        self.counted_members(key, from, limit).await
    }

    async fn mark_batch(&self, key: BatchKey, delivery: Delivery) -> Result<(), LedgerError> {
        self.note_delivery(key, delivery).await
    }

    async fn note_request(
        &self,
        key: RequestKey,
        body: BodyHash,
        now: UnixMs,
        expires: UnixMs,
    ) -> Result<BodyHash, LedgerError> {
        self.note_once(key, body, now, expires).await
    }

    async fn read(&self, keys: Vec<JobKey>) -> Result<Vec<Option<Record>>, LedgerError> {
        self.look_at_all(&keys).await
    }
}
