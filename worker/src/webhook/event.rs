//! What a callback says: `{"type", "timestamp", "data"}`, made from the record alone, so that every
//! try for one outcome has the same id and the same body.

use bytes::Bytes;
use data_encoding::HEXLOWER;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::{
    error::JobError,
    lease::{Record, State},
};

/// One outcome, ready to be sent any number of times.
#[derive(Clone, Debug)]
pub struct Event {
    /// `webhook-id`: stable for one outcome of one job, without a full stop.
    pub id: String,
    /// The exact bytes that are signed and sent.
    pub body: Bytes,
}

impl Event {
    /// The event of a finished job; `None` while there is no outcome.
    pub fn of_job(record: &Record) -> Option<Self> {
        let kind = match record.state {
            State::Done(_) => "job.succeeded",
            State::Failed(_) => "job.failed",
            _ => return None,
        };
        let identity = [record.key.as_bytes().as_slice(), &record.epoch.to_be_bytes()];
        Some(Self::new(kind, &record.settled.rfc3339(), data(record), &identity))
    }

    /// An event whose id follows from `identity` alone.
    pub fn new(kind: &str, timestamp: &str, data: Map<String, Value>, identity: &[&[u8]]) -> Self {
        let mut body = json!({"type": kind, "timestamp": timestamp});
        body["data"] = Value::Object(data);
        Self { id: event_id(identity), body: Bytes::from(body.to_string()) }
    }
}

/// What is told of a job: its `data` in callbacks, and most of its line in a results file.
pub fn data(record: &Record) -> Map<String, Value> {
    let mut data = Map::new();
    data.insert("id".to_owned(), record.job_id.as_str().into());
    data.insert("tool".to_owned(), record.tool.as_str().into());
    match &record.state {
        State::Done(result) => {
            data.insert("result".to_owned(), result.clone());
            if record.usage.truncated_results > 0 {
                data.insert("truncated".to_owned(), true.into());
            }
        }
        State::Failed(error) | State::Held(error) | State::Retry(Some(error)) => {
            data.insert("error".to_owned(), error_data(error));
        }
        State::Running { .. } | State::Retry(None) | State::Cancelled => {}
    }
    data.insert("usage".to_owned(), json!(record.usage));
    data.insert("attempts".to_owned(), record.attempts.into());
    data.insert("first_seen_at".to_owned(), record.first_seen.rfc3339().into());
    data.insert("started_at".to_owned(), record.claimed.rfc3339().into());
    data.insert("finished_at".to_owned(), record.settled.rfc3339().into());
    if let Some(metadata) = &record.metadata {
        data.insert("metadata".to_owned(), metadata.clone());
    }
    data
}

/// A failure as it is told.
pub fn error_data(error: &JobError) -> Value {
    let mut data = json!({
        "class": error.class,
        "code": error.code,
        "message": error.message,
        "retryable": error.class.is_retryable(),
    });
    if let Some(field) = &error.field {
        data["field"] = field.as_str().into();
    }
    data
}

fn event_id(parts: &[&[u8]]) -> String {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(part);
    }
    let digest: [u8; 32] = hasher.finalize().into();
    let (half, _) = digest.split_at(16);
    format!("msg_{}", HEXLOWER.encode_display(half))
}
