//! What is asked of the ledger for the right to run a job, and what it answers.

use std::time::Duration;

use serde_json::Value;
use uuid::Uuid;

use super::{Record, Usage};
use crate::{
    clock::UnixMs,
    error::JobError,
    fan_in::Place,
    job::{Callback, JobId, JobKey, Membership, Namespace, PayloadHash, Tenant, ToolName},
};

/// How long the record of a batch's job is kept at least, from its joining on: as long as the batch
/// may be open (14 days), and its callback may be tried after that (14 days).
pub(super) const MEMBERS_LIVE: Duration = Duration::from_secs(30 * 86_400);

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
    pub(super) fn is_told(&self) -> bool {
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
