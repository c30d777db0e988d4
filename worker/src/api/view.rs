//! What is told of a job and of a batch.

use serde::Serialize;
use serde_json::Value;

use crate::{
    clock::UnixMs,
    error::JobError,
    fan_in::BatchRecord,
    job::JobId,
    lease::{Record, State, Usage},
    webhook::error_data,
};

/// Where a job stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub(crate) enum JobState {
    /// The ledger has not seen it: it may lie in the queue, or never have been sent.
    Unknown,
    /// It lies in the queue.
    Queued,
    /// Its tool is being called.
    Running,
    /// It failed or was stopped, and will be tried again.
    Waiting,
    /// The tool answered.
    Succeeded,
    /// It was given up.
    Failed,
    /// A person has to decide.
    Held,
    /// It will not be run.
    Cancelled,
}

impl From<&State> for JobState {
    fn from(state: &State) -> Self {
        match state {
            State::Running { .. } => Self::Running,
            State::Retry(_) => Self::Waiting,
            State::Done(_) => Self::Succeeded,
            State::Failed(_) => Self::Failed,
            State::Held(_) => Self::Held,
            State::Cancelled => Self::Cancelled,
        }
    }
}

/// Why a job did not succeed.
#[derive(Clone, Debug, Serialize)]
#[serde(transparent)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = Error, value_type = super::openapi::ErrorBody))]
pub(crate) struct ErrorView(Value);

impl From<&JobError> for ErrorView {
    fn from(error: &JobError) -> Self {
        Self(error_data(error))
    }
}

/// One job: all but `id` and `state` is there once the ledger knows it.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = Job))]
pub(crate) struct JobView {
    /// The caller's id.
    id: String,
    state: JobState,
    /// The tool it calls.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schema(nullable = false))]
    tool: Option<String>,
    /// What the tool answered: text, or JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<Value>,
    /// Why it failed, is held, or waits.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schema(nullable = false))]
    error: Option<ErrorView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schema(nullable = false))]
    usage: Option<Usage>,
    /// Calls begun.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schema(nullable = false))]
    attempts: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schema(format = DateTime, nullable = false))]
    first_seen_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schema(format = DateTime, nullable = false))]
    started_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schema(format = DateTime, nullable = false))]
    finished_at: Option<String>,
    /// Whether the outcome was told, such as `pending` or `sent`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schema(nullable = false))]
    callback: Option<&'static str>,
}

impl JobView {
    /// A job that the ledger does not know.
    pub(crate) fn unseen(id: &JobId, state: JobState) -> Self {
        Self {
            id: id.to_string(),
            state,
            tool: None,
            result: None,
            error: None,
            usage: None,
            attempts: None,
            first_seen_at: None,
            started_at: None,
            finished_at: None,
            callback: None,
        }
    }

    /// Where it stands.
    pub(crate) fn state(&self) -> JobState {
        self.state
    }
}

impl From<&Record> for JobView {
    fn from(record: &Record) -> Self {
        let (result, error) = match &record.state {
            State::Done(result) => (Some(result.clone()), None),
            State::Failed(error) | State::Held(error) | State::Retry(Some(error)) => {
                (None, Some(error.into()))
            }
            State::Running { .. } | State::Retry(None) | State::Cancelled => (None, None),
        };
        let slot = record.callback.as_ref().filter(|_| record.is_final());
        Self {
            id: record.job_id.to_string(),
            state: JobState::from(&record.state),
            tool: Some(record.tool.to_string()),
            result,
            error,
            usage: Some(record.usage.clone()),
            attempts: Some(record.attempts),
            first_seen_at: Some(record.first_seen.rfc3339()),
            started_at: Some(record.claimed.rfc3339()),
            finished_at: record.state.is_counted().then(|| record.settled.rfc3339()),
            callback: slot.map(|slot| slot.state.name()),
        }
    }
}

/// One batch.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = Batch))]
pub(crate) struct BatchView {
    /// The caller's id.
    id: String,
    state: BatchState,
    /// How many jobs it has, once somebody has said so.
    size: Option<u64>,
    /// How many of them have ended.
    ended: u64,
    /// What of it has not started is not run.
    cancelled: bool,
    /// Whether the outcome was told, such as `pending` or `sent`.
    callback: &'static str,
    /// Where to: the whole URL may be a secret.
    callback_host: String,
    /// Tries that the receiver did not take.
    callback_failures: u32,
    #[cfg_attr(test, schema(format = DateTime))]
    opened_at: String,
    /// When it is closed with what there is.
    #[cfg_attr(test, schema(format = DateTime))]
    expires_at: String,
    /// When it was closed for that reason.
    #[cfg_attr(test, schema(format = DateTime))]
    expired_at: Option<String>,
}

/// Whether jobs of a batch are awaited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub(crate) enum BatchState {
    /// Jobs of it are to come or to end.
    Open,
    /// Every job of it has ended.
    Complete,
    /// It was closed with what there was: nothing is counted any more.
    Expired,
}

impl From<&BatchRecord> for BatchView {
    fn from(batch: &BatchRecord) -> Self {
        let state = match batch {
            batch if batch.is_complete() => BatchState::Complete,
            BatchRecord { expired: Some(_), .. } => BatchState::Expired,
            _ => BatchState::Open,
        };
        let slot = &batch.callback;
        Self {
            id: batch.id.to_string(),
            state,
            size: batch.size,
            ended: batch.counted,
            cancelled: batch.is_cancelled,
            callback: slot.state.name(),
            callback_host: slot.callback.host().to_owned(),
            callback_failures: slot.failures,
            opened_at: batch.opened.rfc3339(),
            expires_at: batch.expires.rfc3339(),
            expired_at: batch.expired.map(UnixMs::rfc3339),
        }
    }
}
