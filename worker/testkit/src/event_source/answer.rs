//! What a function's answer means for its batch.

use std::collections::BTreeSet;

use serde_json::Value;

use super::WholeBatch;
use crate::Invocation;

/// The ids of the messages that are not deleted, or why none is.
pub(super) type Verdict = Result<BTreeSet<String>, WholeBatch>;

/// With `ReportBatchItemFailures`.
pub(super) fn judge(batch: &[String], invocation: &Invocation) -> Verdict {
    let answer = parse(answered(invocation)?)?;
    let mut kept = BTreeSet::new();
    for failure in failures(&answer)? {
        let id = identifier(failure)?;
        if !batch.contains(&id) {
            return Err(WholeBatch::UnknownId(id));
        }
        if !kept.insert(id.clone()) {
            return Err(WholeBatch::RepeatedId(id));
        }
    }
    Ok(kept)
}

/// Without it: "Even when your function code returns partial batch failure responses, these
/// responses will not be processed by Lambda unless the `ReportBatchItemFailures` feature is
/// explicitly turned on for your event source mapping."
pub(super) fn judge_unread(invocation: &Invocation) -> Verdict {
    answered(invocation)?;
    Ok(BTreeSet::new())
}

/// "If your function throws an exception, the entire batch is considered a complete failure."
/// A timeout and an exit are errors of the function too.
fn answered(invocation: &Invocation) -> Result<&[u8], WholeBatch> {
    match invocation {
        Invocation::Response(body) => Ok(body),
        Invocation::Error { .. } => Err(WholeBatch::Error),
        Invocation::TimedOut => Err(WholeBatch::TimedOut),
        Invocation::Crashed(_) => Err(WholeBatch::Crashed),
    }
}

/// A complete failure: "An invalid JSON response."
///
/// A complete success: "An empty `EventResponse`. A null `EventResponse`."
fn parse(body: &[u8]) -> Result<Value, WholeBatch> {
    if body.is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_slice(body).map_err(|_| WholeBatch::InvalidJson)
}

/// A complete success: "An empty `batchItemFailures` list. A null `batchItemFailures` list." An
/// object without the list is an empty response, whatever else is in it.
///
/// What is no object, or no list, cannot be read as a response: taken for invalid JSON.
fn failures(answer: &Value) -> Result<&[Value], WholeBatch> {
    let list = match answer {
        Value::Null => return Ok(&[]),
        Value::Object(fields) => fields.get("batchItemFailures"),
        _ => return Err(WholeBatch::InvalidJson),
    };
    match list {
        None | Some(Value::Null) => Ok(&[]),
        Some(Value::Array(failures)) => Ok(failures),
        Some(_) => Err(WholeBatch::InvalidJson),
    }
}

/// A complete failure: "An empty string `itemIdentifier`. A null `itemIdentifier`. An
/// `itemIdentifier` with a bad key name."
fn identifier(failure: &Value) -> Result<String, WholeBatch> {
    match failure.get("itemIdentifier") {
        None => Err(WholeBatch::BadKey),
        Some(Value::String(id)) if id.is_empty() => Err(WholeBatch::EmptyId),
        Some(Value::String(id)) => Ok(id.clone()),
        Some(_) => Err(WholeBatch::NullId),
    }
}
