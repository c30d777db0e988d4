//! A dead letter beside what the ledger knows of its job, and what a replay does with it.

use std::collections::{HashMap, hash_map::Entry};

use bytes::Bytes;
use serde_json::Value;

use super::{Edits, Filter, Letter, Replay, Standing, filter::Told};
use crate::{
    clock::{Clock, UnixMs},
    error::JobError,
    fan_in::{BatchKey, BatchRecord, Member, Places},
    job::{
        BatchId, InvalidJob, Job, JobId, JobKey, Membership, Namespace, PayloadHash, Tenant,
        ToolName,
    },
    lease::{Ledger, LedgerError, Record},
};

/// A dead letter that is meant, beside what the ledger knows of its job.
#[derive(Debug)]
pub struct Case {
    /// The letter.
    pub letter: Letter,
    /// The job's id, if the letter tells one.
    pub job_id: Option<String>,
    /// Its tool, if the letter tells one.
    pub tool: Option<String>,
    /// Whose job it is.
    pub namespace: Namespace,
    /// The job's key; `None` for what is no job.
    pub key: Option<JobKey>,
    /// What the job was called with.
    pub before: Option<PayloadHash>,
    /// Where it stands.
    pub standing: Standing,
    /// The ledger's record of it.
    pub record: Option<Record>,
    /// What a replay does with the letter.
    pub action: Action,
}

/// What a replay does with a letter.
#[derive(Debug)]
pub enum Action {
    /// This job is sent to be run; then the letter is deleted.
    Replay(Box<Replay>, Box<Job>),
    /// Its outcome stands, and its callback is owed that: the job is sent to be told; then the letter is
    /// deleted.
    Tell(Box<Replay>),
    /// Nothing is left to be done: the letter is deleted.
    Drop,
    /// The letter stays.
    Leave(LeftBecause),
}

impl Action {
    /// Its name, for people and programs.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Replay(..) => "replay",
            Self::Tell(_) => "tell",
            Self::Drop => "drop",
            Self::Leave(_) => "leave",
        }
    }
}

/// Why a letter stays where it is.
#[derive(Debug)]
pub enum LeftBecause {
    /// Its job is in a state that a replay does not touch.
    Standing,
    /// The job waits for another try of its old payload, so that a new one would be a conflict.
    OldPayloadWaits,
    /// The job, as it is or as it was changed, cannot be run.
    Unfit(JobError),
    /// Its batch was cancelled: whatever of it is claimed is cancelled.
    BatchCancelled(BatchId),
    /// Its batch is over, and has no place for it: it would be refused again.
    BatchOver(BatchId),
    /// The job was to be run before this moment, and would be refused.
    Expired(UnixMs),
    /// A letter of the same job was replayed just now.
    Repeated,
}

impl LeftBecause {
    /// Its name, for programs.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Standing => "standing",
            Self::OldPayloadWaits => "old_payload_waits",
            Self::Unfit(_) => "unfit",
            Self::BatchCancelled(_) => "batch_cancelled",
            Self::BatchOver(_) => "batch_over",
            Self::Expired(_) => "expired",
            Self::Repeated => "repeated",
        }
    }

    /// What is wrong, and what helps, where the name alone does not tell.
    pub fn problem(&self) -> Option<String> {
        const INSTEAD: &str = "--set batch.id=… takes it into another one";
        match self {
            Self::Unfit(error) => Some(error.message.clone()),
            Self::BatchCancelled(id) => Some(format!(
                "its batch {id} was cancelled, and so would be the job when its turn comes; {INSTEAD}"
            )),
            Self::BatchOver(id) => {
                Some(format!("its batch {id} is over, and would refuse the job; {INSTEAD}"))
            }
            Self::Expired(moment) => Some(format!(
                "its time was over at {}; --set expires_at=… gives it more",
                moment.rfc3339()
            )),
            Self::Standing | Self::OldPayloadWaits | Self::Repeated => None,
        }
    }
}

/// What it takes to judge letters.
pub struct Desk<'a, L> {
    /// Who knows the jobs.
    pub ledger: &'a L,
    /// Whose job a letter is that names nobody.
    pub namespace: &'a Namespace,
    /// The wall clock.
    pub clock: &'a Clock,
    /// What a changed job has to pass beside the contract.
    pub check: &'a (dyn Fn(&Job) -> Result<(), JobError> + Send + Sync),
}

impl<L: Ledger> Desk<'_, L> {
    /// Those of the letters that are meant, each beside its record.
    pub(super) async fn cases(
        &self,
        letters: Vec<Letter>,
        filter: &Filter,
        edits: &Edits,
    ) -> Result<Vec<Case>, LedgerError> {
        let now = self.clock.now();
        let read = letters.into_iter().map(|letter| Draft::read(letter, self.namespace));
        let drafts: Vec<Draft> = read.filter(|draft| draft.is_meant(filter, now)).collect();
        let keys: Vec<JobKey> = drafts.iter().filter_map(Draft::key).collect();
        let mut records = match keys.is_empty() {
            true => Vec::new(),
            false => self.ledger.read(keys).await?,
        }
        .into_iter();
        let mut cases = Vec::with_capacity(drafts.len());
        for draft in drafts {
            let record = draft.key().and_then(|_| records.next().flatten());
            cases.push(self.case(draft, record, edits, now));
        }
        cases.retain(|case| filter.admits_standing(case.standing));
        self.leave_what_its_batch_refuses(&mut cases, now).await?;
        Ok(cases)
    }

    /// A letter outlives its batch. Sent all the same, its job would not be run, and its letter be gone.
    async fn leave_what_its_batch_refuses(
        &self,
        cases: &mut [Case],
        now: UnixMs,
    ) -> Result<(), LedgerError> {
        let mut batches = HashMap::new();
        for case in cases {
            let Action::Replay(replay, job) = &case.action else { continue };
            let Some(membership) = job.batch() else { continue };
            let namespace = replay.namespace.as_ref().unwrap_or(self.namespace);
            let key = BatchKey::of(namespace, membership.id());
            let batch = match batches.entry(key) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(unknown) => unknown.insert(self.ledger.batch(key).await?),
            };
            let Some(batch) = batch else { continue };
            let left = if batch.is_cancelled {
                LeftBecause::BatchCancelled(membership.id().clone())
            } else if self.refuses((key, batch), replay.job, membership, now).await? {
                LeftBecause::BatchOver(membership.id().clone())
            } else {
                continue;
            };
            case.action = Action::Leave(left);
        }
        Ok(())
    }

    /// Whether a batch that is over has no place for a job.
    async fn refuses(
        &self,
        (key, batch): (BatchKey, &BatchRecord),
        job: JobKey,
        membership: &Membership,
        now: UnixMs,
    ) -> Result<bool, LedgerError> {
        if !batch.is_over() && now < batch.expires {
            return Ok(false);
        }
        let at_place = self.ledger.members(key, membership.index(), 1).await?;
        let member = at_place.first().filter(|member| member.index == membership.index());
        let places = Places { holder: member.map(Member::holder), highest: None };
        Ok(BatchRecord::join(Some(batch.clone()), places, job, membership, now).is_err())
    }

    fn case(&self, draft: Draft, record: Option<Record>, edits: &Edits, now: UnixMs) -> Case {
        let (key, told) = (draft.key(), draft.told());
        let (job_id, tool) = (told.0.map(str::to_owned), told.1.map(str::to_owned));
        let Draft { letter, job, namespace, .. } = draft;
        let standing = match &job {
            Ok(job) => Standing::of(&letter, job, record.as_ref(), now),
            Err(_) => Standing::Unreadable,
        };
        let before = job.as_ref().ok().map(Job::payload_hash);
        let action = self.action(&letter, job, standing, record.as_ref(), edits);
        Case { letter, job_id, tool, namespace, key, before, standing, record, action }
    }

    fn action(
        &self,
        letter: &Letter,
        job: Result<Job, Box<InvalidJob>>,
        standing: Standing,
        record: Option<&Record>,
        edits: &Edits,
    ) -> Action {
        match (standing, job) {
            (Standing::Superseded, _) => Action::Drop,
            (Standing::Done, Ok(job)) => match record.is_some_and(Record::owes_callback) {
                true => {
                    Action::Tell(Box::new(self.message(letter, letter.body.clone(), &job, None)))
                }
                false => Action::Drop,
            },
            (Standing::NeverStarted | Standing::Unreadable | Standing::Retry, job) => {
                let before = job.as_ref().ok().map(Job::payload_hash);
                match self.edited(&letter.body, job, edits) {
                    Err(error) => Action::Leave(LeftBecause::Unfit(error)),
                    Ok((_, job))
                        if standing == Standing::Retry && Some(job.payload_hash()) != before =>
                    {
                        Action::Leave(LeftBecause::OldPayloadWaits)
                    }
                    Ok((body, job)) => {
                        let ran_in = letter.reason.as_ref().and_then(|reason| reason.epoch);
                        let is_gone = standing == Standing::NeverStarted;
                        // The worker's ledger may know the run, though this one does not.
                        self.replay(letter, body, job, ran_in.filter(|_| is_gone))
                    }
                }
            }
            (Standing::Failed, job) => match self.edited(&letter.body, job, edits) {
                Err(error) => Action::Leave(LeftBecause::Unfit(error)),
                Ok((body, job)) => {
                    self.replay(letter, body, job, record.map(|record| record.epoch))
                }
            },
            _ => Action::Leave(LeftBecause::Standing),
        }
    }

    /// The job as it is to be run. One that is not changed was judged before, and is judged again when it is run.
    fn edited(
        &self,
        body: &Bytes,
        job: Result<Job, Box<InvalidJob>>,
        edits: &Edits,
    ) -> Result<(Bytes, Job), JobError> {
        if edits.is_empty() {
            return Ok((body.clone(), job.map_err(|invalid| invalid.error())?));
        }
        let body = edits.apply(body)?;
        let job = Job::parse(&body).map_err(|invalid| invalid.error())?;
        (self.check)(&job)?;
        Ok((body, job))
    }

    fn replay(&self, letter: &Letter, body: Bytes, job: Job, replay_of: Option<u64>) -> Action {
        if let Some(moment) = job.expires_at().filter(|moment| *moment <= self.clock.now()) {
            return Action::Leave(LeftBecause::Expired(moment));
        }
        let message = self.message(letter, body, &job, replay_of);
        Action::Replay(Box::new(message), Box::new(job))
    }

    /// Group, trace and attributes are the letter's; a job without a group is its tenant's.
    fn message(&self, letter: &Letter, body: Bytes, job: &Job, replay_of: Option<u64>) -> Replay {
        let tenant = || job.tenant().map(|tenant| tenant.as_str().to_owned());
        let namespace = letter.namespace.as_ref().unwrap_or(self.namespace);
        Replay {
            body,
            job: JobKey::of(namespace, job.id()),
            namespace: letter.namespace.clone(),
            group: letter.group.clone().or_else(tenant),
            trace: letter.trace.clone(),
            others: letter.others.clone(),
            replay_of,
        }
    }
}

/// A letter that was read.
struct Draft {
    letter: Letter,
    /// The body, as far as it is JSON.
    value: Value,
    job: Result<Job, Box<InvalidJob>>,
    namespace: Namespace,
}

impl Draft {
    fn read(letter: Letter, namespace: &Namespace) -> Self {
        Self {
            value: serde_json::from_slice(&letter.body).unwrap_or_default(),
            job: Job::parse(&letter.body),
            namespace: letter.namespace.clone().unwrap_or_else(|| namespace.clone()),
            letter,
        }
    }

    fn key(&self) -> Option<JobKey> {
        Some(JobKey::of(&self.namespace, self.job.as_ref().ok()?.id()))
    }

    /// The job's id and tool, by its body or else by the letter's reason.
    fn told(&self) -> (Option<&str>, Option<&str>) {
        let reason = self.letter.reason.as_ref();
        let by_reason = reason.map(|it| (it.job_id.as_deref(), it.tool.as_deref()));
        let by_reason = by_reason.unwrap_or_default();
        match &self.job {
            Ok(job) => (Some(job.id().as_str()), Some(job.tool().as_str())),
            Err(invalid) => (
                invalid.id.as_ref().map(JobId::as_str).or(by_reason.0),
                invalid.tool.as_ref().map(ToolName::as_str).or(by_reason.1),
            ),
        }
    }

    fn is_meant(&self, filter: &Filter, now: UnixMs) -> bool {
        let tenant = self.job.as_ref().ok().and_then(Job::tenant).map(Tenant::as_str);
        let told = Told {
            job: &self.value,
            tool: self.told().1,
            tenant: tenant.or(self.letter.group.as_deref()),
        };
        filter.admits(&self.letter, &told, now)
    }
}
