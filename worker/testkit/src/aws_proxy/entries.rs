//! Batch requests of SQS of which some entries fail.

use bytes::Bytes;
use serde_json::{Value, json};

use super::chance::Chance;

/// A batch request, split.
#[derive(Debug)]
pub(super) struct Split {
    /// The request without the entries that fail.
    pub(super) body: Bytes,
    /// Whether any entry is left in it.
    pub(super) asks: bool,
    failed: Vec<Value>,
}

impl Split {
    /// Lets each entry fail with a chance.
    pub(super) fn of(body: &Value, mut chance: Chance) -> Self {
        let mut body = body.clone();
        let mut failed = Vec::new();
        if let Some(entries) = body["Entries"].as_array_mut() {
            entries.retain(|entry| {
                let fails = chance.hits();
                if fails {
                    failed.push(failure(&entry["Id"]));
                }
                !fails
            });
        }
        let asks = body["Entries"].as_array().is_none_or(|entries| !entries.is_empty());
        Self { body: body.to_string().into(), asks, failed }
    }

    /// The answer to what was left, with the failures.
    pub(super) fn answer(self, rest: &[u8]) -> Bytes {
        let mut answer = serde_json::from_slice(rest).unwrap_or_else(|_| json!({"Successful": []}));
        match answer["Failed"].as_array_mut() {
            Some(failed) => failed.extend(self.failed),
            None => answer["Failed"] = self.failed.into(),
        }
        answer.to_string().into()
    }
}

fn failure(id: &Value) -> Value {
    json!({"Id": id, "SenderFault": false, "Code": "InternalError", "Message": "injected by a test"})
}
