//! The ledger's port on SQLite: read, decide by the state machine's rules, write, in one
//! transaction.

use rusqlite::Connection;

use super::{
    attention, batches,
    record_row::{load, save},
    sqlite::Database,
};
use crate::{
    clock::UnixMs,
    error::JobError,
    fan_in::{
        BatchKey, BatchMark, BatchRecord, CancelRefusal, CloseRefusal, Member, Rejection, Taking,
    },
    job::{BodyHash, JobKey, Membership, Namespace, RequestKey},
    lease::{
        Attention, Claim, ClaimRequest, Decision, Found, Lease, Ledger, LedgerError, Mark, Record,
        Refusal, Settled, Settlement, Step,
    },
};

/// One record per job, in the table `jobs`.
#[derive(Clone)]
pub struct SqliteLedger {
    pub(super) database: Database,
}

impl SqliteLedger {
    /// The ledger in `database`.
    pub fn new(database: Database) -> Self {
        Self { database }
    }

    /// One transition: what `rule` makes of the record under `key` is written, and a job that it
    /// ends is counted.
    async fn step<T: Send + 'static>(
        &self,
        key: JobKey,
        rule: impl FnOnce(Option<Record>) -> Step<T> + Send + 'static,
    ) -> Result<T, LedgerError> {
        let worker = self.database.worker_id().to_owned();
        let transition = move |connection: &Connection| step(connection, key, &worker, rule);
        self.database.write(transition).await.map_err(LedgerError)
    }
}

fn step<T>(
    connection: &Connection,
    key: JobKey,
    worker: &str,
    rule: impl FnOnce(Option<Record>) -> Step<T>,
) -> rusqlite::Result<T> {
    let old = load(connection, key)?;
    let was_counted = old.as_ref().is_some_and(|record| record.state.is_counted());
    take(connection, key, worker, was_counted, rule(old))
}

fn take<T>(
    connection: &Connection,
    key: JobKey,
    worker: &str,
    was_counted: bool,
    step: Step<T>,
) -> rusqlite::Result<T> {
    if let Some(record) = &step.write {
        save(connection, record, worker)?;
    }
    if step.write.as_ref().map_or(was_counted, |record| record.state.is_counted()) {
        batches::count(connection, key)?;
    }
    Ok(step.answer)
}

/// A claim, and before it the place in the batch, unless the id belongs to another job.
fn claim(connection: &Connection, request: &ClaimRequest, worker: &str) -> rusqlite::Result<Claim> {
    let old = load(connection, request.key)?;
    let was_counted = old.as_ref().is_some_and(|record| record.state.is_counted());
    let Some(membership) = &request.membership else {
        return take(connection, request.key, worker, was_counted, Record::claim(old, request));
    };
    let key = BatchKey::of(&request.namespace, membership.id());
    let batch = batches::load(connection, key)?;
    let step = match batch.as_ref().is_some_and(|batch| batch.is_cancelled) {
        true => Record::claim_cancelled(old.clone(), request),
        false => Record::claim(old.clone(), request),
    };
    if matches!(step.answer, Claim::Conflict(_)) {
        return Ok(step.answer);
    }
    match batches::join(connection, batch, request, membership)? {
        Ok(()) => {
            let step = step.in_batch(old.as_ref(), request);
            take(connection, request.key, worker, was_counted, step)
        }
        Err(misplaced) => Ok(Claim::Misplaced(misplaced)),
    }
}

impl Ledger for SqliteLedger {
    async fn claim(&self, request: ClaimRequest) -> Result<Claim, LedgerError> {
        let worker = self.database.worker_id().to_owned();
        let claim = move |connection: &Connection| claim(connection, &request, &worker);
        self.database.write(claim).await.map_err(LedgerError)
    }

    async fn extend(&self, lease: &Lease, ends: UnixMs) -> Result<bool, LedgerError> {
        let lease = lease.clone();
        self.step(lease.key, move |old| Record::extend(old, &lease, ends)).await
    }

    async fn settle(
        &self,
        lease: &Lease,
        settlement: Settlement,
        now: UnixMs,
    ) -> Result<Settled, LedgerError> {
        let lease = lease.clone();
        self.step(lease.key, move |old| Record::settle(old, &lease, settlement, now)).await
    }

    async fn mark(
        &self,
        key: JobKey,
        epoch: u64,
        mark: Mark,
        now: UnixMs,
    ) -> Result<(), LedgerError> {
        self.step(key, move |old| Record::mark(old, epoch, &mark, now)).await
    }

    async fn cancel(&self, request: ClaimRequest) -> Result<Result<Record, Refusal>, LedgerError> {
        self.step(request.key, move |old| Record::cancel(old, &request)).await
    }

    async fn decide(
        &self,
        key: JobKey,
        decision: Decision,
        now: UnixMs,
    ) -> Result<Result<Record, Refusal>, LedgerError> {
        self.step(key, move |old| Record::decide(old, decision, now)).await
    }

    async fn read(&self, keys: Vec<JobKey>) -> Result<Vec<Option<Record>>, LedgerError> {
        let read = move |connection: &Connection| {
            keys.into_iter().map(|key| load(connection, key)).collect()
        };
        self.database.write(read).await.map_err(LedgerError)
    }

    async fn note_request(
        &self,
        key: RequestKey,
        body: BodyHash,
        now: UnixMs,
        expires: UnixMs,
    ) -> Result<BodyHash, LedgerError> {
        let note = move |connection: &Connection| {
            connection
                .prepare_cached(
                    "INSERT INTO requests (key, body, request_expires_ms) VALUES (?1, ?2, ?3)
                     ON CONFLICT (key) DO UPDATE
                     SET body = iif(request_expires_ms <= ?4, excluded.body, body),
                         request_expires_ms = iif(request_expires_ms <= ?4, ?3, request_expires_ms)
                     RETURNING body",
                )?
                .query_row((key.as_bytes(), body.as_bytes(), expires.0, now.0), |row| row.get(0))
                .map(BodyHash::from_bytes)
        };
        self.database.write(note).await.map_err(LedgerError)
    }

    async fn batch(&self, key: BatchKey) -> Result<Option<BatchRecord>, LedgerError> {
        let load = move |connection: &Connection| batches::load(connection, key);
        self.database.write(load).await.map_err(LedgerError)
    }

    async fn refuse(&self, request: ClaimRequest, error: JobError) -> Result<Record, LedgerError> {
        self.step(request.key, move |old| Record::refuse(old, &request, &error)).await
    }

    async fn reject(
        &self,
        namespace: Namespace,
        membership: Membership,
        rejection: Rejection,
    ) -> Result<(), LedgerError> {
        let reject = move |connection: &Connection| {
            batches::reject(connection, &namespace, &membership, &rejection)
        };
        self.database.write(reject).await.map_err(LedgerError)
    }

    async fn close_batch(
        &self,
        key: BatchKey,
        size: u64,
        now: UnixMs,
    ) -> Result<Result<BatchRecord, CloseRefusal>, LedgerError> {
        let close = move |connection: &Connection| batches::close(connection, key, size, now);
        self.database.write(close).await.map_err(LedgerError)
    }

    async fn renew_batch(
        &self,
        key: BatchKey,
        now: UnixMs,
    ) -> Result<Option<BatchRecord>, LedgerError> {
        let renew = move |connection: &Connection| batches::renew(connection, key, now);
        self.database.write(renew).await.map_err(LedgerError)
    }

    async fn cancel_batch(
        &self,
        key: BatchKey,
    ) -> Result<Result<BatchRecord, CancelRefusal>, LedgerError> {
        let cancel = move |connection: &Connection| batches::cancel(connection, key);
        self.database.write(cancel).await.map_err(LedgerError)
    }

    async fn attention(
        &self,
        what: Attention,
        now: UnixMs,
        limit: usize,
    ) -> Result<Vec<Found>, LedgerError> {
        let find = move |connection: &Connection| attention::find(connection, what, now, limit);
        self.database.write(find).await.map_err(LedgerError)
    }

    async fn take_batch(
        &self,
        key: BatchKey,
        taking: Taking,
    ) -> Result<Option<BatchRecord>, LedgerError> {
        let take = move |connection: &Connection| batches::take(connection, key, taking);
        self.database.write(take).await.map_err(LedgerError)
    }

    async fn members(
        &self,
        key: BatchKey,
        from: u64,
        limit: usize,
    ) -> Result<Vec<Member>, LedgerError> {
        let read = move |connection: &Connection| batches::members(connection, key, from, limit);
        self.database.write(read).await.map_err(LedgerError)
    }

    async fn mark_batch(
        &self,
        key: BatchKey,
        mark: BatchMark,
        now: UnixMs,
    ) -> Result<(), LedgerError> {
        let mark = move |connection: &Connection| batches::mark(connection, key, mark, now);
        self.database.write(mark).await.map_err(LedgerError)
    }
}
