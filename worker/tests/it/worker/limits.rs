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

/// Works off so many jobs, as `run` and `poll` do, behind a gate. Gives claims and receives a job.
async fn work_off(count: usize, what: &str, gate: Gate) -> (f64, f64) {
    let rig = Rig::limited(64, gate);
    let jobs: Vec<Value> = (0..count).map(|n| job(&format!("job-{n}"), what)).collect();
    rig.send(&jobs).await;
    let settings = PollerSettings::for_tools(64, Duration::from_mins(1), Duration::from_secs(2));
    let (poller, stop) = (Poller::new(rig.worker.clone(), settings), Stop::default());
    tokio::join!(poller.run(&stop), async {
        wait_until("every job is done", || rig.ended() == count).await;
        stop.drain();
    });
    // Each call was a claim; each return, and each end, followed a receive.
    let a_job = |times: usize| times as f64 / count as f64;
    (a_job(rig.calls()), a_job(rig.returned().len() + count))
}

#[tokio::test]
async fn five_thousand_jobs_behind_a_rate_are_claimed_once_and_received_hardly_twice() {
    // Six hundred a second: ten seconds stand for ten minutes.
    let limits = Limits::new(Some(36_000.0), None).expect("sound limits");
    let (claims, receives) = work_off(5_000, "answer", Gate::new(limits)).await;
    assert_eq!(claims, 1.0);
    assert!(receives < 2.0, "{receives}");
}

#[tokio::test]
async fn a_rate_that_nobody_told_us_costs_fewer_than_two_claims_a_job() {
    let (claims, receives) = work_off(500, "throttle", Gate::default()).await;
    assert!(claims < 2.0, "{claims}");
    assert!(receives < 3.0, "{receives}");
}
