//! Messages that cannot become a run: told like any other outcome, then buried.

use std::time::Duration;

use mcp_batch::{
    clock::Deadline,
    lease::{Attention, Found, Ledger, Repeat},
    sweep::sweep,
};
use mcp_batch_testkit::{Receiver, Reply};
use serde_json::{Value, json};

use super::{
    plan,
    rig::{LONG, Rig, job, with_callback},
};

fn broken(receiver: &Receiver) -> Value {
    let mut broken = with_callback(job("a", "answer"), &receiver.url("/"));
    broken["inputs"] = json!({});
    broken["metadata"] = json!({"row": 3});
    broken
}

fn letters(rig: &Rig) -> usize {
    rig.worker.environment().queue.letters()
}

#[tokio::test]
async fn a_rejection_whose_receiver_hangs_comes_back_until_it_is_told_and_is_buried_once() {
    let rig = Rig::with(4, plan(1, Repeat::Safe), |policy| {
        policy.settle_margin = Duration::from_secs(1);
    });
    let receiver = Receiver::start().await;
    receiver.set_default(Reply::hang());
    let messages = rig.messages(&[broken(&receiver)]).await;

    let answer = rig.work_off(messages.clone(), Duration::from_secs(4)).await;
    assert_eq!((answer.finished.len(), answer.returned.len()), (0, 1));
    assert_eq!((letters(&rig), receiver.count()), (0, 1));
    for _ in 0..4 {
        rig.let_pass(400);
        receiver.set_default(Reply::status(503));
        assert_eq!(rig.work_off(messages.clone(), LONG).await.returned.len(), 1);
    }
    rig.let_pass(400);
    receiver.set_default(Reply::status(204));
    assert_eq!(rig.work_off(messages, LONG).await.finished.len(), 1);

    assert_eq!((letters(&rig), receiver.count(), receiver.distinct_ids()), (1, 6, 1));
    let deliveries = receiver.deliveries();
    assert!(deliveries.iter().all(|one| one.body() == deliveries[0].body()));
    let told = deliveries[0].json();
    assert_eq!((&told["type"], &told["data"]["id"]), (&json!("job.failed"), &json!("a")));
    assert_eq!(
        (&told["data"]["attempts"], &told["data"]["metadata"]),
        (&json!(0), &json!({"row": 3}))
    );
}

#[tokio::test]
async fn every_kind_of_rejection_outlives_its_first_tries() {
    let (rig, receiver) = (Rig::new(4), Receiver::start().await);
    let member = |id: &str, index: u64| {
        let mut job = with_callback(job(id, "answer"), &receiver.url("/own"));
        let expires_at =
            mcp_batch::clock::UnixMs(rig.worker.environment().clock.now().0 + 3_600_000).rfc3339();
        job["batch"] = json!({"id": "b", "index": index, "size": 9, "expires_at": expires_at,
                              "callback": receiver.url("/batch")});
        job
    };
    let mut first = job("a", "answer");
    first["batch"] = member("a", 0)["batch"].clone();
    assert_eq!(rig.process(&[first]).await.finished.len(), 1);
    let mut conflict = with_callback(job("a", "something else"), &receiver.url("/own"));
    conflict["metadata"] = "mine".into();
    let mut no_id = with_callback(job("", "answer"), &receiver.url("/own"));
    no_id["tool"] = json!(7);
    let misplaced = member("second", 0);
    receiver.set_default(Reply::status(503));
    let early = rig.messages(&[conflict, no_id, misplaced]).await;
    let late = rig.messages(&[member("late", 4)]).await;
    assert_eq!(rig.work_off(early.clone(), LONG).await.returned.len(), 3);
    rig.let_pass(3_601);
    assert_eq!(rig.work_off(late.clone(), LONG).await.returned.len(), 1);
    assert_eq!(letters(&rig), 0);

    receiver.set_default(Reply::status(204));
    rig.let_pass(60);
    assert_eq!(rig.work_off(early, LONG).await.finished.len(), 3, "{:?}", rig.returned());
    assert_eq!(rig.work_off(late, LONG).await.finished.len(), 1, "{:?}", rig.returned());

    assert_eq!((letters(&rig), rig.calls()), (4, 1));
    let deliveries = receiver.deliveries();
    let told = deliveries.iter().filter(|one| one.path() == "/own").map(|one| {
        let data = one.json()["data"].clone();
        (data["id"].clone(), data["error"]["code"].clone())
    });
    let mut told: Vec<_> = told.map(|(id, code)| format!("{id} {code}")).collect();
    told.sort();
    told.dedup();
    assert_eq!(told.len(), 4, "{told:?}");
    assert!(told.contains(&r#""a" "id_conflict""#.to_owned()), "{told:?}");
    assert!(told.contains(&r#""second" "batch_place""#.to_owned()), "{told:?}");
    assert!(told.contains(&r#""late" "batch_expired""#.to_owned()), "{told:?}");
    assert!(told.iter().any(|told| told.starts_with("\"refused-")), "{told:?}");
    let record = rig.record("a").await.expect("a record");
    assert_eq!((record.state.name(), record.callback), ("done", None), "the first one stands");
}

#[tokio::test]
async fn a_rejection_whose_message_is_gone_is_told_by_the_sweep_and_counted_when_it_is_given_up() {
    let (rig, receiver) = (Rig::new(4), Receiver::start().await);
    receiver.set_default(Reply::status(503));
    assert_eq!(rig.process(&[broken(&receiver)]).await.returned.len(), 1);
    let mut swept = mcp_batch::sweep::Swept::default();
    // Seldom enough that its host is not left alone.
    for _ in 0..9 {
        rig.let_pass(9 * 3_600);
        swept = sweep(&rig.worker.shared(), Deadline::after(LONG)).await.expect("an answer");
        if swept.callbacks_dead > 0 {
            break;
        }
    }

    assert_eq!(swept.callbacks_dead, 1, "after {} tries", receiver.count());
    assert_eq!(rig.dead_callbacks(), 1);
    let environment = rig.worker.environment();
    let now = environment.clock.now();
    let dead = environment.ledger.attention(Attention::DeadCallback, now, 10).await;
    let dead = dead.expect("an answer");
    assert!(matches!(&dead[..], [Found::Job(record)] if record.job_id.as_str() == "a"), "{dead:?}");
}

#[tokio::test]
async fn a_rejection_that_was_redriven_is_buried_again_and_not_told_again() {
    let (rig, receiver) = (Rig::new(4), Receiver::start().await);
    for times in 1..=2 {
        assert_eq!(rig.process(&[broken(&receiver)]).await.finished.len(), 1);
        assert_eq!((letters(&rig), receiver.count()), (times, 1));
    }
}

#[tokio::test]
async fn a_rejection_that_is_left_to_the_queue_is_told_once() {
    let (rig, receiver) = (Rig::new(4), Receiver::start().await);
    rig.worker.environment().queue.take_away();
    let mut messages = rig.messages(&[broken(&receiver)]).await;

    for receive_count in 1..=3 {
        messages[0].receive_count = receive_count;
        let answer = rig.work_off(messages.clone(), super::rig::LONG).await;
        assert_eq!((answer.finished.len(), answer.returned.len()), (0, 1));
    }

    assert_eq!(receiver.count(), 1);
}
