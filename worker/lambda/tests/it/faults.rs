//! An AWS of whose requests three in ten fail.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use mcp_batch::lease::{CallbackState, DeadLetterState, State};
use mcp_batch_testkit::{AwsProxy, Behaviour, Fault, Rule};

use crate::rig::{Rig, Setup, text_of, work_off};

/// Every so many-th job fails for good.
const FAILING: usize = 10;

fn id(at: usize) -> String {
    let kind = if at.is_multiple_of(FAILING) { "bad" } else { "good" };
    format!("{kind}-{at}")
}

/// Three in ten of the requests fail: a tenth is throttled, the rest not carried out, carried out
/// without an answer, or answered by an error of the service.
fn disturb(proxy: &AwsProxy) {
    for (seed, service) in [(1, "dynamodb"), (2, "sqs")] {
        proxy.rule(Rule::before(service).share(0.11, seed).fail(Fault::Throttled));
        proxy.rule(Rule::before(service).share(0.06, seed + 10).fail(Fault::Internal));
        proxy.rule(Rule::before(service).share(0.06, seed + 20).lose());
        proxy.rule(Rule::after(service).share(0.11, seed + 30).lose());
    }
    for operation in ["ChangeMessageVisibilityBatch", "SendMessageBatch"] {
        proxy.rule(Rule::before(operation).fail_entries(0.3, 50));
    }
}

/// A function at work on that many jobs with callbacks, by such an AWS.
async fn start(setup: Setup, jobs: usize) -> Option<Rig> {
    let rig = setup.start().await?;
    for at in (0..jobs).step_by(FAILING) {
        rig.llm.script(text_of(&id(at)), [Behaviour::context_too_long()]);
    }
    disturb(&rig.proxy);
    rig.aws.send((0..jobs).map(|at| rig.job_with_callback(&id(at)))).await;
    Some(rig)
}

#[tokio::test]
async fn with_three_in_ten_requests_failing_no_job_is_lost_paid_twice_or_told_wrongly() {
    const JOBS: usize = 200;
    let setup = Setup::default().batch_size(100).timeout(Duration::from_secs(10));
    let Some(mut rig) = start(setup, JOBS).await else { return };
    rig.work_off().await;

    assert_three_in_ten_failed(&rig.proxy);
    assert_all_is_well(&rig, JOBS).await;
}

#[tokio::test]
async fn with_processes_that_die_as_well_no_job_is_lost_paid_twice_or_told_wrongly() {
    const JOBS: usize = 20;
    const CALLS_AT_DEATH: [usize; 2] = [5, 16];
    let setup = Setup::default().timeout(Duration::from_secs(6));
    let setup = setup.env("MCP_BATCH_MAX_ATTEMPTS", "10");
    let Some(mut rig) = start(setup, JOBS).await else { return };
    let Rig { source, lambda, llm, .. } = &mut rig;
    let kill = async {
        for calls in CALLS_AT_DEATH {
            llm.wait_for_calls(calls).await;
            lambda.kill().await;
        }
    };
    tokio::join!(work_off(source, lambda), kill);

    assert_eq!(rig.lambda.starts(), 1 + CALLS_AT_DEATH.len());
    assert_all_is_well(&rig, JOBS).await;
}

/// By the share of each rule; a quarter, to leave room for chance.
fn assert_three_in_ten_failed(proxy: &AwsProxy) {
    let calls = proxy.calls();
    let failed = calls.iter().filter(|call| call.answered != Some(200)).count();
    assert!(failed * 4 > calls.len(), "{failed} of {} requests failed", calls.len());
}

async fn assert_all_is_well(rig: &Rig, jobs: usize) {
    assert_nothing_is_paid_twice(rig, jobs).await;
    assert_each_stands_and_is_told(rig, jobs).await;
    assert_the_failed_lie_with_the_dead_letters(rig, jobs).await;
}

/// A call is made again only if nobody can know the outcome of the one before: its process died, or
/// the invocation ended before the ledger took it. The ledger counts these as calls of unknown cost;
/// it may count one more where a process died between a claim and its call.
async fn assert_nothing_is_paid_twice(rig: &Rig, jobs: usize) {
    let calls = rig.llm.calls_by_id();
    for at in 0..jobs {
        let record = rig.aws.record(&id(at)).await.expect("the ledger knows the job");
        let lost = usize::try_from(record.usage.unpriced_calls).expect("a few");
        let called = calls[&id(at)];
        assert!((1..=1 + lost).contains(&called), "{called} calls, {record:?}");
    }
}

async fn assert_each_stands_and_is_told(rig: &Rig, jobs: usize) {
    rig.assert_told_alike();
    assert_eq!(rig.receiver.distinct_ids(), jobs);
    let told = rig.receiver.deliveries().into_iter().map(|delivery| delivery.json());
    let told: BTreeMap<String, _> = told
        .map(|event| (event["data"]["id"].as_str().unwrap_or_default().to_owned(), event))
        .collect();
    for at in 0..jobs {
        let (id, record) = (id(at), rig.aws.record(&id(at)).await.expect("the ledger knows it"));
        match &record.state {
            State::Done(result) => {
                assert!(!at.is_multiple_of(FAILING), "{record:?}");
                assert_eq!(told[&id]["type"], "job.succeeded");
                assert_eq!(&told[&id]["data"]["result"], result);
            }
            State::Failed(error) => {
                assert!(at.is_multiple_of(FAILING), "{record:?}");
                assert_eq!(told[&id]["type"], "job.failed");
                assert_eq!(told[&id]["data"]["error"]["code"], error.code.as_ref());
            }
            _ => unreachable!("{record:?}"),
        }
        assert_eq!(record.callback.map(|slot| slot.state), Some(CallbackState::Sent), "{id}");
        assert_ne!(record.dead_letter, DeadLetterState::Pending, "{id}");
    }
}

/// A send whose answer was lost is repeated, so a letter may lie there more than once.
async fn assert_the_failed_lie_with_the_dead_letters(rig: &Rig, jobs: usize) {
    let letters = rig.aws.take_dead_letters().await;
    let buried: BTreeSet<_> = letters.iter().map(|letter| letter.attribute("job_id")).collect();
    let failed: Vec<_> = (0..jobs).step_by(FAILING).map(id).collect();
    assert_eq!(buried, failed.iter().map(String::as_str).collect());
}
