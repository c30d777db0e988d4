//! What every queue does.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use bytes::Bytes;
use mcp_batch::{
    clock::UnixMs,
    error::{ErrorClass, JobError},
    job::JobKey,
    queue::{DeadLetter, NewMessage, Receipt},
};
use tokio::task::JoinSet;

use super::store::{Letter, QueueStore, message};
use crate::lease_helpers::{START, after_s};

const MOMENT: Duration = Duration::from_millis(1);

/// Longer than any case may last.
const LONG: Duration = Duration::from_secs(120);

pub(super) async fn a_message_comes_with_all_that_was_sent<S: QueueStore>(store: S) {
    let worker = store.worker();
    let sent = NewMessage {
        body: "{}".into(),
        namespace: Some("shop:1".parse().expect("a namespace")),
        job: None,
        group: Some("tenant-1".to_owned()),
        first_seen: UnixMs(START.0 - 1),
        delay: Duration::ZERO,
        replay_of: Some(3),
    };
    let ids = worker.send(vec![sent]).await;

    let received = worker.one().await;

    assert_eq!([received.id], ids[..]);
    assert_eq!((&received.body[..], received.group.as_deref()), (&b"{}"[..], Some("tenant-1")));
    assert_eq!((received.first_seen, received.receive_count), (UnixMs(START.0 - 1), 1));
    assert_eq!(received.replay_of, Some(3));
    assert_eq!(received.namespace, Some("shop:1".parse().expect("a namespace")));
}

pub(super) async fn a_message_without_a_namespace_comes_without_one<S: QueueStore>(store: S) {
    let worker = store.worker();
    worker.send(vec![message("a")]).await;
    assert_eq!(worker.one().await.namespace, None);
}

pub(super) async fn what_can_be_sent_is_answered_one_by_one<S: QueueStore>(store: S) {
    let worker = store.worker();
    let sent = worker.send_each(["a", "b", "c"].map(message).into()).await;
    assert!(sent.iter().all(Result::is_ok), "{sent:?}");
    assert_eq!(worker.receive(10).await.len(), 3);
}

pub(super) async fn ids_come_in_the_order_of_the_messages<S: QueueStore>(store: S) {
    let worker = store.worker();
    let bodies: Vec<_> = (0..300).map(|n| format!("message {n}")).collect();
    let ids = worker.send(bodies.iter().cloned().map(message).collect()).await;
    let sent: BTreeMap<_, _> = ids.into_iter().zip(bodies).collect();
    assert_eq!(sent.len(), 300, "each has an id of its own");

    let received = worker.receive(300).await;

    let text = |body: &[u8]| String::from_utf8_lossy(body).into_owned();
    let received: BTreeMap<_, _> =
        received.into_iter().map(|message| (message.id, text(&message.body))).collect();
    assert_eq!(received, sent);
}

pub(super) async fn a_received_message_is_hidden_until_its_visibility_timeout_ends<
    S: QueueStore,
>(
    store: S,
) {
    let (first, second) = (store.worker(), store.worker());
    let ids = first.send(vec![message("a")]).await;
    first.one().await;

    first.assert_empty().await;
    second.assert_empty().await;
    store.almost(S::HIDDEN).await;
    second.assert_empty().await;
    store.until_visible(1).await;

    assert_eq!([second.one().await.id], ids[..], "under the same id");
}

pub(super) async fn each_receive_is_counted<S: QueueStore>(store: S) {
    let worker = store.worker();
    worker.send(vec![message("a")]).await;
    let mut receipts = BTreeSet::new();
    for count in 1..=3 {
        let received = worker.one().await;
        assert_eq!(received.receive_count, count);
        assert!(receipts.insert(received.receipt.0), "each receive has a receipt of its own");
        store.pass(S::HIDDEN, 1).await;
    }
}

pub(super) async fn a_deleted_message_does_not_come_back<S: QueueStore>(store: S) {
    let worker = store.worker();
    worker.send(["a", "b", "c"].map(message).to_vec()).await;
    let received = worker.receive(10).await;
    let (kept, deleted) = received.split_first().expect("three messages");

    let receipts: Vec<_> = deleted.iter().map(|message| &message.receipt).collect();
    worker.delete(&receipts).await;
    worker.delete(&receipts).await;

    store.pass(S::HIDDEN, 1).await;
    assert_eq!(worker.one().await.id, kept.id);
}

pub(super) async fn a_message_can_be_deleted_late_if_nobody_received_it_again<S: QueueStore>(
    store: S,
) {
    let worker = store.worker();
    worker.send(vec![message("a")]).await;
    let received = worker.one().await;
    store.pass(S::HIDDEN * 2, 1).await;

    worker.delete(&[&received.receipt]).await;

    worker.assert_empty().await;
}

pub(super) async fn a_receipt_of_an_older_receive_deletes_and_defers_nothing<S: QueueStore>(
    store: S,
) {
    let (late, owner) = (store.worker(), store.worker());
    late.send(vec![message("a")]).await;
    let old = late.one().await;
    store.pass(S::HIDDEN, 1).await;
    let new = owner.one().await;

    late.defer(&old.receipt, Duration::ZERO).await;
    late.assert_empty().await;
    late.delete(&[&old.receipt]).await;
    store.pass(S::HIDDEN, 1).await;

    let again = owner.one().await;
    assert_eq!((&again.id, again.receive_count), (&new.id, 3));
}

pub(super) async fn receipts_that_are_none_delete_and_defer_nothing<S: QueueStore>(store: S) {
    let worker = store.worker();
    worker.send(vec![message("a"), message("b")]).await;
    let mut received = worker.receive(1).await;
    let received = received.remove(0);
    let forged = ["", "-", "1", "x-1", "\u{0}", "-9223372036854775808", &"9".repeat(5000)];
    let mut forged: Vec<_> = forged.iter().map(|text| Receipt((*text).to_owned())).collect();
    forged.push(Receipt(format!("{}x", received.receipt.0)));
    forged.push(Receipt(received.id.clone()));

    worker.delete(&forged.iter().collect::<Vec<_>>()).await;
    for receipt in &forged {
        worker.defer(receipt, Duration::ZERO).await;
    }

    let other = worker.one().await;
    assert_ne!(other.id, received.id, "that one is still hidden");
    store.pass(S::HIDDEN, 2).await;
    assert_eq!(worker.receive(10).await.len(), 2);
}

pub(super) async fn a_deferred_message_comes_back_after_its_own_time<S: QueueStore>(store: S) {
    let worker = store.worker();
    worker.send(vec![message("sooner"), message("later")]).await;
    for received in worker.receive(10).await {
        let time = if received.body == "sooner" { S::HIDDEN / 2 } else { S::HIDDEN * 2 };
        worker.defer(&received.receipt, time).await;
    }

    store.almost(S::HIDDEN / 2).await;
    worker.assert_empty().await;
    store.until_visible(1).await;
    let sooner = worker.one().await;
    assert_eq!((&sooner.body[..], sooner.receive_count), (&b"sooner"[..], 2));
    worker.delete(&[&sooner.receipt]).await;
    store.almost(S::HIDDEN * 3 / 2).await;
    worker.assert_empty().await;
    store.until_visible(1).await;
    assert_eq!(worker.one().await.body, "later");
}

pub(super) async fn a_deferred_message_may_come_back_at_once<S: QueueStore>(store: S) {
    let (first, second) = (store.worker(), store.worker());
    first.send(vec![message("a")]).await;
    let received = first.one().await;

    first.defer(&received.receipt, Duration::ZERO).await;

    assert_eq!(second.one().await.receive_count, 2);
}

pub(super) async fn a_delayed_message_is_hidden_at_first<S: QueueStore>(store: S) {
    let worker = store.worker();
    worker.send(vec![NewMessage { delay: S::HIDDEN, ..message("a") }]).await;

    store.almost(S::HIDDEN).await;
    worker.assert_empty().await;
    store.until_visible(1).await;

    let received = worker.one().await;
    assert_eq!((received.receive_count, received.first_seen), (1, START));
}

pub(super) async fn a_receive_without_a_wait_answers_at_once<S: QueueStore>(store: S) {
    let worker = store.worker();
    worker.assert_empty().await;
    worker.send(vec![message("a")]).await;
    worker.one().await;
}

pub(super) async fn a_receive_brings_at_most_what_it_asked_for<S: QueueStore>(store: S) {
    let worker = store.worker();
    worker.send((0..25).map(|n| message(format!("{n}"))).collect()).await;

    let mut ids = BTreeSet::new();
    for expected in [10, 10, 5, 0] {
        let received = worker.receive(10).await;
        assert_eq!(received.len(), expected);
        ids.extend(received.into_iter().map(|message| message.id));
    }

    assert_eq!(ids.len(), 25);
}

pub(super) async fn a_long_poll_ends_with_what_is_sent<S: QueueStore>(store: S) {
    let worker = store.worker();
    let (received, _) = tokio::join!(worker.wait_for(10, LONG), worker.send(vec![message("a")]));
    assert_eq!(received.len(), 1);
}

pub(super) async fn a_long_poll_ends_with_what_another_worker_sends<S: QueueStore>(store: S) {
    let (worker, other) = (store.worker(), store.worker());
    let (received, _) = tokio::join!(worker.wait_for(10, LONG), other.send(vec![message("a")]));
    assert_eq!(received.len(), 1);
}

pub(super) async fn a_long_poll_ends_with_what_becomes_visible<S: QueueStore>(store: S) {
    let worker = store.worker();
    worker.send(vec![message("a")]).await;
    worker.one().await;
    let (received, ()) = tokio::join!(worker.wait_for(10, LONG), store.pass(S::HIDDEN, 1));
    assert_eq!(received.len(), 1);
}

pub(super) async fn a_long_poll_ends_with_what_is_deferred<S: QueueStore>(store: S) {
    let worker = store.worker();
    worker.send(vec![message("a")]).await;
    let held = worker.one().await;
    let (received, ()) =
        tokio::join!(worker.wait_for(10, LONG), worker.defer(&held.receipt, Duration::ZERO));
    assert_eq!(received.len(), 1);
}

pub(super) async fn a_long_poll_in_vain_ends_with_nothing<S: QueueStore>(store: S) {
    let worker = store.worker();
    assert!(worker.wait_for(10, MOMENT).await.is_empty());
}

pub(super) async fn two_workers_share_no_message<S: QueueStore>(store: S) {
    const MESSAGES: usize = 400;
    let workers = [store.worker(), store.worker()];
    workers[0].send((0..MESSAGES).map(|n| message(format!("{n}"))).collect()).await;
    let mut receivers = JoinSet::new();
    for worker in workers.iter().cycle().take(8) {
        let worker = worker.clone();
        receivers.spawn(async move {
            let mut ids = Vec::new();
            loop {
                let received = worker.receive(7).await;
                if received.is_empty() {
                    return ids;
                }
                ids.extend(received.into_iter().map(|message| message.id));
            }
        });
    }

    let ids: Vec<_> = receivers.join_all().await.into_iter().flatten().collect();

    assert_eq!(ids.len(), MESSAGES);
    assert_eq!(ids.into_iter().collect::<BTreeSet<_>>().len(), MESSAGES);
}

pub(super) async fn a_job_can_be_looked_for<S: QueueStore>(store: S) {
    let worker = store.worker();
    let key = |n: u8| JobKey::from_bytes([n; 32]);
    worker.send(vec![NewMessage { job: Some(key(1)), ..message("a") }, message("b")]).await;
    assert_eq!((worker.holds(key(1)).await, worker.holds(key(2)).await), (Some(true), Some(false)));
    let received = worker.receive(2).await;
    assert_eq!(worker.holds(key(1)).await, Some(true), "it is hidden, not gone");
    worker.delete(&received.iter().map(|message| &message.receipt).collect::<Vec<_>>()).await;
    assert_eq!(worker.holds(key(1)).await, Some(false));
}

pub(super) async fn any_bytes_survive<S: QueueStore>(store: S) {
    let worker = store.worker();
    let every_byte: Vec<u8> = (0..=u8::MAX).collect();
    let bodies = [
        Vec::new(),
        b"\0".to_vec(),
        b"a\0b\0".to_vec(),
        b"\xff\xfe\xc3\x28\xed\xa0\x80".to_vec(),
        "\u{feff}ä🦀\u{202e}".into(),
        every_byte.repeat(4096),
    ];
    assert_eq!(bodies[5].len(), 1_048_576);
    for body in bodies {
        worker.send(vec![message(body.clone())]).await;
        let received = worker.one().await;
        assert!(received.body == body, "{} bytes came back changed", body.len());
        worker.delete(&[&received.receipt]).await;
    }
}

pub(super) async fn empty_lists_do_nothing<S: QueueStore>(store: S) {
    let worker = store.worker();
    worker.send(vec![message("a")]).await;
    assert!(worker.send(Vec::new()).await.is_empty());
    worker.delete(&[]).await;
    worker.defer_all(Vec::new()).await;
    worker.one().await;
}

pub(super) async fn a_buried_job_keeps_its_body_its_group_and_its_reason<S: QueueStore>(store: S) {
    let worker = store.worker();
    let whole = letter("{\"id\":\"a\"}", "refused: ä \"x\"");
    let unreadable = DeadLetter {
        namespace: Some("shop:1".parse().expect("a namespace")),
        group: None,
        job_id: None,
        tool: None,
        attempts: 0,
        epoch: None,
        ..letter("no job", "expected an object")
    };

    for letter in [&whole, &unreadable] {
        worker.bury(letter.clone()).await;
    }

    let letters = store.letters().await;
    assert_eq!(letters, [whole, unreadable].map(as_it_lies));
    let attributes = &letters[0].attributes;
    assert_eq!(attributes["error_class"], "permanent");
    assert_eq!(attributes["error_code"], "filtered");
    assert_eq!(attributes["error_message"], "refused: ä \"x\"");
    assert_eq!((&*attributes["attempts"], &*attributes["job_id"]), ("3", "a"));
    assert_eq!((&*attributes["tool"], &*attributes["epoch"]), ("summarize", "4"));
    assert_eq!(attributes["first_seen"], "2027-01-15T08:00:01.000Z");
    worker.assert_empty().await;
}

pub(super) async fn any_bytes_can_be_buried<S: QueueStore>(store: S) {
    let letter = letter(b"\xff\0", "refused: \u{0}");
    store.worker().bury(letter.clone()).await;
    assert_eq!(store.letters().await, [as_it_lies(letter)]);
}

fn letter(body: impl AsRef<[u8]>, message: &str) -> DeadLetter {
    DeadLetter {
        namespace: Some("shop:1".parse().expect("a namespace")),
        body: Bytes::copy_from_slice(body.as_ref()),
        group: Some("tenant-1".to_owned()),
        error: JobError::new(ErrorClass::Permanent, "filtered", message),
        job_id: Some("a".to_owned()),
        tool: Some("summarize".to_owned()),
        attempts: 3,
        epoch: Some(4),
        first_seen: after_s(1),
        trace: None,
        others: Box::default(),
    }
}

fn as_it_lies(letter: DeadLetter) -> Letter {
    let attributes = letter.attributes().into_iter();
    Letter {
        body: letter.body.to_vec(),
        group: letter.group,
        attributes: attributes.map(|(name, value)| (name.to_owned(), value)).collect(),
    }
}
