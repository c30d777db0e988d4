//! Lambda Managed Instances: several invocations at once in one process. They share its bounds, its
//! clients and its caches, and nothing else.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    time::Duration,
};

use mcp_batch_testkit::{Behaviour, Invocation, Reply, Rule, wait_until};
use serde_json::Value;

use crate::{
    event::{Record, event, listed},
    rig::{Rig, Setup, job, text_of},
};

const AT_ONCE: usize = 4;

/// Longer than any invocation here takes.
const LONG: Duration = Duration::from_secs(60);

/// Longer than any call here takes.
const LLM_TIMEOUT_S: &str = "20";

/// Three jobs to whose calls the LLM behaves so.
fn three(rig: &Rig, of: &str, behaviour: &Behaviour) -> String {
    let ids = (0..3).map(|n| format!("{of}-{n}"));
    let records = ids.map(|id| {
        rig.llm.script(text_of(&id), [behaviour.clone()]);
        Record::new(&id, &job(&id))
    });
    event(&records.collect::<Vec<_>>())
}

async fn poll(rig: &Rig, polls: usize) {
    wait_until("that many polls wait", || rig.lambda.polls() == polls).await;
}

/// The requests in whose lines jobs ended, by the first letter of their batch.
fn requests(rig: &Rig) -> BTreeMap<String, BTreeSet<String>> {
    let mut requests = BTreeMap::<_, BTreeSet<_>>::new();
    let logs = rig.lambda.logs();
    let lines = logs.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    for line in lines.filter(|line| line["message"] == "job ended") {
        let text = |name: &str| line[name].as_str().expect("a text").to_owned();
        let batch = text("job_id").split('-').next().unwrap_or_default().to_owned();
        requests.entry(batch).or_default().insert(text("request_id"));
    }
    requests
}

#[tokio::test]
async fn batches_that_begin_and_end_across_each_other_each_answer_for_their_own() {
    let setup = Setup::default().managed(AT_ONCE).env("MCP_BATCH_LLM_TIMEOUT_S", LLM_TIMEOUT_S);
    let Some(rig) = setup.start().await else { return };
    poll(&rig, AT_ONCE).await;
    let (a, c) = (three(&rig, "a", &Behaviour::Hold), three(&rig, "c", &Behaviour::Hold));
    let same = Record::new("same", &job("a-0"));
    let b = event(&[same, Record::new("b-1", &job("b-1")), Record::new("b-2", &job("b-2"))]);
    let first = rig.lambda.invoke(&a, LONG);
    let others = async {
        rig.llm.wait_for_calls(3).await;
        let second = rig.lambda.invoke(&b, LONG).await;
        assert_eq!(rig.llm.in_flight(), 3, "the first goes on");
        let nameless = r#"{"Records": [{"body": "{}"}]}"#;
        let failed = rig.lambda.invoke(nameless, LONG).await;
        assert!(matches!(failed, Invocation::Error { .. }), "{failed:?}");
        let third = rig.lambda.invoke(&c, LONG);
        let release = async {
            wait_until("two are in work", || rig.llm.in_flight() == 6).await;
            rig.llm.release(3);
            poll(&rig, AT_ONCE - 1).await;
            assert_eq!(rig.llm.in_flight(), 3, "the third goes on");
            rig.llm.release(3);
        };
        let (third, ()) = tokio::join!(third, release);
        (second, third)
    };
    let (first, (second, third)) = tokio::join!(first, others);

    for finished in [first, third] {
        assert!(listed(&finished.json()).is_empty(), "{finished:?}");
    }
    assert_eq!(listed(&second.json()), ["same"], "it is busy in the first");
    poll(&rig, AT_ONCE).await;
    let requests = requests(&rig);
    let distinct: BTreeSet<_> = requests.values().flatten().collect();
    assert_eq!((requests.len(), distinct.len()), (3, 3), "each of one request: {requests:?}");
    assert_eq!((rig.lambda.starts(), rig.lambda.late_answers()), (1, 0));
}

#[tokio::test]
async fn all_batches_of_a_process_are_under_one_bound() {
    const BOUND: usize = 2;
    let setup = Setup::default().managed(AT_ONCE).env("MCP_BATCH_CONCURRENCY", BOUND.to_string());
    let setup = setup.env("MCP_BATCH_CALLBACK_CONCURRENCY", "1");
    let setup = setup.env("MCP_BATCH_LLM_TIMEOUT_S", LLM_TIMEOUT_S);
    let Some(rig) = setup.start().await else { return };
    rig.receiver.set_default(Reply::status(200).after(Duration::from_millis(50)));
    rig.llm.set_default(Behaviour::Hold);
    let batches = ["a", "b", "c"].map(|of| {
        let ids = (0..3).map(|n| format!("{of}-{n}"));
        event(&ids.map(|id| Record::new(&id, &rig.job_with_callback(&id))).collect::<Vec<_>>())
    });
    let [a, b, c] = batches.each_ref().map(|batch| rig.lambda.invoke(batch, LONG));
    let release = async {
        rig.llm.wait_for_calls(BOUND).await;
        poll(&rig, AT_ONCE - batches.len()).await;
        rig.llm.release(3 * batches.len());
    };
    let (a, b, c, ()) = tokio::join!(a, b, c, release);

    for answer in [a, b, c] {
        assert!(listed(&answer.json()).is_empty(), "{answer:?}");
    }
    assert_eq!((rig.llm.max_in_flight(), rig.llm.calls()), (BOUND, 9));
    assert_eq!((rig.receiver.max_in_flight(), rig.receiver.distinct_ids()), (1, 9));
}

const CATALOG: &str = r#"
model = "m"
[tools.short]
description = "Says a prompt as it stands."
user = "{{ text }}"
input_schema = {}
timeout_s = 6
[tools.long]
description = "Says a prompt as it stands."
user = "{{ text }}"
input_schema = {}
timeout_s = 40
"#;

#[tokio::test]
async fn a_batch_that_is_over_its_time_is_stopped_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let catalog = folder.path().join("tools.toml");
    fs::write(&catalog, CATALOG).expect("written");
    let setup = Setup::default().managed(2);
    let setup = setup.env("MCP_BATCH_TOOLS", catalog.to_str().expect("a path"));
    let Some(rig) = setup.start().await else { return };
    // A ledger so slow that the first call begins when there is no time left for all of it.
    rig.proxy.rule(Rule::before("dynamodb").nth(1).delay(Duration::from_secs(4)));
    let record = |id: &str, tool: &str| {
        let mut job = job(id);
        job["tool"] = tool.into();
        [Record::new(id, &job)]
    };
    rig.llm.script(text_of("short"), [Behaviour::Hang]);
    rig.llm.script(text_of("long"), [Behaviour::Hold]);
    let short = event(&record("short", "short"));
    let short = async {
        let answer = rig.lambda.invoke(&short, Duration::from_secs(12)).await;
        rig.llm.wait_for_clients_left(1).await;
        assert_eq!(rig.llm.in_flight(), 1, "the other goes on");
        rig.llm.release(1);
        answer
    };
    let long = async {
        rig.llm.wait_for_calls(1).await;
        rig.lambda.invoke(&event(&record("long", "long")), LONG).await
    };
    let (short, long) = tokio::join!(short, long);

    assert_eq!(listed(&short.json()), ["short"]);
    assert!(listed(&long.json()).is_empty(), "{long:?}");
    for (id, state) in [("short", "retry"), ("long", "done")] {
        let record = rig.aws.record(id).await.expect("it was claimed");
        assert_eq!((record.state.name(), record.attempts), (state, 1), "{id}");
    }
    assert_eq!((rig.lambda.starts(), rig.lambda.late_answers()), (1, 0));
}

/// Each invocation holds a connection to Lambda.
#[tokio::test]
async fn more_invocations_than_connections_are_left_for_are_refused_at_the_start() {
    let Some(rig) = Setup::default().managed(1_600).start().await else { return };
    let ended = rig.lambda.invoke(&event(&[]), LONG).await;
    let Invocation::Error { message, .. } = &ended else { unreachable!("{ended:?}") };
    assert!(message.contains("1600 to Lambda"), "Lambda is told why: {message}");
    wait_until("so is the log", || rig.lambda.logs().contains("1600 to Lambda")).await;
}
