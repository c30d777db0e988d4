//! An event of SQS, read record by record: what cannot be read of one takes none of the others with
//! it. What SQS never sends (a body that is no text, attributes of another shape) makes a message no
//! job, and is told as why.

use std::{collections::HashMap, fmt};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use serde::{
    Deserialize, Deserializer,
    de::{self, DeserializeOwned, Visitor},
};
use serde_json::value::RawValue;

use crate::{
    aws::sqs::{Envelope, SystemAttributes},
    clock::UnixMs,
    job::{Problem, kind_of_text},
    queue::{Attribute, AttributeValue, Message},
};

/// What Lambda hands over for a batch of messages.
#[derive(Deserialize)]
pub(super) struct Event {
    #[serde(rename = "Records")]
    pub(super) records: Vec<Record>,
}

/// One message of it, as far as it can be read.
pub(super) struct Record {
    fields: Fields,
    problems: Vec<Problem>,
}

/// What is looked at of a record. What is missing or null is as if nobody had set it.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Fields {
    message_id: Option<String>,
    receipt_handle: Option<String>,
    body: Option<Body>,
    attributes: Option<SystemAttributes>,
    message_attributes: Option<HashMap<String, RawAttribute>>,
    #[serde(rename = "eventSourceARN")]
    queue_arn: Option<String>,
}

/// A message attribute.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawAttribute {
    string_value: Option<String>,
    binary_value: Option<String>,
    data_type: Option<String>,
}

impl RawAttribute {
    /// Bytes stand in base64.
    fn named(self, name: String) -> Option<Attribute> {
        let binary =
            || Some(AttributeValue::Binary(STANDARD.decode(self.binary_value?).ok()?.into()));
        let value = self.string_value.map(AttributeValue::Text).or_else(binary)?;
        let kind = self.data_type.unwrap_or_else(|| "String".to_owned());
        Some(Attribute { name, kind, value })
    }
}

impl<'de> Deserialize<'de> for Record {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let record = <&RawValue>::deserialize(deserializer)?.get();
        Ok(match serde_json::from_str(record) {
            Ok(fields) => Self { fields, problems: Vec::new() },
            Err(_) => Self::salvage(record),
        })
    }
}

impl Record {
    /// What can be read of a record all the same, field by field.
    fn salvage(record: &str) -> Self {
        let raw = serde_json::from_str(record).unwrap_or_default();
        let mut fields = RawFields { raw, problems: Vec::new() };
        let body_as_written = fields.raw.get("body").map(|body| body.get().to_owned());
        let of_record = Fields {
            message_id: fields.read("messageId", "a text"),
            receipt_handle: fields.read("receiptHandle", "a text"),
            body: fields.read("body", "a text").or(body_as_written.map(|text| Body(text.into()))),
            attributes: fields.read("attributes", "an object of texts"),
            message_attributes: fields.read("messageAttributes", "an object of attributes"),
            queue_arn: fields.read("eventSourceARN", "a text"),
        };
        Self { fields: of_record, problems: fields.problems }
    }

    /// The ARN of the queue it comes from.
    pub(super) fn queue_arn(&self) -> Option<&str> {
        self.fields.queue_arn.as_deref()
    }

    /// The message in it, received at `now`; `None` where it has no id.
    pub(super) fn into_message(self, now: UnixMs) -> Option<Message> {
        let Fields { message_id, receipt_handle, body, attributes, message_attributes, .. } =
            self.fields;
        let attributes_of_message = message_attributes.into_iter().flatten();
        let envelope = Envelope {
            id: message_id.filter(|id| !id.is_empty())?,
            receipt: receipt_handle.unwrap_or_default(),
            body: body.map(|Body(bytes)| bytes).unwrap_or_default(),
            system: attributes.unwrap_or_default(),
            attributes: attributes_of_message
                .filter_map(|(name, attribute)| attribute.named(name))
                .collect(),
        };
        Some(Message { problems: self.problems, ..envelope.into_message(now) })
    }
}

/// A record's fields before they are judged.
struct RawFields<'a> {
    raw: HashMap<String, &'a RawValue>,
    problems: Vec<Problem>,
}

impl RawFields<'_> {
    fn read<T: DeserializeOwned>(&mut self, name: &str, expected: &str) -> Option<T> {
        let text = self.raw.get(name)?.get();
        serde_json::from_str(text).unwrap_or_else(|_| {
            let problem = Problem::invalid(expected, kind_of_text(text));
            self.problems.push(problem.under(name).under("record"));
            None
        })
    }
}

/// A message's body. A surrogate without its other half, which JSON can escape and UTF-8 cannot say,
/// stands in it as bytes that are no UTF-8: who reads the job tells of them.
struct Body(Bytes);

impl<'de> Deserialize<'de> for Body {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_bytes(BodyVisitor)
    }
}

struct BodyVisitor;

impl Visitor<'_> for BodyVisitor {
    type Value = Body;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text")
    }

    fn visit_bytes<E: de::Error>(self, text: &[u8]) -> Result<Body, E> {
        Ok(Body(Bytes::copy_from_slice(text)))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::job::Job;

    const NOW: UnixMs = UnixMs(1_800_000_000_000);

    fn record() -> Value {
        json!({
            "messageId": "id",
            "receiptHandle": "receipt",
            "body": r#"{"id": "a", "tool": "summarize", "input": {}}"#,
            "attributes": {"ApproximateReceiveCount": "3", "MessageGroupId": "tenant"},
            "messageAttributes": {
                "replay_of": {"stringValue": "4", "binaryListValues": [], "dataType": "String"},
                "image": {"binaryValue": "AAEC", "dataType": "Binary"},
            },
            "eventSourceARN": "arn:aws:sqs:eu-central-1:123456789012:jobs.fifo",
            "a field of the future": {"is": ["not", "looked", "at"]},
        })
    }

    fn read(records: &str) -> serde_json::Result<Vec<Record>> {
        let event = format!("{{\"Records\": [{records}]}}");
        serde_json::from_slice::<Event>(event.as_bytes()).map(|event| event.records)
    }

    fn message(record: &str) -> Option<Message> {
        read(record).expect("an event").remove(0).into_message(NOW)
    }

    #[test]
    fn a_sound_record_is_read_whole() {
        let records = read(&record().to_string()).expect("an event");
        assert_eq!(records[0].queue_arn(), record()["eventSourceARN"].as_str());
        let message = message(&record().to_string()).expect("it has an id");
        assert_eq!((&*message.id, &*message.receipt.0), ("id", "receipt"));
        assert_eq!((message.receive_count, message.replay_of), (3, Some(4)));
        assert_eq!(message.group.as_deref(), Some("tenant"));
        assert!(Job::parse(&message.body).is_ok() && message.problems.is_empty());
    }

    #[test]
    fn what_a_producer_put_beside_its_job_comes_along() {
        let mut record = record();
        record["messageAttributes"] = json!({
            "text": {"stringValue": "a", "dataType": "String", "stringListValues": []},
            "number": {"stringValue": "7", "dataType": "Number.int"},
            "bytes": {"binaryValue": "AP8K", "dataType": "Binary"},
            "nothing": {"dataType": "Binary"},
            "replay_of": {"stringValue": "4", "dataType": "String"},
        });
        let mut others = message(&record.to_string()).expect("it has an id").others;
        others.sort_by(|one, other| one.name.cmp(&other.name));
        let told: Vec<_> = others.iter().map(|it| (&*it.name, &*it.kind, &it.value)).collect();
        let text = |text: &str| AttributeValue::Text(text.to_owned());
        let bytes = AttributeValue::Binary(vec![0, 255, 10].into());
        let expected = [
            ("bytes", "Binary", &bytes),
            ("number", "Number.int", &text("7")),
            ("text", "String", &text("a")),
        ];
        assert_eq!(told.len(), expected.len());
        assert!(told.iter().zip(&expected).all(|(told, expected)| told == expected));
    }

    #[test]
    fn what_a_record_holds_that_sqs_never_sends_is_named_and_the_rest_of_it_is_read() {
        let cases = [
            ("receiptHandle", json!(7)),
            ("body", json!({"id": "a", "tool": "summarize", "input": {}})),
            ("body", json!(7)),
            ("body", json!([123, 125])),
            ("attributes", json!("ApproximateReceiveCount")),
            ("attributes", json!({"ApproximateReceiveCount": 3})),
            ("messageAttributes", json!([])),
            ("messageAttributes", json!({"replay_of": "4"})),
            ("messageAttributes", json!({"replay_of": {"stringValue": 4}})),
            ("eventSourceARN", json!({})),
        ];
        for (field, odd) in cases {
            let mut record = record();
            record[field] = odd.clone();
            let message = message(&record.to_string()).expect("it has an id");
            let [problem] = &message.problems[..] else { panic!("{field}: {message:?}") };
            let problem = format!("{problem:?}");
            assert!(problem.contains(&format!("record.{field}")), "{problem}");
            assert_eq!(message.group.is_some(), field != "attributes", "{field}");
            if field == "body" {
                assert_eq!(message.body, odd.to_string());
            }
        }
    }

    #[test]
    fn half_a_surrogate_in_a_body_leaves_the_event_readable_and_the_body_no_job() {
        let body =
            r#""{\"id\": \"a\", \"tool\": \"summarize\", \"input\": {\"text\": \"\ud800\"}}""#;
        let odd = format!(r#"{{"messageId": "odd", "body": {body}}}"#);
        let records = read(&format!("{odd}, {}", record())).expect("an event");
        assert_eq!(records.len(), 2);
        let message = message(&odd).expect("it has an id");
        let invalid = Job::parse(&message.body).expect_err("no UTF-8");
        assert_eq!(&*invalid.error().code, "not_utf8");
    }

    #[test]
    fn a_record_without_an_id_is_no_message() {
        for record in [
            "{}",
            "7",
            "null",
            r#"{"messageId": ""}"#,
            r#"{"messageId": 7}"#,
            r#"{"messageId": null, "body": 7}"#,
        ] {
            assert!(message(record).is_none(), "{record}");
        }
    }

    #[test]
    fn of_a_field_that_stands_there_twice_nothing_is_lost_but_the_first() {
        let message = message(r#"{"messageId": "id", "body": "a", "body": "b"}"#);
        let message = message.expect("it has an id");
        assert_eq!((message.body, message.problems.len()), ("b".into(), 0));
    }

    #[test]
    fn an_event_without_records_is_an_error_and_an_empty_one_is_none() {
        for event in ["{}", r#"{"Records": null}"#, r#"{"Records": {}}"#, r#"{"Records": [7"#] {
            assert!(serde_json::from_slice::<Event>(event.as_bytes()).is_err(), "{event}");
        }
        assert!(read("").is_ok_and(|records| records.is_empty()));
    }
}
