//! The ledger's port on SQLite: read, decide by the state machine's rules, write, in one
//! transaction.

use rusqlite::Connection;

use super::{
    record_row::{load, save},
    sqlite::Database,
};
use crate::{
    clock::UnixMs,
    job::JobKey,
    lease::{
        Claim, ClaimRequest, Decision, Lease, Ledger, LedgerError, Mark, Record, Refusal, Settled,
        Settlement, Step,
    },
};

/// One record per job, in the table `jobs`.
#[derive(Clone)]
pub struct SqliteLedger {
    database: Database,
}

impl SqliteLedger {
    /// The ledger in `database`.
    pub fn new(database: Database) -> Self {
        Self { database }
    }

    /// One transition: what `rule` makes of the record under `key` is written.
    async fn step<T: Send + 'static>(
        &self,
        key: JobKey,
        rule: impl FnOnce(Option<Record>) -> Step<T> + Send + 'static,
    ) -> Result<T, LedgerError> {
        let worker = self.database.worker_id().to_owned();
        let transition = move |connection: &Connection| {
            let step = rule(load(connection, key)?);
            if let Some(record) = &step.write {
                save(connection, record, &worker)?;
            }
            Ok(step.answer)
        };
        self.database.write(transition).await.map_err(LedgerError)
    }
}

impl Ledger for SqliteLedger {
    async fn claim(&self, request: ClaimRequest) -> Result<Claim, LedgerError> {
        self.step(request.key, move |old| Record::claim(old, &request)).await
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
        _now: UnixMs,
    ) -> Result<(), LedgerError> {
        self.step(key, move |old| Record::mark(old, epoch, &mark)).await
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
}
