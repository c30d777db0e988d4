//! What requests would cost.

use mcp_batch_testkit::{MiniStack, Units};
use serde_json::{Value, json};

use super::Rig;
use crate::aws::ask_dynamo;

fn written(write: u64) -> Units {
    Units { write, read_halves: 0 }
}

fn read(read_halves: u64) -> Units {
    Units { write: 0, read_halves }
}

/// An item of this many bytes.
fn item(pk: &str, bytes: usize) -> Value {
    json!({"pk": {"S": pk}, "v": {"S": "x".repeat(bytes - 3 - pk.len())}})
}

impl Rig {
    /// What one request costs, whatever its answer.
    fn cost(&self, operation: &str, body: &Value) -> Units {
        self.proxy.forget();
        ask_dynamo(&self.proxy.endpoint(), operation, body).expect("an answer");
        self.proxy.units()
    }

    fn transact(actions: &[(&str, Value)]) -> Value {
        let actions = actions.iter().map(|(kind, action)| json!({*kind: action}));
        json!({"TransactItems": actions.collect::<Value>()})
    }
}

#[tokio::test]
async fn puts_updates_and_deletes_cost_by_the_larger_item() {
    let Some(rig) = Rig::start().await else { return };
    assert_eq!(rig.cost("PutItem", &rig.put(&item("a", 1024))), written(1));
    assert_eq!(rig.cost("PutItem", &rig.put(&item("a", 2049))), written(3));
    assert_eq!(rig.cost("PutItem", &rig.put(&item("a", 10))), written(3));

    let mut grow = rig.keyed("a");
    grow["UpdateExpression"] = "SET v = :v".into();
    grow["ExpressionAttributeValues"] = json!({":v": {"S": "x".repeat(4000)}});
    assert_eq!(rig.cost("UpdateItem", &grow), written(4));
    assert_eq!(rig.cost("DeleteItem", &rig.keyed("a")), written(4));
    assert_eq!(rig.cost("DeleteItem", &rig.keyed("a")), written(1));
}

#[tokio::test]
async fn a_refused_write_costs_by_what_is_there_and_a_broken_one_nothing() {
    let Some(rig) = Rig::start().await else { return };
    rig.dynamo("PutItem", &rig.put(&item("a", 2500)));
    let mut put = rig.put(&item("a", 5000));
    put["ConditionExpression"] = "attribute_not_exists(pk)".into();
    assert_eq!(rig.cost("PutItem", &put), written(3));
    put["ConditionExpression"] = "no condition".into();
    assert_eq!(rig.cost("PutItem", &put), written(0));
    let mut absent = rig.keyed("b");
    absent["ConditionExpression"] = "attribute_exists(pk)".into();
    assert_eq!(rig.cost("DeleteItem", &absent), written(1));
}

#[tokio::test]
async fn a_transaction_costs_double_for_each_item_checks_included() {
    let Some(rig) = Rig::start().await else { return };
    rig.dynamo("PutItem", &rig.put(&item("there", 1500)));
    let mut check = rig.keyed("there");
    check["ConditionExpression"] = "attribute_exists(pk)".into();
    let put = ("Put", rig.put(&item("new", 100)));
    assert_eq!(
        rig.cost("TransactWriteItems", &Rig::transact(&[put.clone(), ("ConditionCheck", check)])),
        written(2 + 4)
    );
    let mut refused = rig.keyed("there");
    refused["ConditionExpression"] = "attribute_not_exists(pk)".into();
    assert_eq!(
        rig.cost("TransactWriteItems", &Rig::transact(&[put, ("Delete", refused)])),
        written(2 + 4)
    );
}

#[tokio::test]
async fn a_transaction_repeated_with_its_token_costs_reads() {
    let Some(rig) = Rig::start().await else { return };
    let mut transaction = Rig::transact(&[("Put", rig.put(&item("a", 100)))]);
    transaction["ClientRequestToken"] = MiniStack::unique("token").into();
    assert_eq!(rig.cost("TransactWriteItems", &transaction), written(2));
    assert_eq!(rig.cost("TransactWriteItems", &transaction), read(4));
}

#[tokio::test]
async fn a_sparse_index_costs_only_when_it_is_touched() {
    let index = json!([{
        "IndexName": "due",
        "KeySchema": [{"AttributeName": "due", "KeyType": "HASH"}],
        "Projection": {"ProjectionType": "KEYS_ONLY"},
    }]);
    let Some(rig) = Rig::with_indexes(&index).await else { return };
    assert_eq!(rig.cost("PutItem", &rig.put(&item("a", 100))), written(1));
    for (expression, units) in
        [("SET due = :v", 2), ("SET x = :v", 1), ("SET due = :w", 3), ("REMOVE due", 2)]
    {
        let mut update = rig.keyed("a");
        update["UpdateExpression"] = expression.into();
        let value = &expression[expression.len() - 2..];
        if value.starts_with(':') {
            update["ExpressionAttributeValues"] = json!({value: {"S": value}});
        }
        assert_eq!(rig.cost("UpdateItem", &update), written(units), "{expression}");
    }
}

#[tokio::test]
async fn reads_cost_by_four_kilobytes_and_by_consistency() {
    let Some(rig) = Rig::start().await else { return };
    rig.dynamo("PutItem", &rig.put(&item("a", 5000)));
    let mut get = rig.keyed("a");
    // What comes back of the item does not matter.
    get["ProjectionExpression"] = "pk".into();
    assert_eq!(rig.cost("GetItem", &get), read(2));
    get["ConsistentRead"] = true.into();
    assert_eq!(rig.cost("GetItem", &get), read(4));
    assert_eq!(rig.cost("GetItem", &rig.keyed("absent")), read(1));

    let keys = json!([{"pk": {"S": "a"}}, {"pk": {"S": "absent"}}]);
    let batch = json!({"RequestItems": {&rig.table: {"Keys": keys, "ConsistentRead": true}}});
    assert_eq!(rig.cost("BatchGetItem", &batch), read(4 + 2));
    let transaction = Rig::transact(&[("Get", rig.keyed("a"))]);
    assert_eq!(rig.cost("TransactGetItems", &transaction), read(8));
}

#[tokio::test]
async fn a_batch_of_writes_costs_what_they_do_alone() {
    let Some(rig) = Rig::start().await else { return };
    let puts = [item("a", 500), item("b", 3500)].map(|item| json!({"PutRequest": {"Item": item}}));
    let batch = json!({"RequestItems": {&rig.table: puts}});
    assert_eq!(rig.cost("BatchWriteItem", &batch), written(1 + 4));
}

#[tokio::test]
async fn writers_of_one_item_are_each_priced_by_their_own_change() {
    let Some(rig) = Rig::start().await else { return };
    let endpoint = rig.proxy.endpoint();
    let writers = (0..8).map(|n: usize| {
        let put = rig.put(&item("a", if n == 0 { 5000 } else { 100 }));
        let endpoint = endpoint.clone();
        tokio::task::spawn_blocking(move || ask_dynamo(&endpoint, "PutItem", &put))
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.expect("it writes").expect("an answer");
    }
    // The large one costs its own write and, unless it comes last, that which replaces it.
    assert!([5 + 7, 5 + 5 + 6].contains(&rig.proxy.units().write), "{:?}", rig.proxy.units());
}
