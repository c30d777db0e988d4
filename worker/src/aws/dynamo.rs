//! The ledger in DynamoDB. The state machine's rules decide, each transition is one write under a
//! condition, and a refused one brings back the item that stands in its way.
//!
//! The table's hash key is `pk` (string), its TTL attribute `record_expires_s`. Items are jobs
//! (`job#…`), requests that may be repeated (`request#…`), batches (`batch#…`), pages of twenty places in batches (`page#…#…`) and what is
//! remembered of rejected jobs (`rejected#…#…`). The sparse index `attention` has what somebody has
//! to look at.
//!
//! | step | requests | |
//! |---|---|---|
//! | claim | 1 | a redelivered job is read first: a read costs a fifth of a refused write |
//! | settle | 1 | under the lease's fence |
//! | mark | 1 | |
//! | a finished duplicate | 0 or 1 | none if this process saw it finished |
//!
//! A job in a batch has its place before it is claimed; jobs that come together take theirs in one
//! request. Its end and the batch's count are one transaction, which jobs that end together share; one
//! that ends alone is written and counted one after the other (`alone`).

mod alone;
mod attention;
mod attributes;
mod batch_item;
mod batches;
mod commit;
mod failure;
mod finished;
mod gather;
mod item;
mod join;
mod mark;
mod patience;
mod places;
mod requests;
mod reserve;
mod results;
mod resume;
mod schema;
mod spending;
mod step;
mod table;
mod tell;

use std::{num::NonZeroUsize, sync::Arc};

use tokio::sync::{Mutex, Semaphore, SemaphorePermit};

pub use self::schema::create_table;
use self::{
    attributes::Item,
    commit::{Committed, Entry},
    failure::Failure,
    finished::Finished,
    gather::Gather,
    join::with_places,
    patience::Patience,
    reserve::{Asked, Page},
    results::ResultStore,
    step::{Replaces, Saved},
    table::Table,
};
use super::clients::Clients;
use crate::{
    clock::UnixMs,
    error::JobError,
    fan_in::{
        BatchKey, BatchMark, BatchRecord, CancelRefusal, CloseRefusal, Member, Rejection, Taking,
    },
    job::{BodyHash, JobKey, Membership, Namespace, RequestKey},
    lease::{
        Attempt, Attention, Claim, ClaimRequest, Decision, Found, Lease, Ledger, LedgerError, Mark,
        Record, Refusal, Settled, Settlement,
    },
};

/// Requests at once, where nothing else is said: at 5 ms each, 6,000 a second. More only take memory.
pub const DEFAULT_REQUESTS: usize = 32;

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
    table: Arc<Table>,
    results: ResultStore,
    finished: Finished,
    openings: Arc<Gather<BatchKey, Item, bool>>,
    places: Arc<Gather<Page, Asked, bool>>,
    commits: Arc<Gather<BatchKey, Entry, Committed>>,
    /// Whoever looks through a batch before it is closed for its time.
    closing: Mutex<()>,
    /// Claims under way: a whole batch begins at once, and each waits before it takes memory.
    claims: Semaphore,
    /// Steps under way of jobs that were claimed. They wait for no claim: a job that ends makes room, one
    /// that begins takes it.
    ends: Semaphore,
}

impl DynamoLedger {
    /// The ledger that `settings` name. Nothing is asked of it yet.
    pub fn new(clients: &Clients, settings: DynamoSettings) -> Self {
        let DynamoSettings { table, bucket, max_requests, remembered } = settings;
        Self {
            table: Arc::new(Table::new(clients.dynamodb.clone(), table, max_requests)),
            results: ResultStore::new(clients.objects.clone(), bucket),
            finished: Finished::new(remembered),
            openings: Gather::new(usize::MAX),
            places: Gather::new(usize::MAX),
            commits: Gather::new(commit::MOST),
            closing: Mutex::default(),
            claims: Semaphore::new(2 * max_requests),
            ends: Semaphore::new(2 * max_requests),
        }
    }

    async fn claim_alone(&self, request: &ClaimRequest) -> Result<Claim, Failure> {
        let mut known = match request.redelivered {
            true => self.look(request.key).await?,
            false => None,
        };
        let mut patience = Patience::new("claim");
        loop {
            known = self.resumed(known).await?;
            let step = Record::claim(known.as_ref().map(|known| known.record.clone()), request);
            let places = known.as_ref().map_or(&[][..], |known| &known.stored.places);
            let answer = with_places(step.answer, places);
            let Some(record) = step.write else { return Ok(answer) };
            match self.save(&record, Replaces::of(known.as_ref()), places).await? {
                Saved::Yes => return Ok(answer),
                Saved::Refused(other) => known = other.map(|other| *other),
            }
            patience.again().await?;
        }
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
            Some(record) => {
                match self.save(&record, Replaces::Leased(lease), &lease.places).await? {
                    Saved::Yes => return Ok(step.answer),
                    Saved::Refused(known) => known.map(|known| *known),
                }
            }
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
        let _turn = turn(&self.claims).await?;
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
            false => Some(turn(&self.ends).await?),
        };
        let failure = match Box::pin(self.settle_as(lease, &settlement, now)).await {
            Ok(settled) => return Ok(settled),
            Err(failure) => failure,
        };
        match (failure, settlement) {
            (Failure::ResultNotStored(bytes), _) => {
                Ok(Settled::Unkept(failure::result_not_stored(bytes)))
            }
            (Failure::ResultTooLarge(bytes), Settlement::Complete(outcome)) => {
                let error = failure::result_too_large(bytes);
                let failed = Settlement::Fail(error, outcome.usage, Attempt::Counted);
                Ok(Box::pin(self.settle_as(lease, &failed, now)).await?)
            }
            (failure, _) => Err(failure.into()),
        }
    }

    async fn mark(
        &self,
        key: JobKey,
        epoch: u64,
        mark: Mark,
        now: UnixMs,
    ) -> Result<(), LedgerError> {
        let _turn = turn(&self.ends).await?;
        Ok(Box::pin(self.mark_handoff(key, epoch, &mark, now)).await?)
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
        taking: Taking,
    ) -> Result<Option<BatchRecord>, LedgerError> {
        self.take_delivery(key, taking).await
    }

    async fn members(
        &self,
        key: BatchKey,
        from: u64,
        limit: usize,
    ) -> Result<Vec<Member>, LedgerError> {
        self.members_from(key, from, limit).await
    }

    async fn mark_batch(
        &self,
        key: BatchKey,
        mark: BatchMark,
        now: UnixMs,
    ) -> Result<(), LedgerError> {
        self.note_delivery(key, mark, now).await
    }

    async fn refuse(&self, request: ClaimRequest, error: JobError) -> Result<Record, LedgerError> {
        let _turn = turn(&self.claims).await?;
        let known = match request.redelivered {
            true => self.look(request.key).await?,
            false => None,
        };
        let rule = |old| Record::refuse(old, &request, &error);
        Ok(Box::pin(self.step("refuse", known, rule)).await?)
    }

    async fn reject(
        &self,
        namespace: Namespace,
        membership: Membership,
        rejection: Rejection,
    ) -> Result<(), LedgerError> {
        self.reject_in_batch(&namespace, &membership, &rejection).await
    }

    async fn close_batch(
        &self,
        key: BatchKey,
        size: u64,
        now: UnixMs,
    ) -> Result<Result<BatchRecord, CloseRefusal>, LedgerError> {
        self.close_with_size(key, size, now).await
    }

    async fn renew_batch(
        &self,
        key: BatchKey,
        now: UnixMs,
    ) -> Result<Option<BatchRecord>, LedgerError> {
        self.renew_delivery(key, now).await
    }

    async fn cancel_batch(
        &self,
        key: BatchKey,
    ) -> Result<Result<BatchRecord, CancelRefusal>, LedgerError> {
        self.cancel_unstarted(key).await
    }

    async fn attention(
        &self,
        what: Attention,
        now: UnixMs,
        limit: usize,
    ) -> Result<Vec<Found>, LedgerError> {
        self.find(what, now, limit).await
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

async fn turn(turns: &Semaphore) -> Result<SemaphorePermit<'_>, LedgerError> {
    turns.acquire().await.map_err(LedgerError::of)
}
