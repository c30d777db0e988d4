//! Bodies that are no jobs: buried once, told as far as there is time.

use std::time::Duration;

use mcp_batch::lease::Repeat;
use mcp_batch_testkit::{Receiver, Reply};
use serde_json::{Value, json};

use super::{
    plan,
    rig::{Rig, job, with_callback},
};

fn broken(receiver: &Receiver) -> Value {
    let mut broken = with_callback(job("a", "answer"), &receiver.url("/"));
    broken["inputs"] = json!({});
    broken
}

#[tokio::test]
async fn a_rejection_whose_receiver_hangs_is_buried_once_and_over_before_the_deadline() {
    let rig = Rig::with(4, plan(1, Repeat::Safe), |policy| {
        policy.settle_margin = Duration::from_secs(1);
    });
    let receiver = Receiver::start().await;
    receiver.set_default(Reply::hang());
    let messages = rig.messages(&[broken(&receiver)]).await;

    let answer = rig.work_off(messages, Duration::from_secs(4)).await;

    assert_eq!((answer.finished.len(), answer.returned.len()), (1, 0));
    assert_eq!((rig.worker.environment().queue.letters(), receiver.count()), (1, 1));
}

#[tokio::test]
async fn a_rejection_that_is_left_to_the_queue_is_told_when_it_first_comes() {
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
