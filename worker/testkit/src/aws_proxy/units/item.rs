//! How large an item is.
//!
//! The quotations are from "`DynamoDB` item sizes and formats" of the developer guide.

use serde_json::{Map, Value};

/// An item, or a part of one, as the wire has it: attribute names to typed values.
pub(crate) type Item = Map<String, Value>;

/// "The total size of an item is the sum of the lengths of its attribute names and values, plus
/// any applicable overhead".
pub(crate) fn size(item: &Item) -> usize {
    item.iter().map(|(name, value)| name.len() + value_size(value)).sum()
}

/// The size of a typed value, `{"S": "…"}`, without its name.
fn value_size(value: &Value) -> usize {
    let typed = value.as_object().and_then(|typed| typed.iter().next());
    let (kind, value) = typed.expect("an attribute value has a type");
    match (kind.as_str(), value) {
        ("S", Value::String(text)) => text.len(),
        ("N", Value::String(number)) => number_size(number),
        ("B", Value::String(encoded)) => binary_size(encoded),
        // "The size of a null attribute or a Boolean attribute is (number of UTF-8-encoded bytes of
        // attribute name) + (1 byte)."
        ("NULL" | "BOOL", Value::Bool(_)) => 1,
        // "An attribute of type List or Map requires 3 bytes of overhead, regardless of its
        // contents. […] Each List or Map element also requires 1 byte of overhead."
        ("L", Value::Array(values)) => 3 + values.iter().map(|v| 1 + value_size(v)).sum::<usize>(),
        ("M", Value::Object(inner)) => 3 + inner.len() + size(inner),
        ("SS" | "NS" | "BS", Value::Array(values)) => set_size(kind, values),
        _ => panic!("no attribute value of DynamoDB's: type {kind}"),
    }
}

/// "Numbers are variable length, with up to 38 significant digits. Leading and trailing zeroes are
/// trimmed. The size of a number is approximately […] (1 byte per two significant digits) + (1
/// byte)."
fn number_size(number: &str) -> usize {
    let mantissa = number.split(['e', 'E']).next().unwrap_or_default();
    let digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    digits.trim_matches('0').len().div_ceil(2) + 1
}

/// "A binary value must be encoded in base64 format before it can be sent to `DynamoDB`, but the
/// value's raw byte length is used for calculating size."
fn binary_size(encoded: &str) -> usize {
    encoded.trim_end_matches('=').len() * 3 / 4
}

/// "A set (string set, number set, or binary set) does not require any additional overhead beyond
/// the sizes of its elements."
fn set_size(kind: &str, values: &[Value]) -> usize {
    let texts = values.iter().filter_map(Value::as_str);
    match kind {
        "SS" => texts.map(str::len).sum(),
        "NS" => texts.map(number_size).sum(),
        _ => texts.map(binary_size).sum(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Item, size};

    fn item(value: &serde_json::Value) -> Item {
        value.as_object().expect("an object").clone()
    }

    #[test]
    fn names_and_strings_count_their_utf8_bytes() {
        assert_eq!(size(&item(&json!({"pk": {"S": "job#1"}}))), 2 + 5);
        assert_eq!(size(&item(&json!({"größe": {"S": "€"}}))), 7 + 3);
    }

    #[test]
    fn a_number_counts_a_byte_for_two_digits_and_one_more() {
        for (number, bytes) in
            [("0", 1), ("7", 2), ("27", 2), ("127", 3), ("-1.50", 2), ("1000000", 2), ("1.5e10", 2)]
        {
            assert_eq!(size(&item(&json!({"n": {"N": number}}))), 1 + bytes, "{number}");
        }
        // A time in milliseconds: 13 digits.
        assert_eq!(size(&item(&json!({"n": {"N": "1795418586123"}}))), 1 + 8);
    }

    #[test]
    fn binary_counts_raw_bytes_and_booleans_one() {
        assert_eq!(size(&item(&json!({"b": {"B": "YWJj"}}))), 1 + 3);
        assert_eq!(size(&item(&json!({"b": {"B": "YWI="}}))), 1 + 2);
        assert_eq!(size(&item(&json!({"b": {"B": "YQ=="}}))), 1 + 1);
        assert_eq!(size(&item(&json!({"b": {"BOOL": true}, "n": {"NULL": true}}))), 2 + 2);
    }

    #[test]
    fn lists_and_maps_cost_three_bytes_and_one_an_element() {
        assert_eq!(size(&item(&json!({"l": {"L": []}, "m": {"M": {}}}))), 2 + 6);
        assert_eq!(
            size(&item(&json!({"l": {"L": [{"S": "ab"}, {"N": "12"}]}}))),
            1 + 3 + 2 + 2 + 2
        );
        assert_eq!(size(&item(&json!({"m": {"M": {"key": {"S": "ab"}}}}))), 1 + 3 + 1 + 3 + 2);
    }

    #[test]
    fn sets_cost_what_their_elements_do() {
        let sets =
            json!({"s": {"SS": ["ab", "c"]}, "n": {"NS": ["12", "345"]}, "b": {"BS": ["YQ=="]}});
        assert_eq!(size(&item(&sets)), 3 + 3 + 2 + 3 + 1);
    }
}
