//! Several messages of one job in one batch.

use mcp_batch::{
    batch::{Order, Stop},
    error::{ErrorClass, JobError},
    tool::ToolError,
};
use mcp_batch_testkit::wait_until;
use serde_json::Value;

use super::rig::{Rig, job};

fn copies(count: usize, what: &str) -> Vec<Value> {
    (0..count).map(|_| job("a", what)).collect()
}

#[tokio::test]
async fn copies_of_a_job_in_one_batch_are_finished_with_it_and_it_is_called_once() {
    let rig = Rig::new(64);
    let stop = Stop::default();
    let working = rig.start(&copies(10, "wait"), &stop).await;
    rig.wait_until_running(1).await;
    rig.release(1);

    let answer = working.await.expect("it ends");

    assert_eq!((answer.finished.len(), answer.returned.len(), rig.calls()), (10, 0, 1));
}

#[tokio::test]
async fn a_copy_comes_back_as_late_as_the_message_that_gave_the_job_back() {
    let rig = Rig::new(64);
    let refusal = JobError::new(ErrorClass::Transient, "as_told", "not now");
    let after = std::time::Duration::from_secs(30);
    rig.tools().refuse(ToolError { retry_after: Some(after), ..ToolError::free(refusal) });

    let answer = rig.process(&copies(3, "be refused")).await;

    assert_eq!((answer.finished.len(), answer.returned.len(), rig.calls()), (0, 3, 1));
    let record = rig.record("a").await.expect("a record");
    assert_eq!((record.state.name(), record.attempts), ("retry", 1));
}

#[tokio::test]
async fn a_copy_that_waits_comes_back_at_once_when_no_job_is_begun_any_more() {
    let rig = Rig::new(64);
    let stop = Stop::default();
    let working = rig.start(&copies(2, "wait"), &stop).await;
    rig.wait_until_running(1).await;
    stop.drain();
    wait_until("the copy comes back", || rig.returned().len() == 1).await;
    rig.release(1);

    let answer = working.await.expect("it ends");

    assert_eq!((answer.finished.len(), answer.returned.len(), rig.calls()), (1, 1, 1));
    assert_eq!(rig.returned()[0].code, "not_started");
}

#[tokio::test]
async fn a_hundred_copies_hold_up_no_other_job() {
    let rig = Rig::new(8);
    let mut jobs = copies(100, "wait");
    jobs.extend((0..20).map(|n| job(&format!("other-{n}"), "answer")));
    let messages = rig.messages(&jobs).await;
    let working = rig.start_with(messages, Order::Any, &Stop::default());

    wait_until("the others are done", || rig.ended() == 20).await;
    assert_eq!(rig.calls(), 21);
    rig.release(1);

    let answer = working.await.expect("it ends");
    let (finished, returned) = (answer.finished.len(), answer.returned.len());
    assert_eq!((finished + returned, rig.calls()), (120, 21));
    assert!(finished >= 23 && rig.returned().iter().all(|one| one.code == "busy"), "{finished}");
}
