//! The producer's attributes, which share SQS's ten with this program's own: those that find no place
//! are kept together in one more.

use std::collections::BTreeMap;

use aws_sdk_sqs::types::MessageAttributeValue;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};

use super::text::is_allowed;
use crate::queue::{Attribute, AttributeValue};

/// "Each message can have up to 10 attributes" (Amazon SQS message metadata, developer guide).
pub(super) const MAX_ATTRIBUTES: usize = 10;

/// The attribute with those of the producer that found no place: a JSON object, by their names.
const FURTHER: &str = "other_attributes";

/// The longest name of an attribute, and the longest of its type.
const LONGEST_NAME: usize = 256;

/// 38 digits with a sign, a point and an exponent.
const LONGEST_NUMBER: usize = 50;

/// An attribute in it.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    #[serde(rename = "type")]
    kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    base64: Option<String>,
}

/// SQS's attribute; `None` of a kind that it announces and never had.
pub(super) fn attribute(name: String, value: MessageAttributeValue) -> Option<Attribute> {
    let MessageAttributeValue { string_value, binary_value, data_type, .. } = value;
    let text = string_value.map(AttributeValue::Text);
    let binary = || Some(AttributeValue::Binary(binary_value?.into_inner().into()));
    Some(Attribute { name, kind: data_type, value: text.or_else(binary)? })
}

/// What it takes: "All parts of the message attribute, including `Name`, `Type`, and `Value`, are part
/// of the message size restriction" (`MessageAttributeValue`, API reference).
pub(super) fn bytes(attribute: &Attribute) -> usize {
    let value = match &attribute.value {
        AttributeValue::Text(text) => text.len(),
        AttributeValue::Binary(bytes) => bytes.len(),
    };
    attribute.name.len() + attribute.kind.len() + value
}

/// The attributes in so many `places`: where they are more, the last place holds all that found none.
/// Without a place there are none.
pub(super) fn packed(mut attributes: Vec<Attribute>, places: usize) -> Vec<Attribute> {
    if places == 0 {
        return Vec::new();
    }
    // A producer's own by the name of the last place is the first to find none.
    attributes.sort_unstable_by(|one, other| {
        (one.name == FURTHER, &one.name).cmp(&(other.name == FURTHER, &other.name))
    });
    if attributes.len() > places {
        let rest = attributes.split_off(places - 1);
        let kept: BTreeMap<_, _> =
            rest.into_iter().map(|it| (it.name, Kept::of(it.kind, it.value))).collect();
        // Texts by texts: that cannot fail.
        let text = serde_json::to_string(&kept).unwrap_or_default();
        attributes.push(Attribute {
            name: FURTHER.to_owned(),
            kind: "String".to_owned(),
            value: AttributeValue::Text(text),
        });
    }
    attributes
}

/// The attributes, with those that had found no place. What only bears the name, or holds what SQS would
/// refuse, is somebody else's and stays as it is: a dead letter with it could never be sent.
pub(super) fn unpacked(mut attributes: Vec<Attribute>) -> Vec<Attribute> {
    let kept = Attribute::text(&attributes, FURTHER).and_then(read);
    if let Some(kept) = kept {
        attributes.retain(|attribute| attribute.name != FURTHER);
        attributes.extend(kept);
    }
    attributes
}

fn read(text: &str) -> Option<Vec<Attribute>> {
    let kept: BTreeMap<String, Kept> = serde_json::from_str(text).ok()?;
    kept.into_iter().map(|(name, kept)| kept.named(name).filter(is_taken)).collect()
}

/// Whether SQS takes it (`MessageAttributeValue`, API reference, and "Amazon SQS message metadata",
/// developer guide).
fn is_taken(attribute: &Attribute) -> bool {
    let Attribute { name, kind, value } = attribute;
    let has_value = match (kind.split('.').next(), value) {
        (Some("String"), AttributeValue::Text(text)) => {
            !text.is_empty() && text.chars().all(is_allowed)
        }
        (Some("Number"), AttributeValue::Text(text)) => {
            text.len() <= LONGEST_NUMBER && text.parse::<f64>().is_ok_and(f64::is_finite)
        }
        (Some("Binary"), AttributeValue::Binary(bytes)) => !bytes.is_empty(),
        _ => false,
    };
    has_value && is_name(name) && kind.len() <= LONGEST_NAME && kind.chars().all(is_allowed)
}

fn is_name(text: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    let lower = text.to_ascii_lowercase();
    let is_reserved = ["aws.", "amazon.", "."].iter().any(|of_aws| lower.starts_with(of_aws));
    let has_odd_dots = text.ends_with('.') || text.contains("..");
    let is_long = text.len() > LONGEST_NAME;
    !text.is_empty() && text.chars().all(fits) && !is_reserved && !has_odd_dots && !is_long
}

impl Kept {
    fn of(kind: String, value: AttributeValue) -> Self {
        let (text, base64) = match value {
            AttributeValue::Text(text) => (Some(text), None),
            AttributeValue::Binary(bytes) => (None, Some(STANDARD.encode(bytes))),
        };
        Self { kind, text, base64 }
    }

    fn named(self, name: String) -> Option<Attribute> {
        let binary = || Some(AttributeValue::Binary(STANDARD.decode(self.base64?).ok()?.into()));
        let value = self.text.map(AttributeValue::Text).or_else(binary)?;
        Some(Attribute { name, kind: self.kind, value })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attributes(count: usize) -> Vec<Attribute> {
        let of = |n: usize| Attribute {
            name: format!("own-{n:02}"),
            kind: ["Number.int", "Binary"][n % 2].to_owned(),
            value: match n % 2 {
                0 => AttributeValue::Text(n.to_string()),
                _ => AttributeValue::Binary(vec![0, 255, 10].into()),
            },
        };
        (0..count).map(of).collect()
    }

    #[test]
    fn what_finds_no_place_is_kept_in_the_last_one_and_found_there() {
        for (count, places, taken) in [(0, 1, 0), (3, 3, 3), (3, 2, 2), (10, 7, 7), (10, 1, 1)] {
            let packed = packed(attributes(count), places);
            assert_eq!(packed.len(), taken, "{count} in {places}");
            assert_eq!(unpacked(packed), attributes(count), "{count} in {places}");
        }
    }

    #[test]
    fn a_producers_own_attribute_of_that_name_stays_as_it_is() {
        for text in [
            "",
            "notes",
            r#"{"a": 1}"#,
            r#"{"a": {"type": "Binary", "base64": "?"}}"#,
            r#"{"a": {"type": "Binary", "base64": ""}}"#,
            r#"{"a": {"type": "String", "text": ""}}"#,
            r#"{"a": {"type": "String", "text": "\u0000"}}"#,
            r#"{"a": {"type": "String", "base64": "AAAA"}}"#,
            r#"{"a": {"type": "Number", "text": "seven"}}"#,
            r#"{"a": {"type": "Number", "text": "1e999"}}"#,
            r#"{"a": {"type": "Text", "text": "a"}}"#,
            r#"{"a b": {"type": "String", "text": "a"}}"#,
            r#"{"AWS.a": {"type": "String", "text": "a"}}"#,
            r#"{"": {"type": "String", "text": "a"}}"#,
            r#"{"good": {"type": "String", "text": "a"}, "a..b": {"type": "String", "text": "a"}}"#,
        ] {
            let own = vec![Attribute {
                name: FURTHER.to_owned(),
                kind: "String".to_owned(),
                value: AttributeValue::Text(text.to_owned()),
            }];
            assert_eq!(unpacked(own.clone()), own, "{text}");
        }
    }

    #[test]
    fn a_log_shows_no_value_of_an_attribute() {
        assert_eq!(format!("{:?}", attributes(1)), "[own-00 (Number.int)]");
    }
}
