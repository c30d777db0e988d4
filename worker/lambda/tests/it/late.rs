//! A write that was on its way when its process died, and arrives late: nobody can call it back.

use mcp_batch::lease::{Record, State};
use mcp_batch_testkit::{AwsProxy, Behaviour, Rule, Watch, wait_until};

use crate::rig::{Rig, next_batch, text_of, work_off};

/// The first process calls the tool, sends the outcome `first`, and dies before that arrives.
async fn die_while_saving(rig: &mut Rig) -> Watch {
    rig.llm.script(text_of("a"), [Behaviour::answer("first"), Behaviour::Hold]);
    rig.aws.send([rig.job_with_callback("a")]).await;
    let save = rig.proxy.rule(Rule::before("dynamodb").nth(2).hold());
    let Rig { source, lambda, .. } = rig;
    let die = async {
        save.wait_for_hits(1).await;
        lambda.kill().await;
    };
    tokio::join!(next_batch(source, lambda), die);
    save
}

/// Lets the late write arrive, and answers with which status AWS met it.
async fn arrives(proxy: &AwsProxy, save: &Watch) -> Option<u16> {
    let before = proxy.calls().len();
    save.release(1);
    wait_until("the late write arrives", || proxy.calls().len() > before).await;
    proxy.calls()[before].carried_out
}

async fn record(rig: &Rig) -> Record {
    rig.aws.record("a").await.expect("the ledger knows the job")
}

fn told(rig: &Rig) -> Vec<String> {
    let told = rig.receiver.deliveries().into_iter().map(|delivery| delivery.json());
    told.map(|event| event["data"]["result"].to_string()).collect()
}

#[tokio::test]
async fn an_outcome_that_arrives_after_its_process_has_died_stands_and_nothing_is_paid_again() {
    let Some(mut rig) = Rig::start().await else { return };
    let save = die_while_saving(&mut rig).await;
    assert_eq!(arrives(&rig.proxy, &save).await, Some(200));

    rig.work_off().await;
    assert_eq!((rig.llm.calls(), rig.lambda.starts()), (1, 2));
    assert!(matches!(record(&rig).await.state, State::Done(_)));
    assert_eq!(told(&rig), [r#""first""#]);
}

#[tokio::test]
async fn an_outcome_that_arrives_after_another_process_took_over_changes_nothing() {
    let Some(mut rig) = Rig::start().await else { return };
    let save = die_while_saving(&mut rig).await;

    let Rig { source, lambda, llm, proxy, .. } = &mut rig;
    let (_, refused) = tokio::join!(work_off(source, lambda), async {
        // The next process is in the middle of its own call.
        llm.wait_for_calls(2).await;
        let status = arrives(proxy, &save).await;
        llm.release(1);
        status
    });

    assert_eq!(refused, Some(400));
    let record = record(&rig).await;
    assert_eq!((record.epoch, record.attempts, rig.llm.calls()), (2, 1, 2));
    let State::Done(result) = record.state else { unreachable!("{record:?}") };
    assert_eq!(told(&rig), [result.to_string()]);
    assert_ne!(result, "first");
}
