//! What a tool needs before anything can be said of its jobs.

use std::time::Duration;

use mcp_batch::batch::Stop;

use super::rig::{Rig, job};

#[tokio::test]
async fn a_tool_that_is_refused_before_its_call_is_told_and_kills_no_job() {
    let rig = Rig::new(4);
    let answer = rig.process(&[job("a", "refuse"), job("b", "answer")]).await;
    assert_eq!((answer.returned.len(), answer.finished.len()), (1, 1));
    assert_eq!((rig.refused(), &*rig.returned()[0].code), (1, "as_told"));
    assert_eq!((rig.calls(), rig.record("a").await), (1, None), "nothing was claimed");
}

#[tokio::test]
async fn a_tool_that_says_nothing_yet_takes_no_permit_from_the_others() {
    let rig = Rig::new(1);
    let stop = Stop::default();
    let mut jobs = vec![job("silent", "silence")];
    jobs.extend((0..3).map(|number| job(&format!("other-{number}"), "wait")));
    let batch = rig.start(&jobs, &stop).await;
    for _ in 0..3 {
        rig.wait_until_running(1).await;
        rig.release(1);
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    mcp_batch_testkit::wait_until("the others are done", || rig.ended() == 3).await;
    stop.drain();
    let answer = batch.await.expect("it ends");
    assert_eq!((answer.finished.len(), answer.returned.len()), (3, 1));
}
