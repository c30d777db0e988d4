//! The worker in process: its bounds, its deadlines and stops.

mod callbacks;
mod deferrals;
mod fan_in;
mod faulty;
mod flaky;
mod graves;
mod groups;
mod guard;
mod identity;
mod limits;
mod many;
mod preparing;
mod receivers;
mod rejections;
mod replays;
mod rig;
mod side_by_side;
mod suspects;
mod sweeps;
mod telling;
mod turns;

use std::{sync::atomic::Ordering::SeqCst, time::Duration};

use mcp_batch::{
    batch::Stop,
    error::ErrorClass,
    lease::{Record, Repeat, State},
    tool::CallPlan,
};
use serde_json::{Value, json};

use self::rig::{LONG, Rig, job};

fn plan(timeout_ms: u64, repeat: Repeat) -> CallPlan {
    CallPlan { timeout: Duration::from_millis(timeout_ms), repeat }
}

/// The code of a job that failed or waits.
fn code(record: Option<Record>) -> Option<String> {
    match record?.state {
        State::Failed(error) | State::Held(error) | State::Retry(Some(error)) => {
            Some(error.code.into_owned())
        }
        _ => None,
    }
}

#[tokio::test]
async fn a_call_that_panics_or_never_ends_fails_its_own_job_alone() {
    let rig = Rig::with(8, plan(100, Repeat::Safe), |policy| policy.max_attempts = 1);
    let jobs =
        [job("good", "answer"), job("bad", "panic"), job("endless", "hang"), job("fine", "answer")];

    let answer = rig.process(&jobs).await;

    assert_eq!((answer.finished.len(), answer.returned.len()), (4, 0));
    assert_eq!(code(rig.record("bad").await).as_deref(), Some("panic"));
    assert_eq!(code(rig.record("endless").await).as_deref(), Some("timeout"));
    for id in ["good", "fine"] {
        let record = rig.record(id).await.expect("a record");
        assert_eq!(record.state, State::Done(json!({"did": "answer"})), "{id}");
    }
    // Nobody can say what they cost.
    let bad = rig.record("bad").await.expect("a record");
    assert_eq!((bad.usage.unpriced_calls, bad.attempts), (1, 1));
    assert_eq!(rig.tools().running.load(SeqCst), 0);
}

#[tokio::test]
async fn a_call_that_panics_is_tried_once_more_within_the_batch() {
    let rig = Rig::with(1, plan(60_000, Repeat::Safe), |policy| policy.max_attempts = 2);

    let answer = rig.process(&[job("a", "panic")]).await;

    assert_eq!((answer.finished.len(), rig.calls()), (1, 2));
    assert!(matches!(rig.record("a").await.map(|record| record.state), Some(State::Failed(_))));
}

#[tokio::test]
async fn a_job_without_time_for_its_whole_call_is_not_claimed() {
    let rig = Rig::new(4);
    let needed = rig.tools().plan.timeout + rig.worker.environment().policy.settle_margin;
    let messages = rig.messages(&[job("a", "answer")]).await;

    let answer =
        rig.work_off(messages.clone(), needed.saturating_sub(Duration::from_secs(1))).await;

    assert_eq!(answer.returned, [messages[0].id.clone()]);
    assert!(answer.finished.is_empty());
    assert_eq!((rig.calls(), rig.record("a").await), (0, None));
    let returned = rig.returned();
    assert_eq!((returned.len(), &*returned[0].code), (1, "not_started"));
    assert!(returned[0].after <= Duration::from_secs(5), "{returned:?}");

    let answer = rig.work_off(messages, needed + Duration::from_secs(30)).await;
    assert_eq!((answer.finished.len(), rig.calls()), (1, 1));
}

#[tokio::test]
async fn a_drain_finishes_what_runs_and_begins_nothing() {
    let rig = Rig::new(2);
    let stop = Stop::default();
    let jobs: Vec<Value> = (0..6).map(|n| job(&format!("job-{n}"), "wait")).collect();

    let working = rig.start(&jobs, &stop).await;
    rig.wait_until_running(2).await;
    stop.drain();
    rig.release(6);
    let answer = working.await.expect("it ends");

    assert_eq!((answer.finished.len(), answer.returned.len(), rig.calls()), (2, 4, 2));
    for returned in rig.returned() {
        assert_eq!((&*returned.code, returned.after), ("not_started", Duration::ZERO));
    }
    let mut done = 0;
    for n in 0..6 {
        match rig.record(&format!("job-{n}")).await {
            Some(record) if matches!(record.state, State::Done(_)) => done += 1,
            record => assert_eq!(record, None, "what was not begun leaves no trace"),
        }
    }
    assert_eq!(done, 2);
}

#[tokio::test]
async fn an_interrupt_frees_a_job_to_be_run_again_with_its_cost_unknown() {
    let rig = Rig::new(2);
    let stop = Stop::default();

    let working = rig.start(&[job("a", "wait")], &stop).await;
    rig.wait_until_running(1).await;
    stop.interrupt();
    let answer = working.await.expect("it ends");

    assert_eq!((answer.finished.len(), answer.returned.len()), (0, 1));
    let record = rig.record("a").await.expect("a record");
    assert!(matches!(record.state, State::Retry(_)), "{record:?}");
    assert_eq!((record.attempts, record.usage.unpriced_calls), (1, 1));
    assert_eq!(code(Some(record)).as_deref(), Some("stopped"));
    assert_eq!(rig.returned()[0].after, Duration::ZERO);

    rig.release(1);
    let answer = rig.process(&[job("a", "wait")]).await;
    assert_eq!((answer.finished.len(), rig.calls()), (1, 2));
}

#[tokio::test]
async fn an_interrupt_holds_a_job_that_must_not_be_repeated() {
    let rig = Rig::with(2, plan(60_000, Repeat::Never), |_| {});
    let stop = Stop::default();

    let working = rig.start(&[job("a", "wait")], &stop).await;
    rig.wait_until_running(1).await;
    stop.interrupt();
    let answer = working.await.expect("it ends");

    assert_eq!((answer.finished.len(), answer.returned.len()), (1, 0));
    let record = rig.record("a").await.expect("a record");
    assert!(matches!(record.state, State::Held(_)), "{record:?}");

    let answer = rig.process(&[job("a", "wait")]).await;
    assert_eq!((answer.finished.len(), rig.calls()), (1, 1), "nobody but a person runs it again");
}

#[tokio::test]
async fn a_call_nobody_saw_the_end_of_is_held_where_it_must_not_be_repeated() {
    let rig = Rig::with(2, plan(100, Repeat::Never), |_| {});

    let answer = rig.process(&[job("a", "panic"), job("b", "hang"), job("c", "fail")]).await;

    assert_eq!((answer.finished.len(), rig.calls()), (3, 3));
    for id in ["a", "b"] {
        let record = rig.record(id).await.expect("a record");
        assert!(matches!(record.state, State::Held(_)), "{record:?}");
    }
    let refused = rig.record("c").await.expect("a record");
    assert!(matches!(refused.state, State::Failed(_)), "what was refused had no effect");
}

#[tokio::test]
async fn no_more_calls_run_at_once_than_the_worker_may_make() {
    let rig = Rig::new(3);
    let stop = Stop::default();
    let jobs =
        |of: &str| -> Vec<Value> { (0..10).map(|n| job(&format!("{of}-{n}"), "wait")).collect() };

    // Two batches share the one bound.
    let one = rig.start(&jobs("one"), &stop).await;
    let other = rig.start(&jobs("other"), &stop).await;
    for released in 0..18 {
        rig.wait_until_running(3).await;
        assert_eq!(rig.tools().most_running.load(SeqCst), 3, "after {released}");
        rig.release(1);
    }
    rig.release(2);

    for working in [one, other] {
        assert_eq!(working.await.expect("it ends").finished.len(), 10);
    }
    assert_eq!((rig.tools().most_running.load(SeqCst), rig.calls()), (3, 20));
}

#[tokio::test]
async fn a_job_that_somebody_runs_is_busy_until_that_lease_ends() {
    let rig = Rig::new(4);
    let stop = Stop::default();

    let working = rig.start(&[job("a", "wait")], &stop).await;
    rig.wait_until_running(1).await;
    let answer = rig.process(&[job("a", "wait")]).await;

    assert_eq!((answer.finished.len(), answer.returned.len(), rig.calls()), (0, 1, 1));
    assert_eq!(rig.returned()[0].code, "busy");
    rig.release(1);
    assert_eq!(working.await.expect("it ends").finished.len(), 1);
}

#[tokio::test]
async fn a_job_that_has_cost_what_it_may_is_not_tried_again() {
    let rig = Rig::with(4, plan(60_000, Repeat::Safe), |policy| policy.max_attempts = 10);
    let mut job = job("a", "cost");
    job["max_cost_usd"] = json!(0.75);

    let answer = rig.process(&[job]).await;

    let record = rig.record("a").await.expect("a record");
    assert_eq!((answer.finished.len(), record.attempts), (1, 2));
    assert_eq!(record.usage.cost_usd, Some(1.0));
    let State::Failed(error) = record.state else { unreachable!("it is given up") };
    assert_eq!((error.class, &*error.code), (ErrorClass::Exhausted, "as_told"));
    assert!(error.message.contains("max_cost_usd is reached: 1 USD"), "{error}");
}

#[tokio::test]
async fn a_job_that_is_too_old_or_expired_is_given_up() {
    let rig = Rig::with(4, plan(60_000, Repeat::Safe), |policy| policy.max_age = Duration::ZERO);
    let mut expired = job("expired", "answer");
    expired["expires_at"] = json!("2020-01-01T00:00:00Z");

    let answer = rig.process(&[expired, job("old", "cost"), job("good", "answer")]).await;

    assert_eq!((answer.finished.len(), rig.calls()), (3, 2));
    assert_eq!(code(rig.record("expired").await).as_deref(), Some("expired"));
    let old = rig.record("old").await.expect("a record");
    assert!(matches!(&old.state, State::Failed(error) if error.class == ErrorClass::Exhausted));
    assert_eq!(old.attempts, 1);
    assert_eq!(code(rig.record("good").await), None, "age alone kills nobody");
}

#[tokio::test]
async fn jobs_that_cannot_be_claimed_come_back_later_the_more_often_they_were_received() {
    let rig = Rig::new(20);
    let jobs: Vec<Value> = (0..20).map(|n| job(&format!("job-{n}"), "answer")).collect();
    let mut messages = rig.messages(&jobs).await;
    rig.break_ledger();
    let latest = |rig: &Rig| rig.returned().iter().map(|returned| returned.after).max();

    rig.work_off(messages.clone(), LONG).await;
    assert_eq!((rig.returned().len(), &*rig.returned()[0].code), (20, "ledger"));
    assert!(latest(&rig) < Some(Duration::from_secs(6)));

    for message in &mut messages {
        message.receive_count = 12;
    }
    rig.work_off(messages, LONG).await;
    assert!(latest(&rig) > Some(Duration::from_secs(60)), "some of 20 even draws up to 900 s");
    let soonest = rig.returned().iter().map(|returned| returned.after).min();
    assert!(soonest >= Some(Duration::from_secs(5)));
}
