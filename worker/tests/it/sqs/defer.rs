//! When a message is hidden and when it is sent anew.

use std::time::Duration;

use mcp_batch::{
    clock::{Clock, UnixMs},
    queue::{DeadLetter, Message, NewMessage, Queue},
};
use mcp_batch_testkit::{Fault, Rule};

use super::{LONG, TRACE, entries, in_group, letters::letter, own_attributes, receive};
use crate::{
    lease_helpers::START,
    queue::store::{SqsRig, message},
};

/// One second more than the visibility budget.
const LATER: Duration = Duration::from_secs(121);

async fn sent_and_received(rig: &SqsRig, message: NewMessage) -> Message {
    rig.queue().send(vec![message]).await.expect("sent");
    let received = receive(&rig.queue(), 1).await.remove(0);
    rig.proxy.forget();
    received
}

#[tokio::test]
async fn waits_are_rounded_up_to_whole_seconds_and_none_stays_none() {
    let Some(rig) = SqsRig::standard().await else { return };
    let waits = [Duration::ZERO, Duration::from_millis(1), Duration::from_millis(119_001)];
    for (wait, seconds) in waits.into_iter().zip([0, 1, 120]) {
        let received = sent_and_received(&rig, message("a")).await;
        assert!(rig.queue().defer(vec![(received.clone(), wait)]).await.expect("ok").is_empty());
        let entries = entries(&rig, "ChangeMessageVisibilityBatch");
        assert_eq!(entries[0]["VisibilityTimeout"], seconds);
        rig.queue().delete(vec![received.receipt]).await.expect("deleted");
    }
}

#[tokio::test]
async fn a_wait_beyond_the_visibility_budget_is_sent_anew_with_all_that_must_last() {
    let Some(rig) = SqsRig::standard().await else { return };
    let received = sent_and_received(&rig, in_group("{}", "tenant-1")).await;
    let trace = "Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=1";
    let replayed = Message { trace: Some(trace.to_owned()), replay_of: Some(4), ..received };

    let sent_anew = rig.queue().defer(vec![(replayed.clone(), LATER)]).await.expect("ok");

    assert_eq!(sent_anew, [replayed.receipt], "the caller deletes it");
    assert_eq!(rig.counts().await, [0, 1, 1]);
    let entry = entries(&rig, "SendMessageBatch").remove(0);
    assert_eq!((&entry["DelaySeconds"], &entry["MessageBody"]), (&121.into(), &"{}".into()));
    assert_eq!(entry["MessageGroupId"], "tenant-1");
    assert_eq!(entry["MessageAttributes"]["first_seen"]["StringValue"], START.rfc3339());
    assert_eq!(entry["MessageAttributes"]["replay_of"]["StringValue"], "4");
    assert_eq!(entry["MessageSystemAttributes"]["AWSTraceHeader"]["StringValue"], trace);
    assert_eq!(rig.proxy.count("ChangeMessageVisibilityBatch"), 0);
}

#[tokio::test]
async fn what_a_producer_put_beside_its_job_travels_with_it_however_often_it_is_sent_anew() {
    for count in [3, 10] {
        let Some(rig) = SqsRig::standard().await else { return };
        let own = own_attributes(count);
        rig.send_raw("{}", own.clone(), TRACE).await;
        let mut received = receive(&rig.queue(), 1).await.remove(0);
        for _ in 0..2 {
            let often = Message { receive_count: 50, ..received };
            let sent_anew = rig.queue().defer(vec![(often, Duration::ZERO)]).await.expect("ok");
            assert_eq!(sent_anew.len(), 1, "{count}");
            rig.queue().delete(sent_anew).await.expect("deleted");
            received = receive(&rig.queue(), 1).await.remove(0);
        }
        assert_eq!(received.others.len(), count);
        let [first, sent] = &entries(&rig, "SendMessageBatch")[..] else { unreachable!("two") };
        assert_eq!(first["MessageSystemAttributes"]["AWSTraceHeader"]["StringValue"], TRACE);
        let attributes = sent["MessageAttributes"].as_object().expect("attributes");
        assert!(attributes.len() <= 10, "{attributes:?}");
        let first = &own[0];
        assert_eq!(attributes[&first.0]["StringValue"], *first.1.string_value().expect("a text"));
        rig.queue()
            .bury(DeadLetter { others: received.others, ..letter("{}", "no") })
            .await
            .expect("ok");
        rig.redrive().await;
        let redriven = receive(&rig.queue(), 1).await.remove(0);
        assert_eq!(redriven.others.len(), count, "and with its dead letter");
    }
}

#[tokio::test]
async fn a_slash_behind_its_url_makes_no_fifo_queue_a_standard_one() {
    let Some(mut rig) = SqsRig::fifo().await else { return };
    rig.settings.queue_url = format!("{}/", rig.settings.queue_url).parse().expect("its URL");
    let received = sent_and_received(&rig, in_group("a", "tenant-1")).await;
    assert!(rig.queue().defer(vec![(received, LATER)]).await.expect("ok").is_empty());
    assert_eq!(rig.proxy.count("SendMessageBatch"), 0, "it would lose its place");
}

#[tokio::test]
async fn a_wait_longer_than_any_delay_is_as_long_as_a_delay_may_be() {
    let Some(rig) = SqsRig::standard().await else { return };
    let received = sent_and_received(&rig, message("a")).await;
    rig.queue().defer(vec![(received, Duration::from_secs(7200))]).await.expect("ok");
    assert_eq!(entries(&rig, "SendMessageBatch")[0]["DelaySeconds"], 900);
}

#[tokio::test]
async fn a_message_received_fifty_times_is_sent_anew_and_counts_from_one() {
    let Some(rig) = SqsRig::standard().await else { return };
    let received = sent_and_received(&rig, message("a")).await;
    let often = |receive_count| Message { receive_count, ..received.clone() };

    let sent_anew = rig.queue().defer(vec![(often(49), LONG)]).await.expect("ok");
    assert!(sent_anew.is_empty());
    let sent_anew = rig.queue().defer(vec![(often(50), Duration::ZERO)]).await.expect("ok");
    assert_eq!(sent_anew, std::slice::from_ref(&received.receipt));

    let again = receive(&rig.queue(), 1).await.remove(0);
    assert_ne!(again.id, received.id);
    assert_eq!((again.receive_count, again.first_seen), (1, START));
}

#[tokio::test]
async fn a_message_that_is_too_old_is_never_sent_anew() {
    let Some(mut rig) = SqsRig::standard().await else { return };
    let received = sent_and_received(&rig, message("a")).await;
    rig.settings.sent_anew_until = Duration::from_secs(3600);
    let seen = |seconds: i64| UnixMs(Clock::system().now().0 - seconds * 1000);
    let old = Message { receive_count: 50, first_seen: seen(3600), ..received };
    let younger = Message { first_seen: seen(1800), ..old.clone() };

    let sent_anew = rig.queue().defer(vec![(old.clone(), LATER)]).await.expect("ok");
    assert!(sent_anew.is_empty());
    assert_eq!(entries(&rig, "ChangeMessageVisibilityBatch")[0]["VisibilityTimeout"], 121);

    let sent_anew = rig.queue().defer(vec![(younger.clone(), LATER)]).await.expect("ok");
    assert_eq!(sent_anew, [younger.receipt]);
}

#[tokio::test]
async fn what_cannot_be_sent_anew_is_hidden_instead() {
    let Some(rig) = SqsRig::standard().await else { return };
    let received = sent_and_received(&rig, message("a")).await;
    let refused = Fault::Refused(403, "AccessDeniedException");
    rig.proxy.rule(Rule::before("SendMessageBatch").fail(refused));

    let sent_anew = rig.queue().defer(vec![(received, LATER)]).await.expect("ok");

    assert!(sent_anew.is_empty());
    let entries = entries(&rig, "ChangeMessageVisibilityBatch");
    assert_eq!(entries[0]["VisibilityTimeout"], 121);
    assert_eq!(rig.counts().await, [0, 1, 0]);
}

#[tokio::test]
async fn only_those_that_were_sent_anew_are_to_be_deleted() {
    let Some(rig) = SqsRig::standard().await else { return };
    let queue = rig.queue();
    queue.send((0..40).map(|n| message(format!("{n}"))).collect()).await.expect("sent");
    let received = receive(&queue, 40).await;
    rig.proxy.rule(Rule::before("SendMessageBatch").fail_entries(0.7, 3));
    let waits = [Duration::from_secs(60), LATER];
    let deferred: Vec<_> = received.into_iter().zip(waits.into_iter().cycle()).collect();

    let sent_anew = queue.defer(deferred.clone()).await.expect("never an error");

    assert!((1..20).contains(&sent_anew.len()), "{}", sent_anew.len());
    let later = |(message, wait): &(Message, Duration)| {
        *wait == LATER && sent_anew.contains(&message.receipt)
    };
    assert_eq!(deferred.iter().filter(|message| later(message)).count(), sent_anew.len());
    assert_eq!(rig.counts().await, [0, 40, sent_anew.len()], "each is there, hidden or delayed");
    queue.delete(sent_anew.clone()).await.expect("deleted");
    assert_eq!(rig.counts().await, [0, 40 - sent_anew.len(), sent_anew.len()]);
}

#[tokio::test]
async fn nothing_is_sent_anew_on_a_fifo_queue() {
    let Some(rig) = SqsRig::fifo().await else { return };
    let received = sent_and_received(&rig, in_group("a", "g")).await;
    let often = Message { receive_count: 80, ..received };
    let hour = Duration::from_secs(3600);

    for (wait, seconds) in [(hour * 2, 7200), (hour * 20, 36_000)] {
        rig.proxy.forget();
        assert!(rig.queue().defer(vec![(often.clone(), wait)]).await.expect("ok").is_empty());
        let entries = entries(&rig, "ChangeMessageVisibilityBatch");
        assert_eq!(entries[0]["VisibilityTimeout"], seconds);
        assert_eq!(rig.proxy.count("SendMessageBatch"), 0);
    }
}

#[tokio::test]
async fn a_fifo_message_received_fifty_times_is_hidden_so_long_that_it_outlasts_its_job() {
    const MOST_RECEIVES: u32 = 1_000;
    const MAX_AGE_S: u64 = 259_200;
    let Some(rig) = SqsRig::fifo().await else { return };
    let received = sent_and_received(&rig, in_group("a", "g")).await;
    for (receive_count, seconds) in [(49, 1), (50, 300), (999, 300)] {
        rig.proxy.forget();
        let often = Message { receive_count, ..received.clone() };
        let deferred = rig.queue().defer(vec![(often, Duration::from_secs(1))]).await;
        assert!(deferred.expect("ok").is_empty());
        let entries = entries(&rig, "ChangeMessageVisibilityBatch");
        assert_eq!(entries[0]["VisibilityTimeout"], seconds, "{receive_count}");
    }
    assert!(u64::from(MOST_RECEIVES - 50) * 300 > MAX_AGE_S);
}
