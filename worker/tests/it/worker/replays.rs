//! Dead letters that somebody put back into the queue.

use std::time::Duration;

use bytes::Bytes;
use mcp_batch::{
    batch::BatchAnswer,
    clock::UnixMs,
    held::run_again,
    job::{Job, Namespace},
    lease::{ClaimRequest, Ledger, Lost, Record, Refusal, Repeat, State},
    queue::Queue,
    tool::CallPlan,
};
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

/// A rig whose tools must not be called again when nobody saw how a call ended, and a job that is held.
async fn holding(id: &str) -> (Rig, Record) {
    let plan = CallPlan { timeout: Duration::from_mins(1), repeat: Repeat::Never };
    let rig = Rig::with(4, plan, |_| {});
    rig.lose(&job(id, "answer"), Lost::TakeOver).await;
    rig.let_pass(60);
    rig.process(&[job(id, "answer")]).await;
    let record = rig.record(id).await.expect("a record");
    assert!(matches!(record.state, State::Held(_)), "{record:?}");
    (rig, record)
}

/// What a person's decision to run a job again comes to.
async fn decide(rig: &Rig, again: &Value) -> Result<Record, Refusal> {
    let environment = rig.worker.environment();
    let body = Bytes::from(again.to_string());
    let job = Job::parse(&body).expect("a job");
    let (ports, now) = ((&environment.ledger, &environment.queue), environment.clock.now());
    run_again(ports, &Namespace::default(), (&job, body), now).await.expect("they answer")
}

/// Works off whatever lies in the queue.
async fn work_off(rig: &Rig) {
    let received = rig.worker.environment().queue.receive(10, Duration::ZERO, LONG).await;
    rig.work_off(received.expect("received"), LONG).await;
}

fn cancelling(rig: &Rig, id: &str, now: UnixMs) -> ClaimRequest {
    let lives = rig.worker.environment().policy.record_lives;
    ClaimRequest::to_cancel(&Namespace::default(), &id.parse().expect("an id"), lives, now)
}

#[tokio::test]
async fn a_held_job_is_run_again_by_its_message_though_nobody_told_the_ledger() {
    let (rig, held) = holding("a").await;
    let before = rig.calls();
    for _ in 0..2 {
        redrive(&rig, &job("a", "answer"), held.epoch).await;
    }
    let record = rig.record("a").await.expect("a record");
    assert!(matches!(record.state, State::Done(_)), "{record:?}");
    assert_eq!(rig.calls(), before + 1, "and only once");
}

#[tokio::test]
async fn a_job_that_a_person_runs_again_twice_is_called_once() {
    let (rig, _) = holding("a").await;
    let before = rig.calls();
    for _ in 0..2 {
        let record = decide(&rig, &job("a", "answer")).await.expect("it was held");
        assert!(matches!(record.state, State::Retry(None)), "{record:?}");
    }
    work_off(&rig).await;
    assert_eq!(rig.calls(), before + 1);
    let refused = decide(&rig, &job("a", "answer")).await;
    assert_eq!(refused, Err(Refusal::State("done")));
}

#[tokio::test]
async fn what_was_cancelled_is_run_again_by_whoever_asks_for_it_later_and_not_earlier() {
    let rig = Rig::new(4);
    let ledger = &rig.worker.environment().ledger;
    let now = rig.worker.environment().clock.now();
    ledger.cancel(cancelling(&rig, "a", now)).await.expect("it answers").expect("nobody knows it");
    let mut late = rig.messages(&[job("a", "answer")]).await;
    late[0].replay_of = Some(0);
    late[0].first_seen = UnixMs(now.0 - 1);
    rig.work_off(late, LONG).await;
    assert_eq!(rig.calls(), 0, "it was cancelled since");

    decide(&rig, &job("a", "answer")).await.expect("it was cancelled");
    work_off(&rig).await;
    let record = rig.record("a").await.expect("a record");
    assert!(matches!(record.state, State::Done(_)), "{record:?}");
}
