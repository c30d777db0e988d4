//! What a write costs in the indexes of its table.
//!
//! The quotations are from "Provisioned throughput considerations for Global Secondary Indexes" of
//! the developer guide; local ones cost the same.

use std::cmp::max;

use serde_json::Value;

use super::{Item, write_units};

/// One index, as far as it matters for cost.
#[derive(Debug, Clone)]
pub(crate) struct Index {
    keys: Vec<String>,
    projected: Projected,
}

#[derive(Debug, Clone)]
enum Projected {
    All,
    Only(Vec<String>),
}

impl Index {
    /// From its description in the answer of `DescribeTable`; `table_keys` go with every entry.
    pub(crate) fn from_description(description: &Value, table_keys: &[String]) -> Self {
        let keys = key_names(description);
        let projection = &description["Projection"];
        let projected = if projection["ProjectionType"] == "ALL" {
            Projected::All
        } else {
            let others = projection["NonKeyAttributes"].as_array().into_iter().flatten();
            let others = others.filter_map(Value::as_str).map(str::to_owned);
            Projected::Only(others.chain(keys.clone()).chain(table_keys.to_vec()).collect())
        };
        Self { keys, projected }
    }

    /// The write units that a change of an item costs here.
    pub(crate) fn write_units(&self, before: Option<&Item>, after: Option<&Item>) -> u64 {
        match (self.entry(before), self.entry(after)) {
            // "If an item is not present in the index before or after the item is updated, there is
            // no additional write cost for the index."
            (None, None) => 0,
            // "If you write a new item to the table that defines an indexed attribute, or you
            // update an existing item to define a previously undefined indexed attribute, one write
            // operation is required to put the item into the index."
            (None, Some(new)) => write_units(&new),
            // "If an item was present in the index, but a write to the table caused the indexed
            // attribute to be deleted, one write is required to delete the old item projection from
            // the index."
            (Some(old), None) => write_units(&old),
            // "If an update to the table changes the value of an indexed key attribute (from A to
            // B), two writes are required, one to delete the previous item from the index and
            // another write to put the new item into the index."
            (Some(old), Some(new)) if self.key_changed(&old, &new) => {
                write_units(&old) + write_units(&new)
            }
            // "If a write to a table does not require a global secondary index update, no write
            // capacity is consumed from the index."
            (Some(old), Some(new)) if old == new => 0,
            // "If an update to the table only changes the value of projected attributes in the
            // index key schema, but does not change the value of any indexed key attribute, one
            // write is required to update the values of the projected attributes into the index."
            // And: "Larger index entries require additional write capacity units."
            (Some(old), Some(new)) => max(write_units(&old), write_units(&new)),
        }
    }

    /// What the index holds of an item, if it holds it: sparse indexes leave out what lacks a key.
    fn entry(&self, item: Option<&Item>) -> Option<Item> {
        let item = item?;
        if !self.keys.iter().all(|key| item.contains_key(key)) {
            return None;
        }
        let Projected::Only(names) = &self.projected else { return Some(item.clone()) };
        let kept = item.iter().filter(|(name, _)| names.contains(name));
        Some(kept.map(|(name, value)| (name.clone(), value.clone())).collect())
    }

    fn key_changed(&self, old: &Item, new: &Item) -> bool {
        self.keys.iter().any(|key| old.get(key) != new.get(key))
    }
}

/// The names in the `KeySchema` of a table or an index.
pub(crate) fn key_names(description: &Value) -> Vec<String> {
    let schema = description["KeySchema"].as_array().into_iter().flatten();
    schema.filter_map(|key| key["AttributeName"].as_str()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{Index, Item};

    fn sparse(projection: &Value) -> Index {
        let description = json!({
            "KeySchema": [{"AttributeName": "due", "KeyType": "HASH"}],
            "Projection": projection,
        });
        Index::from_description(&description, &["pk".to_owned()])
    }

    fn keys_only() -> Index {
        sparse(&json!({"ProjectionType": "KEYS_ONLY"}))
    }

    fn item(rest: &Value) -> Item {
        let mut item = json!({"pk": {"S": "a"}});
        let fields = item.as_object_mut().expect("an object");
        fields.extend(rest.as_object().expect("an object").clone());
        fields.clone()
    }

    #[test]
    fn an_item_without_the_key_costs_a_sparse_index_nothing() {
        let (before, after) = (item(&json!({})), item(&json!({"x": {"N": "1"}})));
        assert_eq!(keys_only().write_units(Some(&before), Some(&after)), 0);
        assert_eq!(keys_only().write_units(None, Some(&after)), 0);
    }

    #[test]
    fn to_enter_and_to_leave_costs_one_and_to_move_two() {
        let (out, here, there) = (
            item(&json!({})),
            item(&json!({"due": {"S": "1"}})),
            item(&json!({"due": {"S": "2"}})),
        );
        assert_eq!(keys_only().write_units(None, Some(&here)), 1);
        assert_eq!(keys_only().write_units(Some(&out), Some(&here)), 1);
        assert_eq!(keys_only().write_units(Some(&here), Some(&out)), 1);
        assert_eq!(keys_only().write_units(Some(&here), None), 1);
        assert_eq!(keys_only().write_units(Some(&here), Some(&there)), 2);
    }

    #[test]
    fn only_a_change_of_what_is_projected_costs() {
        let before = item(&json!({"due": {"S": "1"}, "x": {"N": "1"}}));
        let after = item(&json!({"due": {"S": "1"}, "x": {"N": "2"}}));
        assert_eq!(keys_only().write_units(Some(&before), Some(&after)), 0);
        let all = sparse(&json!({"ProjectionType": "ALL"}));
        assert_eq!(all.write_units(Some(&before), Some(&after)), 1);
        let x = sparse(&json!({"ProjectionType": "INCLUDE", "NonKeyAttributes": ["x"]}));
        assert_eq!(x.write_units(Some(&before), Some(&after)), 1);
    }

    #[test]
    fn an_entry_of_two_kilobytes_costs_two() {
        let large = item(&json!({"due": {"S": "1"}, "x": {"S": "x".repeat(1500)}}));
        let all = sparse(&json!({"ProjectionType": "ALL"}));
        assert_eq!(all.write_units(None, Some(&large)), 2);
        assert_eq!(keys_only().write_units(None, Some(&large)), 1);
    }
}
