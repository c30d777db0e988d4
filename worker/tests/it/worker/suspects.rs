//! Jobs whose worker was lost: one of them may have killed it.

use std::sync::atomic::Ordering::SeqCst;

use mcp_batch::{
    batch::Stop,
    error::ErrorClass,
    lease::{Claim, Lost, State},
};
use mcp_batch_testkit::wait_until;
use serde_json::Value;

use super::rig::{Rig, job};

fn jobs(count: usize) -> Vec<Value> {
    (0..count).map(|number| job(&format!("lost-{number}"), "wait")).collect()
}

#[tokio::test]
async fn jobs_of_a_lost_worker_run_one_at_a_time_and_keep_their_attempts() {
    let rig = Rig::new(8);
    let jobs = jobs(4);
    for job in &jobs {
        assert!(matches!(rig.lose(job, Lost::Leave).await, Claim::Owned(_)));
    }

    let working = rig.start(&jobs, &Stop::default()).await;
    rig.wait_until_running(1).await;
    rig.release(4);
    let answer = working.await.expect("it ends");

    assert_eq!((answer.finished.len(), rig.calls()), (4, 4));
    assert_eq!(rig.tools().most_running.load(SeqCst), 1);
    for number in 0..4 {
        let record = rig.record(&format!("lost-{number}")).await.expect("a record");
        assert!(matches!(record.state, State::Done(_)), "{record:?}");
        assert_eq!((record.attempts, record.usage.unpriced_calls), (1, 1));
    }
}

#[tokio::test]
async fn nothing_runs_beside_a_suspect() {
    let rig = Rig::new(8);
    let mut jobs = jobs(2);
    for job in &jobs {
        rig.lose(job, Lost::Leave).await;
    }
    jobs.extend((0..6).map(|number| job(&format!("new-{number}"), "wait")));

    let working = rig.start(&jobs, &Stop::default()).await;
    for ended in 1..=8 {
        wait_until("a call runs", || rig.tools().running.load(SeqCst) > 0).await;
        rig.release(1);
        wait_until("one more has ended", || rig.ended() >= ended).await;
    }

    assert_eq!(working.await.expect("it ends").finished.len(), 8);
    assert_eq!(rig.tools().beside_suspects.load(SeqCst), 0);
}

#[tokio::test]
async fn a_job_that_kills_its_worker_is_blamed_when_its_attempts_are_spent_and_no_other_is() {
    let rig = Rig::new(8);
    let (killer, neighbour) = (job("killer", "answer"), job("neighbour", "answer"));
    rig.lose(&killer, Lost::Leave).await;
    rig.lose(&neighbour, Lost::Leave).await;
    for attempt in 1..=rig.worker.environment().policy.max_attempts {
        let claim = rig.lose(&killer, Lost::RunAlone).await;
        assert!(matches!(claim, Claim::Owned(lease) if lease.attempts == attempt));
        let claim = rig.lose(&neighbour, Lost::Leave).await;
        assert!(matches!(claim, Claim::Suspect), "nobody runs it meanwhile");
    }

    let answer = rig.process(&[killer, neighbour]).await;

    assert_eq!((answer.finished.len(), rig.began()), (2, vec!["neighbour".to_owned()]));
    let record = rig.record("killer").await.expect("a record");
    let State::Failed(error) = &record.state else { unreachable!("{record:?}") };
    assert_eq!((error.class, &*error.code), (ErrorClass::Exhausted, "lease_over"));
    assert_eq!((record.attempts, record.usage.unpriced_calls), (3, 4));
    let record = rig.record("neighbour").await.expect("a record");
    assert!(matches!(record.state, State::Done(_)), "{record:?}");
    assert_eq!(record.attempts, 1);
}

#[tokio::test]
async fn suspects_that_wait_for_their_turn_come_back_when_the_worker_stops() {
    let rig = Rig::new(8);
    let jobs = jobs(3);
    for job in &jobs {
        rig.lose(job, Lost::Leave).await;
    }
    let stop = Stop::default();

    let working = rig.start(&jobs, &stop).await;
    rig.wait_until_running(1).await;
    stop.drain();
    rig.release(3);
    let answer = working.await.expect("it ends");

    assert_eq!((answer.finished.len(), answer.returned.len(), rig.calls()), (1, 2, 1));
}
