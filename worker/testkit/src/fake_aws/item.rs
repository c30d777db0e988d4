//! An item, and its size by `DynamoDB`'s rules.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

/// An object's fields, each still as it was written.
pub(super) type Fields<'a> = BTreeMap<&'a str, &'a RawValue>;

/// The fields of an object whose names need no escapes.
pub(super) fn fields(object: &str) -> Option<Fields<'_>> {
    serde_json::from_str(object).ok()
}

/// The text of a string without escapes.
pub(super) fn text(value: &RawValue) -> Option<&str> {
    serde_json::from_str(value.get()).ok()
}

/// An item, each attribute still as it was written: `{"S":"…"}`.
#[derive(Debug, Clone, Default)]
pub(super) struct Item(BTreeMap<Box<str>, Box<RawValue>>);

impl Item {
    pub(super) fn parse(object: &RawValue) -> Option<Self> {
        let attributes = fields(object.get())?.into_iter();
        Some(Self(attributes.map(|(name, value)| (name.into(), value.to_owned())).collect()))
    }

    pub(super) fn set(&mut self, name: &str, value: &RawValue) {
        self.0.insert(name.into(), value.to_owned());
    }

    pub(super) fn remove(&mut self, name: &str) {
        self.0.remove(name);
    }

    pub(super) fn json(&self) -> String {
        serde_json::to_string(&self.0).expect("names and JSON are JSON")
    }

    /// In bytes: names and values.
    pub(super) fn size(&self) -> usize {
        self.0.iter().map(|(name, value)| name.len() + size(value)).sum()
    }
}

/// The size of an attribute's value. Of "approximately", as AWS says of numbers, it takes the
/// upper end.
fn size(attribute: &RawValue) -> usize {
    let Some((kind, value)) = fields(attribute.get()).and_then(|mut kinds| kinds.pop_first())
    else {
        return 0;
    };
    match kind {
        "S" => length(value),
        "N" => length(value).div_ceil(2) + 1,
        "B" => length(value) / 4 * 3,
        "BOOL" | "NULL" => 1,
        "L" => 3 + elements(value).iter().map(|element| 1 + size(element)).sum::<usize>(),
        "M" => {
            let attributes = fields(value.get()).unwrap_or_default();
            3 + attributes.iter().map(|(name, value)| 1 + name.len() + size(value)).sum::<usize>()
        }
        _ => elements(value).iter().map(|element| length(element)).sum(),
    }
}

fn elements(list: &RawValue) -> Vec<&RawValue> {
    serde_json::from_str(list.get()).unwrap_or_default()
}

fn length(string: &RawValue) -> usize {
    match text(string) {
        Some(text) => text.len(),
        None => serde_json::from_str::<String>(string.get()).map_or(0, |text| text.len()),
    }
}
