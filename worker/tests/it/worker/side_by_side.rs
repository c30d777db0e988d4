//! Two batches in one process at once.

use std::{collections::BTreeSet, sync::atomic::Ordering::SeqCst};

use mcp_batch::{
    batch::{Order, Stop},
    lease::Lost,
    queue::Message,
};
use mcp_batch_testkit::wait_until;
use serde_json::Value;

use super::rig::{Rig, job};

async fn three(rig: &Rig, of: &str) -> Vec<Message> {
    let jobs: Vec<Value> = (0..3).map(|number| job(&format!("{of}-{number}"), "wait")).collect();
    rig.messages(&jobs).await
}

fn ids(messages: &[Message]) -> BTreeSet<String> {
    messages.iter().map(|message| message.id.clone()).collect()
}

#[tokio::test]
async fn a_batch_that_is_stopped_answers_for_its_own_messages_and_the_other_goes_on() {
    let rig = Rig::new(8);
    let (stop, never) = (Stop::default(), Stop::default());
    let (stopped, other) = (three(&rig, "stopped").await, three(&rig, "other").await);
    let its_own = ids(&stopped);
    let stopped = rig.start_with(stopped, Order::Any, &stop);
    let other = rig.start_with(other, Order::Any, &never);
    rig.wait_until_running(6).await;

    stop.interrupt();
    let answer = stopped.await.expect("it ends");
    assert!(answer.finished.is_empty());
    assert_eq!(answer.returned.into_iter().collect::<BTreeSet<_>>(), its_own);
    rig.wait_until_running(3).await;

    rig.release(3);
    let answer = other.await.expect("it ends");
    assert_eq!((answer.finished.len(), answer.returned.len()), (3, 0));
}

#[tokio::test]
async fn a_job_in_two_batches_at_once_is_called_once() {
    let rig = Rig::new(8);
    let stop = Stop::default();
    let first = rig.start(&[job("a", "wait")], &stop).await;
    rig.wait_until_running(1).await;

    let second = rig.process(&[job("a", "wait"), job("b", "answer")]).await;
    assert_eq!((second.finished.len(), second.returned.len()), (1, 1));

    rig.release(1);
    assert_eq!(first.await.expect("it ends").finished.len(), 1);
    assert_eq!(rig.calls(), 2);
}

#[tokio::test]
async fn a_panic_in_one_batch_costs_the_other_nothing() {
    let rig = Rig::new(8);
    let stop = Stop::default();
    let other = three(&rig, "other").await;
    let other = rig.start_with(other, Order::Any, &stop);
    rig.wait_until_running(3).await;

    let answer = rig.process(&[job("a", "panic"), job("b", "answer")]).await;
    assert_eq!((answer.finished.len(), answer.returned.len()), (1, 1));
    rig.wait_until_running(3).await;

    rig.release(3);
    let answer = other.await.expect("it ends");
    assert_eq!((answer.finished.len(), answer.returned.len()), (3, 0));
}

/// A lost worker had jobs of several batches.
#[tokio::test]
async fn suspects_of_two_batches_run_one_at_a_time_and_nothing_beside_them() {
    let rig = Rig::new(8);
    let stop = Stop::default();
    let batches = ["lost-a", "new-b", "lost-c"].map(|of| {
        let ids = (0..2).map(|number| format!("{of}-{number}"));
        ids.map(|id| job(&id, "wait")).collect::<Vec<_>>()
    });
    for job in batches[0].iter().chain(&batches[2]) {
        rig.lose(job, Lost::Leave).await;
    }
    let mut working = Vec::new();
    for batch in &batches {
        working.push(rig.start(batch, &stop).await);
    }
    for ended in 1..=6 {
        wait_until("a call runs", || rig.tools().running.load(SeqCst) > 0).await;
        rig.release(1);
        wait_until("one more has ended", || rig.ended() >= ended).await;
    }

    for batch in working {
        let answer = batch.await.expect("it ends");
        assert_eq!((answer.finished.len(), answer.returned.len()), (2, 0));
    }
    assert_eq!((rig.calls(), rig.tools().beside_suspects.load(SeqCst)), (6, 0));
}
