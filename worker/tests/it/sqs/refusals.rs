//! What SQS refuses, loses, or answers in part.

use std::{collections::BTreeSet, time::Duration};

use mcp_batch::queue::{Queue, Receipt};
use mcp_batch_testkit::{Fault, Rule};
use tokio::task::JoinSet;

use super::{LONG, in_group, receive};
use crate::queue::store::{SqsRig, message};

#[tokio::test]
async fn entries_that_are_refused_for_no_fault_of_theirs_are_sent_again() {
    let Some(rig) = SqsRig::standard().await else { return };
    rig.proxy.rule(Rule::before("SendMessageBatch").first(3).fail_entries(0.5, 1));
    let bodies: Vec<String> = (0..25).map(|n| format!("{n}")).collect();

    let ids = rig.queue().send(bodies.iter().map(|body| message(body.as_str())).collect()).await;

    let ids = ids.expect("all are sent in the end");
    assert!(rig.proxy.count("SendMessageBatch") > 3);
    let received = receive(&rig.queue(), 25).await;
    let sent: BTreeSet<_> = ids.into_iter().zip(bodies).collect();
    let text = |body: &[u8]| String::from_utf8_lossy(body).into_owned();
    let received: BTreeSet<_> =
        received.iter().map(|message| (message.id.clone(), text(&message.body))).collect();
    assert_eq!(received, sent, "each once, and under the id that was answered");
}

#[tokio::test]
async fn a_send_of_which_entries_keep_failing_says_how_many_and_why() {
    let Some(rig) = SqsRig::standard().await else { return };
    rig.proxy.rule(Rule::before("SendMessageBatch").fail_entries(1.0, 1));

    let refused = rig.queue().send(vec![message("secret"), message("secret")]).await;

    let refused = refused.expect_err("nothing is sent").to_string();
    let expected = "queue: 2 of 2 messages: SQS answered InternalError: injected by a test";
    assert_eq!(refused, expected);
    assert_eq!(rig.proxy.count("SendMessageBatch"), 5, "tries are bounded");
}

#[tokio::test]
async fn a_send_whose_answer_is_lost_is_one_message_on_a_fifo_queue() {
    let Some(rig) = SqsRig::fifo().await else { return };
    rig.proxy.rule(Rule::after("SendMessageBatch").nth(1).lose());

    rig.queue().send(vec![in_group("a", "g")]).await.expect("sent");

    assert_eq!(rig.proxy.count("SendMessageBatch"), 2);
    assert_eq!(rig.counts().await, [1, 0, 0]);
}

#[tokio::test]
async fn a_visibility_call_that_partly_fails_is_made_again_for_those() {
    let Some(rig) = SqsRig::standard().await else { return };
    let queue = rig.queue();
    queue.send((0..10).map(|n| message(format!("{n}"))).collect()).await.expect("sent");
    let received = receive(&queue, 10).await;
    rig.proxy.rule(Rule::before("ChangeMessageVisibilityBatch").nth(1).fail_entries(0.5, 1));

    let deferred = received.into_iter().map(|message| (message, Duration::ZERO)).collect();
    let sent_anew = queue.defer(deferred).await.expect("never an error");

    assert!(sent_anew.is_empty());
    assert_eq!(rig.proxy.count("ChangeMessageVisibilityBatch"), 2);
    assert_eq!(rig.counts().await, [10, 0, 0]);
}

#[tokio::test]
async fn a_deferral_that_keeps_failing_is_no_error_and_leaves_the_visibility_timeout() {
    let Some(rig) = SqsRig::standard().await else { return };
    let queue = rig.queue();
    queue.send(vec![message("a")]).await.expect("sent");
    let received = receive(&queue, 1).await.remove(0);
    rig.proxy.rule(Rule::before("ChangeMessageVisibilityBatch").fail_entries(1.0, 1));

    let sent_anew = queue.defer(vec![(received.clone(), Duration::ZERO)]).await;

    assert!(sent_anew.expect("never an error").is_empty());
    assert_eq!(rig.counts().await, [0, 1, 0], "still hidden");
    let extended = queue.extend(vec![received.receipt], LONG).await;
    let error = extended.expect_err("a heartbeat that fails is told").to_string();
    assert!(error.starts_with("queue: 1 of 1 messages: SQS answered InternalError"), "{error}");
}

#[tokio::test]
async fn a_delete_that_partly_fails_is_made_again_for_those() {
    let Some(rig) = SqsRig::standard().await else { return };
    let queue = rig.queue();
    queue.send((0..25).map(|n| message(format!("{n}"))).collect()).await.expect("sent");
    let received = receive(&queue, 25).await;
    rig.proxy.rule(Rule::before("DeleteMessageBatch").first(3).fail_entries(0.5, 1));

    let receipts = received.into_iter().map(|message| message.receipt).collect();
    queue.delete(receipts).await.expect("deleted");

    assert_eq!(rig.counts().await, [0, 0, 0]);
}

#[tokio::test]
async fn a_stale_receipt_among_others_is_no_error() {
    let Some(rig) = SqsRig::standard().await else { return };
    let queue = rig.queue();
    queue.send(vec![message("a"), message("b")]).await.expect("sent");
    let received = receive(&queue, 2).await;
    let mut receipts: Vec<_> = received.into_iter().map(|message| message.receipt).collect();
    receipts.insert(1, Receipt("outlived".to_owned()));

    queue.extend(receipts.clone(), LONG).await.expect("extended");
    queue.delete(receipts).await.expect("deleted");

    assert_eq!(rig.counts().await, [0, 0, 0]);
}

#[tokio::test]
async fn nothing_is_lost_while_a_third_of_all_requests_and_entries_fails() {
    const MESSAGES: usize = 50;
    let Some(rig) = SqsRig::standard().await else { return };
    rig.proxy.rule(Rule::before("sqs").share(0.3, 7).fail(Fault::Throttled));
    rig.proxy.rule(Rule::before("sqs").fail_entries(0.3, 8));
    let queue = rig.queue();
    let mut senders = JoinSet::new();
    for n in 0..MESSAGES {
        let queue = queue.clone();
        // One at a time: what was refused is known.
        senders.spawn(
            async move { while queue.send(vec![message(format!("{n}"))]).await.is_err() {} },
        );
    }
    senders.join_all().await;

    let mut bodies = BTreeSet::new();
    while bodies.len() < MESSAGES {
        let Ok(received) = queue.receive(MESSAGES, LONG, LONG).await else { continue };
        let receipts: Vec<_> = received.iter().map(|message| message.receipt.clone()).collect();
        while queue.delete(receipts.clone()).await.is_err() {}
        for message in received {
            assert!(bodies.insert(message.body), "each comes once");
        }
    }

    assert_eq!(rig.counts().await, [0, 0, 0]);
}

#[tokio::test]
async fn a_queue_that_does_not_exist_is_told_by_its_error() {
    let Some(mut rig) = SqsRig::standard().await else { return };
    let gone = format!("{}-gone", rig.settings.queue_url);
    rig.settings.queue_url = gone.parse().expect("a queue's URL");
    let error = rig.queue().receive(1, Duration::ZERO, LONG).await.expect_err("no queue");
    assert!(error.to_string().contains("NonExistentQueue"), "{error}");
}
