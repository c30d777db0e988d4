//! An upstream that refuses a job two hundred times, each time really asked: the embedded ledger keeps
//! each claim and each release, and loses no attempt. `worker/lambda/tests/it/deferrals.rs` shows the
//! same on DynamoDB.

use std::time::Duration;

use mcp_batch::{
    error::{ErrorClass, JobError},
    lease::State,
    tool::ToolError,
};

use super::rig::{Rig, job};

const REFUSALS: u32 = 200;

/// Longer than any refused job is left alone here. All of them together are less than three days,
/// after which it would be given up.
const LATER_S: i64 = 1_200;

async fn refuse(code: &'static str, retry_after: Option<Duration>) {
    let rig = Rig::new(8);
    rig.send(&[job("a", "be refused")]).await;
    for refusals in 1..=REFUSALS {
        let error = JobError::new(ErrorClass::Throttled, code, "no more of this");
        rig.tools().refuse(ToolError { retry_after, ..ToolError::free(error) });

        let answer = rig.process_next().await;

        assert_eq!((answer.finished.len(), answer.returned.len()), (0, 1), "{refusals}");
        let record = rig.record("a").await.expect("a record");
        assert!(matches!(record.state, State::Retry(Some(_))), "{:?}", record.state);
        assert_eq!((record.attempts, record.epoch), (0, u64::from(refusals)));
        assert_eq!(rig.calls(), refusals as usize, "it was really asked");
        rig.let_pass(LATER_S);
        rig.tools().open_gate();
    }

    assert_eq!(rig.process_next().await.finished.len(), 1);
    let record = rig.record("a").await.expect("a record");
    assert_eq!((record.state.name(), record.attempts), ("done", 1));
    assert_eq!(rig.calls(), REFUSALS as usize + 1);
    assert_eq!(rig.worker.environment().queue.letters(), 0);
}

#[tokio::test]
async fn a_job_that_was_refused_200_times_for_the_rate_succeeds_with_its_first_attempt() {
    refuse("http_429", Some(Duration::from_secs(600))).await;
}

#[tokio::test]
async fn a_job_that_was_refused_200_times_for_the_budget_succeeds_with_its_first_attempt() {
    refuse("budget_exceeded", Some(Duration::from_secs(900))).await;
}
