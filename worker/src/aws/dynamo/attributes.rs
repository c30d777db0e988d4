//! Items of the table as names and values: writing them, reading them, and what they weigh.

use std::{collections::HashMap, str::FromStr};

use aws_sdk_dynamodb::types::AttributeValue;
use serde::{Serialize, de::DeserializeOwned};

use super::failure::malformed;
use crate::lease::{Attention, LedgerError};

/// An item of the table.
pub(super) type Item = HashMap<String, AttributeValue>;

/// The hash key.
pub(super) const PK: &str = "pk";

/// When DynamoDB may delete the item: the table's TTL attribute. What is no number does not count.
pub(super) const RECORD_EXPIRES_S: &str = "record_expires_s";

/// What [`RECORD_EXPIRES_S`] will be once nothing is owed any more.
pub(super) const KEPT_UNTIL_S: &str = "kept_until_s";

/// Why somebody has to look at the item, and a shard: the hash key of the sparse index.
pub(super) const ATTENTION: &str = "attention";

/// From when on: the range key of the sparse index.
pub(super) const ATTENTION_MS: &str = "attention_ms";

/// When the first failure of a callback was.
pub(super) const CALLBACK_FAILING_SINCE_MS: &str = "callback_failing_since_ms";

/// When the first of its latest refusals was.
pub(super) const CALLBACK_REFUSED_SINCE_MS: &str = "callback_refused_since_ms";

/// When the next try of a callback is due.
pub(super) const CALLBACK_DUE_MS: &str = "callback_due_ms";

/// Parts of the index for each kind of attention, so that no partition of it is hot.
pub(super) const SHARDS: u8 = 16;

/// The hash key in the index of what has this key.
pub(super) fn shard_of(what: Attention, key: &[u8; 32]) -> String {
    shard(what, key[0] % SHARDS)
}

/// One of them.
pub(super) fn shard(what: Attention, shard: u8) -> String {
    format!("{}#{shard:02}", what.as_str())
}

/// A string.
pub(super) fn text(value: impl Into<String>) -> AttributeValue {
    AttributeValue::S(value.into())
}

/// A number: DynamoDB takes 38 digits.
pub(super) fn number(value: impl Into<i128>) -> AttributeValue {
    AttributeValue::N(value.into().to_string())
}

/// Bytes.
pub(super) fn bytes(value: impl Into<Vec<u8>>) -> AttributeValue {
    AttributeValue::B(aws_smithy_types::Blob::new(value))
}

/// A value as JSON text.
pub(super) fn json<T: Serialize>(value: &T) -> Result<AttributeValue, LedgerError> {
    serde_json::to_string(value).map(AttributeValue::S).map_err(LedgerError::of)
}

/// The bytes an item is billed for, as the documentation counts them: names, texts and bytes as
/// they are, numbers by two digits a byte.
pub(super) fn weight(item: &Item) -> usize {
    item.iter().map(|(name, value)| name.len() + weight_of(value)).sum()
}

fn weight_of(value: &AttributeValue) -> usize {
    match value {
        AttributeValue::S(text) => text.len(),
        AttributeValue::N(digits) => digits.len().div_ceil(2) + 1,
        AttributeValue::B(bytes) => bytes.as_ref().len(),
        AttributeValue::Ss(texts) => texts.iter().map(String::len).sum(),
        _ => 1,
    }
}

/// An item's attributes, taken one by one. What is missing or of another type is an error that
/// names the attribute.
pub(super) struct Reader(Item);

impl Reader {
    pub(super) fn new(item: Item) -> Self {
        Self(item)
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    pub(super) fn is_true(&self, name: &str) -> bool {
        self.0.get(name) == Some(&AttributeValue::Bool(true))
    }

    pub(super) fn maybe_text(&mut self, name: &str) -> Result<Option<String>, LedgerError> {
        match self.0.remove(name) {
            None => Ok(None),
            Some(AttributeValue::S(text)) => Ok(Some(text)),
            Some(_) => Err(malformed(name, "a string")),
        }
    }

    pub(super) fn text(&mut self, name: &str) -> Result<String, LedgerError> {
        self.maybe_text(name)?.ok_or_else(|| malformed(name, "a string"))
    }

    pub(super) fn texts(&mut self, name: &str) -> Result<Vec<String>, LedgerError> {
        match self.0.remove(name) {
            None => Ok(Vec::new()),
            Some(AttributeValue::Ss(texts)) => Ok(texts),
            Some(_) => Err(malformed(name, "a set of strings")),
        }
    }

    pub(super) fn numbers<T: FromStr>(&mut self, name: &str) -> Result<Vec<T>, LedgerError> {
        let wrong = || malformed(name, "a set of whole numbers");
        match self.0.remove(name) {
            None => Ok(Vec::new()),
            Some(AttributeValue::Ns(numbers)) => {
                numbers.iter().map(|digits| digits.parse().map_err(|_| wrong())).collect()
            }
            Some(_) => Err(wrong()),
        }
    }

    pub(super) fn maybe_number<T: FromStr>(
        &mut self,
        name: &str,
    ) -> Result<Option<T>, LedgerError> {
        match self.0.remove(name) {
            None => Ok(None),
            Some(AttributeValue::N(digits)) => {
                digits.parse().map(Some).map_err(|_| malformed(name, "a whole number"))
            }
            Some(_) => Err(malformed(name, "a number")),
        }
    }

    pub(super) fn number<T: FromStr>(&mut self, name: &str) -> Result<T, LedgerError> {
        self.maybe_number(name)?.ok_or_else(|| malformed(name, "a number"))
    }

    pub(super) fn maybe_bytes(&mut self, name: &str) -> Result<Option<Vec<u8>>, LedgerError> {
        match self.0.remove(name) {
            None => Ok(None),
            Some(AttributeValue::B(bytes)) => Ok(Some(bytes.into_inner())),
            Some(_) => Err(malformed(name, "bytes")),
        }
    }

    pub(super) fn maybe_array<const N: usize>(
        &mut self,
        name: &str,
    ) -> Result<Option<[u8; N]>, LedgerError> {
        let Some(bytes) = self.maybe_bytes(name)? else { return Ok(None) };
        bytes.try_into().map(Some).map_err(|_| malformed(name, "another number of bytes"))
    }

    pub(super) fn array<const N: usize>(&mut self, name: &str) -> Result<[u8; N], LedgerError> {
        self.maybe_array(name)?.ok_or_else(|| malformed(name, "bytes"))
    }

    /// A text that one of the core's types checks.
    pub(super) fn parsed<T: FromStr>(&mut self, name: &str) -> Result<T, LedgerError> {
        self.text(name)?.parse().map_err(|_| malformed(name, "a text of its kind"))
    }

    /// JSON text.
    pub(super) fn maybe_json<T: DeserializeOwned>(
        &mut self,
        name: &str,
    ) -> Result<Option<T>, LedgerError> {
        let Some(text) = self.maybe_text(name)? else { return Ok(None) };
        serde_json::from_str(&text).map(Some).map_err(|_| malformed(name, "JSON of its kind"))
    }
}
