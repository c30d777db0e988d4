//! The queue on SQS, beyond what every queue does: SQS's limits and its refusals.

mod defer;
mod letters;
mod refusals;
mod worker;

use std::time::Duration;

use aws_sdk_sqs::{primitives::Blob, types::MessageAttributeValue};
use mcp_batch::{
    batch::Order,
    queue::{Message, NewMessage, Queue},
};
use serde_json::Value;

use crate::queue::store::{SqsRig, message};

/// Longer than any case may last.
const LONG: Duration = Duration::from_secs(120);

/// SQS's limit for body and attributes together.
const MIB: usize = 1_048_576;

async fn receive(queue: &impl Queue, count: usize) -> Vec<Message> {
    let received = queue.receive(count, LONG, LONG).await.expect("SQS answers");
    assert_eq!(received.len(), count);
    received
}

/// The entries of all calls of an operation, in the order in which they ended.
fn entries(rig: &SqsRig, operation: &str) -> Vec<Value> {
    let calls = rig.proxy.calls().into_iter().filter(|call| call.is(operation));
    calls.flat_map(|call| call.body["Entries"].as_array().cloned().unwrap_or_default()).collect()
}

const TRACE: &str = "Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=1";

/// Attributes of a producer's own: texts, numbers and bytes.
fn own_attributes(count: usize) -> Vec<(String, MessageAttributeValue)> {
    let own = |n: usize| {
        let value = MessageAttributeValue::builder();
        let value = match n % 3 {
            0 => value.data_type("String").string_value(format!("text {n}")),
            1 => value.data_type("Number.int").string_value(n.to_string()),
            _ => value.data_type("Binary").binary_value(Blob::new([0, 255, 10])),
        };
        (format!("own-{n:02}"), value.build().expect("an attribute"))
    };
    (0..count).map(own).collect()
}

fn in_group(body: &str, group: &str) -> NewMessage {
    NewMessage { group: Some(group.to_owned()), ..message(body) }
}

#[tokio::test]
async fn more_than_ten_messages_take_several_calls() {
    let Some(rig) = SqsRig::standard().await else { return };
    let queue = rig.queue();
    queue.send((0..25).map(|n| message(format!("{n}"))).collect()).await.expect("sent");
    let received = receive(&queue, 25).await;
    let receipts: Vec<_> = received.iter().map(|message| message.receipt.clone()).collect();
    queue.extend(receipts.clone(), LONG).await.expect("extended");
    let waits = received.into_iter().map(|message| (message, Duration::from_secs(60)));
    assert!(queue.defer(waits.collect()).await.expect("deferred").is_empty());
    queue.delete(receipts).await.expect("deleted");

    let operations = [
        "SendMessageBatch",
        "ReceiveMessage",
        "ChangeMessageVisibilityBatch",
        "DeleteMessageBatch",
    ];
    assert_eq!(operations.map(|operation| rig.proxy.count(operation)), [3, 3, 6, 3]);
    assert_eq!(rig.counts().await, [0, 0, 0]);
}

#[tokio::test]
async fn a_message_of_full_size_can_be_sent_and_a_larger_one_is_refused_before_any_is() {
    let Some(rig) = SqsRig::standard().await else { return };
    let queue = rig.queue();
    let attribute = "first_seen".len() + "String".len() + "2027-01-15T08:00:00.000Z".len();
    let most = vec![b'x'; MIB - attribute];
    let larger = vec![b'x'; MIB - attribute + 1];

    let refused = queue.send(vec![message("{}"), message(larger)]).await.expect_err("too large");
    assert_eq!(
        refused.to_string(),
        "queue: message 1: expected at most 1048576 bytes with its attributes, found 1048577"
    );
    assert_eq!(rig.proxy.count("sqs"), 0);

    queue.send(vec![message(most.clone()), message(most)]).await.expect("sent");
    assert_eq!(rig.proxy.count("SendMessageBatch"), 2, "each fills a call");
}

#[tokio::test]
async fn what_is_no_text_for_sqs_is_refused_by_name() {
    let Some(rig) = SqsRig::standard().await else { return };
    for (body, found) in [
        (&b""[..], "nothing"),
        (b"a\0", "U+0000 at byte 1"),
        ("ä\u{ffff}".as_bytes(), "U+FFFF at byte 2"),
        (b"a\xff", "no UTF-8 at byte 1"),
    ] {
        let refused = rig.queue().send(vec![message(body)]).await.expect_err("no text");
        let expected = "queue: message 0: expected a text of characters that SQS takes, found";
        assert_eq!(refused.to_string(), format!("{expected} {found}"));
    }
    assert_eq!(rig.proxy.count("sqs"), 0);
}

#[tokio::test]
async fn text_of_all_kinds_survives() {
    let Some(rig) = SqsRig::standard().await else { return };
    let body = "\t\n\r \u{7f}\u{feff}ä\u{fffd}🦀\u{202e}\u{10ffff}<&>\"'\\";
    rig.queue().send(vec![message(body)]).await.expect("sent");
    assert_eq!(receive(&rig.queue(), 1).await[0].body, body);
}

#[tokio::test]
async fn the_queue_says_whether_its_groups_are_in_order() {
    let Some(standard) = SqsRig::standard().await else { return };
    let Some(fifo) = SqsRig::fifo().await else { return };
    assert_eq!(standard.queue().order(), Order::Any);
    assert_eq!(fifo.queue().order(), Order::WithinGroups);
}

#[tokio::test]
async fn a_fifo_queue_brings_each_group_in_the_order_it_was_sent() {
    let Some(rig) = SqsRig::fifo().await else { return };
    let queue = rig.queue();
    let sent = (0..30).map(|n| in_group(&format!("{n}"), ["a", "b", "c"][n % 3])).collect();
    queue.send(sent).await.expect("sent");

    let mut received = Vec::new();
    while received.len() < 30 {
        let some = queue.receive(30, LONG, LONG).await.expect("SQS answers");
        queue
            .delete(some.iter().map(|message| message.receipt.clone()).collect())
            .await
            .expect("ok");
        received.extend(some);
    }

    for group in ["a", "b", "c"] {
        let of_group = received.iter().filter(|message| message.group.as_deref() == Some(group));
        let numbers: Vec<usize> = of_group
            .map(|message| String::from_utf8_lossy(&message.body).parse().expect("a number"))
            .collect();
        assert_eq!(numbers.len(), 10);
        assert!(numbers.is_sorted(), "{numbers:?}");
    }
}

#[tokio::test]
async fn messages_without_a_group_do_not_wait_for_each_other_on_a_fifo_queue() {
    let Some(rig) = SqsRig::fifo().await else { return };
    let queue = rig.queue();
    queue.send(vec![message("a"), message("a")]).await.expect("sent");
    queue.receive(1, LONG, LONG).await.expect("SQS answers");
    let other = queue.receive(1, LONG, LONG).await.expect("SQS answers");
    assert_eq!(other.len(), 1, "though the first is still hidden, and the same text");
}
