//! Which items a request of `DynamoDB`'s touches, and how.

use serde_json::Value;

use super::call::AwsCall;
use super::units::{Consistency, Item};

/// One item that a request reads or writes.
#[derive(Debug, Clone)]
pub(super) struct Touch {
    pub(super) table: String,
    /// Its key, or all of it where that is what the request says.
    pub(super) item: Item,
    pub(super) access: Access,
}

/// What is done to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    Read(Consistency),
    Write,
    WriteInTransaction,
}

impl Touch {
    fn new(table: &Value, item: &Value, access: Access) -> Option<Self> {
        let (table, item) = (table.as_str()?.to_owned(), item.as_object()?.clone());
        Some(Self { table, item, access })
    }

    /// The same in a transaction that was carried out before: "subsequent `TransactWriteItems` calls
    /// with the same client token return the number of read capacity units consumed in reading the
    /// item" (API reference of `TransactWriteItems`).
    pub(super) fn repeated(self) -> Self {
        Self { access: Access::Read(Consistency::Transaction), ..self }
    }
}

/// The items a request names; none if it names a whole table, as a query does.
pub(super) fn touches(call: &AwsCall) -> Vec<Touch> {
    let body = &call.body;
    match call.operation.as_str() {
        "GetItem" => one(body, "Key", Access::Read(consistency(body))),
        "PutItem" => one(body, "Item", Access::Write),
        "UpdateItem" | "DeleteItem" => one(body, "Key", Access::Write),
        "BatchGetItem" => each_table(body).flat_map(|(table, asked)| gets(table, asked)).collect(),
        "BatchWriteItem" => {
            each_table(body).flat_map(|(table, asked)| writes(table, asked)).collect()
        }
        "TransactGetItems" => transaction(body, Access::Read(Consistency::Transaction)),
        "TransactWriteItems" => transaction(body, Access::WriteInTransaction),
        _ => Vec::new(),
    }
}

/// How the body of a reading request wants to read.
pub(super) fn consistency(body: &Value) -> Consistency {
    match body["ConsistentRead"] {
        Value::Bool(true) => Consistency::Strong,
        _ => Consistency::Eventual,
    }
}

fn one(body: &Value, part: &str, access: Access) -> Vec<Touch> {
    Touch::new(&body["TableName"], &body[part], access).into_iter().collect()
}

/// `{"RequestItems": {TABLE: …}}`
fn each_table(body: &Value) -> impl Iterator<Item = (Value, &Value)> {
    let tables = body["RequestItems"].as_object().into_iter().flatten();
    tables.map(|(table, asked)| (Value::from(table.clone()), asked))
}

/// `{"Keys": [KEY], "ConsistentRead": …}`
fn gets(table: Value, asked: &Value) -> impl Iterator<Item = Touch> {
    let access = Access::Read(consistency(asked));
    let keys = asked["Keys"].as_array().into_iter().flatten();
    keys.filter_map(move |key| Touch::new(&table, key, access))
}

/// `[{"PutRequest": {"Item": …}}, {"DeleteRequest": {"Key": …}}]`
fn writes(table: Value, asked: &Value) -> impl Iterator<Item = Touch> {
    let asked = asked.as_array().into_iter().flatten().filter_map(inner);
    asked.filter_map(move |asked| Touch::new(&table, named(asked), Access::Write))
}

/// `{"TransactItems": [{"Put": {"TableName": …, "Item": …}}, {"Update": {…, "Key": …}}]}`
fn transaction(body: &Value, access: Access) -> Vec<Touch> {
    let actions = body["TransactItems"].as_array().into_iter().flatten().filter_map(inner);
    actions.filter_map(|action| Touch::new(&action["TableName"], named(action), access)).collect()
}

/// The value of an object's only field.
fn inner(value: &Value) -> Option<&Value> {
    value.as_object()?.values().next()
}

fn named(action: &Value) -> &Value {
    action.get("Item").unwrap_or(&action["Key"])
}
