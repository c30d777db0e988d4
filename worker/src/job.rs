//! **2. The job.** A message body comes in, a [`Job`] goes out: parsed here once, into types with
//! private fields. A body that breaks the contract becomes an [`InvalidJob`], which names every
//! field at fault and keeps what could be read, so that somebody can be told.

mod callback;
mod fields;
mod input;
mod key;
mod membership;
mod names;
mod raw;
mod text;

use bytes::Bytes;
use serde_json::Value;

#[cfg(feature = "lambda")]
pub(crate) use self::raw::kind_of_text;
pub use self::{
    callback::Callback,
    fields::Problem,
    input::Input,
    key::{BodyHash, JobKey, Namespace, PayloadHash, RequestKey},
    membership::{LONGEST_BATCH, MAX_BATCH_JOBS, Membership},
    names::{BatchId, JobId, ModelName, Tenant, ToolName},
    text::{traced, with_fields},
};
use self::{fields::Fields, raw::RawJob};
use crate::{
    clock::UnixMs,
    error::{ErrorClass, JobError},
    trace::TraceContext,
};

/// The largest body that is read, in bytes: what SQS carries.
pub const MAX_BODY_BYTES: usize = 1_048_576;

/// The largest `metadata`, in bytes of its JSON text.
pub const MAX_METADATA_BYTES: usize = 8 * 1024;

/// One call of one tool: version 1 of the job contract (`fixtures/job.schema.json`).
#[derive(Clone, Debug, PartialEq)]
pub struct Job {
    id: JobId,
    tool: ToolName,
    input: Input,
    payload_hash: PayloadHash,
    model: Option<ModelName>,
    callback: Option<Callback>,
    batch: Option<Membership>,
    metadata: Option<Value>,
    expires_at: Option<UnixMs>,
    max_cost_usd: Option<f64>,
    tenant: Option<Tenant>,
    trace: Option<TraceContext>,
    has_traceparent: bool,
}

impl Job {
    /// Reads a job from its JSON text, of which it keeps the input.
    pub fn parse(body: &Bytes) -> Result<Self, Box<InvalidJob>> {
        let raw =
            RawJob::parse(body).map_err(|problem| Box::new(InvalidJob::unreadable(problem)))?;
        Self::from_fields(raw, body)
    }

    fn from_fields(raw: RawJob<'_>, body: &Bytes) -> Result<Self, Box<InvalidJob>> {
        let mut fields = Fields::new(raw.known, raw.problems);
        let id = fields.required("id", JobId::parse);
        let tool = fields.required("tool", ToolName::parse);
        let input = fields.judged("input", raw.input.map(|raw| Input::parse(raw, body)));
        let model = fields.optional("model", ModelName::parse);
        let callback = fields.optional("callback", Callback::parse);
        let mut salvaged = None;
        let batch = fields.optional("batch", |value| {
            let readable = Membership::salvage(&value);
            Membership::parse(value).inspect_err(|_| salvaged = readable)
        });
        let metadata = fields.optional("metadata", metadata);
        let expires_at = fields.optional("expires_at", fields::timestamp);
        let max_cost_usd = fields.optional("max_cost_usd", |value| fields::positive_number(&value));
        let tenant = fields.optional("tenant", Tenant::parse);
        let trace = fields.optional("traceparent", traceparent);

        match (id, tool, input, fields.finish()) {
            (Some(id), Some(tool), Some((input, value)), problems) if problems.is_empty() => {
                Ok(Self {
                    payload_hash: PayloadHash::of(&tool, &value, model.as_ref()),
                    id,
                    tool,
                    input,
                    model,
                    callback,
                    batch,
                    metadata,
                    expires_at,
                    max_cost_usd,
                    tenant,
                    has_traceparent: trace.is_some(),
                    trace: trace.flatten(),
                })
            }
            (id, tool, _, problems) => {
                let membership = batch.or(salvaged);
                Err(Box::new(InvalidJob { id, tool, callback, membership, metadata, problems }))
            }
        }
    }

    /// The caller's idempotency key.
    pub fn id(&self) -> &JobId {
        &self.id
    }

    /// The tool it calls.
    pub fn tool(&self) -> &ToolName {
        &self.tool
    }

    /// What the tool is called with.
    pub fn input(&self) -> &Input {
        &self.input
    }

    /// The model that overrides the tool's.
    pub fn model(&self) -> Option<&ModelName> {
        self.model.as_ref()
    }

    /// Where the outcome is posted.
    pub fn callback(&self) -> Option<&Callback> {
        self.callback.as_ref()
    }

    /// Its place in a batch that is counted.
    pub fn batch(&self) -> Option<&Membership> {
        self.batch.as_ref()
    }

    /// What the caller gets back untouched.
    pub fn metadata(&self) -> Option<&Value> {
        self.metadata.as_ref()
    }

    /// The moment after which it is not run any more.
    pub fn expires_at(&self) -> Option<UnixMs> {
        self.expires_at
    }

    /// Whether that moment is still ahead of `now`, and its batch's not too far.
    pub fn check_expiry(&self, now: UnixMs) -> Result<(), JobError> {
        self.batch.as_ref().map_or(Ok(()), |batch| batch.check_lifetime(now))?;
        let Some(moment) = self.expires_at.filter(|end| *end <= now) else { return Ok(()) };
        let message = format!("expires_at: expected a time ahead, found {}", moment.rfc3339());
        Err(JobError::new(ErrorClass::Invalid, "expired", message).at("expires_at"))
    }

    /// Once this much is spent, it is not retried.
    pub fn max_cost_usd(&self) -> Option<f64> {
        self.max_cost_usd
    }

    /// Whose fair share it counts towards.
    pub fn tenant(&self) -> Option<&Tenant> {
        self.tenant.as_ref()
    }

    /// The span of whoever sent it.
    pub fn trace(&self) -> Option<TraceContext> {
        self.trace
    }

    /// Whether its text has one, sound or not.
    pub fn has_traceparent(&self) -> bool {
        self.has_traceparent
    }

    /// The hash over tool, input and model: the same id with another one is a conflict.
    pub fn payload_hash(&self) -> PayloadHash {
        self.payload_hash
    }
}

/// A text that names no span is no reason to refuse a job: whoever traces may be older or newer.
fn traceparent(value: Value) -> Result<Option<TraceContext>, Problem> {
    let text = fields::string(value, "a traceparent, as in W3C's Trace Context")?;
    Ok(TraceContext::parse(&text))
}

fn metadata(value: Value) -> Result<Value, Problem> {
    let bytes = value.to_string().len();
    if bytes > MAX_METADATA_BYTES {
        return Err(Problem::invalid(
            format!("at most {MAX_METADATA_BYTES} bytes of JSON"),
            format!("{bytes} bytes"),
        ));
    }
    Ok(value)
}

/// What a text is that cannot be read as JSON, without quoting it.
pub fn unreadable(text: &str, error: &serde_json::Error) -> JobError {
    fields::error(&[raw::unreadable(text, error)])
}

/// A body that is not a job: what is wrong with it, and what could be read all the same.
#[derive(Clone, Debug)]
pub struct InvalidJob {
    /// The id, if it is sound.
    pub id: Option<JobId>,
    /// The tool's name, if it is sound.
    pub tool: Option<ToolName>,
    /// Where the failure can be told, if that is sound.
    pub callback: Option<Callback>,
    /// Its place in a batch, if that can be read: there it counts as rejected.
    pub membership: Option<Membership>,
    /// What the caller gets back.
    pub metadata: Option<Value>,
    problems: Vec<Problem>,
}

impl InvalidJob {
    /// A body that was not even kept: it has `bytes` of them.
    pub fn too_large(bytes: usize) -> Self {
        Self::unreadable(Problem::too_large(bytes))
    }

    fn unreadable(problem: Problem) -> Self {
        Self::of_message(vec![problem])
    }

    /// A message that is no job whatever its body says, since these were found in it.
    pub(crate) fn of_message(problems: Vec<Problem>) -> Self {
        Self { id: None, tool: None, callback: None, membership: None, metadata: None, problems }
    }

    /// Everything that is wrong, the first thing first.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// All problems as one failure: code and field of the first, the sentences of all.
    pub fn error(&self) -> JobError {
        fields::error(&self.problems)
    }
}
