//! What becomes of a letter, by where the ledger says that its job stands.

use mcp_batch::{
    clock::{Clock, UnixMs},
    lease::Ledger,
};
use serde_json::{Value, json};

use super::{
    rig::{Kind, Rig},
    yard::{AwsYard, FileYard, Yard},
};
use crate::{
    helpers::summarize,
    lease_helpers::{LEASE_S, TestJob, Worker, completed, failed, released},
};

/// Longer ago than a lease lasts.
fn long_ago() -> UnixMs {
    UnixMs(Clock::system().now().0 - 2 * LEASE_S * 1000)
}

fn job(id: &str) -> TestJob {
    TestJob::new(id).text("One. Two.")
}

/// Brings jobs to every state that letters of their first run may find them in.
async fn bring_about<L: Ledger>(worker: &Worker<L>) {
    let now = Clock::system().now();
    worker.own(job("runs").claim_at(now)).await;
    worker.own(job("lost").claim_at(long_ago())).await;
    let waits = worker.own(job("waits").claim_at(now)).await;
    worker.save(&waits, released("no"), now).await;
    worker.cancel(job("cancelled").claim_at(now)).await.expect("nobody knows it");
    let other = worker.own(TestJob::new("other").text("Another text.").claim_at(now)).await;
    worker.save(&other, completed("yes"), now).await;
    for (id, end) in [("again", failed("no")), ("changed", completed("yes"))] {
        let first = worker.own(job(id).claim_at(now)).await;
        worker.save(&first, failed("no"), now).await;
        let anew = if id == "changed" { TestJob::new(id).text("Better.") } else { job(id) };
        worker.decide(anew.key(), anew.replay(1), now).await.expect("it failed");
        let second = worker.own(anew.claim_at(now)).await;
        worker.save(&second, end, now).await;
    }
}

/// What a plan says of a job: its state, what would be done, and why it would be left.
fn told<'a>(plan: &'a Value, id: &str) -> (&'a str, &'a str, Option<&'a str>) {
    let groups = plan["groups"].as_array().expect("groups").iter();
    let mut of_job = groups
        .filter(|group| group["examples"].as_array().is_some_and(|ids| ids.contains(&id.into())));
    let group = of_job.next().expect("a group");
    let text = |name: &str| group[name].as_str();
    let (standing, action) = (text("standing").expect("one"), text("action").expect("one"));
    (standing, action, text("left_because"))
}

async fn the_ledger_decides<Y: Yard>(rig: Rig<Y>) {
    bring_about(&Worker::new(rig.yard.ledger())).await;
    let ids = ["runs", "lost", "waits", "cancelled", "other", "again", "changed", "unknown"];
    let letters = ids.iter().map(|id| {
        let mut buried = rig.letter(Kind::Permanent, 0);
        buried.letter.body = summarize(id, "One. Two.").to_string().into();
        // That one never became a run: another job had its id.
        buried.letter.epoch = (*id != "other").then_some(1);
        buried
    });
    rig.yard.bury(letters.collect()).await;

    for (id, state, action) in [
        ("runs", "running", "leave"),
        ("lost", "retry", "replay"),
        ("waits", "retry", "replay"),
        ("cancelled", "cancelled", "leave"),
        ("other", "conflict", "leave"),
        ("again", "superseded", "drop"),
        ("changed", "superseded", "drop"),
        ("unknown", "never_started", "replay"),
    ] {
        let plan = rig.plan(&["--match", &format!("id={id}")]).await;
        let (standing, planned, _) = told(&plan, id);
        assert_eq!((standing, planned), (state, action), "{id}");
    }
    let edited = rig.plan(&["--match", "id=waits", "--set", "model=better"]).await;
    assert_eq!(told(&edited, "waits"), ("retry", "leave", Some("old_payload_waits")));

    let ended = rig.apply(&[]).finish().await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let done: Value = serde_json::from_str(&ended.stdout).expect("one JSON object");
    assert_eq!((&done["replayed"], &done["dropped"]), (&json!(3), &json!(2)), "{done}");
    assert_eq!(done["left"], json!({"cancelled": 1, "conflict": 1, "running": 1}));
    assert_eq!((rig.lying().await, rig.waiting().await), (3, 3));
}

#[tokio::test]
async fn the_ledger_decides_what_becomes_of_a_letter_in_a_file() {
    let Some(yard) = FileYard::open().await else { return };
    the_ledger_decides(Rig::new(yard).await).await;
}

#[tokio::test]
async fn the_ledger_decides_what_becomes_of_a_letter_on_aws() {
    let Some(yard) = AwsYard::open().await else { return };
    the_ledger_decides(Rig::new(yard).await).await;
}

#[tokio::test]
async fn two_letters_of_one_job_are_one_replay() {
    let Some(yard) = FileYard::open().await else { return };
    let rig = Rig::new(yard).await;
    rig.fill(&[(Kind::Permanent, 1)]).await;
    rig.yard.bury(vec![rig.letter(Kind::Permanent, 0)]).await;
    let plan = rig.plan(&[]).await;
    assert_eq!(plan["actions"], json!({"replay": 1, "tell": 0, "drop": 0, "leave": 1}));

    let ended = rig.apply(&[]).finish().await;
    assert_eq!((ended.code, rig.lying().await, rig.waiting().await), (Some(1), 1, 1));
    rig.work_off(1).await;
    let ended = rig.apply(&[]).finish().await;
    assert_eq!((ended.code, rig.lying().await, rig.waiting().await), (Some(0), 0, 0));
    assert_eq!(rig.llm.calls(), 1);
    let nothing = rig.dlq(&["replay", "--apply", "--reason", "again"]).finish().await;
    let told = (nothing.code, &*nothing.stdout, &*nothing.stderr);
    assert_eq!(told, (Some(0), "", "No dead letters.\n"));
}

#[tokio::test]
async fn two_letters_of_a_job_whose_callback_is_owed_are_planned_as_they_are_done() {
    let Some(yard) = FileYard::open().await else { return };
    let rig = Rig::new(yard).await;
    rig.fill(&[(Kind::DoneUntold, 1)]).await;
    rig.yard.bury(vec![rig.letter(Kind::DoneUntold, 0)]).await;
    let plan = rig.plan(&[]).await;
    assert_eq!(plan["actions"], json!({"replay": 0, "tell": 1, "drop": 0, "leave": 1}));
    let ended = rig.apply(&[]).finish().await;
    let done: Value = serde_json::from_str(&ended.stdout).expect("one JSON object");
    assert_eq!((&done["told"], &done["left"]), (&json!(1), &json!({"repeated": 1})), "{done}");
}

#[tokio::test]
async fn a_letter_of_another_namespace_stays_one_and_a_change_may_make_a_job() {
    let Some(yard) = FileYard::open().await else { return };
    let rig = Rig::new(yard).await;
    let mut letters = vec![rig.letter(Kind::Unreadable, 0), rig.letter(Kind::Permanent, 0)];
    letters[1].letter.namespace = Some("team-b".parse().expect("a namespace"));
    rig.yard.bury(letters).await;
    let worker = Worker::new(rig.yard.ledger());
    let now = Clock::system().now();
    let done = job("Permanent-0").namespace("team-b");
    let lease = worker.own(done.claim_at(now)).await;
    worker.save(&lease, completed("yes"), now).await;

    let plan = rig.plan(&["--set", "tool=summarize"]).await;
    assert_eq!(plan["actions"], json!({"replay": 1, "tell": 0, "drop": 1, "leave": 0}), "{plan}");
    assert_eq!(rig.apply(&["--set", "tool=summarize"]).finish().await.code, Some(0));
    rig.work_off(1).await;
    let lines = [rig.audited("replay").remove(0), rig.audited("drop").remove(0)];
    let namespaces = lines.map(|line| line["namespace"].clone());
    assert_eq!(namespaces, [json!("default"), json!("team-b")]);
}

#[tokio::test]
async fn a_letter_that_another_namespaces_ledger_knows_is_run_there_all_the_same() {
    let Some(yard) = FileYard::open().await else { return };
    let rig = Rig::new(yard).await;
    rig.fill(&[(Kind::Permanent, 1)]).await;
    let ended = rig.apply(&[]).env("MCP_BATCH_NAMESPACE", "elsewhere").finish().await;
    assert_eq!((ended.code, rig.waiting().await), (Some(0), 1), "{ended:?}");
    assert_eq!(rig.audited("replay")[0]["standing"], "never_started");
    rig.work_off(1).await;
    assert!(rig.are_all_done_anew(Kind::Permanent, 1).await);
}

#[tokio::test]
async fn letters_beyond_the_limit_keep_the_journal_and_are_told_by_the_exit_code() {
    let Some(yard) = FileYard::open().await else { return };
    let rig = Rig::new(yard).await;
    rig.fill(&[(Kind::NeverStarted, 4), (Kind::Unreadable, 3)]).await;
    let some = ["--state", "never_started", "--limit", "2"];
    let ended = rig.apply(&some).finish().await;
    assert_eq!((ended.code, rig.journal().exists()), (Some(1), true), "{ended:?}");
    let done: Value = serde_json::from_str(&ended.stdout).expect("one JSON object");
    assert_eq!(done["is_cut_off"], true);
    let ended = rig.apply(&["--state", "never_started"]).finish().await;
    assert_eq!((ended.code, rig.waiting().await), (Some(0), 4), "{ended:?}");
    assert!(!rig.journal().exists());

    let purge = ["purge", "--yes", "--reason", "noise"];
    let some = rig.dlq(&purge).args(["--limit", "2"]).finish().await;
    assert_eq!((some.code, rig.lying().await), (Some(1), 1), "{some:?}");
    assert!(some.stdout.contains("Only 2 letters were looked at"), "{}", some.stdout);
    assert_eq!(rig.dlq(&purge).finish().await.code, Some(0));
}
