//! The mapping on a real queue, with a real process.

use mcp_batch_testkit::{EventSource, Mapping, MiniStack, RuntimeApi, SqsQueue};
use serde_json::{Value, json};

use crate::client::post;
use crate::function::{Answer, play, text};

fn sqs(aws: &MiniStack, action: &str, request: &Value) -> Value {
    let headers = format!(
        "x-amz-target: AmazonSQS.{action}\r\ncontent-type: application/x-amz-json-1.0\r\n\
         authorization: AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/sqs/aws4_request\r\n"
    );
    post(&format!("{}/", aws.endpoint()), &headers, &request.to_string()).expect("sent").json()
}

/// A new queue.
async fn queue(aws: &MiniStack, suffix: &str, attributes: Value) -> SqsQueue {
    let name = format!("{}{suffix}", MiniStack::unique("mapped"));
    let request = json!({"QueueName": name, "Attributes": attributes});
    let created = sqs(aws, "CreateQueue", &request);
    SqsQueue::new(aws.endpoint(), created["QueueUrl"].as_str().expect("a URL")).await
}

fn send(aws: &MiniStack, queue: &SqsQueue, mut message: Value) -> String {
    message["QueueUrl"] = queue.url().into();
    let sent = sqs(aws, "SendMessage", &message);
    sent["MessageId"].as_str().expect("an id").to_owned()
}

/// Lists every message that comes for the first time.
fn first_times() -> Answer {
    Box::new(|event| {
        let records = event["Records"].as_array().expect("records").iter();
        let first = records.filter(|it| it["attributes"]["ApproximateReceiveCount"] == "1");
        let failures: Vec<Value> =
            first.map(|record| json!({"itemIdentifier": record["messageId"]})).collect();
        json!({"batchItemFailures": failures}).to_string()
    })
}

fn mapping() -> Mapping {
    Mapping::default().function_timeout(std::time::Duration::from_secs(1))
}

#[tokio::test]
async fn what_is_listed_is_received_again_and_what_is_not_is_gone() {
    let Some(aws) = MiniStack::start().await else { return };
    let queue = queue(&aws, "", json!({"VisibilityTimeout": "1"})).await;
    let attributes = json!({"tenant": {"StringValue": "a", "DataType": "String"}});
    let id = send(&aws, &queue, json!({"MessageBody": "{}", "MessageAttributes": attributes}));

    let lambda = RuntimeApi::without_process().await;
    let playing = play(&lambda, [first_times(), first_times()]);
    let mut source = EventSource::create(queue, mapping()).expect("sound");
    let reports = source.until_empty(&lambda).await;

    assert_eq!(
        (reports[0].kept.as_slice(), reports[1].deleted.as_slice()),
        (&[id.clone()][..], &[id][..])
    );
    let events = playing.join().expect("it answers");
    let record = &events[1]["Records"][0];
    assert_eq!(record["attributes"]["ApproximateReceiveCount"], "2");
    assert_eq!(record["messageAttributes"]["tenant"]["stringValue"], "a");
    assert_eq!(record["eventSourceARN"], mcp_batch_testkit::Source::arn(source.queue()));
    assert_eq!(record["awsRegion"], MiniStack::REGION);
}

#[tokio::test]
async fn a_fifo_queue_gives_its_groups_in_order_with_group_and_sequence() {
    let Some(aws) = MiniStack::start().await else { return };
    let queue = queue(&aws, ".fifo", json!({"FifoQueue": "true"})).await;
    for (at, group) in ["a", "b", "a"].iter().enumerate() {
        let id = at.to_string();
        let message =
            json!({"MessageBody": id, "MessageGroupId": group, "MessageDeduplicationId": id});
        send(&aws, &queue, message);
    }
    let lambda = RuntimeApi::without_process().await;
    let playing = play(&lambda, [text("")]);
    let mut source = EventSource::create(queue, mapping()).expect("sound");
    let reports = source.until_empty(&lambda).await;

    assert_eq!((reports.len(), reports[0].deleted.len()), (1, 3));
    let events = playing.join().expect("it answers");
    let records = events[0]["Records"].as_array().expect("records").iter();
    let of_a = records.filter(|record| record["attributes"]["MessageGroupId"] == "a");
    let bodies: Vec<&Value> = of_a.map(|record| &record["body"]).collect();
    assert_eq!(bodies, ["0", "2"]);
    assert!(events[0]["Records"][0]["attributes"]["SequenceNumber"].is_string());
}

#[tokio::test]
async fn batches_of_more_than_ten_messages_are_gathered_and_deleted() {
    let Some(aws) = MiniStack::start().await else { return };
    let queue = queue(&aws, "", json!({})).await;
    for number in 0..25 {
        send(&aws, &queue, json!({"MessageBody": number.to_string()}));
    }
    let lambda = RuntimeApi::without_process().await;
    let playing = play(&lambda, [text("")]);
    let mapping = mapping().batch_size(100).window_s(5);
    let mut source = EventSource::create(queue, mapping).expect("sound");
    let reports = source.until_empty(&lambda).await;
    assert_eq!((reports.len(), reports[0].deleted.len()), (1, 25));
    playing.join().expect("it answers");
}
