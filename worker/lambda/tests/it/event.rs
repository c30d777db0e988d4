//! Events as Lambda hands them over.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

/// A message of an event.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    pub(crate) id: String,
    pub(crate) body: String,
    pub(crate) receive_count: u32,
    pub(crate) group: Option<String>,
    pub(crate) attributes: BTreeMap<String, String>,
    /// The queue it comes from; `None`: the event does not say.
    pub(crate) arn: Option<String>,
}

impl Record {
    /// A message of a standard queue that is received for the first time.
    pub(crate) fn new(id: &str, body: &(impl ToString + ?Sized)) -> Self {
        Self {
            id: id.to_owned(),
            body: body.to_string(),
            receive_count: 1,
            group: None,
            attributes: BTreeMap::new(),
            arn: None,
        }
    }

    /// From the queue of that ARN.
    pub(crate) fn from(self, arn: &str) -> Self {
        Self { arn: Some(arn.to_owned()), ..self }
    }

    /// In a group.
    pub(crate) fn in_group(self, group: &str) -> Self {
        Self { group: Some(group.to_owned()), ..self }
    }

    pub(crate) fn json(&self) -> Value {
        let mut system = json!({
            "ApproximateReceiveCount": self.receive_count.to_string(),
            "SentTimestamp": now_ms(),
            "SenderId": "a-test",
            "ApproximateFirstReceiveTimestamp": now_ms(),
        });
        if let Some(group) = &self.group {
            system["MessageGroupId"] = group.as_str().into();
        }
        let attribute = |(name, value): (&String, &String)| {
            let value = json!({
                "stringValue": value,
                "stringListValues": [],
                "binaryListValues": [],
                "dataType": "String",
            });
            (name.clone(), value)
        };
        json!({
            "messageId": self.id,
            "receiptHandle": format!("receipt-{}", self.id),
            "body": self.body,
            "attributes": system,
            "messageAttributes": self.attributes.iter().map(attribute).collect::<BTreeMap<_, _>>(),
            "md5OfBody": "not looked at",
            "eventSource": "aws:sqs",
            "eventSourceARN": self.arn,
            "awsRegion": "us-east-1",
        })
    }
}

/// What was sent days ago would be given up sooner.
fn now_ms() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a time after 1970");
    now.as_millis().to_string()
}

/// An event of these messages.
pub(crate) fn event(records: &[Record]) -> String {
    let records: Vec<Value> = records.iter().map(Record::json).collect();
    json!({"Records": records}).to_string()
}

/// The ids that a partial batch response lists.
///
/// # Panics
///
/// When it is none that SQS's event source mapping takes.
pub(crate) fn listed(answer: &Value) -> Vec<String> {
    let failures = answer["batchItemFailures"].as_array().expect("a list of failures");
    let id = |failure: &Value| failure["itemIdentifier"].as_str().expect("an id").to_owned();
    failures.iter().map(id).collect()
}
