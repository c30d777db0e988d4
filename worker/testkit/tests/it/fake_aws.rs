//! The AWS of the benchmarks.

use std::time::{Duration, Instant};

use mcp_batch_testkit::FakeAws;
use serde_json::{Value, json};

use crate::client::{Answer, post};

#[tokio::test]
async fn a_second_claim_is_refused_with_the_item_that_is_there() {
    let aws = FakeAws::start().await;
    let claim = json!({
        "TableName": "jobs",
        "Item": {"pk": {"S": "job#1"}, "epoch": {"N": "1"}},
        "ConditionExpression": "attribute_not_exists(#k)",
        "ExpressionAttributeNames": {"#k": "pk"},
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    });
    assert_eq!(dynamo(&aws, "PutItem", &claim).status, 200);

    let refused = dynamo(&aws, "PutItem", &claim);
    assert_eq!(refused.status, 400);
    let kind = &refused.json()["__type"];
    assert!(kind.as_str().is_some_and(|it| it.ends_with("#ConditionalCheckFailedException")));
    assert_eq!(refused.json()["Item"], claim["Item"]);
    assert_eq!(aws.items(), 1);
}

#[tokio::test]
async fn an_update_sets_and_removes_whole_attributes() {
    let aws = FakeAws::start().await;
    let item = json!({"pk": {"S": "a"}, "state": {"S": "running"}, "lease": {"N": "5"}});
    dynamo(&aws, "PutItem", &json!({"Item": item}));
    let update = json!({
        "Key": {"pk": {"S": "a"}},
        "UpdateExpression": "SET #s = :s, tries = :t, epoch = epoch + :t REMOVE lease",
        "ConditionExpression": "#s = :running",
        "ExpressionAttributeNames": {"#s": "state"},
        "ExpressionAttributeValues": {":s": {"S": "done"}, ":t": {"N": "2"}},
        "ReturnValues": "ALL_NEW",
    });
    let expected = json!({"pk": {"S": "a"}, "state": {"S": "done"}, "tries": {"N": "2"}});

    assert_eq!(dynamo(&aws, "UpdateItem", &update).json()["Attributes"], expected);
    let key = json!({"Key": {"pk": {"S": "a"}}});
    assert_eq!(dynamo(&aws, "GetItem", &key).json()["Item"], expected);
    let keys =
        json!({"RequestItems": {"jobs": {"Keys": [{"pk": {"S": "a"}}, {"pk": {"S": "b"}}]}}});
    let many = dynamo(&aws, "BatchGetItem", &keys).json();
    assert_eq!(many["Responses"]["jobs"], json!([expected]));
}

#[tokio::test]
async fn write_units_are_the_started_kilobytes_of_the_larger_item() {
    let aws = FakeAws::start().await;
    let put = |text: usize| {
        let item = json!({"pk": {"S": "a"}, "text": {"S": "x".repeat(text)}});
        dynamo(&aws, "PutItem", &json!({"Item": item}));
        aws.write_units()
    };
    // "pk", "a" and "text" take 7 bytes.
    assert_eq!(put(1017), 1);
    assert_eq!(put(1018), 1 + 2);
    assert_eq!(put(1), 1 + 2 + 2);
    assert_eq!(put(1), 1 + 2 + 2 + 1);
}

#[tokio::test]
async fn requests_are_counted_by_operation() {
    let aws = FakeAws::start().await;
    let entries = json!({"Entries": [{"Id": "0"}, {"Id": "1"}]});
    let deferred = call(&aws, "AmazonSQS.ChangeMessageVisibilityBatch", &entries).json();
    assert_eq!(deferred["Successful"], json!([{"Id": "0"}, {"Id": "1"}]));
    dynamo(&aws, "PutItem", &json!({"Item": {"pk": {"S": "a"}}}));
    dynamo(&aws, "PutItem", &json!({"Item": {"pk": {"S": "b"}}}));

    let requests = aws.requests();
    assert_eq!(requests["AmazonSQS.ChangeMessageVisibilityBatch"], 1);
    assert_eq!(requests["DynamoDB_20120810.PutItem"], 2);
    assert_eq!(aws.dynamo_requests(), 2);
}

#[tokio::test]
async fn what_it_was_not_made_for_is_an_error() {
    let aws = FakeAws::start().await;
    let secret = call(&aws, "secretsmanager.GetSecretValue", &json!({"SecretId": "a"}));
    assert_eq!(
        (secret.status, &secret.json()["__type"]),
        (400, &json!("UnknownOperationException"))
    );
    let keyless = dynamo(&aws, "PutItem", &json!({"Item": {"id": {"S": "a"}}}));
    assert_eq!((keyless.status, &keyless.json()["__type"]), (400, &json!("ValidationException")));
}

#[tokio::test]
async fn a_latency_holds_for_its_service_alone() {
    let latency = Duration::from_millis(300);
    let aws = FakeAws::builder().sqs_latency(latency).start().await;
    let began = Instant::now();
    call(&aws, "AmazonSQS.SendMessage", &json!({"MessageBody": "{}"}));
    assert!(began.elapsed() >= latency);
}

fn dynamo(aws: &FakeAws, operation: &str, body: &Value) -> Answer {
    call(aws, &format!("DynamoDB_20120810.{operation}"), body)
}

fn call(aws: &FakeAws, target: &str, body: &Value) -> Answer {
    let headers = format!("x-amz-target: {target}\r\n");
    post(&format!("{}/", aws.endpoint()), &headers, &body.to_string()).expect("an answer")
}
