//! A job's place in a batch: `batch: {id, index, size?, callback, expires_at?}`.

use std::time::Duration;

use serde_json::Value;

use super::{
    BatchId, Callback,
    fields::{self, Fields, Problem},
};
use crate::{
    clock::UnixMs,
    error::{ErrorClass, JobError},
};

/// The most jobs one batch can count.
pub const MAX_BATCH_JOBS: u64 = 1_000_000;

/// The longest that a batch may be open: as long as a queue keeps a message at most, so that no job
/// can come later.
pub const LONGEST_BATCH: Duration = Duration::from_secs(14 * 86_400);

/// Which batch a job is counted in, and as which of its members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Membership {
    id: BatchId,
    index: u64,
    size: Option<u64>,
    callback: Callback,
    expires_at: Option<UnixMs>,
}

impl Membership {
    pub(super) fn parse(value: Value) -> Result<Self, Problem> {
        let names = ["id", "index", "size", "callback", "expires_at"];
        let mut fields = Fields::of_object(value, &names)?;
        let id = fields.required("id", BatchId::parse);
        let index =
            fields.required("index", |value| fields::integer(&value, 0, MAX_BATCH_JOBS - 1));
        let size = fields.optional("size", |value| fields::integer(&value, 1, MAX_BATCH_JOBS));
        let callback = fields.required("callback", Callback::parse);
        let expires_at = fields.optional("expires_at", fields::timestamp);
        if let Some(problem) = fields.finish().into_iter().next() {
            return Err(problem);
        }
        let (Some(id), Some(index), Some(callback)) = (id, index, callback) else {
            return Err(Problem::missing("id"));
        };
        if let Some(size) = size.filter(|size| index >= *size) {
            let expected = format!("an index below the size of {size}");
            return Err(Problem::invalid(expected, index.to_string()).under("index"));
        }
        Ok(Self { id, index, size, callback, expires_at })
    }

    /// What can be read of a place that breaks the contract: enough to count its job as rejected. One
    /// that by its own size is none is nobody's.
    pub(super) fn salvage(value: &Value) -> Option<Self> {
        let field = |name: &str| value.get(name).cloned();
        let index = fields::integer(&field("index")?, 0, MAX_BATCH_JOBS - 1).ok()?;
        let size = value.get("size").and_then(Value::as_u64);
        if size.is_some_and(|size| index >= size) {
            return None;
        }
        Some(Self {
            id: BatchId::parse(field("id")?).ok()?,
            index,
            size: size.filter(|size| *size <= MAX_BATCH_JOBS),
            callback: Callback::parse(field("callback")?).ok()?,
            expires_at: field("expires_at").and_then(|moment| fields::timestamp(moment).ok()),
        })
    }

    /// Reads a place from JSON, as it stands in a job under `batch`.
    pub fn from_json(value: Value) -> Result<Self, JobError> {
        Self::parse(value).map_err(|problem| fields::error(&[problem.under("batch")]))
    }

    /// The batch.
    pub fn id(&self) -> &BatchId {
        &self.id
    }

    /// The job's place in it, from 0: the order of the results.
    pub fn index(&self) -> u64 {
        self.index
    }

    /// How many jobs it has, if that is known already.
    pub fn size(&self) -> Option<u64> {
        self.size
    }

    /// Where the whole batch's outcome is posted.
    pub fn callback(&self) -> &Callback {
        &self.callback
    }

    /// Whether the batch is closed soon enough, seen from `now`.
    pub fn check_lifetime(&self, now: UnixMs) -> Result<(), JobError> {
        let longest = now.plus(LONGEST_BATCH);
        let Some(late) = self.expires_at.filter(|moment| *moment > longest) else { return Ok(()) };
        let days = LONGEST_BATCH.as_secs() / 86_400;
        let message = format!(
            "batch.expires_at: expected a time at most {days} days ahead, found {}",
            late.rfc3339()
        );
        let field = "batch.expires_at";
        Err(JobError::new(ErrorClass::Invalid, "invalid_field", message).at(field))
    }

    /// When it is closed with what there is.
    pub fn expires_at(&self) -> Option<UnixMs> {
        self.expires_at
    }
}
