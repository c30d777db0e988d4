//! Ten thousand outcomes for a receiver that fails, hangs and is away for a while.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use bytes::Bytes;
use mcp_batch::{
    batch::Stop,
    clock::Deadline,
    job::{JobKey, Namespace},
    lease::{CallbackState, Ledger, Repeat},
    queue::Queue,
    webhook::CourierSettings,
};
use mcp_batch_testkit::{Receiver, Reply};

use super::{
    plan,
    rig::{LONG, Rig, allowing_loopback, job, with_callback},
};

const JOBS: usize = 10_000;

/// Messages that are received at once.
const AT_ONCE: usize = 1_000;

/// Which delivery finds the receiver gone, and for how long.
const GONE_FROM: usize = 4_000;
const GONE_FOR: Duration = Duration::from_secs(3);

fn rig() -> Rig {
    let courier =
        CourierSettings { per_host: 64, timeout: Duration::from_secs(2), ..allowing_loopback() };
    Rig::sending(256, plan(60_000, Repeat::Safe), courier, |policy| {
        policy.callbacks.backoff.base = Duration::from_millis(50);
        policy.callbacks.backoff.cap = Duration::from_secs(1);
    })
}

fn fail_now_and_then(receiver: &Receiver) {
    let mut back_at = None;
    receiver.choose(move |number| {
        if number == GONE_FROM {
            back_at = Some(Instant::now() + GONE_FOR);
        }
        match fastrand::u8(0..100) {
            _ if back_at.is_some_and(|back_at| Instant::now() < back_at) => {
                Reply::drop_connection()
            }
            0..5 => Reply::hang(),
            5..15 => Reply::status(503),
            15..25 => Reply::status(500),
            25..30 => Reply::drop_connection(),
            30..35 => Reply::status(429),
            _ => Reply::status(204),
        }
    });
}

async fn are_all_sent(rig: &Rig) -> bool {
    let key = |number: usize| {
        JobKey::of(&Namespace::default(), &number.to_string().parse().expect("an id"))
    };
    let keys = (0..JOBS).map(key).collect();
    let records = rig.worker.environment().ledger.read(keys).await.expect("the ledger answers");
    records
        .into_iter()
        .flatten()
        .all(|record| record.callback.is_some_and(|slot| slot.state == CallbackState::Sent))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_outcome_reaches_a_receiver_that_fails_hangs_and_is_away() {
    let (rig, receiver) = (rig(), Receiver::start().await);
    fail_now_and_then(&receiver);
    let url = receiver.url("/");
    let jobs: Vec<_> =
        (0..JOBS).map(|number| with_callback(job(&number.to_string(), "answer"), &url)).collect();
    rig.send(&jobs).await;

    let queue = &rig.worker.environment().queue;
    let (wait, stop) = (Duration::from_secs(1), Stop::default());
    loop {
        let messages = queue.receive(AT_ONCE, wait, LONG).await.expect("received");
        if messages.is_empty() && are_all_sent(&rig).await {
            break;
        }
        rig.worker.process_and_delete(messages, Deadline::after(LONG), &stop).await;
    }

    assert_eq!(rig.calls(), JOBS, "the tool was called once for each");
    let mut bodies: HashMap<String, Bytes> = HashMap::new();
    for delivery in receiver.deliveries() {
        let id = delivery.header("webhook-id").expect("an id").to_owned();
        let body = bodies.entry(id).or_insert_with(|| delivery.body().clone());
        assert_eq!(body, delivery.body(), "each id has one body");
    }
    assert_eq!(bodies.len(), JOBS);
    assert!(receiver.count() > JOBS + JOBS / 4, "it was flaky: {} tries", receiver.count());
    assert!(receiver.max_in_flight() <= 64 + 64, "{} at once", receiver.max_in_flight());
}
