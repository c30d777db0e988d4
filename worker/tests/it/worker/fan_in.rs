//! The one callback of a batch, whatever becomes of those that deliver it.

use std::time::Duration;

use mcp_batch::{batch::Stop, lease::Repeat};
use mcp_batch_testkit::{Receiver, Reply};
use serde_json::{Value, json};

use super::rig::{Rig, job, with_callback};

fn member(id: &str, index: u64, size: u64, receiver: &Receiver) -> Value {
    let mut job = job(id, "answer");
    let callback = receiver.url("/batch");
    job["batch"] = json!({"id": "b", "index": index, "size": size, "callback": callback});
    job
}

/// The message finds the delivery taken, and comes back when that is over.
async fn assert_comes_back_later(rig: &Rig, jobs: &[Value]) {
    let answer = rig.process(jobs).await;
    assert_eq!((answer.finished.len(), answer.returned.len()), (0, 1), "the callback is owed");
    let returned = rig.returned().pop().expect("it came back");
    assert_eq!(returned.code, "batch_callback");
    assert!(returned.after > Duration::from_secs(30), "{returned:?}");
}

async fn assert_tells(rig: &Rig, jobs: &[Value]) {
    rig.let_pass(60);
    for _ in 0..2 {
        assert_eq!(rig.process(jobs).await.finished.len(), 1);
    }
}

#[tokio::test]
async fn a_batch_whose_members_could_not_be_read_at_first_is_told_all_the_same() {
    let (rig, receiver) = (Rig::new(4), Receiver::start().await);
    let jobs = [member("a", 0, 1, &receiver)];
    rig.worker.environment().ledger.fail_to_read_members(1);

    assert_eq!(rig.process(&jobs).await.returned.len(), 1);
    assert_comes_back_later(&rig, &jobs).await;
    assert_eq!(receiver.count(), 0);
    assert_tells(&rig, &jobs).await;

    assert_eq!((receiver.count(), rig.calls()), (1, 1));
    assert_eq!(receiver.deliveries()[0].json()["type"], "batch.completed");
}

#[tokio::test]
async fn a_batch_whose_deliverer_was_cut_off_is_told_all_the_same() {
    let (rig, receiver) = (Rig::new(4), Receiver::start().await);
    let jobs = [member("a", 0, 1, &receiver)];
    receiver.set_default(Reply::hang());
    let working = rig.start(&jobs, &Stop::default()).await;
    receiver.wait_for(1).await;
    working.abort();
    receiver.wait_for_clients_left(1).await;
    receiver.set_default(Reply::status(204));

    assert_comes_back_later(&rig, &jobs).await;
    assert_tells(&rig, &jobs).await;

    assert_eq!((receiver.count(), receiver.distinct_ids()), (2, 1));
}

#[tokio::test]
async fn a_batch_whose_delivery_the_deadline_cuts_off_is_told_soon_after() {
    let plan = super::plan(1, Repeat::Safe);
    let rig = Rig::with(4, plan, |policy| policy.settle_margin = Duration::from_secs(1));
    let receiver = Receiver::start().await;
    let jobs = [member("a", 0, 1, &receiver)];
    receiver.respond_with([Reply::hang()]);

    let messages = rig.messages(&jobs).await;
    let answer = rig.work_off(messages, Duration::from_millis(1900)).await;
    assert_eq!((answer.returned.len(), receiver.count()), (1, 0), "there is no time for it");
    let messages = rig.messages(&jobs).await;
    let answer = rig.work_off(messages, Duration::from_secs(4)).await;
    assert_eq!((answer.returned.len(), receiver.count()), (1, 1), "it is cut off");
    // Nobody is at it any more: it need not wait.
    assert_eq!(rig.process(&jobs).await.finished.len(), 1);

    assert_eq!((receiver.count(), receiver.distinct_ids(), rig.calls()), (2, 1, 1));
    let codes: Vec<_> = rig.returned().into_iter().map(|returned| returned.code).collect();
    assert_eq!(codes, ["batch_callback", "batch_callback"]);
}

#[tokio::test]
async fn a_job_that_ends_while_another_delivers_the_batch_is_done() {
    let (rig, receiver) = (Rig::new(4), Receiver::start().await);
    let jobs = [member("a", 0, 2, &receiver), member("b", 1, 2, &receiver)];
    // The first job is still at its own callback when the second completes the batch.
    receiver.respond_with([Reply::status(204).after(Duration::from_millis(300)), Reply::hang()]);
    let first = with_callback(jobs[0].clone(), &receiver.url("/own"));
    let first = rig.start(&[first], &Stop::default()).await;
    receiver.wait_for(1).await;
    let second = rig.start(&jobs[1..], &Stop::default()).await;
    receiver.wait_for(2).await;

    assert_eq!(first.await.expect("it ends").finished.len(), 1);

    assert_eq!(receiver.deliveries()[1].path(), "/batch");
    second.abort();
}
