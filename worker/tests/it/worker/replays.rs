//! Dead letters that somebody put back into the queue.

use mcp_batch::{batch::BatchAnswer, lease::State};
use serde_json::Value;

use super::rig::{LONG, Rig, job};

/// Works off a job as a dead letter of the run with this epoch.
async fn redrive(rig: &Rig, job: &Value, epoch: u64) -> BatchAnswer {
    let mut messages = rig.messages(std::slice::from_ref(job)).await;
    messages[0].replay_of = Some(epoch);
    rig.work_off(messages, LONG).await
}

#[tokio::test]
async fn a_redriven_dead_letter_is_run_again_and_only_once() {
    let rig = Rig::new(4);
    let bad = job("a", "fail");
    rig.process(std::slice::from_ref(&bad)).await;
    let failed = rig.record("a").await.expect("a record");
    assert!(matches!(failed.state, State::Failed(_)), "{failed:?}");

    let answer = redrive(&rig, &bad, failed.epoch).await;
    assert_eq!((answer.finished.len(), rig.calls()), (1, 2));
    let again = rig.record("a").await.expect("a record");
    assert!(matches!(again.state, State::Failed(_)) && again.epoch > failed.epoch, "{again:?}");
    assert_eq!(again.attempts, 1, "a replay begins with all its attempts");

    // The queue may hand the same message over twice.
    let answer = redrive(&rig, &bad, failed.epoch).await;
    assert_eq!((answer.finished.len(), rig.calls()), (1, 2));
    let answer = redrive(&rig, &bad, again.epoch).await;
    assert_eq!((answer.finished.len(), rig.calls()), (1, 3));
}

#[tokio::test]
async fn a_redriven_dead_letter_may_have_been_corrected() {
    let rig = Rig::new(4);
    rig.process(&[job("a", "fail")]).await;
    let failed = rig.record("a").await.expect("a record");

    redrive(&rig, &job("a", "answer"), failed.epoch).await;

    let record = rig.record("a").await.expect("a record");
    assert!(matches!(record.state, State::Done(_)), "{record:?}");
}

#[tokio::test]
async fn a_redriven_dead_letter_that_the_ledger_no_longer_knows_is_run() {
    let rig = Rig::new(4);
    let answer = redrive(&rig, &job("a", "answer"), 7).await;
    assert_eq!((answer.finished.len(), rig.calls()), (1, 1));
}

#[tokio::test]
async fn a_message_of_a_failed_job_that_was_not_redriven_runs_nothing() {
    let rig = Rig::new(4);
    let bad = job("a", "fail");
    rig.process(std::slice::from_ref(&bad)).await;
    let answer = rig.process(std::slice::from_ref(&bad)).await;
    assert_eq!((answer.finished.len(), rig.calls()), (1, 1));
}
