//! What became of each item of the file: refused before it was sent, a repetition, or a job.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;

use crate::{
    environment::{Environment, Ports},
    error::{ErrorClass, JobError},
    fan_in::{BatchKey, Rejection},
    job::{Callback, InvalidJob, Job, JobId, JobKey, Membership, PayloadHash, ToolName},
};

use crate::cli::input::Item;

/// One item of the file.
pub(super) struct Entry {
    pub(super) line: u64,
    pub(super) id: Option<JobId>,
    pub(super) tool: Option<ToolName>,
    pub(super) metadata: Option<Box<str>>,
    pub(super) fate: Fate,
}

/// What becomes of an item.
pub(super) enum Fate {
    /// It is no job that can be run.
    Rejected(Box<JobError>),
    /// The same job stands on an earlier line.
    Duplicate {
        /// The index of that entry.
        of: usize,
    },
    /// It is sent.
    Sent(JobKey),
    /// It is sent as well: the same job stands on an earlier line, with another callback or place.
    SentAgain(JobKey),
}

/// All items so far.
#[derive(Default)]
pub(super) struct Entries {
    all: Vec<Entry>,
    sent: HashMap<JobKey, Sent>,
    /// Batches in which a refused item was counted.
    pub(super) batches: HashSet<BatchKey>,
}

/// An item that is refused, in a batch where it is counted all the same.
pub(super) struct Refusal {
    pub(super) membership: Membership,
    pub(super) rejection: Rejection,
}

/// What tells a job that was sent from another one under its id.
struct Sent {
    payload_hash: PayloadHash,
    first: Wish,
    others: Vec<Wish>,
}

/// Where an item wants an outcome to be told and counted.
struct Wish {
    /// The index of its entry.
    index: usize,
    callback: Option<Callback>,
    batch: Option<Membership>,
}

impl Sent {
    fn new(index: usize, job: &Job) -> Self {
        let (payload_hash, first) = (job.payload_hash(), Wish::new(index, job));
        Self { payload_hash, first, others: Vec::new() }
    }

    /// The entry of which the job is a repetition.
    fn repeated(&self, job: &Job) -> Option<usize> {
        let mut wishes = std::iter::once(&self.first).chain(&self.others);
        wishes.find(|wish| wish.is_of(job)).map(|wish| wish.index)
    }
}

impl Wish {
    fn new(index: usize, job: &Job) -> Self {
        Self { index, callback: job.callback().cloned(), batch: job.batch().cloned() }
    }

    fn is_of(&self, job: &Job) -> bool {
        self.callback.as_ref() == job.callback() && self.batch.as_ref() == job.batch()
    }
}

impl Entries {
    /// Judges an item by its text; answers its job if that is to be sent, or where its refusal
    /// counts.
    pub(super) fn admit<P: Ports>(
        &mut self,
        item: &Item,
        body: &Bytes,
        environment: &Environment<P>,
    ) -> Result<Job, Option<Box<Refusal>>> {
        let parsed = match item.is_whole() {
            true => Job::parse(body),
            false => Err(Box::new(InvalidJob::too_large(item.bytes))),
        };
        match parsed {
            Ok(job) => self.admit_job(job, item.line, environment),
            Err(invalid) => {
                let error = invalid.error();
                let rejection = Rejection::of_invalid(&invalid, environment.clock.now());
                let refusal = invalid.membership.clone();
                let refusal = refusal.map(|membership| Box::new(Refusal { membership, rejection }));
                self.all.push(Entry {
                    line: item.line,
                    id: invalid.id,
                    tool: invalid.tool,
                    metadata: invalid.metadata.map(|metadata| metadata.to_string().into()),
                    fate: Fate::Rejected(Box::new(error)),
                });
                Err(refusal)
            }
        }
    }

    fn admit_job<P: Ports>(
        &mut self,
        job: Job,
        line: u64,
        environment: &Environment<P>,
    ) -> Result<Job, Option<Box<Refusal>>> {
        let key = JobKey::of(&environment.policy.namespace, job.id());
        let fate = self.fate(&job, key, environment);
        let answer = match &fate {
            Fate::Sent(_) | Fate::SentAgain(_) => Ok(()),
            Fate::Duplicate { .. } => Err(None),
            Fate::Rejected(error) => Err(job.batch().map(|membership| {
                let rejection = Rejection::of_job(&job, (**error).clone(), environment.clock.now());
                Box::new(Refusal { membership: membership.clone(), rejection })
            })),
        };
        self.all.push(Entry {
            line,
            id: Some(job.id().clone()),
            tool: Some(job.tool().clone()),
            metadata: job.metadata().map(|metadata| metadata.to_string().into()),
            fate,
        });
        answer.map(|()| job)
    }

    fn fate<P: Ports>(&mut self, job: &Job, key: JobKey, environment: &Environment<P>) -> Fate {
        if let Err(error) = environment.check(job) {
            return Fate::Rejected(Box::new(error));
        }
        let index = self.all.len();
        let Some(sent) = self.sent.get_mut(&key) else {
            self.sent.insert(key, Sent::new(index, job));
            return Fate::Sent(key);
        };
        if sent.payload_hash != job.payload_hash() {
            let first = sent.first.index;
            return Fate::Rejected(Box::new(self.conflict(first)));
        }
        if let Some(of) = sent.repeated(job) {
            return Fate::Duplicate { of };
        }
        sent.others.push(Wish::new(index, job));
        Fate::SentAgain(key)
    }

    fn conflict(&self, earlier: usize) -> JobError {
        let line = self.all.get(earlier).map_or(0, |entry| entry.line);
        let message = format!(
            "id: expected an id of its own, found the id of line {line} with another tool, input \
             or model"
        );
        JobError::new(ErrorClass::Invalid, "id_conflict", message).at("id")
    }

    pub(super) fn iter(&self) -> impl ExactSizeIterator<Item = &Entry> {
        self.all.iter()
    }

    pub(super) fn get(&self, index: usize) -> Option<&Entry> {
        self.all.get(index)
    }

    pub(super) fn last(&self) -> Option<&Entry> {
        self.all.last()
    }
}
