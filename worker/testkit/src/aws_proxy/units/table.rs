//! A table, as far as it matters for cost.

use std::collections::BTreeMap;

use serde_json::Value;

use super::Item;
use super::index::{Index, key_names};

/// The keys and the indexes of a table.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    keys: Vec<String>,
    indexes: Vec<Index>,
}

impl Table {
    /// From the `Table` of an answer of `DescribeTable`.
    pub(crate) fn from_description(description: &Value) -> Self {
        let keys = key_names(description);
        let kinds = ["GlobalSecondaryIndexes", "LocalSecondaryIndexes"];
        let indexes = kinds.iter().filter_map(|kind| description[*kind].as_array()).flatten();
        let indexes = indexes.map(|index| Index::from_description(index, &keys)).collect();
        Self { keys, indexes }
    }

    /// The part of an item that is its primary key.
    pub(crate) fn key_of(&self, item: &Item) -> Item {
        let parts =
            self.keys.iter().filter_map(|name| Some((name.clone(), item.get(name)?.clone())));
        parts.collect()
    }

    pub(super) fn index_units(&self, before: Option<&Item>, after: Option<&Item>) -> u64 {
        self.indexes.iter().map(|index| index.write_units(before, after)).sum()
    }
}

/// A primary key for people, and for locks: the values, without their types.
pub(crate) fn key_text(key: &Item) -> String {
    // The order in which a client happens to send the parts does not matter.
    let parts: BTreeMap<_, _> = key.iter().collect();
    let values = parts.values().filter_map(|value| value.as_object()?.values().next());
    let texts = values.map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned));
    texts.collect::<Vec<_>>().join("/")
}
