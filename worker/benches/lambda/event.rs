//! Batches of jobs as SQS hands them to Lambda.

use serde_json::{Value, json};

/// The queue they come from.
pub(crate) const QUEUE_ARN: &str = "arn:aws:sqs:us-east-1:000000000000:jobs";

/// The event with jobs of these numbers, each with a text of its own of `text_bytes` and a callback.
pub(crate) fn batch(
    numbers: impl Iterator<Item = usize>,
    text_bytes: usize,
    callback: &str,
) -> String {
    let records: Vec<Value> =
        numbers.map(|number| record(number, &job(number, text_bytes, callback))).collect();
    json!({"Records": records}).to_string()
}

fn job(number: usize, text_bytes: usize, callback: &str) -> Value {
    let sentence = format!("This is sentence after sentence of text {number}. ");
    let text: String = sentence.chars().cycle().take(text_bytes).collect();
    let id = format!("job-{number:06}");
    json!({"id": id, "tool": "summarize", "input": {"text": text}, "callback": callback})
}

/// With a receipt shorter than SQS's, so that 10,000 fit 6 MB.
fn record(number: usize, job: &Value) -> Value {
    json!({
        "messageId": format!("00000000-0000-4000-8000-{number:012}"),
        "receiptHandle": format!("AQEB{number:060}"),
        "body": job.to_string(),
        "attributes": {"ApproximateReceiveCount": "1", "SentTimestamp": "1795420000000"},
        "messageAttributes": {},
        "md5OfBody": "00000000000000000000000000000000",
        "eventSource": "aws:sqs",
        "eventSourceARN": QUEUE_ARN,
        "awsRegion": "us-east-1",
    })
}
