//! Callbacks take turns: a host that is slow keeps back its own, and nobody else's.

use std::time::Duration;

use mcp_batch::{
    batch::Stop,
    lease::{CallbackState, Repeat},
    webhook::CourierSettings,
};
use mcp_batch_testkit::{Receiver, Reply, wait_until};
use serde_json::{Value, json};

use super::{
    plan,
    rig::{Rig, allowing_loopback, job, with_callback},
};

fn jobs(receiver: &Receiver, host: &str, count: usize) -> Vec<Value> {
    let url = receiver.url("/");
    let job = |number| with_callback(job(&format!("{host}-{number}"), "answer"), &url);
    (0..count).map(job).collect()
}

#[tokio::test]
async fn no_more_than_five_callbacks_go_to_one_host_at_once() {
    let (rig, receiver) = (Rig::new(50), Receiver::start().await);
    receiver.set_default(Reply::status(204).after(Duration::from_millis(10)));

    let answer = rig.process(&jobs(&receiver, "one", 50)).await;

    assert_eq!((answer.finished.len(), receiver.count()), (50, 50));
    assert!(receiver.max_in_flight() <= 5, "{} at once", receiver.max_in_flight());
    // A turn may pass on before its connection is free again.
    assert!(receiver.connections() < 50, "connections are used again");
}

#[tokio::test]
async fn of_a_thousand_results_at_once_none_is_lost_and_five_are_on_their_way() {
    let rig = Rig::with(1_000, plan(1_000, Repeat::Safe), |_| {});
    let receiver = Receiver::start().await;
    receiver.set_default(Reply::status(204).after(Duration::from_millis(10)));
    let mut messages = rig.messages(&jobs(&receiver, "one", 1_000)).await;

    // What has no time left in one invocation is told in the next.
    while !messages.is_empty() {
        let answer = rig.work_off(messages.clone(), Duration::from_secs(4)).await;
        assert_eq!(answer.finished.len() + answer.returned.len(), messages.len());
        messages.retain(|message| answer.returned.contains(&message.id));
    }

    assert_eq!((receiver.count(), receiver.distinct_ids(), rig.calls()), (1_000, 1_000, 1_000));
    assert!(receiver.max_in_flight() <= 5, "{} at once", receiver.max_in_flight());
}

#[tokio::test]
async fn five_hosts_are_not_hindered_by_a_sixth_that_never_answers() {
    let rig = Rig::new(100);
    let silent = Receiver::start().await;
    silent.set_default(Reply::hang());
    let mut hosts = Vec::new();
    for _ in 0..5 {
        hosts.push(Receiver::start().await);
    }
    let mut all = jobs(&silent, "silent", 20);
    for (number, host) in hosts.iter().enumerate() {
        all.extend(jobs(host, &format!("host-{number}"), 10));
    }

    let stop = Stop::default();
    let working = rig.start(&all, &stop).await;

    for host in &hosts {
        host.wait_for(10).await;
    }
    assert_eq!(silent.wait_for(5).await.len(), 5, "the others wait for their turn");
    working.abort();
}

#[tokio::test]
async fn a_callback_without_a_turn_comes_back_and_is_not_counted_as_a_failure() {
    let courier = CourierSettings {
        per_host: 1,
        longest_wait: Duration::from_millis(50),
        ..allowing_loopback()
    };
    let rig = Rig::sending(8, plan(60_000, Repeat::Safe), courier, |_| {});
    let receiver = Receiver::start().await;
    receiver.set_default(Reply::hang());
    let both = jobs(&receiver, "one", 2);

    let first = rig.start(&both[..1], &Stop::default()).await;
    receiver.wait_for(1).await;
    let answer = rig.process(&both[1..]).await;

    assert_eq!((answer.finished.len(), answer.returned.len()), (0, 1));
    assert_eq!(rig.returned()[0].code, "callback_turn");
    assert!(rig.returned()[0].after >= Duration::from_secs(10), "it is not in a hurry");
    let slot = rig.record("one-1").await.and_then(|record| record.callback).expect("a callback");
    assert_eq!((slot.state, slot.failures), (CallbackState::Pending, 0));

    first.abort();
    wait_until("the first is gone", || receiver.clients_left() == 1).await;
    receiver.set_default(Reply::status(204));
    assert_eq!(rig.process(&both[1..]).await.finished.len(), 1);
    assert_eq!((receiver.distinct_ids(), rig.calls()), (2, 2));
}

#[tokio::test]
async fn the_callback_of_a_batch_without_a_turn_comes_back_soon_and_finds_its_delivery_free() {
    let courier = CourierSettings {
        per_host: 1,
        longest_wait: Duration::from_millis(50),
        ..allowing_loopback()
    };
    let rig = Rig::sending(8, plan(60_000, Repeat::Safe), courier, |_| {});
    let receiver = Receiver::start().await;
    receiver.set_default(Reply::hang());
    let mut last = job("last", "answer");
    last["batch"] = json!({"id": "b", "index": 0, "size": 1, "callback": receiver.url("/batch")});

    let first = rig.start(&jobs(&receiver, "one", 1), &Stop::default()).await;
    receiver.wait_for(1).await;
    assert_eq!(rig.process(std::slice::from_ref(&last)).await.returned.len(), 1);

    let returned = rig.returned().remove(0);
    assert_eq!((returned.code.as_str(), receiver.count()), ("batch_callback", 1));
    assert!(returned.after >= Duration::from_secs(10), "{returned:?}");
    assert!(returned.after <= Duration::from_secs(20), "{returned:?}");
    first.abort();
    wait_until("the first is gone", || receiver.clients_left() == 1).await;
    receiver.set_default(Reply::status(204));
    assert_eq!(rig.process(&[last]).await.finished.len(), 1);
    assert_eq!(receiver.count(), 2);
}
