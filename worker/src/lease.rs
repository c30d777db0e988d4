//! **3. The lease.** Before a job's tool is called, its claim goes to the ledger; what comes back
//! is a [`Claim`] that the caller must match: the right to run the job, or what became of it.
//! This file is the ledger's port; `lease/transition.rs` holds the rules of the state machine.

mod attention;
mod callback;
mod outcome;
mod record;
mod transition;

use std::{fmt, future::Future, time::Duration};

use serde_json::Value;
use uuid::Uuid;

pub(crate) use self::outcome::rounded_usd;
pub use self::{
    attention::{Attention, Found, MESSAGE_IS_GONE_AFTER},
    callback::{CallbackSlot, CallbackState, Delivery, Failure, WhyDead},
    outcome::{Outcome, Usage},
    record::{DeadLetterState, PastEnd, Record, State},
    transition::{Refusal, Step},
};
use crate::{
    clock::UnixMs,
    error::JobError,
    fan_in::{BatchKey, BatchRecord, CancelRefusal, CloseRefusal, Member, Place, Rejection},
    job::{
        BodyHash, Callback, JobId, JobKey, Membership, Namespace, PayloadHash, RequestKey, Tenant,
        ToolName,
    },
};

/// How long the record of a batch's job is kept at least, from its joining on: as long as the batch
/// may be open (14 days), and its callback may be tried after that (14 days).
const MEMBERS_LIVE: Duration = Duration::from_secs(30 * 86_400);

/// Who may settle a job: a fresh random value per claim attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct OwnerToken(Uuid);

impl OwnerToken {
    /// A token nobody else has.
    pub fn fresh() -> Self {
        Self(Uuid::new_v4())
    }

    /// The token's bytes.
    pub fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }

    /// A token that was stored.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(Uuid::from_bytes(bytes))
    }
}

/// Whether a tool may be called again when nobody knows if the first call got through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Repeat {
    /// A second call does no harm but its cost.
    #[default]
    Safe,
    /// A person decides: the job is held.
    Never,
}

/// What a claim asks for.
#[derive(Clone, Debug)]
pub struct ClaimRequest {
    /// The job's key.
    pub key: JobKey,
    /// Whose job it is.
    pub namespace: Namespace,
    /// The job's id, for people.
    pub job_id: JobId,
    /// The tool it calls.
    pub tool: ToolName,
    /// Whose fair share it is.
    pub tenant: Option<Tenant>,
    /// What it is called with.
    pub payload_hash: PayloadHash,
    /// Where the outcome is posted.
    pub callback: Option<Callback>,
    /// The batch it is counted in.
    pub membership: Option<Membership>,
    /// What the caller gets back; kept in the record of a job with a callback or in a batch.
    pub metadata: Option<Value>,
    /// Fresh for this very attempt: a lost response is recognised by it.
    pub token: OwnerToken,
    /// The present moment.
    pub now: UnixMs,
    /// When others may take the job over.
    pub lease_ends: UnixMs,
    /// When the job was first seen in a queue.
    pub first_seen: UnixMs,
    /// How long a record is kept.
    pub record_lives: Duration,
    /// Calls begun before giving up.
    pub max_attempts: u32,
    /// Whether the tool may be called again after a call whose end nobody saw.
    pub repeat: Repeat,
    /// An outcome of the offline model does not count as done.
    pub supersedes_offline: bool,
    /// What becomes of the job if the worker that ran it was lost.
    pub lost: Lost,
    /// The message was received before, so the ledger probably knows the job: a hint.
    pub redelivered: bool,
}

impl ClaimRequest {
    /// Whether somebody waits for the outcome.
    fn is_told(&self) -> bool {
        self.callback.is_some() || self.membership.is_some()
    }

    /// When the record may be deleted that this claim writes.
    pub(crate) fn record_ends(&self) -> UnixMs {
        let least = self.membership.as_ref().map_or(Duration::ZERO, |_| MEMBERS_LIVE);
        self.now.plus(self.record_lives.max(least))
    }

    /// A wish to cancel, which names nothing but the job: where the ledger has none, it leaves a
    /// tombstone that lives as long as a record.
    pub fn to_cancel(
        namespace: &Namespace,
        id: &JobId,
        record_lives: Duration,
        now: UnixMs,
    ) -> Self {
        Self {
            key: JobKey::of(namespace, id),
            namespace: namespace.clone(),
            job_id: id.clone(),
            tool: ToolName::unknown(),
            tenant: None,
            payload_hash: PayloadHash::from_bytes([0; 32]),
            callback: None,
            membership: None,
            metadata: None,
            token: OwnerToken::fresh(),
            now,
            lease_ends: now,
            first_seen: now,
            record_lives,
            max_attempts: 0,
            repeat: Repeat::Safe,
            supersedes_offline: false,
            lost: Lost::TakeOver,
            redelivered: true,
        }
    }
}

/// What a claim does about a job whose worker was lost: whoever took over all jobs of a process
/// that one of them killed would be killed as well.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Lost {
    /// Takes it over like any other; the lost attempt counts.
    #[default]
    TakeOver,
    /// Leaves it: [`Claim::Suspect`].
    Leave,
    /// Takes it over to be run alone, beside jobs above suspicion. The lost attempt counts only if it
    /// was running alone already: then it is the likeliest to blame.
    RunAlone,
}

/// The answer to a claim.
#[derive(Clone, Debug)]
pub enum Claim {
    /// The job is the caller's to run until the lease ends.
    Owned(Lease),
    /// It is done or failed: finish its callback and its dead letter, never the call.
    Finished(Box<Record>),
    /// It waits for a person.
    Held(Box<Record>),
    /// It was cancelled.
    Cancelled(Box<Record>),
    /// It has no place in its batch; nothing was changed.
    Misplaced(JobError),
    /// The id was used with another tool, input or model.
    Conflict(Box<Record>),
    /// The worker that ran it was lost, and the claim was to leave it then; nothing was changed.
    Suspect,
    /// Another worker holds it until then.
    Busy {
        /// When its lease ends.
        until: UnixMs,
    },
}

/// The right to run one job and to settle it. Only the claim that made it can fence it.
#[derive(Clone, Debug, PartialEq)]
pub struct Lease {
    /// The job.
    pub key: JobKey,
    /// Mine.
    pub token: OwnerToken,
    /// Grows with each claim; a settle of an older one is refused.
    pub epoch: u64,
    /// Calls begun, this one included.
    pub attempts: u32,
    /// When others may take the job over.
    pub ends: UnixMs,
    /// What earlier attempts used.
    pub usage: Usage,
    /// The record as the claim left it: nobody else changes it while the lease is held.
    pub record: Box<Record>,
    /// The job's places in batches, where the store keeps them with the record.
    pub places: Vec<Place>,
}

/// How a run ended.
#[derive(Clone, Debug)]
pub enum Settlement {
    /// The tool answered: RUNNING → DONE.
    Complete(Outcome),
    /// The job is given up: RUNNING → FAILED, a dead letter pending.
    Fail(JobError, Usage),
    /// Another try later: RUNNING → RETRY.
    Release(JobError, Usage, Attempt),
    /// Stopped while running: RUNNING → RETRY, or HELD where the tool must not be repeated.
    Interrupt(JobError, Usage, Repeat),
}

/// Whether a try that ended in RETRY counts towards the attempts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attempt {
    /// It was the job's own.
    Counted,
    /// The upstream's state, not the job, made it fail.
    NotCounted,
}

/// The answer to a settlement.
#[derive(Clone, Debug)]
pub enum Settled {
    /// It stands, as this record.
    Saved(Box<Record>),
    /// Somebody else owns the job by now: drop the result, send nothing.
    Fenced,
    /// There is no place for its result at the moment, and nothing was changed. The same again may
    /// be saved; whoever gives up settles the job as failed for this reason.
    Unkept(JobError),
}

/// What became of a hand-off of the outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mark {
    /// A try to deliver to this callback. Of another one than the record's it changes nothing.
    Callback(Callback, Delivery),
    /// The dead letter lies in its queue.
    DeadLetterSent,
}

/// What a person decides about a job that is not running.
#[derive(Clone, Debug)]
pub enum Decision {
    /// Run it again, attempts from 0, the epoch kept: FAILED, HELD, CANCELLED → RETRY. Another
    /// payload may come with it. Refused if it has run since the run that was seen.
    Replay {
        /// The run that was seen to have ended.
        epoch: u64,
        /// Of the payload it is run with.
        payload_hash: PayloadHash,
    },
    /// It failed: HELD → FAILED.
    Fail(JobError),
    /// It succeeded, with this result: HELD → DONE.
    Succeed(Value),
    /// Its outcome is told again, whatever became of its callback: DONE and FAILED stay as they are.
    Resend,
}

/// The ledger is out of reach or answers nonsense. The job's message comes back.
#[derive(Debug, thiserror::Error)]
#[error("ledger: {0}")]
pub struct LedgerError(pub String);

impl LedgerError {
    /// Any error of a store, as text.
    pub fn of(error: impl fmt::Display) -> Self {
        Self(error.to_string())
    }
}

/// The ledger: one record per job, each transition one atomic write, fenced by token and epoch.
///
/// - A call that returns an error may have been carried out. Claims and settlements repeated with
///   the same token are recognised and answered as the first one was.
/// - Expiry and lease ends are judged by the `now` the caller hands in: a store's own deletion of
///   old records may come late.
/// - A result is durable before the call returns.
/// - A job that names a batch joins it with its claim, and is counted in it, once, in the
///   transaction that ends it: DONE, FAILED, HELD or CANCELLED.
pub trait Ledger: Send + Sync + 'static {
    /// Asks for the right to run a job.
    fn claim(
        &self,
        request: ClaimRequest,
    ) -> impl Future<Output = Result<Claim, LedgerError>> + Send;

    /// Moves the end of a lease that is still the caller's to `ends`. `false`: it is not.
    fn extend(
        &self,
        lease: &Lease,
        ends: UnixMs,
    ) -> impl Future<Output = Result<bool, LedgerError>> + Send;

    /// Ends a run. Callback and dead letter of a final state are pending afterwards.
    fn settle(
        &self,
        lease: &Lease,
        settlement: Settlement,
        now: UnixMs,
    ) -> impl Future<Output = Result<Settled, LedgerError>> + Send;

    /// Notes what became of a hand-off of the outcome settled in `epoch`. For another epoch's, or
    /// one that is over already, it changes nothing.
    fn mark(
        &self,
        key: JobKey,
        epoch: u64,
        mark: Mark,
        now: UnixMs,
    ) -> impl Future<Output = Result<(), LedgerError>> + Send;

    /// Cancels what has not started, a job the ledger does not know included: that leaves a
    /// tombstone its later claim meets.
    fn cancel(
        &self,
        request: ClaimRequest,
    ) -> impl Future<Output = Result<Result<Record, Refusal>, LedgerError>> + Send;

    /// Carries out what a person decided.
    fn decide(
        &self,
        key: JobKey,
        decision: Decision,
        now: UnixMs,
    ) -> impl Future<Output = Result<Result<Record, Refusal>, LedgerError>> + Send;

    /// The records of `keys` in their order; `None` where the ledger has none.
    fn read(
        &self,
        keys: Vec<JobKey>,
    ) -> impl Future<Output = Result<Vec<Option<Record>>, LedgerError>> + Send;

    /// Stores the failure of a message that cannot become a run, under a key of its own, with its
    /// callback pending. What is there under that key stands, and is answered.
    fn refuse(
        &self,
        request: ClaimRequest,
        error: JobError,
    ) -> impl Future<Output = Result<Record, LedgerError>> + Send;

    /// Counts a job that cannot become a run as rejected, if its batch has a place for it; else,
    /// and if it was counted before, it changes nothing.
    fn reject(
        &self,
        namespace: Namespace,
        membership: Membership,
        rejection: Rejection,
    ) -> impl Future<Output = Result<(), LedgerError>> + Send;

    /// A batch that at least one job has joined.
    fn batch(
        &self,
        key: BatchKey,
    ) -> impl Future<Output = Result<Option<BatchRecord>, LedgerError>> + Send;

    /// Tells a batch how many jobs it has. The same size again changes nothing.
    fn close_batch(
        &self,
        key: BatchKey,
        size: u64,
        now: UnixMs,
    ) -> impl Future<Output = Result<Result<BatchRecord, CloseRefusal>, LedgerError>> + Send;

    /// Makes the callback of a batch that is over due again, whatever became of it; `None` where the
    /// ledger knows no such batch, or jobs of it are still awaited.
    fn renew_batch(
        &self,
        key: BatchKey,
        now: UnixMs,
    ) -> impl Future<Output = Result<Option<BatchRecord>, LedgerError>> + Send;

    /// From now on, jobs of the batch that have not started are cancelled when they are claimed.
    /// Again it changes nothing.
    fn cancel_batch(
        &self,
        key: BatchKey,
    ) -> impl Future<Output = Result<Result<BatchRecord, CancelRefusal>, LedgerError>> + Send;

    /// Takes the delivery of the callback of a batch that is over upon the caller until `until`;
    /// `None` if it is not over, its callback is settled, or somebody else is at it. One whose
    /// `expires_at` has come is closed by that: nothing is counted any more.
    fn take_batch(
        &self,
        key: BatchKey,
        now: UnixMs,
        until: UnixMs,
    ) -> impl Future<Output = Result<Option<BatchRecord>, LedgerError>> + Send;

    /// Up to `limit` of its members from index `from` on, in order, those that have not ended
    /// included; nothing after the last. No index that comes late is asked.
    fn members(
        &self,
        key: BatchKey,
        from: u64,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<Member>, LedgerError>> + Send;

    /// Notes what became of a delivery of the batch's callback.
    fn mark_batch(
        &self,
        key: BatchKey,
        delivery: Delivery,
        now: UnixMs,
    ) -> impl Future<Output = Result<(), LedgerError>> + Send;

    /// Notes that a request with this body was made under `key`, and keeps that until `expires`,
    /// unless one was noted before: the hash of the body that stands.
    fn note_request(
        &self,
        key: RequestKey,
        body: BodyHash,
        now: UnixMs,
        expires: UnixMs,
    ) -> impl Future<Output = Result<BodyHash, LedgerError>> + Send;

    /// Up to `limit` of what needs this attention and is due by `now`, the earliest first, by a
    /// sparse index: it may come late, but what is found is read anew and needs the attention still.
    fn attention(
        &self,
        what: Attention,
        now: UnixMs,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<Found>, LedgerError>> + Send;
}
