//! Rows made into jobs: with the id, the batch and whatever else they lack.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;
use serde_json::{Map, Value, json, value::RawValue};
use sha2::{Digest, Sha256};

use super::rows::{Row, Rows, SharedDigest};
use crate::{
    error::{ErrorClass, JobError},
    job::{BatchId, Callback, Job, JobId, ModelName, PayloadHash, ToolName, with_fields},
};

/// Refusals that are kept to be told; the others are counted.
pub(super) const KEPT: usize = 1_000;

/// What jobs get that do not say it themselves.
#[derive(Clone)]
pub(super) struct Defaults {
    pub(super) tool: Option<ToolName>,
    pub(super) model: Option<ModelName>,
    pub(super) callback: Option<Callback>,
    pub(super) id_prefix: String,
    pub(super) batch: Option<(BatchId, Callback)>,
    /// How many jobs the batch has; the most there may be, until that is known.
    pub(super) size: u64,
}

/// One row, judged.
pub(super) struct Draft {
    pub(super) line: u64,
    pub(super) fate: Fate,
}

/// What becomes of a row.
pub(super) enum Fate {
    /// It is a job to be sent.
    Ready(Ready),
    /// The same job stands on an earlier line, with the same callback and the same place.
    Repeated,
    /// It is no job.
    Bad(JobError),
}

/// A job to be sent.
pub(super) struct Ready {
    pub(super) line: u64,
    pub(super) job: Box<Job>,
    pub(super) body: Bytes,
}

/// What a line says itself.
struct Says<'a>(HashMap<String, &'a RawValue>);

impl<'a> Says<'a> {
    fn of(text: &'a str) -> Option<Self> {
        serde_json::from_str(text).ok().map(Self)
    }

    fn has(&self, field: &str) -> bool {
        self.0.contains_key(field)
    }

    fn id(&self) -> Option<Value> {
        self.0.get("id").and_then(|id| serde_json::from_str(id.get()).ok())
    }
}

/// The jobs of a file, in order.
pub(super) struct Drafts {
    rows: Rows,
    defaults: Defaults,
    digest: SharedDigest,
    /// Where each id was used first, and with what.
    used: HashMap<JobId, (u64, PayloadHash)>,
    /// Where outcomes were wished to be told and counted.
    wished: HashSet<[u8; 32]>,
    /// How many jobs without an id call the same.
    alike: HashMap<PayloadHash, u64>,
    next_index: u64,
}

/// What a file holds.
pub(super) struct Judged {
    pub(super) jobs: u64,
    pub(super) repeated: u64,
    pub(super) bad: u64,
    /// The first of them: line and reason.
    pub(super) told: Vec<(u64, String)>,
    /// Of all that was read.
    pub(super) digest: [u8; 32],
}

impl Drafts {
    pub(super) fn new(rows: Rows, defaults: Defaults, digest: SharedDigest) -> Self {
        let (used, wished, alike) = (HashMap::new(), HashSet::new(), HashMap::new());
        Self { rows, defaults, digest, used, wished, alike, next_index: 0 }
    }

    /// Reads them all.
    pub(super) fn judge(mut self) -> anyhow::Result<Judged> {
        let mut judged = Judged { jobs: 0, repeated: 0, bad: 0, told: Vec::new(), digest: [0; 32] };
        for draft in &mut self {
            let Draft { line, fate } = draft?;
            match fate {
                Fate::Ready(_) => judged.jobs += 1,
                Fate::Repeated => judged.repeated += 1,
                Fate::Bad(error) => {
                    judged.bad += 1;
                    if judged.told.len() < KEPT {
                        judged.told.push((line, error.message));
                    }
                }
            }
        }
        Ok(Judged { digest: self.digest.finish(), ..judged })
    }

    fn fate(&mut self, line: u64, text: Result<Bytes, JobError>) -> Fate {
        match text.and_then(|text| self.job(line, &text)) {
            Ok(fate) => fate,
            Err(error) => Fate::Bad(error),
        }
    }

    fn job(&mut self, line: u64, text: &Bytes) -> Result<Fate, JobError> {
        // What is wrong with it is told where it is parsed.
        let Ok(text) = str::from_utf8(text) else { return refused(text) };
        let text = text.trim();
        let Some(says) = Says::of(text) else {
            return refused(&Bytes::copy_from_slice(text.as_bytes()));
        };
        if says.has("batch") && self.defaults.batch.is_some() {
            let message = "batch: expected none in a line, since --batch names one";
            return Err(JobError::new(ErrorClass::Invalid, "invalid_field", message).at("batch"));
        }
        let mut lacks = self.defaults.lacking(&says);
        let (id, text) = match says.id() {
            None => (self.made_id(&lacks, text)?, text.to_owned()),
            Some(_) if self.defaults.id_prefix.is_empty() => (None, text.to_owned()),
            Some(id) => (Some(self.prefixed(&id)?), without_id(text)?),
        };
        if let Some(id) = id {
            lacks.insert("id".to_owned(), id.into());
        }
        if let Some(place) = self.defaults.place(self.next_index) {
            lacks.insert("batch".to_owned(), place);
        }
        let body = with_fields(&lacks, &text);
        let job = parse(&body)?;
        let (first, hash) =
            *self.used.entry(job.id().clone()).or_insert_with(|| (line, job.payload_hash()));
        if hash != job.payload_hash() {
            return Err(conflict(first));
        }
        if !self.wished.insert(self.defaults.wish(&job)) {
            return Ok(Fate::Repeated);
        }
        self.next_index += 1;
        Ok(Fate::Ready(Ready { line, job: Box::new(job), body }))
    }

    /// Made of what is called, and of how many call the same before it.
    fn made_id(
        &mut self,
        lacks: &Map<String, Value>,
        text: &str,
    ) -> Result<Option<String>, JobError> {
        let mut with_any = lacks.clone();
        with_any.insert("id".to_owned(), "x".into());
        let hash = parse(&with_fields(&with_any, text))?.payload_hash();
        let nth = self.alike.entry(hash).or_default();
        let id = hash.job_id(*nth);
        *nth += 1;
        Ok(Some(format!("{}{id}", self.defaults.id_prefix)))
    }

    fn prefixed(&self, id: &Value) -> Result<String, JobError> {
        let text = id.as_str().ok_or_else(|| {
            let message = "id: expected a string, found something else";
            JobError::new(ErrorClass::Invalid, "invalid_field", message).at("id")
        })?;
        Ok(format!("{}{text}", self.defaults.id_prefix))
    }
}

/// Says what is wrong with a text that is no job.
fn refused<T>(text: &Bytes) -> Result<T, JobError> {
    parse(text).and_then(|_| {
        let message = "expected a JSON object, found something else";
        Err(JobError::new(ErrorClass::Invalid, "not_an_object", message))
    })
}

fn parse(body: &Bytes) -> Result<Job, JobError> {
    Job::parse(body).map_err(|invalid| invalid.error())
}

/// The same text without its id, which another one takes the place of.
fn without_id(text: &str) -> Result<String, JobError> {
    let fields: Map<String, Value> = serde_json::from_str(text).map_err(|_| {
        let message = "expected a JSON object, found something else";
        JobError::new(ErrorClass::Invalid, "not_an_object", message)
    })?;
    let others = fields.into_iter().filter(|(name, _)| name != "id");
    Ok(Value::Object(others.collect()).to_string())
}

fn conflict(first: u64) -> JobError {
    let message = format!(
        "id: expected an id of its own, found the id of line {first} with another tool, input or \
         model"
    );
    JobError::new(ErrorClass::Invalid, "id_conflict", message).at("id")
}

impl Defaults {
    /// What the line does not say.
    fn lacking(&self, says: &Says<'_>) -> Map<String, Value> {
        let url = |callback: &Callback| callback.expose_url().to_owned();
        let fields = [
            ("tool", self.tool.as_ref().map(ToString::to_string)),
            ("model", self.model.as_ref().map(ToString::to_string)),
            ("callback", self.callback.as_ref().map(url)),
        ];
        let lacking = fields.into_iter().filter(|(name, _)| !says.has(name));
        lacking.filter_map(|(name, value)| Some((name.to_owned(), value?.into()))).collect()
    }

    /// What tells a job from a repetition of it: its id, and where its outcome is told and counted, as far as
    /// its line says so. A hash, since a file may have a million.
    fn wish(&self, job: &Job) -> [u8; 32] {
        let place = job.batch().filter(|_| self.batch.is_none());
        let place = place.map(|place| {
            let (size, expires_at) = (place.size(), place.expires_at().map(|moment| moment.0));
            let callback = place.callback().expose_url();
            json!([place.id().as_str(), place.index(), size, callback, expires_at])
        });
        let callback = job.callback().map(Callback::expose_url);
        Sha256::digest(json!([job.id().as_str(), callback, place]).to_string()).into()
    }

    fn place(&self, index: u64) -> Option<Value> {
        let (id, callback) = self.batch.as_ref()?;
        let callback = callback.expose_url().to_owned();
        Some(json!({"id": id.as_str(), "index": index, "size": self.size, "callback": callback}))
    }
}

impl Iterator for Drafts {
    type Item = anyhow::Result<Draft>;

    fn next(&mut self) -> Option<anyhow::Result<Draft>> {
        let row = self.rows.next()?;
        Some(row.map_err(anyhow::Error::from).map(|Row { line, text }| {
            let fate = self.fate(line, text);
            Draft { line, fate }
        }))
    }
}
