//! Measures what `DynamoDB` would bill for a request: it looks at the items before and after.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio::sync::OwnedMutexGuard;

use super::call::AwsCall;
use super::plan::{Access, Touch, consistency, touches};
use super::units::{
    Item, Table, Units, WriteEnd, change_units, key_text, query_halves, read_halves,
    transaction_units,
};
use super::upstream::{Answer, Upstream};
use crate::server::{Closed, Received, lock};

/// What it learned about tables, and who writes which item just now.
#[derive(Debug, Default)]
pub(super) struct Meter {
    tables: Mutex<HashMap<String, Table>>,
    writers: Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
    /// The client request tokens of transactions that were carried out.
    tokens: Mutex<HashSet<String>>,
}

/// One item that a request touches, with its table.
#[derive(Debug)]
pub(super) struct Measured {
    touch: Touch,
    table: Table,
    key: Item,
}

impl Meter {
    /// The items a call touches. Those of a table that does not exist are left out.
    pub(super) async fn plan(
        &self,
        upstream: &Upstream,
        request: &Received,
        call: &AwsCall,
    ) -> Vec<Measured> {
        let mut plan = Vec::new();
        if call.service == "dynamodb" {
            let is_repeated = token(call).is_some_and(|token| lock(&self.tokens).contains(token));
            for touch in touches(call) {
                let touch = if is_repeated { touch.repeated() } else { touch };
                if let Some(table) = self.table(upstream, request, &touch.table).await {
                    let key = table.key_of(&touch.item);
                    plan.push(Measured { touch, table, key });
                }
            }
        }
        plan
    }

    /// Forwards a request, and measures it.
    pub(super) async fn measure(
        &self,
        upstream: &Upstream,
        request: &Received,
        plan: &[Measured],
        call: &mut AwsCall,
    ) -> Result<Answer, Closed> {
        // One writer an item at a time: what is seen before and after is then its own doing.
        let _writing = self.writing(plan).await;
        let before = images(upstream, request, plan).await;
        let answer = upstream.forward(request, request.body().clone()).await?;
        let Some(end) = end(&answer) else { return Ok(answer) };

        call.units += query_units(call, &answer);
        for (measured, before) in plan.iter().zip(&before) {
            let after = measured.after(upstream, request, end, before.as_ref()).await;
            call.units += measured.units(before.as_ref(), after.as_ref(), end);
        }
        if end == WriteEnd::Done {
            lock(&self.tokens).extend(token(call).map(str::to_owned));
        }
        Ok(answer)
    }

    /// Described once: a table that gets an index later is not noticed.
    async fn table(&self, upstream: &Upstream, like: &Received, name: &str) -> Option<Table> {
        if let Some(known) = lock(&self.tables).get(name) {
            return Some(known.clone());
        }
        let answer = upstream.dynamodb(like, "DescribeTable", &json!({"TableName": name})).await;
        let description = answer.get("Table")?;
        let table = Table::from_description(description);
        lock(&self.tables).insert(name.to_owned(), table.clone());
        Some(table)
    }

    async fn writing(&self, plan: &[Measured]) -> Vec<OwnedMutexGuard<()>> {
        let written = plan.iter().filter(|measured| measured.is_write());
        // In one order for everybody, each once: no two requests wait for each other.
        let locks: BTreeMap<String, _> = written.map(|m| (m.name(), self.writer(m))).collect();
        let mut writing = Vec::with_capacity(locks.len());
        for (_, lock) in locks {
            writing.push(lock.lock_owned().await);
        }
        writing
    }

    fn writer(&self, measured: &Measured) -> Arc<tokio::sync::Mutex<()>> {
        Arc::clone(lock(&self.writers).entry(measured.name()).or_default())
    }
}

impl Measured {
    pub(super) fn key_text(&self) -> String {
        key_text(&self.key)
    }

    fn name(&self) -> String {
        format!("{}/{}", self.touch.table, self.key_text())
    }

    fn is_write(&self) -> bool {
        !matches!(self.touch.access, Access::Read(_))
    }

    async fn image(&self, upstream: &Upstream, like: &Received) -> Option<Item> {
        let question =
            json!({"TableName": self.touch.table, "Key": self.key, "ConsistentRead": true});
        let answer = upstream.dynamodb(like, "GetItem", &question).await;
        answer.get("Item").and_then(Value::as_object).cloned()
    }

    async fn after(
        &self,
        upstream: &Upstream,
        like: &Received,
        end: WriteEnd,
        before: Option<&Item>,
    ) -> Option<Item> {
        match (end, self.touch.access) {
            (WriteEnd::Done, Access::Write | Access::WriteInTransaction) => {
                self.image(upstream, like).await
            }
            _ => before.cloned(),
        }
    }

    fn units(&self, before: Option<&Item>, after: Option<&Item>, end: WriteEnd) -> Units {
        let write = |write| Units { write, read_halves: 0 };
        match self.touch.access {
            Access::Write => write(change_units(&self.table, before, after, end)),
            Access::WriteInTransaction => write(transaction_units(&self.table, before, after, end)),
            Access::Read(consistency) => {
                Units { write: 0, read_halves: read_halves(before, consistency) }
            }
        }
    }
}

async fn images(upstream: &Upstream, like: &Received, plan: &[Measured]) -> Vec<Option<Item>> {
    let mut images = Vec::with_capacity(plan.len());
    for measured in plan {
        images.push(measured.image(upstream, like).await);
    }
    images
}

/// What makes a transaction idempotent; SDKs set it by themselves.
fn token(call: &AwsCall) -> Option<&str> {
    call.body["ClientRequestToken"].as_str()
}

/// How a request ended that is billed; `None` for one that is not.
fn end(answer: &Answer) -> Option<WriteEnd> {
    match answer.error_code() {
        None => answer.head.status.is_success().then_some(WriteEnd::Done),
        Some(code) => match code.as_str() {
            "ConditionalCheckFailedException" | "TransactionCanceledException" => {
                Some(WriteEnd::ConditionFailed)
            }
            _ => None,
        },
    }
}

/// By the items that came back: what a filter or a projection kept back is not seen here.
fn query_units(call: &AwsCall, answer: &Answer) -> Units {
    if !matches!(call.operation.as_str(), "Query" | "Scan") {
        return Units::default();
    }
    let answer = answer.json();
    let items = answer["Items"].as_array().into_iter().flatten().filter_map(Value::as_object);
    Units { write: 0, read_halves: query_halves(items, consistency(&call.body)) }
}
