//! The invocation's deadline: what is finished stays so, what is not comes back in time, and
//! nothing lives on.

use std::{collections::BTreeSet, time::Duration};

use mcp_batch_testkit::{AwsCall, Behaviour, Rule};

use crate::{
    event::{Record, event, listed},
    rig::{Setup, job, text_of},
    wire::hidden_s,
};

/// The invocation's time: 1 s of it is kept for the answer, 2 s for a job's settling. Jobs may begin
/// in the first 3 s.
const TIMEOUT: Duration = Duration::from_secs(12);
const LLM_TIMEOUT_S: &str = "6";

fn setup() -> Setup {
    Setup::default().env("MCP_BATCH_LLM_TIMEOUT_S", LLM_TIMEOUT_S)
}

#[tokio::test]
async fn what_there_is_no_time_for_comes_back_at_once_and_what_is_finished_does_not() {
    let Some(rig) = setup().env("MCP_BATCH_CONCURRENCY", "4").start().await else { return };
    // When the first calls are over, it is too late for others.
    rig.llm.set_default(Behaviour::Slow(Duration::from_millis(3_200)));
    let records: Vec<Record> =
        (0..40).map(|n| Record::new(&format!("m-{n}"), &job(&format!("m-{n}")))).collect();

    let answer = rig.lambda.invoke(&event(&records), TIMEOUT).await.json();
    let returned: BTreeSet<String> = listed(&answer).into_iter().collect();
    let called: BTreeSet<String> = rig.llm.calls_by_id().into_keys().collect();

    assert!(!called.is_empty() && !returned.is_empty());
    assert_eq!(called.len() + returned.len(), records.len());
    assert!(called.is_disjoint(&returned), "what was called is finished, the rest was not begun");
    let hidden = hidden_s(&rig.proxy.calls());
    for id in &returned {
        let seconds = hidden[&format!("receipt-{id}")];
        assert!(seconds <= 5, "{id}: {seconds} s");
    }
    assert_eq!(hidden.len(), returned.len());
}

#[tokio::test]
async fn a_job_that_must_be_stopped_is_interrupted_and_nothing_of_it_wakes_later() {
    let Some(rig) = setup().start().await else { return };
    rig.llm.script(text_of("slow"), [Behaviour::Hold]);
    // A ledger so slow that the call begins when there is no time left for all of it.
    let slow_claim = Rule::before("dynamodb").nth(1).delay(Duration::from_secs(4));
    rig.proxy.rule(slow_claim);

    let records = [Record::new("slow", &job("slow"))];
    let answer = rig.lambda.invoke(&event(&records), TIMEOUT).await.json();
    assert_eq!(listed(&answer), ["slow"]);
    assert_eq!(hidden_s(&rig.proxy.calls())["receipt-slow"], 0);
    rig.llm.wait_for_clients_left(1).await;
    let record = rig.aws.record("slow").await.expect("it was claimed");
    assert_eq!((record.state.name(), record.attempts), ("retry", 1));
    assert_eq!(record.usage.unpriced_calls, 1, "the upstream may bill on");

    rig.proxy.forget();
    rig.llm.release(1);
    let answer = rig.lambda.invoke(&event(&[Record::new("next", &job("next"))]), TIMEOUT).await;
    assert!(listed(&answer.json()).is_empty());
    assert_eq!((rig.llm.calls(), rig.lambda.starts()), (2, 1));
    let key = |call: &AwsCall| call.keys.clone();
    let touched: BTreeSet<_> = rig.proxy.calls().iter().flat_map(key).collect();
    assert_eq!(touched.len(), 1, "the next invocation is about its own job alone: {touched:?}");

    rig.llm.script(text_of("slow"), [Behaviour::Echo]);
    let again = Record { receive_count: 2, ..Record::new("slow", &job("slow")) };
    let answer = rig.lambda.invoke(&event(&[again]), TIMEOUT).await.json();
    assert!(listed(&answer).is_empty());
    let record = rig.aws.record("slow").await.expect("it is done");
    assert_eq!((record.state.name(), record.attempts), ("done", 2));
    assert_eq!(record.usage.unpriced_calls, 2, "what the first call cost stays unknown");
}

#[tokio::test]
async fn a_job_that_is_never_answered_fails_alone() {
    let Some(rig) = setup().start().await else { return };
    rig.llm.script(text_of("hangs"), [Behaviour::Hang]);
    let ids = ["a", "hangs", "b"];
    let records = ids.map(|id| Record::new(id, &job(id)));

    let answer = rig.lambda.invoke(&event(&records), TIMEOUT).await.json();
    assert_eq!(listed(&answer), ["hangs"]);
    for id in ["a", "b"] {
        let record = rig.aws.record(id).await.expect("it is done");
        assert_eq!(record.state.name(), "done");
    }
}
