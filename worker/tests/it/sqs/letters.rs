//! Dead letters: within SQS's limits, and on their way back.

use std::{collections::HashMap, time::Duration};

use bytes::Bytes;
use mcp_batch::{
    error::{ErrorClass, JobError},
    queue::{Attribute, AttributeValue, Burial, DeadLetter, Message, Queue},
};
use mcp_batch_testkit::{Fault, Rule};

use super::{MIB, TRACE, entries, own_attributes, receive};
use crate::{lease_helpers::START, queue::store::SqsRig};

pub(super) fn letter(body: impl Into<Bytes>, message: impl Into<String>) -> DeadLetter {
    DeadLetter {
        namespace: None,
        body: body.into(),
        group: Some("tenant-1".to_owned()),
        error: JobError::new(ErrorClass::Permanent, "filtered", message),
        job_id: Some("a".to_owned()),
        tool: Some("summarize".to_owned()),
        attempts: 3,
        epoch: Some(4),
        first_seen: START,
        trace: None,
        others: Box::default(),
    }
}

/// Body and attributes of the one dead letter.
async fn lies_there(rig: &SqsRig) -> (String, HashMap<String, String>) {
    let mut letters = rig.raw_letters().await;
    assert_eq!(letters.len(), 1);
    let letter = letters.remove(0);
    let attributes = letter.message_attributes.unwrap_or_default().into_iter();
    let attributes = attributes.filter_map(|(name, value)| Some((name, value.string_value?)));
    (letter.body.unwrap_or_default(), attributes.collect())
}

fn bytes(body: &str, attributes: &HashMap<String, String>) -> usize {
    let attribute = |(name, value): (&String, &String)| name.len() + "String".len() + value.len();
    body.len() + attributes.iter().map(attribute).sum::<usize>()
}

#[tokio::test]
async fn a_dead_letter_that_cannot_be_sent_is_an_error_without_its_body() {
    let Some(rig) = SqsRig::standard().await else { return };
    rig.proxy.rule(Rule::before("sqs").fail(Fault::Refused(403, "AccessDeniedException")));
    let error = rig.queue().bury(letter("the body", "no")).await.expect_err("refused").to_string();
    assert!(error.contains("AccessDeniedException"), "{error}");
    assert!(!error.contains("the body"), "{error}");
}

#[tokio::test]
async fn without_a_place_for_dead_letters_the_message_is_left_to_the_queue() {
    let Some(mut rig) = SqsRig::standard().await else { return };
    rig.settings.dead_letter_url = None;
    let burial = rig.queue().bury(letter("{}", "no")).await.expect("no error");
    assert_eq!((burial, rig.proxy.count("sqs")), (Burial::LeftToQueue, 0));
}

#[tokio::test]
async fn a_dead_letter_keeps_what_a_producer_put_beside_its_job_within_ten_attributes() {
    for count in [2, 3, 10] {
        let Some(rig) = SqsRig::standard().await else { return };
        rig.send_raw("{}", own_attributes(count), TRACE).await;
        let sent = receive(&rig.queue(), 1).await.remove(0);
        let Message { others, trace, .. } = sent.clone();
        rig.queue().bury(DeadLetter { others, trace, ..letter("{}", "no") }).await.expect("buried");

        let lies = rig.raw_letters().await.remove(0);
        let attributes = lies.message_attributes.expect("attributes");
        assert_eq!(attributes.len(), 8 + count.min(2), "{attributes:?}");
        assert_eq!(attributes["own-00"], own_attributes(1)[0].1);
        let letter = entries(&rig, "SendMessageBatch").remove(0);
        assert_eq!(letter["MessageSystemAttributes"]["AWSTraceHeader"]["StringValue"], TRACE);

        rig.redrive().await;
        let redriven = receive(&rig.queue(), 1).await.remove(0);
        let names = |message: &Message| {
            let others = message.others.iter().map(|other| other.name.clone());
            others.collect::<std::collections::BTreeSet<_>>()
        };
        assert_eq!(names(&redriven), names(&sent), "{count}");
        assert_eq!(redriven.replay_of, Some(4));
    }
}

#[tokio::test]
async fn a_producers_attribute_by_a_name_of_the_reason_does_not_stand_in_its_place() {
    let Some(rig) = SqsRig::standard().await else { return };
    let own = |name: &str, kind: &str, value| Attribute {
        name: name.to_owned(),
        kind: kind.to_owned(),
        value,
    };
    let text = |value: &str| AttributeValue::Text(value.to_owned());
    let others = [
        own("epoch", "Number", text("1700000000")),
        own("error_class", "Binary", AttributeValue::Binary(b"own".as_slice().into())),
        own("shop", "String", text("7")),
    ];
    let letter = DeadLetter { others: others.into(), ..letter("{}", "no") };

    rig.queue().bury(letter).await.expect("buried");

    let (_, attributes) = lies_there(&rig).await;
    let found = ["epoch", "error_class", "shop"].map(|name| &*attributes[name]);
    assert_eq!(found, ["4", "permanent", "7"]);
}

#[tokio::test]
async fn attributes_that_a_dead_letter_has_no_room_for_cost_it_neither_its_body_nor_its_reason() {
    let Some(rig) = SqsRig::standard().await else { return };
    let large = |n: usize| Attribute {
        name: format!("own-{n}"),
        kind: "String".to_owned(),
        value: AttributeValue::Text("x".repeat(500)),
    };
    let (body, others) = ("x".repeat(MIB - 1000), [large(0), large(1)].into());
    let letter = DeadLetter { others, ..letter(body.clone(), "no") };
    rig.queue().bury(letter).await.expect("buried");

    let (kept, attributes) = lies_there(&rig).await;
    assert!(kept == body && attributes["error_message"] == "no");
    assert_eq!((attributes.len(), attributes.contains_key("own-1")), (9, false));
}

#[tokio::test]
async fn a_long_reason_is_shortened_between_characters_to_what_the_body_leaves() {
    let Some(rig) = SqsRig::standard().await else { return };
    let body = "x".repeat(MIB - 1000);
    rig.queue().bury(letter(body.clone(), "ä".repeat(MIB))).await.expect("buried");

    let (kept, attributes) = lies_there(&rig).await;
    assert!(kept == body);
    assert_eq!(attributes.len(), 8);
    assert!((MIB - 1..=MIB).contains(&bytes(&kept, &attributes)));
    assert!(attributes["error_message"].chars().all(|c| c == 'ä'));
}

#[tokio::test]
async fn a_body_of_nearly_full_size_keeps_the_class_and_the_epoch_of_its_reason() {
    let Some(rig) = SqsRig::standard().await else { return };
    let body = "x".repeat(MIB - 45);
    rig.queue().bury(letter(body.clone(), "no")).await.expect("buried");

    let (kept, attributes) = lies_there(&rig).await;
    assert!(kept == body);
    let expected = [("error_class", "permanent"), ("epoch", "4")];
    assert_eq!(attributes, expected.map(|(name, value)| (name.into(), value.into())).into());
}

#[tokio::test]
async fn a_body_without_room_for_what_a_replay_needs_is_left_to_the_queue() {
    let Some(rig) = SqsRig::standard().await else { return };
    let full = letter("x".repeat(MIB - 37), "no");
    let burial = rig.queue().bury(full.clone()).await.expect("no error");
    assert_eq!((burial, rig.raw_letters().await.len()), (Burial::LeftToQueue, 0));

    let never_a_run = DeadLetter { epoch: None, ..full };
    let burial = rig.queue().bury(never_a_run).await.expect("no error");
    assert_eq!((burial, rig.raw_letters().await.len()), (Burial::Taken, 1));
}

#[tokio::test]
async fn a_body_that_is_no_text_is_kept_as_far_as_it_is_and_says_so() {
    for (body, kept, told) in
        [(&b"{\"a\": \"\0\xff\"}"[..], "{\"a\": \"??\"}", "question marks"), (b"", "?", "empty")]
    {
        let Some(rig) = SqsRig::standard().await else { return };
        rig.queue().bury(letter(body, "refused: \0")).await.expect("buried");
        let (text, attributes) = lies_there(&rig).await;
        assert_eq!((&*text, attributes.len()), (kept, 9), "ten at most");
        assert!(attributes["body_altered"].contains(told));
        assert_eq!(attributes["error_message"], "refused: ?");
    }
}

#[tokio::test]
async fn an_empty_reason_is_left_out() {
    let Some(rig) = SqsRig::standard().await else { return };
    rig.queue().bury(letter("{}", "")).await.expect("buried");
    let (_, attributes) = lies_there(&rig).await;
    assert!(!attributes.contains_key("error_message"));
    assert_eq!(attributes.len(), 7);
}

#[tokio::test]
async fn a_fifo_queue_of_dead_letters_takes_those_without_a_group_and_the_same_twice() {
    let Some(rig) = SqsRig::fifo().await else { return };
    let ungrouped = DeadLetter { group: None, ..letter("{}", "no") };
    for letter in [ungrouped.clone(), ungrouped, letter("{}", "no")] {
        rig.queue().bury(letter).await.expect("buried");
    }
    assert_eq!(rig.raw_letters().await.len(), 3);
}

#[tokio::test]
async fn a_redriven_dead_letter_asks_for_a_replay_however_often_it_is_deferred() {
    let Some(rig) = SqsRig::standard().await else { return };
    rig.queue().bury(letter("{}", "no")).await.expect("buried");
    rig.redrive().await;

    let redriven = receive(&rig.queue(), 1).await.remove(0);
    assert_eq!((&redriven.body[..], redriven.replay_of), (&b"{}"[..], Some(4)));
    assert_eq!(redriven.group.as_deref(), Some("tenant-1"));
    assert_ne!(redriven.first_seen, START, "it begins anew");

    let often = Message { receive_count: 50, ..redriven.clone() };
    let sent_anew = rig.queue().defer(vec![(often, Duration::ZERO)]).await.expect("ok");
    rig.queue().delete(sent_anew).await.expect("deleted");
    let again = receive(&rig.queue(), 1).await.remove(0);
    assert_eq!((again.replay_of, again.first_seen), (Some(4), redriven.first_seen));
}
