//! What became of each item of the file: refused before it was sent, a repetition, or a job.

use std::collections::HashMap;

use bytes::Bytes;

use crate::{
    error::{ErrorClass, JobError},
    job::{InvalidJob, Job, JobId, JobKey, Namespace, PayloadHash, ToolName},
    tool::Tools,
};

use super::input::Item;

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
}

/// All items so far.
#[derive(Default)]
pub(super) struct Entries {
    all: Vec<Entry>,
    sent: HashMap<JobKey, (usize, PayloadHash)>,
}

impl Entries {
    /// Judges an item by its text; answers its job if that is to be sent.
    pub(super) fn admit<T: Tools>(
        &mut self,
        item: &Item,
        body: &Bytes,
        tools: &T,
        namespace: &Namespace,
    ) -> Option<Job> {
        let parsed = match item.is_whole() {
            true => Job::parse(body),
            false => Err(Box::new(InvalidJob::too_large(item.bytes))),
        };
        match parsed {
            Ok(job) => self.admit_job(job, item.line, tools, namespace),
            Err(invalid) => {
                let error = invalid.error();
                self.all.push(Entry {
                    line: item.line,
                    id: invalid.id,
                    tool: invalid.tool,
                    metadata: invalid.metadata.map(|metadata| metadata.to_string().into()),
                    fate: Fate::Rejected(Box::new(error)),
                });
                None
            }
        }
    }

    fn admit_job<T: Tools>(
        &mut self,
        job: Job,
        line: u64,
        tools: &T,
        namespace: &Namespace,
    ) -> Option<Job> {
        let key = JobKey::of(namespace, job.id());
        let fate = self.fate(&job, key, tools);
        let is_sent = matches!(fate, Fate::Sent(_));
        self.all.push(Entry {
            line,
            id: Some(job.id().clone()),
            tool: Some(job.tool().clone()),
            metadata: job.metadata().map(|metadata| metadata.to_string().into()),
            fate,
        });
        is_sent.then_some(job)
    }

    fn fate<T: Tools>(&mut self, job: &Job, key: JobKey, tools: &T) -> Fate {
        if let Err(error) = tools.check(job) {
            return Fate::Rejected(Box::new(error));
        }
        let hash = job.payload_hash();
        match self.sent.get(&key) {
            Some((earlier, payload)) if *payload == hash => Fate::Duplicate { of: *earlier },
            Some((earlier, _)) => Fate::Rejected(Box::new(self.conflict(*earlier))),
            None => {
                self.sent.insert(key, (self.all.len(), hash));
                Fate::Sent(key)
            }
        }
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
