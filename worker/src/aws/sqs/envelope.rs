//! A message as SQS hands it over, to a receive and to Lambda alike.

use std::collections::HashMap;

use bytes::Bytes;

use crate::{
    clock::UnixMs,
    job::Namespace,
    queue::{DeadLetter, Message, Receipt},
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
    /// System attributes, such as `SentTimestamp`.
    pub system: HashMap<String, String>,
    /// Message attributes that are texts or numbers.
    pub attributes: HashMap<String, String>,
}

impl Envelope {
    /// The message in it, received at `now`. What is missing or malformed among its attributes is
    /// read as if nobody had set it: the message counts, and it was sent just now.
    pub fn into_message(mut self, now: UnixMs) -> Message {
        Message {
            receive_count: self.receive_count(),
            first_seen: self.first_seen().unwrap_or(now),
            replay_of: self.replay_of(),
            namespace: self.namespace(),
            id: self.id,
            receipt: Receipt(self.receipt),
            body: self.body,
            group: self.system.remove("MessageGroupId"),
            trace: self.system.remove("AWSTraceHeader"),
            problems: Vec::new(),
        }
    }

    fn receive_count(&self) -> u32 {
        let count = self.system.get("ApproximateReceiveCount");
        count.and_then(|count| count.parse().ok()).unwrap_or(1)
    }

    /// A redriven dead letter begins anew: its reason's own `first_seen` is that of the old run.
    fn first_seen(&self) -> Option<UnixMs> {
        let given = self.attributes.get(DeadLetter::FIRST_SEEN);
        let given = given.and_then(|text| UnixMs::parse(text));
        given.filter(|_| !self.is_redriven()).or_else(|| self.sent())
    }

    fn namespace(&self) -> Option<Namespace> {
        self.attributes.get(DeadLetter::NAMESPACE)?.parse().ok()
    }

    /// An epoch tells of a run only beside the class of a dead letter: producers have attributes of
    /// their own.
    fn replay_of(&self) -> Option<u64> {
        self.number(if self.is_redriven() { DeadLetter::EPOCH } else { DeadLetter::REPLAY_OF })
    }

    fn is_redriven(&self) -> bool {
        self.attributes.contains_key(DeadLetter::ERROR_CLASS)
    }

    fn sent(&self) -> Option<UnixMs> {
        self.system.get("SentTimestamp")?.parse().ok().map(UnixMs)
    }

    fn number(&self, attribute: &str) -> Option<u64> {
        self.attributes.get(attribute)?.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMs = UnixMs(1_800_000_000_000);

    fn envelope(system: &[(&str, &str)], attributes: &[(&str, &str)]) -> Envelope {
        let texts = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect()
        };
        Envelope {
            id: "id".to_owned(),
            receipt: "receipt".to_owned(),
            body: "{}".into(),
            system: texts(system),
            attributes: texts(attributes),
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
