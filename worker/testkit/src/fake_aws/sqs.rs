//! SQS as a sink: everything succeeds, nothing is kept, nothing ever comes.

use serde_json::json;
use serde_json::value::RawValue;

use super::item::{fields, text};
use super::reply::Reply;

/// What its operations are called behind.
pub(super) const TARGET: &str = "AmazonSQS.";

pub(super) fn handle(operation: &str, body: &[u8]) -> Reply {
    match operation {
        "SendMessage" => Reply::ok(r#"{"MessageId":"sent","MD5OfMessageBody":""}"#),
        "SendMessageBatch" => {
            batch(body, |id| json!({"Id": id, "MessageId": id, "MD5OfMessageBody": ""}))
        }
        "ChangeMessageVisibilityBatch" | "DeleteMessageBatch" => {
            batch(body, |id| json!({"Id": id}))
        }
        "ReceiveMessage" | "DeleteMessage" | "ChangeMessageVisibility" => Reply::ok("{}"),
        _ => Reply::unknown_operation(),
    }
}

/// A success for each entry.
fn batch(body: &[u8], success: impl Fn(&str) -> serde_json::Value) -> Reply {
    let Some(ids) = str::from_utf8(body).ok().and_then(ids) else { return Reply::invalid() };
    let successes: Vec<_> = ids.into_iter().map(success).collect();
    Reply::ok(json!({"Successful": successes, "Failed": []}).to_string())
}

fn ids(body: &str) -> Option<Vec<&str>> {
    let entries: Vec<&RawValue> = serde_json::from_str(fields(body)?.get("Entries")?.get()).ok()?;
    entries.into_iter().map(|entry| text(fields(entry.get())?.get("Id")?)).collect()
}
