//! Attributes that stand beside a message's body: this program's own, and the producer's.

use bytes::Bytes;

use super::DeadLetter;

/// An attribute of a message.
#[derive(Clone, PartialEq, Eq)]
pub struct Attribute {
    /// Its name.
    pub name: String,
    /// Its type, as the queue names it (SQS: `String`, `Number.int`, `Binary`).
    pub kind: String,
    /// Its value.
    pub value: AttributeValue,
}

/// The value of an attribute.
#[derive(Clone, PartialEq, Eq)]
pub enum AttributeValue {
    /// A text or a number.
    Text(String),
    /// Bytes.
    Binary(Bytes),
}

impl Attribute {
    /// The text of that name among `attributes`.
    pub fn text<'a>(attributes: &'a [Self], name: &str) -> Option<&'a str> {
        let attribute = attributes.iter().find(|attribute| attribute.name == name)?;
        match &attribute.value {
            AttributeValue::Text(text) => Some(text),
            AttributeValue::Binary(_) => None,
        }
    }

    /// Those that are the producer's, and so go wherever the job goes. What is named as a part of a dead
    /// letter's reason is one only beside its class.
    pub fn of_producer(attributes: Vec<Self>) -> Vec<Self> {
        let is_letter = Self::text(&attributes, DeadLetter::ERROR_CLASS).is_some();
        let is_producers = |attribute: &Self| match &*attribute.name {
            DeadLetter::NAMESPACE | DeadLetter::FIRST_SEEN | DeadLetter::REPLAY_OF => false,
            name => !(is_letter && DeadLetter::REASON.contains(&name)),
        };
        attributes.into_iter().filter(is_producers).collect()
    }
}

/// Its value is nobody's to read in a log.
impl std::fmt::Debug for Attribute {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.name, self.kind)
    }
}
