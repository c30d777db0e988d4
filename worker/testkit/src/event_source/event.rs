//! The event that a function gets for a batch.

use serde_json::{Map, Value, json};

use super::SqsMessage;

/// "Lambda passes all of the records in the batch to the function in a single call, up to the
/// payload limit for synchronous invocation (6 MB)."
const MAX_PAYLOAD_BYTES: usize = 6 * 1024 * 1024;

/// What stands around the records.
const AROUND: usize = r#"{"Records":[]}"#.len();

/// A batch in the making.
#[derive(Debug)]
pub(super) struct Event {
    arn: String,
    region: String,
    records: Vec<String>,
    ids: Vec<String>,
    receipts: Vec<String>,
    bytes: usize,
}

impl Event {
    pub(super) fn new(arn: &str) -> Self {
        // arn:aws:sqs:REGION:ACCOUNT:NAME
        let region = arn.split(':').nth(3).unwrap_or_default().to_owned();
        Self {
            arn: arn.to_owned(),
            region,
            records: Vec::new(),
            ids: Vec::new(),
            receipts: Vec::new(),
            bytes: AROUND,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.records.len()
    }

    pub(super) fn ids(&self) -> &[String] {
        &self.ids
    }

    /// The receipt handles of some of its messages.
    pub(super) fn receipts(&self, ids: &[String]) -> Vec<String> {
        let pairs = self.ids.iter().zip(&self.receipts);
        pairs.filter(|(id, _)| ids.contains(id)).map(|(_, receipt)| receipt.clone()).collect()
    }

    /// Adds a message, unless the payload would be too large with it.
    pub(super) fn push(&mut self, message: SqsMessage) -> Result<(), SqsMessage> {
        let record = self.record(&message).to_string();
        let bytes = self.bytes + record.len() + 1;
        if bytes > MAX_PAYLOAD_BYTES {
            return Err(message);
        }
        let text = |field: &str| message[field].as_str().unwrap_or_default().to_owned();
        self.ids.push(text("MessageId"));
        self.receipts.push(text("ReceiptHandle"));
        self.records.push(record);
        self.bytes = bytes;
        Ok(())
    }

    /// A message as a record, in the shape of "Example Amazon SQS event".
    fn record(&self, message: &SqsMessage) -> Value {
        let mut record = json!({
            "messageId": message["MessageId"],
            "receiptHandle": message["ReceiptHandle"],
            "body": message["Body"],
            "attributes": message["Attributes"],
            "messageAttributes": message_attributes(&message["MessageAttributes"]),
        });
        if !message["MD5OfMessageAttributes"].is_null() {
            record["md5OfMessageAttributes"] = message["MD5OfMessageAttributes"].clone();
        }
        record["md5OfBody"] = message["MD5OfBody"].clone();
        record["eventSource"] = "aws:sqs".into();
        record["eventSourceARN"] = self.arn.as_str().into();
        record["awsRegion"] = self.region.as_str().into();
        record
    }

    pub(super) fn json(&self) -> String {
        format!(r#"{{"Records":[{}]}}"#, self.records.join(","))
    }
}

fn message_attributes(attributes: &Value) -> Value {
    let Some(attributes) = attributes.as_object() else { return json!({}) };
    let attributes = attributes.iter().map(|(name, attribute)| {
        let mut value = Map::new();
        for (theirs, ours) in [("StringValue", "stringValue"), ("BinaryValue", "binaryValue")] {
            if !attribute[theirs].is_null() {
                value.insert(ours.to_owned(), attribute[theirs].clone());
            }
        }
        value.insert("stringListValues".to_owned(), json!([]));
        value.insert("binaryListValues".to_owned(), json!([]));
        value.insert("dataType".to_owned(), attribute["DataType"].clone());
        (name.clone(), Value::Object(value))
    });
    Value::Object(attributes.collect())
}
