//! `DynamoDB` with one table: what its key is kept under, and what was written.

use std::collections::HashMap;

use serde_json::value::RawValue;

use super::item::{Fields, Item, fields, text};
use super::reply::Reply;
use super::update::{Placeholders, apply};

/// What its operations are called behind.
pub(super) const TARGET: &str = "DynamoDB_20120810.";

/// What a write unit covers, in bytes.
const WRITE_UNIT: usize = 1024;

/// Items by their `pk`, whatever the table's name.
#[derive(Debug, Default)]
pub(super) struct Table {
    items: HashMap<Box<str>, Item>,
    write_units: usize,
}

/// What a write does to the item under its key.
struct Write<'a> {
    key: &'a str,
    request: &'a Fields<'a>,
}

impl Table {
    pub(super) fn len(&self) -> usize {
        self.items.len()
    }

    pub(super) fn write_units(&self) -> usize {
        self.write_units
    }

    pub(super) fn handle(&mut self, operation: &str, body: &[u8]) -> Reply {
        let Some(request) = str::from_utf8(body).ok().and_then(fields) else {
            return Reply::invalid();
        };
        let reply = match operation {
            "PutItem" => self.put(&request),
            "UpdateItem" => self.update(&request),
            "GetItem" => self.get(&request),
            "BatchGetItem" => self.get_many(&request),
            _ => Some(Reply::unknown_operation()),
        };
        reply.unwrap_or_else(Reply::invalid)
    }

    fn put(&mut self, request: &Fields<'_>) -> Option<Reply> {
        let item = request.get("Item")?;
        let write = Write { key: key(item)?, request };
        let item = Item::parse(item)?;
        Some(self.write(&write, |_| item))
    }

    fn update(&mut self, request: &Fields<'_>) -> Option<Reply> {
        let key = request.get("Key")?;
        let write = Write { key: self::key(key)?, request };
        let new = Item::parse(key)?;
        let expression = write.asked("UpdateExpression")?;
        let placeholders = write.placeholders();
        Some(self.write(&write, |old| {
            let mut item = old.cloned().unwrap_or(new);
            apply(&mut item, expression, &placeholders);
            item
        }))
    }

    fn write(&mut self, write: &Write<'_>, change: impl FnOnce(Option<&Item>) -> Item) -> Reply {
        let old = self.items.get(write.key);
        let size = old.map_or(0, Item::size);
        if old.is_some() && write.wants_no_item() {
            let reply = refusal(old.filter(|_| write.wants_the_item_of_a_refusal()));
            self.bill(size);
            return reply;
        }
        let new = change(old);
        let reply = match write.asked("ReturnValues") {
            Some("ALL_NEW") => with_item("Attributes", &new),
            Some("ALL_OLD") => {
                old.map_or_else(|| Reply::ok("{}"), |old| with_item("Attributes", old))
            }
            _ => Reply::ok("{}"),
        };
        self.bill(size.max(new.size()));
        self.items.insert(write.key.into(), new);
        reply
    }

    fn bill(&mut self, size: usize) {
        self.write_units += size.div_ceil(WRITE_UNIT).max(1);
    }

    fn get(&self, request: &Fields<'_>) -> Option<Reply> {
        let item = self.items.get(key(request.get("Key")?)?);
        Some(item.map_or_else(|| Reply::ok("{}"), |item| with_item("Item", item)))
    }

    fn get_many(&self, request: &Fields<'_>) -> Option<Reply> {
        let tables = fields(request.get("RequestItems")?.get())?;
        let (table, asked) = tables.first_key_value()?;
        let asked = fields(asked.get())?;
        let keys: Vec<&RawValue> = serde_json::from_str(asked.get("Keys")?.get()).ok()?;
        let found = keys.into_iter().filter_map(|keys| self.items.get(key(keys)?));
        let found: Vec<String> = found.map(Item::json).collect();
        let found = found.join(",");
        Some(Reply::ok(format!(
            r#"{{"Responses":{{"{table}":[{found}]}},"UnprocessedKeys":{{}}}}"#
        )))
    }
}

impl<'a> Write<'a> {
    fn asked(&self, name: &str) -> Option<&'a str> {
        self.request.get(name).and_then(|value| text(value))
    }

    fn wants_the_item_of_a_refusal(&self) -> bool {
        self.asked("ReturnValuesOnConditionCheckFailure") == Some("ALL_OLD")
    }

    fn wants_no_item(&self) -> bool {
        self.asked("ConditionExpression").is_some_and(|condition| {
            let condition = self.placeholders().spelled_out(condition);
            condition.contains("attribute_not_exists(pk)")
        })
    }

    fn placeholders(&self) -> Placeholders<'a> {
        let of = |name| self.request.get(name).and_then(|object| fields(object.get()));
        Placeholders {
            names: of("ExpressionAttributeNames").unwrap_or_default(),
            values: of("ExpressionAttributeValues").unwrap_or_default(),
        }
    }
}

/// The `pk` in a key or an item.
fn key(object: &RawValue) -> Option<&str> {
    let pk = fields(fields(object.get())?.get("pk")?.get())?;
    text(pk.get("S")?)
}

fn with_item(name: &str, item: &Item) -> Reply {
    Reply::ok(format!(r#"{{"{name}":{}}}"#, item.json()))
}

fn refusal(old: Option<&Item>) -> Reply {
    let old = old.map(|item| format!(r#","Item":{}"#, item.json())).unwrap_or_default();
    Reply::bad(format!(
        r#"{{"__type":"com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException","message":"The conditional request failed"{old}}}"#
    ))
}
