//! **3. The lease.** Before a job's tool is called, its claim goes to the ledger; what comes back
//! is a [`Claim`] that the caller must match: the right to run the job, or what became of it.
//! This file is the ledger's port; `lease/transition.rs` holds the rules of the state machine.

mod attention;
mod callback;
mod claim;
mod outcome;
mod record;
mod settlement;
mod transition;

use std::{fmt, future::Future};

use self::claim::MEMBERS_LIVE;
pub(crate) use self::outcome::rounded_usd;
pub use self::{
    attention::{Attention, Found, MESSAGE_IS_GONE_AFTER},
    callback::{CallbackSlot, CallbackState, Delivery, Failure, WhyDead},
    claim::{Claim, ClaimRequest, Lease, Lost, OwnerToken, Repeat},
    outcome::{Outcome, Usage},
    record::{DeadLetterState, PastEnd, Record, State},
    settlement::{Attempt, Decision, Mark, Settled, Settlement},
    transition::{Refusal, Step},
};
use crate::{
    clock::UnixMs,
    error::JobError,
    fan_in::{
        BatchKey, BatchMark, BatchRecord, CancelRefusal, CloseRefusal, Member, Rejection, Taking,
    },
    job::{BodyHash, JobKey, Membership, Namespace, RequestKey},
};

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
/// - A job that names a batch joins it with its claim, and is counted in it, once, when it ends: DONE,
///   FAILED, HELD or CANCELLED. A call that returns has counted it. One that returned an error may have
///   ended the job alone; then the next claim, settlement or decision counts it first.
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

    /// Takes the delivery of the callback of a batch that is over upon the caller; `None` if it is
    /// not over, its callback is settled, or somebody else is at it. One whose `expires_at` has come
    /// is closed by that: nothing is counted any more.
    fn take_batch(
        &self,
        key: BatchKey,
        taking: Taking,
    ) -> impl Future<Output = Result<Option<BatchRecord>, LedgerError>> + Send;

    /// Up to `limit` of its members from index `from` on, in order, those that have not ended
    /// included; nothing after the last. No index that comes late is asked.
    fn members(
        &self,
        key: BatchKey,
        from: u64,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<Member>, LedgerError>> + Send;

    /// Notes what became of a delivery of the batch's callback, which anybody may take afterwards, or
    /// that whoever took it is still at it.
    fn mark_batch(
        &self,
        key: BatchKey,
        mark: BatchMark,
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
