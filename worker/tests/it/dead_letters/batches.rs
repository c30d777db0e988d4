//! Letters of jobs whose batch is over by now, or was cancelled.

use std::time::Duration;

use mcp_batch::{
    clock::{Clock, UnixMs},
    fan_in::BatchKey,
    job::Namespace,
    lease::Ledger,
};
use mcp_batch_testkit::Receiver;
use serde_json::{Value, json};

use super::{
    rig::{Kind, Rig},
    yard::{AwsYard, FileYard, Yard},
};
use crate::{
    helpers::summarize,
    lease_helpers::{TestJob, Worker, failed},
};

/// The batch that names this job's place.
fn place(batch: &str, index: u64, expires: Option<UnixMs>, receiver: &Receiver) -> Value {
    let mut place = json!({"id": batch, "index": index, "callback": receiver.url("/")});
    if let Some(expires) = expires {
        place["expires_at"] = expires.rfc3339().into();
    }
    place
}

/// A job that fails as the first one of its batch.
async fn fail<L: Ledger>(worker: &Worker<L>, id: &str, batch: Value) {
    let now = Clock::system().now();
    let job = TestJob::new(id).text("One. Two.").membership(batch);
    let lease = worker.own(job.claim_at(now)).await;
    worker.save(&lease, failed("no"), now).await;
}

/// What a plan would do with a job's letter, and why.
async fn planned<Y: Yard>(rig: &Rig<Y>, id: &str, more: &[&str]) -> (Value, Value, String) {
    let of_job = format!("id={id}");
    let plan = rig.plan(&[&["--match", &*of_job], more].concat()).await;
    let group = &plan["groups"][0];
    let problem = group["problem"].as_str().unwrap_or_default().to_owned();
    (group["action"].clone(), group["left_because"].clone(), problem)
}

async fn a_letter_is_left_that_its_batch_would_refuse<Y: Yard>(rig: Rig<Y>) {
    let worker = Worker::new(rig.yard.ledger());
    let now = Clock::system().now();
    let soon = UnixMs(now.0 + 1_500);
    let places = [
        ("cancelled", place("stopped", 0, None, &rig.receiver)),
        ("open", place("goes-on", 0, None, &rig.receiver)),
        ("counted", place("closed", 0, Some(soon), &rig.receiver)),
        ("late", place("closed", 1, None, &rig.receiver)),
    ];
    for (id, place) in &places[..3] {
        fail(&worker, id, place.clone()).await;
    }
    let stopped = BatchKey::of(&Namespace::default(), &"stopped".parse().expect("an id"));
    worker.ledger().cancel_batch(stopped).await.expect("the ledger answers").expect("it is there");
    let letters = places.iter().map(|(id, place)| {
        let mut buried = rig.letter(Kind::Permanent, 0);
        let mut job = summarize(id, "One. Two.");
        job["batch"] = place.clone();
        buried.letter.body = job.to_string().into();
        buried.letter.epoch = (*id != "late").then_some(1);
        buried
    });
    rig.yard.bury(letters.collect()).await;
    tokio::time::sleep(Duration::from_millis(1_600)).await;

    let (action, why, problem) = planned(&rig, "cancelled", &[]).await;
    assert_eq!((action, why), (json!("leave"), json!("batch_cancelled")));
    assert!(problem.contains("batch stopped was cancelled"), "{problem}");
    let (action, why, problem) = planned(&rig, "late", &[]).await;
    assert_eq!((action, why), (json!("leave"), json!("batch_over")));
    assert!(problem.contains("batch closed is over"), "{problem}");
    for id in ["open", "counted"] {
        assert_eq!(planned(&rig, id, &[]).await.0, json!("replay"), "{id} has its place");
    }
    let elsewhere = ["--set", "batch.id=another"];
    assert_eq!(planned(&rig, "cancelled", &elsewhere).await.0, json!("replay"));

    let ended = rig.apply(&[]).finish().await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let done: Value = serde_json::from_str(&ended.stdout).expect("one JSON object");
    assert_eq!((&done["replayed"], rig.lying().await), (&json!(2), 2), "{done}");
    assert_eq!(done["left"], json!({"batch_cancelled": 1, "batch_over": 1}));
    rig.work_off(2).await;
    assert_eq!((rig.llm.calls(), rig.lying().await), (2, 2), "the letters lie where they were");
}

#[tokio::test]
async fn a_letter_in_a_file_is_left_that_its_batch_would_refuse() {
    let Some(yard) = FileYard::open().await else { return };
    a_letter_is_left_that_its_batch_would_refuse(Rig::new(yard).await).await;
}

#[tokio::test]
async fn a_letter_on_aws_is_left_that_its_batch_would_refuse() {
    let Some(yard) = AwsYard::open().await else { return };
    a_letter_is_left_that_its_batch_would_refuse(Rig::new(yard).await).await;
}
