//! What the function asked of SQS.

use std::collections::BTreeMap;

use mcp_batch_testkit::AwsCall;
use serde_json::Value;

/// The times for which messages were hidden, by receipt.
pub(crate) fn hidden_s(calls: &[AwsCall]) -> BTreeMap<String, u64> {
    let entries = entries(calls, "ChangeMessageVisibilityBatch");
    let hidden = entries.map(|(_, entry)| {
        let receipt = entry["ReceiptHandle"].as_str().expect("a receipt").to_owned();
        (receipt, entry["VisibilityTimeout"].as_u64().expect("seconds"))
    });
    hidden.collect()
}

/// The messages that were sent to this queue.
pub(crate) fn sent_to<'a>(
    queue_url: &'a str,
    calls: &'a [AwsCall],
) -> impl Iterator<Item = &'a Value> {
    let sent = entries(calls, "SendMessageBatch").filter(move |(call, _)| {
        call.body["QueueUrl"] == queue_url && call.carried_out.is_some_and(|status| status < 300)
    });
    sent.map(|(_, entry)| entry)
}

fn entries<'a>(
    calls: &'a [AwsCall],
    operation: &'static str,
) -> impl Iterator<Item = (&'a AwsCall, &'a Value)> {
    let calls = calls.iter().filter(move |call| call.is(operation));
    calls.flat_map(|call| {
        let entries = call.body["Entries"].as_array().into_iter().flatten();
        entries.map(move |entry| (call, entry))
    })
}
