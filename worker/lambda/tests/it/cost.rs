//! What a job costs at DynamoDB, counted on the wire by DynamoDB's rules.

use std::time::Duration;

use mcp_batch_testkit::{AwsProxy, Behaviour};

use crate::rig::{Rig, Setup, job, text_of};

/// Requests to DynamoDB, and write units.
fn cost(proxy: &AwsProxy) -> (usize, u64) {
    (proxy.count("dynamodb"), proxy.units().write)
}

#[tokio::test]
async fn a_small_job_with_a_callback_costs_three_requests_and_three_write_units() {
    let Some(mut rig) = Rig::start().await else { return };
    rig.aws.send([rig.job_with_callback("a")]).await;
    rig.work_off().await;
    assert_eq!(rig.receiver.count(), 1);
    assert_eq!(cost(&rig.proxy), (3, 3), "{:?}", rig.proxy.tally());
}

#[tokio::test]
async fn a_small_job_without_a_callback_costs_two_requests_and_two_write_units() {
    let Some(mut rig) = Rig::start().await else { return };
    rig.aws.send([job("a")]).await;
    rig.work_off().await;
    assert_eq!(rig.llm.calls(), 1);
    assert_eq!(cost(&rig.proxy), (2, 2), "{:?}", rig.proxy.tally());
}

#[tokio::test]
async fn a_job_that_fails_for_good_costs_one_request_more_for_its_dead_letter() {
    let Some(mut rig) = Rig::start().await else { return };
    rig.llm.script(text_of("a"), [Behaviour::context_too_long()]);
    rig.aws.send([rig.job_with_callback("a")]).await;
    rig.work_off().await;
    assert_eq!(rig.aws.take_dead_letters().await.len(), 1);
    assert_eq!(cost(&rig.proxy), (4, 4), "{:?}", rig.proxy.tally());
}

#[tokio::test]
async fn a_finished_duplicate_costs_nothing_in_the_same_process_and_one_request_in_another() {
    let Some(mut rig) = Rig::start().await else { return };
    let job = rig.job_with_callback("a");
    rig.aws.send([job.clone()]).await;
    rig.work_off().await;

    rig.proxy.forget();
    rig.aws.send([job.clone()]).await;
    rig.work_off().await;
    assert_eq!(cost(&rig.proxy), (0, 0));

    rig.lambda.kill().await;
    rig.aws.send([job]).await;
    rig.work_off().await;
    assert_eq!(cost(&rig.proxy), (1, 1), "{:?}", rig.proxy.tally());
    assert_eq!((rig.llm.calls(), rig.receiver.count()), (1, 1));
}

#[tokio::test]
async fn a_finished_job_that_comes_back_is_read_and_not_written() {
    let setup = Setup::default().timeout(Duration::from_secs(6));
    let Some(mut rig) = setup.start().await else { return };
    rig.aws.send([rig.job_with_callback("a")]).await;
    rig.source.queue().forget_a_deletion();
    rig.batch().await;
    rig.lambda.kill().await;

    rig.proxy.forget();
    rig.work_off().await;
    assert_eq!(cost(&rig.proxy), (1, 0), "{:?}", rig.proxy.tally());
    assert_eq!((rig.llm.calls(), rig.receiver.count()), (1, 1));
}
