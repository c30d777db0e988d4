//! The body of `POST /v1/jobs`, taken apart: one job, an array of them, or jobs with the batch that
//! all of them are in. Jobs stay the texts they are; what they lack is put at their beginning.

use std::fmt;

use axum::body::Bytes;
use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, SeqAccess, Visitor},
};
use serde_json::{Map, Value, value::RawValue};

use super::super::{idempotency::Identity, problem::Problem};
use crate::job::{self, Membership, with_fields};

/// The most jobs of one request.
pub(in crate::api) const MAX_JOBS: usize = 1_000;

const ENVELOPE: &str = "expected {\"batch\": {…}, \"jobs\": […]}";

/// What was sent.
pub(super) struct Submission<'a> {
    body: &'a Bytes,
    jobs: Vec<&'a RawValue>,
    batch: Option<BatchFields>,
}

/// One job's text, complete but for what is wrong with it.
pub(super) struct Draft {
    pub(super) body: Bytes,
    /// The job names a batch although the request has one.
    pub(super) has_two_batches: bool,
    /// Its id was made just now: nobody can know it.
    pub(super) has_fresh_id: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Envelope<'a> {
    #[serde(borrow)]
    jobs: Jobs<'a>,
    #[serde(default)]
    batch: Option<Map<String, Value>>,
}

/// Whether the object is an envelope.
#[derive(Deserialize)]
struct Kind {
    #[serde(default, deserialize_with = "present")]
    jobs: bool,
}

/// What a job has.
#[derive(Deserialize)]
struct Fields {
    #[serde(default, deserialize_with = "present")]
    id: bool,
    #[serde(default, deserialize_with = "present")]
    batch: bool,
}

fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    IgnoredAny::deserialize(deserializer).map(|_| true)
}

impl<'a> Submission<'a> {
    pub(super) fn parse(body: &'a Bytes) -> Result<Self, Problem> {
        let text = str::from_utf8(body).map_err(|error| {
            let at = error.valid_up_to();
            Problem::bad_request("not_utf8", format!("expected UTF-8, found another byte at {at}"))
        })?;
        let unreadable = |error: serde_json::Error| -> Problem {
            let error = job::unreadable(text, &error);
            Problem::bad_request("not_json", error.message)
        };
        let first = text.bytes().find(|byte| !byte.is_ascii_whitespace());
        let (jobs, batch) = match first {
            Some(b'[') => (serde_json::from_str::<Jobs<'_>>(text).map_err(unreadable)?, None),
            _ if serde_json::from_str::<Kind>(text).map_err(unreadable)?.jobs => {
                let envelope = serde_json::from_str::<Envelope<'_>>(text).map_err(|error| {
                    let place = format!("at line {}, column {}", error.line(), error.column());
                    Problem::bad_request("invalid_field", format!("{ENVELOPE}, found else {place}"))
                })?;
                (envelope.jobs, envelope.batch.map(BatchFields::parse).transpose()?)
            }
            _ => {
                let job: &RawValue = serde_json::from_str(text).map_err(unreadable)?;
                (Jobs { some: vec![job], count: 1 }, None)
            }
        };
        if jobs.count == 0 {
            return Err(Problem::bad_request("no_jobs", "expected at least one job").at("jobs"));
        }
        if jobs.count > MAX_JOBS {
            let detail = format!("expected at most {MAX_JOBS} jobs, found {}", jobs.count);
            return Err(Problem::bad_request("too_many_jobs", detail).at("jobs"));
        }
        Ok(Self { body, jobs: jobs.some, batch })
    }

    /// The jobs with their ids and places, and the batch they are in.
    pub(super) fn complete(
        self,
        identity: &Identity,
    ) -> Result<(Vec<Draft>, Option<Batch>), Problem> {
        let batch =
            self.batch.map(|batch| batch.complete(self.jobs.len(), identity)).transpose()?;
        let draft = |(index, job): (usize, &RawValue)| {
            let text = job.get().trim();
            // What is wrong with it is told where it is parsed.
            let has = serde_json::from_str(text).unwrap_or(Fields { id: true, batch: true });
            let mut lacks = Map::new();
            if !has.id {
                lacks.insert("id".to_owned(), identity.job_id(index).as_str().into());
            }
            if let Some(batch) = batch.as_ref().filter(|_| !has.batch) {
                lacks.insert("batch".to_owned(), batch.place(index));
            }
            Draft {
                body: match lacks.is_empty() {
                    true => self.body.slice_ref(text.as_bytes()),
                    false => with_fields(&lacks, text),
                },
                has_two_batches: batch.is_some() && has.batch,
                has_fresh_id: !has.id && matches!(identity, Identity::Fresh),
            }
        };
        let drafts = self.jobs.iter().copied().enumerate().map(draft).collect();
        Ok((drafts, batch))
    }
}

/// The jobs' texts: not more of them than are needed to see that there are too many.
struct Jobs<'a> {
    some: Vec<&'a RawValue>,
    count: usize,
}

impl<'de: 'a, 'a> Deserialize<'de> for Jobs<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(JobsVisitor)
    }
}

struct JobsVisitor;

impl<'de> Visitor<'de> for JobsVisitor {
    type Value = Jobs<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of jobs")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut jobs: A) -> Result<Jobs<'de>, A::Error> {
        let mut some = Vec::new();
        while some.len() < MAX_JOBS
            && let Some(job) = jobs.next_element()?
        {
            some.push(job);
        }
        let mut count = some.len();
        while jobs.next_element::<IgnoredAny>()?.is_some() {
            count += 1;
        }
        Ok(Jobs { some, count })
    }
}

/// What a request says of its batch.
struct BatchFields {
    first_index: u64,
    /// It was said how many jobs it has, or that nobody knows yet.
    has_size: bool,
    /// As a job says it.
    membership: Map<String, Value>,
}

/// The batch that all jobs of a request are in.
pub(super) struct Batch {
    first_index: u64,
    membership: Map<String, Value>,
    pub(super) id: String,
    pub(super) size: Option<u64>,
}

impl BatchFields {
    fn parse(mut fields: Map<String, Value>) -> Result<Self, Problem> {
        let known = ["id", "callback", "size", "expires_at", "first_index"];
        if let Some(name) = fields.keys().find(|name| !known.contains(&name.as_str())) {
            let shown: String = name.chars().filter(|c| !c.is_control()).take(64).collect();
            let detail = format!("expected one of {}, found an unknown field", known.join(", "));
            return Err(Problem::bad_request("unknown_field", detail).at(&format!("batch.{shown}")));
        }
        let first_index = fields.remove("first_index").unwrap_or_else(|| 0.into());
        let Some(first_index) = first_index.as_u64() else {
            let problem = Problem::bad_request("invalid_field", "expected a whole number from 0");
            return Err(problem.at("batch.first_index"));
        };
        let has_size = fields.contains_key("size");
        fields.retain(|name, value| name != "size" || !value.is_null());
        if first_index > 0 && !has_size {
            let detail =
                "expected the number of jobs of the whole batch, or null until it is closed";
            return Err(Problem::bad_request("missing_field", detail).at("batch.size"));
        }
        Ok(Self { first_index, has_size, membership: fields })
    }

    /// A batch that is this one request is as large as that.
    fn complete(mut self, jobs: usize, identity: &Identity) -> Result<Batch, Problem> {
        if !self.has_size {
            self.membership.insert("size".to_owned(), jobs.into());
        }
        if !self.membership.contains_key("id") {
            let id = identity.job_id(usize::MAX);
            self.membership.insert("id".to_owned(), id.as_str().into());
        }
        let text = |name| self.membership.get(name).and_then(Value::as_str).unwrap_or_default();
        let batch = Batch {
            first_index: self.first_index,
            id: text("id").to_owned(),
            size: self.membership.get("size").and_then(Value::as_u64),
            membership: self.membership,
        };
        for index in [0, jobs - 1] {
            Membership::from_json(batch.place(index)).map_err(|error| {
                let field = error.field.unwrap_or_default();
                Problem::bad_request("invalid_field", error.message).at(&field)
            })?;
        }
        Ok(batch)
    }
}

impl Batch {
    /// Whether all of its jobs are those of this request.
    pub(super) fn is_whole(&self, jobs: usize) -> bool {
        self.size == Some(jobs as u64)
    }

    /// What the request's job number `index` is in it.
    pub(super) fn membership(&self, index: usize) -> Option<Membership> {
        Membership::from_json(self.place(index)).ok()
    }

    /// The place of the request's job number `index`.
    fn place(&self, index: usize) -> Value {
        let mut membership = self.membership.clone();
        membership.insert("index".to_owned(), (self.first_index + index as u64).into());
        Value::Object(membership)
    }
}
