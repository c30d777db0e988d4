//! The jobs of a batch, each at its place.

use serde_json::{Map, Value, json};

use crate::{
    clock::UnixMs,
    error::JobError,
    job::{InvalidJob, Job, JobId, JobKey, ToolName},
    lease::Record,
};

use super::BatchKey;

/// A job's place in a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The batch.
    pub batch: BatchKey,
    /// The index in it, from 0.
    pub index: u64,
    /// With which of its ends the job was counted there, if it was: [`Record::end_number`].
    pub counted_end: Option<u32>,
}

/// Who has a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder {
    /// This job.
    Job(JobKey),
    /// A job that was rejected.
    Rejected,
}

/// A job of a batch.
#[derive(Clone, Debug, PartialEq)]
pub struct Member {
    /// Its place, from 0.
    pub index: u64,
    /// Whether the batch has counted it.
    pub is_counted: bool,
    /// With which of its ends, if it has: [`Record::end_number`].
    pub end: u32,
    /// What it is, as it is now.
    pub kind: MemberKind,
}

/// What stands at a place of a batch.
#[derive(Clone, Debug, PartialEq)]
pub enum MemberKind {
    /// A job that was claimed at least once.
    Job(Box<Record>),
    /// A job that could not become one.
    Rejected(Box<Rejection>),
}

impl Member {
    /// The member as it was counted, whatever a person has done about its job since.
    #[must_use]
    pub fn as_counted(self) -> Self {
        let kind = match self.kind {
            MemberKind::Job(record) if self.is_counted => {
                MemberKind::Job(Box::new(record.at_end(self.end)))
            }
            kind => kind,
        };
        Self { kind, ..self }
    }

    /// Who has the place.
    pub fn holder(&self) -> Holder {
        self.record().map_or(Holder::Rejected, |record| Holder::Job(record.key))
    }

    /// Its record, if it has one.
    pub fn record(&self) -> Option<&Record> {
        match &self.kind {
            MemberKind::Job(record) => Some(record),
            MemberKind::Rejected(_) => None,
        }
    }
}

/// A job that could not become a run, as its batch remembers it.
#[derive(Clone, Debug, PartialEq)]
pub struct Rejection {
    /// Its id, if that could be read.
    pub job_id: Option<JobId>,
    /// Its tool, if that could be read.
    pub tool: Option<ToolName>,
    /// Why.
    pub error: JobError,
    /// What the caller gets back.
    pub metadata: Option<Value>,
    /// When.
    pub rejected: UnixMs,
}

impl Rejection {
    /// Of a body that is no job.
    pub fn of_invalid(invalid: &InvalidJob, rejected: UnixMs) -> Self {
        let InvalidJob { id, tool, metadata, .. } = invalid.clone();
        Self { job_id: id, tool, error: invalid.error(), metadata, rejected }
    }

    /// Of a job that can be read.
    pub fn of_job(job: &Job, error: JobError, rejected: UnixMs) -> Self {
        Self {
            job_id: Some(job.id().clone()),
            tool: Some(job.tool().clone()),
            error,
            metadata: job.metadata().cloned(),
            rejected,
        }
    }

    /// As stores keep it.
    pub fn to_json(&self) -> Value {
        let mut fields = Map::new();
        let mut put = |name: &str, value| fields.insert(name.to_owned(), value);
        if let Some(id) = &self.job_id {
            put("job_id", id.as_str().into());
        }
        if let Some(tool) = &self.tool {
            put("tool", tool.as_str().into());
        }
        put("error", json!(self.error));
        if let Some(metadata) = &self.metadata {
            put("metadata", metadata.clone());
        }
        put("rejected_ms", self.rejected.0.into());
        Value::Object(fields)
    }

    /// One that was stored.
    pub fn from_json(mut stored: Value) -> Option<Self> {
        let text = |name: &str| stored.get(name).and_then(Value::as_str);
        Some(Self {
            job_id: text("job_id").and_then(|id| id.parse().ok()),
            tool: text("tool").and_then(|tool| tool.parse().ok()),
            rejected: UnixMs(stored.get("rejected_ms")?.as_i64()?),
            error: serde_json::from_value(stored.get_mut("error")?.take()).ok()?,
            metadata: stored.get_mut("metadata").map(Value::take),
        })
    }
}
