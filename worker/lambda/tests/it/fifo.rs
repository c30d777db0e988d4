//! FIFO queues: in order within a group, groups at once, and a group goes on from where it failed.

use std::time::Duration;

use mcp_batch_testkit::Behaviour;
use serde_json::Value;

use crate::{
    event::{Record, event, listed},
    rig::{Rig, Setup, job, text_of},
};

/// A job with a model, and so an upstream, of its group's own.
fn of_group(id: &str, group: &str) -> Value {
    let mut job = job(id);
    job["model"] = format!("model-{group}").into();
    job
}

/// Calls may be held for as long as a busy machine needs.
fn patient() -> Setup {
    Setup::default().timeout(Duration::from_secs(30)).env("MCP_BATCH_LLM_TIMEOUT_S", "20")
}

async fn fifo() -> Option<Rig> {
    patient().fifo().start().await
}

/// Sends a job for each id; its first letter is its group.
async fn send(rig: &Rig, ids: &[&str]) {
    for id in ids {
        let group = &id[..1];
        rig.aws.send_to_group(group, &of_group(id, group).to_string()).await;
    }
}

/// Which jobs were called, in that order.
fn called(rig: &Rig, ids: &[&str]) -> Vec<String> {
    let id_in = |body: &str| ids.iter().find(|id| body.contains(&text_of(id))).copied();
    let requests = rig.llm.requests().into_iter();
    let bodies = requests.map(|request| String::from_utf8_lossy(request.body()).into_owned());
    bodies.filter_map(|body| id_in(&body).map(str::to_owned)).collect()
}

fn of(group: char, calls: &[String]) -> Vec<&str> {
    calls.iter().map(String::as_str).filter(|id| id.starts_with(group)).collect()
}

#[tokio::test]
async fn groups_run_at_once_and_each_in_its_order() {
    let Some(mut rig) = fifo().await else { return };
    rig.llm.set_default(Behaviour::Hold);
    let ids = ["a1", "a2", "a3", "b1", "b2", "b3", "c1", "c2", "c3"];
    send(&rig, &ids).await;

    let llm = &rig.llm;
    let step = async {
        for row in 1..=3 {
            llm.wait_for_calls(3 * row).await;
            assert_eq!(llm.in_flight(), 3, "one of each group, and no more");
            llm.release(3);
        }
    };
    let (report, ()) = tokio::join!(rig.source.poll(&rig.lambda), step);
    assert_eq!(report.expect("a batch").deleted.len(), ids.len());
    let calls = called(&rig, &ids);
    for group in ['a', 'b', 'c'] {
        let in_order: Vec<&str> = ids.into_iter().filter(|id| id.starts_with(group)).collect();
        assert_eq!(of(group, &calls), in_order);
    }
}

#[tokio::test]
async fn after_a_failure_the_rest_of_its_group_comes_back_unprocessed_and_then_in_order() {
    let Some(mut rig) = fifo().await else { return };
    rig.llm.script(text_of("a2"), [Behaviour::throttled("1"), Behaviour::Echo]);
    let ids = ["a1", "a2", "a3", "a4", "b1", "b2"];
    send(&rig, &ids).await;

    let first = rig.batch().await;
    assert_eq!((first.deleted.len(), first.kept.len()), (3, 3), "{first:?}");
    let calls = called(&rig, &ids);
    assert_eq!((of('a', &calls), of('b', &calls)), (vec!["a1", "a2"], vec!["b1", "b2"]));

    rig.work_off().await;
    assert_eq!(of('a', &called(&rig, &ids)), ["a1", "a2", "a2", "a3", "a4"]);
    assert!(rig.aws.take_dead_letters().await.is_empty());
}

#[tokio::test]
async fn a_poisoned_body_goes_to_the_fifo_dead_letters_and_its_group_goes_on() {
    let Some(mut rig) = fifo().await else { return };
    send(&rig, &["a1"]).await;
    rig.aws.send_to_group("a", "{\"no\": \"job\"").await;
    send(&rig, &["a2"]).await;

    let reports = rig.work_off().await;
    assert!(reports.iter().all(|report| report.kept.is_empty()), "{reports:?}");
    assert_eq!(called(&rig, &["a1", "a2"]), ["a1", "a2"]);
    let letters = rig.aws.take_dead_letters().await;
    assert_eq!(letters.len(), 1);
    assert_eq!(letters[0].group.as_deref(), Some("a"));
    assert_eq!(letters[0].attribute("error_code"), "not_json");
}

#[tokio::test]
async fn a_group_on_a_standard_queue_changes_nothing() {
    let Some(rig) = patient().start().await else { return };
    rig.llm.set_default(Behaviour::Hold);
    rig.llm.script(text_of("b"), [Behaviour::throttled("1")]);
    let ids = ["a", "b", "c", "d"];
    let records = ids.map(|id| Record::new(id, &of_group(id, id)).in_group("tenant"));

    let event = event(&records);
    let work = rig.lambda.invoke(&event, Duration::from_secs(60));
    let release = async {
        rig.llm.wait_for_calls(ids.len()).await;
        rig.llm.release(ids.len() - 1);
    };
    let (answer, ()) = tokio::join!(work, release);
    assert_eq!(listed(&answer.json()), ["b"]);
}
