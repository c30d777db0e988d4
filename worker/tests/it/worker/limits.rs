//! A backlog behind a limit: how often it is received and claimed.

use std::time::Duration;

use mcp_batch::{
    batch::Stop,
    poller::{Poller, PollerSettings},
    tool::{Gate, Limits},
};
use mcp_batch_testkit::wait_until;
use serde_json::Value;

use super::rig::{Rig, job};

/// Works off so many jobs, as `run` and `poll` do, behind a gate. Gives claims and receives.
async fn work_off(count: usize, what: &str, gate: Gate) -> (usize, usize) {
    let rig = Rig::limited(64, gate);
    let jobs: Vec<Value> = (0..count).map(|n| job(&format!("job-{n}"), what)).collect();
    rig.send(&jobs).await;
    let settings = PollerSettings::for_tools(64, Duration::from_mins(1), Duration::from_secs(2));
    let (poller, stop) = (Poller::new(rig.worker.clone(), settings), Stop::default());
    tokio::join!(poller.run(&stop), async {
        for done in (100..count).step_by(100).chain([count]) {
            wait_until("the next jobs are done", || rig.ended() >= done).await;
        }
        stop.drain();
    });
    // Each call was a claim; each return, and each end, followed a receive.
    (rig.calls(), rig.returned().len() + count)
}

/// So many jobs behind so many calls a minute.
async fn a_backlog(count: usize, rate_per_minute: f64) {
    let limits = Limits::new(Some(rate_per_minute), None).expect("sound limits");
    let (claims, receives) = work_off(count, "answer", Gate::new(limits)).await;
    assert_eq!(claims, count);
    assert!(receives < 2 * count, "{receives}");
}

#[tokio::test]
async fn two_hundred_jobs_behind_six_hundred_calls_a_minute_are_claimed_once_each() {
    a_backlog(200, 600.0).await;
}

#[tokio::test]
async fn five_thousand_jobs_behind_six_hundred_calls_a_second_are_claimed_once_each() {
    a_backlog(5_000, 36_000.0).await;
}

#[tokio::test]
#[ignore = "takes more than eight minutes: scripts/e2e/limits runs it"]
async fn five_thousand_jobs_behind_six_hundred_calls_a_minute_are_claimed_once_each() {
    a_backlog(5_000, 600.0).await;
}

#[tokio::test]
async fn a_rate_that_nobody_told_us_costs_fewer_than_two_claims_a_job() {
    let (claims, receives) = work_off(300, "throttle", Gate::default()).await;
    assert!(claims < 2 * 300, "{claims}");
    assert!(receives < 3 * 300, "{receives}");
}
