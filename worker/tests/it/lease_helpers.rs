//! Stores under test, workers that ask them, and jobs to ask for.
#![expect(clippy::panic, reason = "an answer that a case rules out must fail it")]

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use mcp_batch::{
    clock::{Clock, UnixMs},
    error::{ErrorClass, JobError},
    fan_in::{
        BatchKey, BatchMark, BatchRecord, CancelRefusal, CloseRefusal, Member, Rejection, Taking,
    },
    job::{Callback, Job, JobKey, Namespace},
    lease::{
        Attempt, Attention, Claim, ClaimRequest, Decision, Delivery, Found, Lease, Ledger, Lost,
        Mark, Outcome, OwnerToken, Record, Refusal, Repeat, Settled, Settlement, Usage,
    },
    local::{Database, SqliteLedger},
};
use serde_json::{Value, json};
use tempfile::TempDir;

/// When every case begins.
pub(crate) const START: UnixMs = UnixMs(1_800_000_000_000);

/// How long a lease lasts.
pub(crate) const LEASE_S: i64 = 60;

/// How long a record is kept.
pub(crate) const RECORD_LIVES: Duration = Duration::from_secs(45 * 86_400);

/// Calls begun before giving up.
pub(crate) const MAX_ATTEMPTS: u32 = 3;

/// The moment so many seconds after the start.
pub(crate) fn after_s(seconds: i64) -> UnixMs {
    UnixMs(START.0 + seconds * 1000)
}

/// The first moment at which a record last claimed at the start may be forgotten.
pub(crate) fn expiry() -> UnixMs {
    START.plus(RECORD_LIVES)
}

/// A ledger's store, new for each case: what a further implementation has to bring.
pub(crate) trait Store: Send + Sync + Sized + 'static {
    type Ledger: Ledger;

    /// An empty store; none if this machine cannot have one, which is told.
    async fn open() -> Option<Self>;

    /// Another worker process on the same store. Its leases live as long as this lives.
    fn worker(&self) -> Worker<Self::Ledger>;
}

/// The embedded store. Its own clock stands still: nothing is pruned.
pub(crate) struct SqliteStore {
    folder: TempDir,
}

impl Store for SqliteStore {
    type Ledger = SqliteLedger;

    async fn open() -> Option<Self> {
        Some(Self { folder: folder_in_memory() })
    }

    fn worker(&self) -> Worker<SqliteLedger> {
        let database = open_database(&self.folder.path().join("mcp-batch.db"), START);
        Worker::new(SqliteLedger::new(database))
    }
}

/// A folder where a wait for the disk costs nothing, if the machine has one.
pub(crate) fn folder_in_memory() -> TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a temporary folder")
}

/// The file, with a clock that stands still.
pub(crate) fn open_database(path: &Path, now: UnixMs) -> Database {
    Database::open(path, Clock::new(move || now)).expect("the database opens")
}

/// A clock that a case moves by hand.
#[derive(Clone)]
pub(crate) struct HandClock(Arc<AtomicI64>);

impl HandClock {
    pub(crate) fn new() -> Self {
        Self(Arc::new(AtomicI64::new(START.0)))
    }

    pub(crate) fn now(&self) -> UnixMs {
        UnixMs(self.0.load(Ordering::SeqCst))
    }

    pub(crate) fn pass(&self, time: Duration) {
        self.0.store(self.now().plus(time).0, Ordering::SeqCst);
    }

    pub(crate) fn open(&self, path: &Path) -> Database {
        let clock = self.clone();
        Database::open(path, Clock::new(move || clock.now())).expect("the database opens")
    }
}

/// One worker's view of the ledger; an error of the store fails the case.
pub(crate) struct Worker<L> {
    ledger: Arc<L>,
}

impl<L> Clone for Worker<L> {
    fn clone(&self) -> Self {
        Self { ledger: Arc::clone(&self.ledger) }
    }
}

impl<L: Ledger> Worker<L> {
    /// The ledger itself.
    pub(crate) fn ledger(&self) -> &L {
        &self.ledger
    }

    /// The same, for somebody else to wrap.
    pub(crate) fn shared(&self) -> Arc<L> {
        Arc::clone(&self.ledger)
    }

    pub(crate) fn new(ledger: L) -> Self {
        Self { ledger: Arc::new(ledger) }
    }

    pub(crate) async fn claim(&self, request: ClaimRequest) -> Claim {
        self.ledger.claim(request).await.expect("the ledger answers")
    }

    /// A claim that must succeed.
    pub(crate) async fn own(&self, request: ClaimRequest) -> Lease {
        match self.claim(request).await {
            Claim::Owned(lease) => lease,
            other => panic!("expected to own the job, found {other:?}"),
        }
    }

    pub(crate) async fn settle(&self, lease: &Lease, how: Settlement, now: UnixMs) -> Settled {
        self.ledger.settle(lease, how, now).await.expect("the ledger answers")
    }

    /// A settlement that must stand.
    pub(crate) async fn save(&self, lease: &Lease, how: Settlement, now: UnixMs) -> Record {
        match self.settle(lease, how, now).await {
            Settled::Saved(record) => *record,
            other => panic!("expected the settlement to be saved, found {other:?}"),
        }
    }

    /// A settlement that must be refused and leave the record as it is.
    pub(crate) async fn assert_fenced(&self, lease: &Lease, how: Settlement, now: UnixMs) {
        let before = self.look(lease.key).await;
        let answer = self.settle(lease, how.clone(), now).await;
        assert!(matches!(answer, Settled::Fenced), "{how:?} was answered with {answer:?}");
        assert_eq!(self.look(lease.key).await, before, "{how:?} changed the record");
    }

    pub(crate) async fn look(&self, key: JobKey) -> Option<Record> {
        let records = self.ledger.read(vec![key]).await.expect("the ledger answers");
        records.into_iter().next().flatten()
    }

    pub(crate) async fn record(&self, job: &TestJob) -> Record {
        self.look(job.key()).await.expect("a record")
    }

    pub(crate) async fn read(&self, keys: Vec<JobKey>) -> Vec<Option<Record>> {
        self.ledger.read(keys).await.expect("the ledger answers")
    }

    pub(crate) async fn mark(&self, record: &Record, mark: Mark) {
        self.mark_epoch(record.key, record.epoch, mark).await;
    }

    pub(crate) async fn mark_at(&self, record: &Record, mark: Mark, now: UnixMs) {
        let marked = self.ledger.mark(record.key, record.epoch, mark, now).await;
        marked.expect("the ledger answers");
    }

    pub(crate) async fn mark_epoch(&self, key: JobKey, epoch: u64, mark: Mark) {
        self.ledger.mark(key, epoch, mark, after_s(1)).await.expect("the ledger answers");
    }

    pub(crate) async fn cancel(&self, request: ClaimRequest) -> Result<Record, Refusal> {
        self.ledger.cancel(request).await.expect("the ledger answers")
    }

    pub(crate) async fn decide(
        &self,
        key: JobKey,
        decision: Decision,
        now: UnixMs,
    ) -> Result<Record, Refusal> {
        self.ledger.decide(key, decision, now).await.expect("the ledger answers")
    }

    pub(crate) async fn batch(&self, id: &str) -> BatchRecord {
        self.look_at_batch(id).await.expect("a batch")
    }

    pub(crate) async fn look_at_batch(&self, id: &str) -> Option<BatchRecord> {
        self.ledger.batch(batch_key(id)).await.expect("the ledger answers")
    }

    pub(crate) async fn take_batch(
        &self,
        id: &str,
        now: UnixMs,
        until: UnixMs,
    ) -> Option<BatchRecord> {
        let taking = Taking { now, until, max_body_bytes: 1_048_576 };
        self.ledger.take_batch(batch_key(id), taking).await.expect("the ledger answers")
    }

    pub(crate) async fn members(&self, id: &str, from: u64, limit: usize) -> Vec<Member> {
        self.ledger.members(batch_key(id), from, limit).await.expect("the ledger answers")
    }

    /// The members that are counted.
    pub(crate) async fn counted(&self, id: &str) -> Vec<Member> {
        let members = self.members(id, 0, 100_000).await;
        members.into_iter().filter(|member| member.is_counted).collect()
    }

    pub(crate) async fn mark_batch(&self, id: &str, delivery: Delivery) {
        self.mark_batch_at(id, delivery, after_s(1)).await;
    }

    pub(crate) async fn mark_batch_at(&self, id: &str, delivery: Delivery, now: UnixMs) {
        let again_after = Duration::from_secs(30);
        self.note_batch(id, BatchMark::Delivery { delivery, again_after }, now).await;
    }

    pub(crate) async fn note_batch(&self, id: &str, mark: BatchMark, now: UnixMs) {
        self.ledger.mark_batch(batch_key(id), mark, now).await.expect("the ledger answers");
    }

    /// Stores that a message cannot become a run.
    pub(crate) async fn refuse(&self, request: ClaimRequest, why: JobError) -> Record {
        self.ledger.refuse(request, why).await.expect("the ledger answers")
    }

    /// Counts a job as rejected, if it has a place.
    pub(crate) async fn reject(&self, job: &TestJob, code: &'static str, now: UnixMs) {
        let job = job.job();
        let rejection = Rejection {
            job_id: Some(job.id().clone()),
            tool: Some(job.tool().clone()),
            error: error(code),
            metadata: job.metadata().cloned(),
            rejected: now,
        };
        let membership = job.batch().expect("it is in a batch").clone();
        let rejected = self.ledger.reject(Namespace::default(), membership, rejection).await;
        rejected.expect("the ledger answers");
    }

    pub(crate) async fn close_batch(
        &self,
        id: &str,
        size: u64,
        now: UnixMs,
    ) -> Result<BatchRecord, CloseRefusal> {
        self.ledger.close_batch(batch_key(id), size, now).await.expect("the ledger answers")
    }

    pub(crate) async fn renew_batch(&self, id: &str, now: UnixMs) -> Option<BatchRecord> {
        self.ledger.renew_batch(batch_key(id), now).await.expect("the ledger answers")
    }

    pub(crate) async fn cancel_batch(&self, id: &str) -> Result<BatchRecord, CancelRefusal> {
        self.ledger.cancel_batch(batch_key(id)).await.expect("the ledger answers")
    }

    /// The ids of what is found, the earliest first.
    pub(crate) async fn attention(&self, what: Attention, now: UnixMs) -> Vec<String> {
        let found = self.ledger.attention(what, now, 100).await.expect("the ledger answers");
        let id = |found: Found| match found {
            Found::Job(record) => record.job_id.to_string(),
            Found::Batch(_, batch) => batch.id.to_string(),
        };
        found.into_iter().map(id).collect()
    }
}

fn batch_key(id: &str) -> BatchKey {
    BatchKey::of(&Namespace::default(), &id.parse().expect("a batch's id"))
}

/// A job as its messages tell it.
#[derive(Clone)]
pub(crate) struct TestJob {
    body: Value,
    namespace: Namespace,
    repeat: Repeat,
    supersedes_offline: bool,
}

impl TestJob {
    pub(crate) fn new(id: &str) -> Self {
        Self {
            body: json!({"id": id, "tool": "summarize", "input": {"text": "One."}}),
            namespace: Namespace::default(),
            repeat: Repeat::Safe,
            supersedes_offline: false,
        }
    }

    /// The same id with another payload.
    pub(crate) fn text(mut self, text: &str) -> Self {
        self.body["input"]["text"] = text.into();
        self
    }

    /// With another tool.
    pub(crate) fn tool(mut self, name: &str) -> Self {
        self.body["tool"] = name.into();
        self
    }

    pub(crate) fn callback(mut self, url: &str) -> Self {
        self.body["callback"] = url.into();
        self
    }

    pub(crate) fn metadata(mut self, metadata: Value) -> Self {
        self.body["metadata"] = metadata;
        self
    }

    pub(crate) fn namespace(mut self, name: &str) -> Self {
        self.namespace = name.parse().expect("a namespace");
        self
    }

    /// Its tool must not be called again when nobody knows how a call ended.
    pub(crate) fn never_repeated(mut self) -> Self {
        self.repeat = Repeat::Never;
        self
    }

    /// An LLM is configured by now.
    pub(crate) fn superseding_offline(mut self) -> Self {
        self.supersedes_offline = true;
        self
    }

    pub(crate) fn member(self, batch: &str, index: u64) -> Self {
        self.membership(json!({"id": batch, "index": index, "callback": BATCH_URL}))
    }

    pub(crate) fn member_of(self, batch: &str, index: u64, size: u64) -> Self {
        self.membership(json!({"id": batch, "index": index, "size": size, "callback": BATCH_URL}))
    }

    pub(crate) fn membership(mut self, membership: Value) -> Self {
        self.body["batch"] = membership;
        self
    }

    fn job(&self) -> Job {
        Job::parse(&self.body.to_string().into()).expect("a job")
    }

    pub(crate) fn key(&self) -> JobKey {
        JobKey::of(&self.namespace, self.job().id())
    }

    /// That somebody who saw its run of this epoch decides to run it again.
    pub(crate) fn replay(&self, epoch: u64) -> Decision {
        Decision::Replay { epoch, payload_hash: self.job().payload_hash() }
    }

    /// A claim at the start, with a token of its own.
    pub(crate) fn claim(&self) -> ClaimRequest {
        self.claim_at(START)
    }

    pub(crate) fn claim_at(&self, now: UnixMs) -> ClaimRequest {
        let job = self.job();
        ClaimRequest {
            key: self.key(),
            namespace: self.namespace.clone(),
            job_id: job.id().clone(),
            tool: job.tool().clone(),
            tenant: job.tenant().cloned(),
            payload_hash: job.payload_hash(),
            callback: job.callback().cloned(),
            membership: job.batch().cloned(),
            metadata: job.metadata().cloned(),
            token: OwnerToken::fresh(),
            now,
            lease_ends: UnixMs(now.0 + LEASE_S * 1000),
            first_seen: START,
            record_lives: RECORD_LIVES,
            max_attempts: MAX_ATTEMPTS,
            repeat: self.repeat,
            supersedes_offline: self.supersedes_offline,
            lost: Lost::TakeOver,
            redelivered: false,
        }
    }
}

/// Where the outcomes of batches go.
pub(crate) const BATCH_URL: &str = "https://n8n.example.com/webhook-waiting/batch";

/// The record as somebody sees it who comes upon it: its callback may have been tried.
pub(crate) fn come_upon(mut record: Record) -> Record {
    if let Some(slot) = &mut record.callback {
        slot.come_upon();
    }
    record
}

/// A try to deliver a job's callback; after one that failed the next is due in half a minute.
pub(crate) fn tried(url: &str, delivery: Delivery) -> Mark {
    let again_after = Duration::from_secs(30);
    Mark::Callback { callback: callback(url), delivery, again_after, may_have_arrived: false }
}

pub(crate) fn callback(url: &str) -> Callback {
    Callback::from_url(url.to_owned()).expect("a callback")
}

/// What every attempt of these cases used.
pub(crate) fn usage() -> Usage {
    Usage {
        input_tokens: 10,
        output_tokens: 5,
        cost_usd: Some(0.25),
        unpriced_calls: 0,
        model: Some("small".to_owned()),
        ..Usage::free()
    }
}

pub(crate) fn error(code: &'static str) -> JobError {
    JobError::new(ErrorClass::Transient, code, format!("it failed: {code}"))
}

pub(crate) fn completed(result: impl Into<Value>) -> Settlement {
    Settlement::Complete(Outcome { result: result.into(), usage: usage(), offline: false })
}

pub(crate) fn completed_offline(result: impl Into<Value>) -> Settlement {
    Settlement::Complete(Outcome { result: result.into(), usage: Usage::free(), offline: true })
}

pub(crate) fn failed(code: &'static str) -> Settlement {
    Settlement::Fail(error(code), usage(), Attempt::Counted)
}

pub(crate) fn failed_uncalled(code: &'static str) -> Settlement {
    Settlement::Fail(error(code), Usage::free(), Attempt::NotCounted)
}

pub(crate) fn released(code: &'static str) -> Settlement {
    Settlement::Release(error(code), usage(), Attempt::Counted)
}

pub(crate) fn released_uncounted(code: &'static str) -> Settlement {
    Settlement::Release(error(code), usage(), Attempt::NotCounted)
}

pub(crate) fn interrupted(repeat: Repeat) -> Settlement {
    Settlement::Interrupt(error("stopped"), Usage::unknown(), repeat)
}

/// One settlement of each kind.
pub(crate) fn every_settlement() -> Vec<Settlement> {
    vec![
        completed("late"),
        failed("late"),
        failed_uncalled("late"),
        released("late"),
        released_uncounted("late"),
        interrupted(Repeat::Safe),
        interrupted(Repeat::Never),
    ]
}
