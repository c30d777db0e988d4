//! The units `DynamoDB` bills, by its own rules.
//!
//! The quotations are from the developer guide; the page is named beside each.

use std::cmp::max;
use std::ops::AddAssign;

mod index;

mod item;

mod table;

pub(crate) use self::item::Item;
pub(crate) use self::table::{Table, key_text};

/// Units consumed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Units {
    /// Write units.
    pub write: u64,
    /// Halves of a read unit: an eventually consistent read of a small item costs one.
    pub read_halves: u64,
}

impl AddAssign for Units {
    fn add_assign(&mut self, other: Self) {
        self.write += other.write;
        self.read_halves += other.read_halves;
    }
}

/// How an item is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Consistency {
    Eventual,
    Strong,
    Transaction,
}

impl Consistency {
    /// "You'll require 1 read unit if you choose eventually consistent reads or 4 read units for a
    /// transactional read request", where a strongly consistent one takes 2.
    fn halves(self) -> u64 {
        match self {
            Self::Eventual => 1,
            Self::Strong => 2,
            Self::Transaction => 4,
        }
    }
}

/// How a write ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WriteEnd {
    Done,
    ConditionFailed,
}

/// The write units of an item alone: "Item sizes for writes are rounded up to the next 1 KB
/// multiple. For example, writing a 500-byte item consumes the same throughput as writing a 1 KB
/// item." ("`DynamoDB` read and write operations")
pub(crate) fn write_units(item: &Item) -> u64 {
    units(item::size(item), 1024)
}

/// The write units of one change.
///
/// Table: "`PutItem`: […] If an item with the same primary key exists in the table, the operation
/// replaces the item. For calculating provisioned throughput consumption, the item size that
/// matters is the larger of the two." "`UpdateItem`: […] `DynamoDB` considers the size of the item
/// as it appears before and after the update. The provisioned throughput consumed reflects the
/// larger of these item sizes. Even if you update just a subset of the item's attributes,
/// `UpdateItem` will still consume the full amount of provisioned throughput". "`DeleteItem`: […]
/// based on the size of the deleted item." ("`DynamoDB` read and write operations")
///
/// Condition: "If a `ConditionExpression` evaluates to false during a conditional write, `DynamoDB`
/// still consumes write capacity from the table. The amount consumed is dependent on the size of
/// the existing item (or a minimum of 1)." ("Working with items")
///
/// Indexes: "The total provisioned throughput cost for a write consists of the sum of write
/// capacity units consumed by writing to the base table and those consumed by updating the global
/// secondary indexes." ("Using Global Secondary Indexes")
pub(crate) fn change_units(
    table: &Table,
    before: Option<&Item>,
    after: Option<&Item>,
    end: WriteEnd,
) -> u64 {
    let existing = before.map_or(1, write_units);
    match end {
        WriteEnd::ConditionFailed => existing,
        WriteEnd::Done => {
            max(existing, after.map_or(1, write_units)) + table.index_units(before, after)
        }
    }
}

/// [`change_units`] within a transaction: "if your item size is 2 KB, you require 2 write units to
/// sustain one write request or 4 write units for a transactional write request" ("`DynamoDB` read
/// and write operations"), since "`DynamoDB` performs two underlying reads or writes of every item
/// in the transaction: one to prepare the transaction and one to commit the transaction", and that
/// is consumed "even when a transaction does not succeed" ("`DynamoDB` transactions: How it
/// works"). A condition check is such a write of the item. Whether indexes are written twice is not
/// said: counted here as if they were.
pub(crate) fn transaction_units(
    table: &Table,
    before: Option<&Item>,
    after: Option<&Item>,
    end: WriteEnd,
) -> u64 {
    2 * change_units(table, before, after, end)
}

/// Halves of the read units of one item: "Item sizes for reads are rounded up to the next 4 KB
/// multiple." "If your item size is 8 KB, you require 2 read units to sustain one strongly
/// consistent read." "If you perform a read operation on an item that
/// doesn't exist, `DynamoDB` will still consume read throughput as outlined above." ("`DynamoDB`
/// read and write operations")
pub(crate) fn read_halves(item: Option<&Item>, consistency: Consistency) -> u64 {
    consistency.halves() * item.map_or(1, |item| units(item::size(item), 4096))
}

/// Halves of the read units of a query: "All items returned are treated as a single read operation,
/// where `DynamoDB` computes the total size of all items and then rounds up to the next 4 KB
/// boundary." ("`DynamoDB` read and write operations")
pub(crate) fn query_halves<'a>(
    items: impl Iterator<Item = &'a Item>,
    consistency: Consistency,
) -> u64 {
    consistency.halves() * units(items.map(item::size).sum(), 4096)
}

fn units(bytes: usize, bytes_a_unit: usize) -> u64 {
    max(1, bytes.div_ceil(bytes_a_unit)) as u64
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{Consistency, Item, Table, WriteEnd, change_units, read_halves, transaction_units};

    /// An item of exactly this size.
    fn item(bytes: usize) -> Item {
        let value = json!({"pk": {"S": "a"}, "v": {"S": "x".repeat(bytes - 4)}});
        value.as_object().expect("an object").clone()
    }

    fn table(indexes: &Value) -> Table {
        Table::from_description(&json!({
            "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
            "GlobalSecondaryIndexes": indexes,
        }))
    }

    #[test]
    fn a_write_costs_a_unit_for_each_started_kilobyte() {
        for (bytes, units) in [(10, 1), (1024, 1), (1025, 2), (2048, 2), (409_600, 400)] {
            let put = change_units(&table(&json!([])), None, Some(&item(bytes)), WriteEnd::Done);
            assert_eq!(put, units, "{bytes}");
        }
    }

    #[test]
    fn a_write_costs_by_the_larger_of_before_and_after() {
        let (small, large) = (item(100), item(5000));
        for (before, after, units) in [
            (Some(&small), Some(&large), 5),
            (Some(&large), Some(&small), 5),
            (Some(&large), None, 5),
            (None, None, 1),
        ] {
            assert_eq!(change_units(&table(&json!([])), before, after, WriteEnd::Done), units);
        }
    }

    #[test]
    fn a_refused_write_costs_by_the_item_that_is_there() {
        let table = table(&json!([]));
        for (before, units) in [(Some(item(3000)), 3), (None, 1)] {
            let before = before.as_ref();
            assert_eq!(change_units(&table, before, before, WriteEnd::ConditionFailed), units);
        }
    }

    #[test]
    fn a_transaction_costs_double_even_when_it_is_refused() {
        let table = table(&json!([]));
        let write = |end| transaction_units(&table, Some(&item(100)), Some(&item(1500)), end);
        assert_eq!(write(WriteEnd::Done), 4);
        assert_eq!(write(WriteEnd::ConditionFailed), 2);
    }

    #[test]
    fn each_index_that_a_write_touches_costs_too() {
        let on = |attribute: &str| {
            json!({
                "KeySchema": [{"AttributeName": attribute, "KeyType": "HASH"}],
                "Projection": {"ProjectionType": "KEYS_ONLY"},
            })
        };
        let table = table(&json!([on("v"), on("absent")]));
        assert_eq!(change_units(&table, None, Some(&item(100)), WriteEnd::Done), 2);
    }

    #[test]
    fn a_read_costs_by_four_kilobytes_and_by_its_consistency() {
        for (consistency, halves) in
            [(Consistency::Eventual, 2), (Consistency::Strong, 4), (Consistency::Transaction, 8)]
        {
            assert_eq!(read_halves(Some(&item(8192)), consistency), halves);
        }
        assert_eq!(read_halves(None, Consistency::Strong), 2);
    }
}
