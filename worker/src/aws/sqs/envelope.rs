//! A message as SQS hands it over, to a receive and to Lambda alike.

use std::{collections::HashMap, mem};

use bytes::Bytes;
use serde::Deserialize;

use super::attributes::unpacked;
use crate::{
    clock::UnixMs,
    job::Namespace,
    queue::{Attribute, DeadLetter, Message, Receipt},
};

/// A received message before it is read: texts, as SQS names them.
#[derive(Clone, Debug, Default)]
pub struct Envelope {
    /// SQS's message id.
    pub id: String,
    /// Its receipt handle.
    pub receipt: String,
    /// Its body.
    pub body: Bytes,
    /// What SQS itself says of it.
    pub system: SystemAttributes,
    /// Message attributes, ours and the producer's.
    pub attributes: Vec<Attribute>,
}

/// The system attributes that are looked at: read as soon as they come, since an event may have 10,000
/// messages. What is malformed is as if it were not there.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(from = "HashMap<String, String>")]
pub struct SystemAttributes {
    receive_count: Option<u32>,
    sent: Option<UnixMs>,
    group: Option<String>,
    trace: Option<String>,
}

impl From<HashMap<String, String>> for SystemAttributes {
    fn from(mut attributes: HashMap<String, String>) -> Self {
        let number = |name| attributes.get(name).map(String::as_str);
        Self {
            receive_count: number("ApproximateReceiveCount").and_then(|text| text.parse().ok()),
            sent: number("SentTimestamp").and_then(|text| text.parse().ok()).map(UnixMs),
            group: attributes.remove("MessageGroupId"),
            trace: attributes.remove("AWSTraceHeader"),
        }
    }
}

impl Envelope {
    /// The message in it, received at `now`. What is missing or malformed among its attributes is
    /// read as if nobody had set it: the message counts, and it was sent just now.
    pub fn into_message(mut self, now: UnixMs) -> Message {
        self.attributes = unpacked(self.attributes);
        Message {
            receive_count: self.system.receive_count.unwrap_or(1),
            first_seen: self.first_seen().unwrap_or(now),
            replay_of: self.replay_of(),
            namespace: self.namespace(),
            others: Attribute::of_producer(mem::take(&mut self.attributes)).into(),
            id: self.id,
            receipt: Receipt(self.receipt),
            body: self.body,
            group: self.system.group,
            trace: self.system.trace,
            problems: Vec::new(),
        }
    }

    /// A redriven dead letter begins anew: its reason's own `first_seen` is that of the old run.
    fn first_seen(&self) -> Option<UnixMs> {
        let given = self.attribute(DeadLetter::FIRST_SEEN).and_then(UnixMs::parse);
        given.filter(|_| !self.is_redriven()).or(self.system.sent)
    }

    fn namespace(&self) -> Option<Namespace> {
        self.attribute(DeadLetter::NAMESPACE)?.parse().ok()
    }

    /// An epoch tells of a run only beside the class of a dead letter: producers have attributes of
    /// their own.
    fn replay_of(&self) -> Option<u64> {
        self.number(if self.is_redriven() { DeadLetter::EPOCH } else { DeadLetter::REPLAY_OF })
    }

    fn is_redriven(&self) -> bool {
        self.attribute(DeadLetter::ERROR_CLASS).is_some()
    }

    fn number(&self, attribute: &str) -> Option<u64> {
        self.attribute(attribute)?.parse().ok()
    }

    fn attribute(&self, name: &str) -> Option<&str> {
        Attribute::text(&self.attributes, name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::AttributeValue;

    const NOW: UnixMs = UnixMs(1_800_000_000_000);

    fn envelope(system: &[(&str, &str)], attributes: &[(&str, &str)]) -> Envelope {
        let texts = |pairs: &[(&str, &str)]| {
            let owned = pairs.iter().map(|&(name, value)| (name.to_owned(), value.to_owned()));
            owned.collect::<HashMap<_, _>>().into()
        };
        let attribute = |&(name, value): &(&str, &str)| Attribute {
            name: name.to_owned(),
            kind: "String".to_owned(),
            value: AttributeValue::Text(value.to_owned()),
        };
        Envelope {
            id: "id".to_owned(),
            receipt: "receipt".to_owned(),
            body: "{}".into(),
            system: texts(system),
            attributes: attributes.iter().map(attribute).collect(),
        }
    }

    #[test]
    fn a_message_bears_what_sqs_says_of_it() {
        let system = [
            ("ApproximateReceiveCount", "7"),
            ("SentTimestamp", "1700000000123"),
            ("MessageGroupId", "tenant-1"),
            ("AWSTraceHeader", "Root=1-2-3"),
        ];
        let message = envelope(&system, &[]).into_message(NOW);
        assert_eq!(
            (&*message.id, &*message.receipt.0, &*message.body),
            ("id", "receipt", &b"{}"[..])
        );
        assert_eq!((message.receive_count, message.first_seen), (7, UnixMs(1_700_000_000_123)));
        assert_eq!(message.group.as_deref(), Some("tenant-1"));
        assert_eq!(message.trace.as_deref(), Some("Root=1-2-3"));
        assert_eq!(message.replay_of, None);
    }

    #[test]
    fn a_message_that_was_sent_anew_keeps_when_it_was_first_seen_and_what_it_replays() {
        let attributes = [("first_seen", "2026-01-31T12:00:00.500Z"), ("replay_of", "4")];
        let message =
            envelope(&[("SentTimestamp", "1700000000123")], &attributes).into_message(NOW);
        assert_eq!(message.first_seen.rfc3339(), "2026-01-31T12:00:00.500Z");
        assert_eq!(message.replay_of, Some(4));
    }

    #[test]
    fn a_redriven_dead_letter_asks_for_a_replay_and_begins_anew() {
        let attributes =
            [("error_class", "permanent"), ("first_seen", "2026-01-31T12:00:00Z"), ("epoch", "4")];
        let message =
            envelope(&[("SentTimestamp", "1700000000123")], &attributes).into_message(NOW);
        assert_eq!((message.first_seen, message.replay_of), (UnixMs(1_700_000_000_123), Some(4)));
    }

    #[test]
    fn a_producers_own_attribute_named_epoch_asks_for_no_replay() {
        let message = envelope(&[], &[("epoch", "1")]).into_message(NOW);
        assert_eq!(message.replay_of, None);
    }

    #[test]
    fn what_else_a_message_bears_is_the_producers_own() {
        let others = |attributes: &[(&str, &str)]| {
            let message = envelope(&[], attributes).into_message(NOW);
            message.others.iter().map(|other| other.name.clone()).collect::<Vec<_>>()
        };
        let job = [("replay_of", "4"), ("epoch", "1"), ("namespace", "a"), ("own", "x")];
        assert_eq!(others(&job), ["epoch", "own"]);
        assert_eq!(others(&[("error_class", "permanent"), ("epoch", "1"), ("own", "x")]), ["own"]);
        assert_eq!(others(&[]), [""; 0]);
    }

    #[test]
    fn malformed_attributes_lose_no_message() {
        for nonsense in ["", "-1", "soon", "99999999999999999999", "\u{0}"] {
            let system = [("ApproximateReceiveCount", nonsense), ("SentTimestamp", nonsense)];
            let attributes =
                [("first_seen", nonsense), ("epoch", nonsense), ("replay_of", nonsense)];
            let message = envelope(&system[..1], &attributes).into_message(NOW);
            assert_eq!((message.receive_count, message.replay_of), (1, None), "{nonsense}");
            assert_eq!(message.first_seen, NOW, "{nonsense}");
            envelope(&system, &attributes).into_message(NOW);
        }
        assert_eq!(Envelope::default().into_message(NOW).first_seen, NOW);
    }
}
