//! Requests to AWS, byte by byte.

use serde_json::{Value, json};

use crate::client::{Answer, post};

/// Asks `DynamoDB`, and expects a good answer.
pub(crate) fn dynamo(endpoint: &str, operation: &str, body: &Value) -> Value {
    let answer = ask_dynamo(endpoint, operation, body).expect("an answer");
    assert_eq!(answer.status, 200, "{operation}: {}", answer.json());
    answer.json()
}

/// Asks `DynamoDB`.
pub(crate) fn ask_dynamo(endpoint: &str, operation: &str, body: &Value) -> Option<Answer> {
    ask(endpoint, "dynamodb", &format!("DynamoDB_20120810.{operation}"), body)
}

/// Asks SQS, and expects a good answer.
pub(crate) fn sqs(endpoint: &str, operation: &str, body: &Value) -> Value {
    let answer = ask(endpoint, "sqs", &format!("AmazonSQS.{operation}"), body);
    let answer = answer.expect("an answer");
    assert_eq!(answer.status, 200, "{operation}: {}", answer.json());
    answer.json()
}

/// Makes a table whose items have the key `pk`.
pub(crate) fn create_table(endpoint: &str, name: &str, indexes: &Value) {
    let mut attributes = vec![json!({"AttributeName": "pk", "AttributeType": "S"})];
    let mut create = json!({
        "TableName": name,
        "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
        "BillingMode": "PAY_PER_REQUEST",
    });
    for index in indexes.as_array().expect("a list of indexes") {
        let key = &index["KeySchema"][0]["AttributeName"];
        attributes.push(json!({"AttributeName": key, "AttributeType": "S"}));
        create["GlobalSecondaryIndexes"] = indexes.clone();
    }
    create["AttributeDefinitions"] = attributes.into();
    dynamo(endpoint, "CreateTable", &create);
}

fn ask(endpoint: &str, service: &str, target: &str, body: &Value) -> Option<Answer> {
    let headers = format!(
        "x-amz-target: {target}\r\ncontent-type: application/x-amz-json-1.0\r\nauthorization: \
         AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/{service}/aws4_request\r\n"
    );
    post(&format!("{endpoint}/"), &headers, &body.to_string())
}
