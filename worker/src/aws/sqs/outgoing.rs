//! A message on its way to SQS, within SQS's limits.

use std::time::Duration;

use aws_sdk_sqs::types::{
    MessageAttributeValue, MessageSystemAttributeNameForSends, MessageSystemAttributeValue,
    SendMessageBatchRequestEntry, builders::SendMessageBatchRequestEntryBuilder,
};
use aws_smithy_types::Blob;
use bytes::Bytes;
use uuid::Uuid;

use super::{
    attributes::{self, MAX_ATTRIBUTES, packed},
    tens::Index,
    text::is_allowed,
};
use crate::{
    dead_letter::Replay,
    job::Namespace,
    queue::{Attribute, AttributeValue, Cause, DeadLetter, Message, NewMessage, QueueError},
};

/// "The maximum is 1,048,576 bytes (1 MiB)", of one message as of a call's all, body and attributes
/// together (`SendMessageBatch`, API reference).
pub(super) const MAX_BYTES: usize = 1_048_576;

/// "`DelaySeconds`: Valid values: 0 to 900" (`SendMessage`, API reference).
const MAX_DELAY: Duration = Duration::from_secs(900);

/// The type of all attributes. It counts towards their size.
const TYPE: &str = "String";

/// The attributes of ours that a job may bear: since when, which run it replays, whose it is.
const OURS: usize = 3;

/// A message to be sent.
pub(super) struct Outgoing {
    pub(super) body: Bytes,
    pub(super) group: Option<String>,
    pub(super) delay: Duration,
    pub(super) attributes: Vec<(&'static str, String)>,
    /// The producer's own attributes, in the places that the others leave.
    pub(super) others: Vec<Attribute>,
    pub(super) trace: Option<String>,
}

impl Outgoing {
    /// A new message.
    pub(super) fn new(message: NewMessage) -> Self {
        let first_seen = (DeadLetter::FIRST_SEEN, message.first_seen.rfc3339());
        Self {
            body: message.body,
            group: message.group,
            delay: message.delay,
            attributes: [first_seen]
                .into_iter()
                .chain(replay_of(message.replay_of))
                .chain(namespace(message.namespace.as_ref()))
                .collect(),
            others: Vec::new(),
            trace: None,
        }
    }

    /// A received one anew, after `delay` or as much of it as SQS allows.
    pub(super) fn anew(message: &Message, delay: Duration) -> Self {
        let first_seen = (DeadLetter::FIRST_SEEN, message.first_seen.rfc3339());
        Self {
            body: message.body.clone(),
            group: message.group.clone(),
            delay,
            attributes: [first_seen]
                .into_iter()
                .chain(replay_of(message.replay_of))
                .chain(namespace(message.namespace.as_ref()))
                .collect(),
            others: packed(message.others.to_vec(), MAX_ATTRIBUTES - OURS),
            trace: message.trace.clone(),
        }
    }

    /// A dead letter's job, with all that its message bore.
    pub(super) fn replay(replay: Replay) -> Self {
        let attributes = replay_of(replay.replay_of).into_iter();
        Self {
            body: replay.body,
            group: replay.group,
            delay: Duration::ZERO,
            attributes: attributes.chain(namespace(replay.namespace.as_ref())).collect(),
            others: packed(replay.others, MAX_ATTRIBUTES - OURS),
            trace: replay.trace,
        }
    }

    /// Body and attributes, as SQS counts them.
    pub(super) fn bytes(&self) -> usize {
        let attributes = self.attributes.iter().map(|(name, value)| attribute_bytes(name, value));
        let others = self.others.iter().map(attributes::bytes);
        self.body.len() + attributes.chain(others).sum::<usize>()
    }

    /// Ready for a call. On a FIFO queue it has an id of its own, so that a send whose answer was lost
    /// makes no second message, and if it has no group, one of its own as well.
    pub(super) fn into_entry(self, is_fifo: bool) -> Result<Entry, QueueError> {
        let bytes = self.bytes();
        if bytes > MAX_BYTES {
            let limit = format!("expected at most {MAX_BYTES} bytes with its attributes");
            let error = QueueError::of(format!("{limit}, found {bytes}"));
            return Err(error.because(Cause::Message));
        }
        let own_id = is_fifo.then(|| Uuid::new_v4().to_string());
        let mut request = SendMessageBatchRequestEntry::builder()
            .message_body(text(&self.body)?)
            .set_message_group_id(self.group.or_else(|| own_id.clone()))
            .set_message_deduplication_id(own_id)
            .set_delay_seconds((!is_fifo).then(|| whole_seconds(self.delay.min(MAX_DELAY))));
        for Attribute { name, kind, value } in self.others {
            let typed = MessageAttributeValue::builder().data_type(kind);
            let value = match value {
                AttributeValue::Text(text) => typed.string_value(text),
                AttributeValue::Binary(bytes) => typed.binary_value(Blob::new(bytes)),
            };
            request = request.message_attributes(name, value.build().map_err(QueueError::of)?);
        }
        // After the producer's: of two of one name ours counts.
        for (name, value) in self.attributes {
            let value = MessageAttributeValue::builder().data_type(TYPE).string_value(value);
            request = request.message_attributes(name, value.build().map_err(QueueError::of)?);
        }
        if let Some(trace) = self.trace {
            let name = MessageSystemAttributeNameForSends::AwsTraceHeader;
            let value = MessageSystemAttributeValue::builder().data_type(TYPE).string_value(trace);
            let value = value.build().map_err(QueueError::of)?;
            request = request.message_system_attributes(name, value);
        }
        Ok(Entry { bytes, request })
    }
}

fn replay_of(epoch: Option<u64>) -> Option<(&'static str, String)> {
    epoch.map(|epoch| (DeadLetter::REPLAY_OF, epoch.to_string()))
}

fn namespace(namespace: Option<&Namespace>) -> Option<(&'static str, String)> {
    namespace.map(|namespace| (DeadLetter::NAMESPACE, namespace.as_str().to_owned()))
}

/// A message that SQS can take.
pub(super) struct Entry {
    pub(super) bytes: usize,
    request: SendMessageBatchRequestEntryBuilder,
}

impl Entry {
    /// Its part of a request.
    pub(super) fn request(&self, index: Index) -> Result<SendMessageBatchRequestEntry, QueueError> {
        self.request.clone().id(index.to_string()).build().map_err(QueueError::of)
    }
}

fn text(body: &[u8]) -> Result<&str, QueueError> {
    let found = match str::from_utf8(body) {
        Ok("") => "nothing".to_owned(),
        Ok(text) => match text.char_indices().find(|(_, c)| !is_allowed(*c)) {
            Some((at, c)) => format!("U+{:04X} at byte {at}", u32::from(c)),
            None => return Ok(text),
        },
        Err(error) => format!("no UTF-8 at byte {}", error.valid_up_to()),
    };
    let expected = "expected a text of characters that SQS takes";
    Err(QueueError::of(format!("{expected}, found {found}")).because(Cause::Message))
}

/// SQS counts in seconds: never less than was asked for.
pub(super) fn whole_seconds(duration: Duration) -> i32 {
    let seconds = duration.as_secs() + u64::from(duration.subsec_nanos() > 0);
    seconds.try_into().unwrap_or(i32::MAX)
}

/// What an attribute takes: "All parts of the message attribute, including `Name`, `Type`, and
/// `Value`, are part of the message size restriction" (`MessageAttributeValue`, API reference).
pub(super) fn attribute_bytes(name: &str, value: &str) -> usize {
    name.len() + TYPE.len() + value.len()
}
