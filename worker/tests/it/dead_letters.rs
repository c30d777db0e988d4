//! `mcp-batch dlq`: letters of every kind in both worlds; plans, replays that are killed, what stays.

mod batches;
mod details;
mod rig;
mod standings;
mod yard;

use serde_json::{Value, json};

use self::{
    rig::{Kind, LONG, Rig, total},
    yard::{AwsYard, FileYard, Yard},
};
use crate::helpers::Ended;

/// Seven kinds, 5,000 letters; on AWS fewer of those that take a record, since these take time there.
const IN_FILE: [(Kind, usize); 7] = [
    (Kind::Permanent, 2_000),
    (Kind::Exhausted, 800),
    (Kind::Unreadable, 500),
    (Kind::NeverStarted, 700),
    (Kind::DoneUntold, 400),
    (Kind::Done, 300),
    (Kind::Held, 300),
];
const ON_AWS: [(Kind, usize); 7] = [
    (Kind::Permanent, 300),
    (Kind::Exhausted, 60),
    (Kind::Unreadable, 1_200),
    (Kind::NeverStarted, 3_280),
    (Kind::DoneUntold, 50),
    (Kind::Done, 60),
    (Kind::Held, 50),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_5000_letters_in_a_file_one_class_is_replayed_though_it_is_killed_three_times() {
    let Some(yard) = FileYard::open().await else { return };
    one_class_is_replayed(Rig::new(yard).await, &IN_FILE).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_5000_letters_on_aws_one_class_is_replayed_though_it_is_killed_three_times() {
    let Some(yard) = AwsYard::open().await else { return };
    one_class_is_replayed(Rig::new(yard).await, &ON_AWS).await;
}

async fn one_class_is_replayed<Y: Yard>(rig: Rig<Y>, kinds: &[(Kind, usize)]) {
    rig.fill(kinds).await;
    let meant = kinds[0].1;
    let edit = ["--class", "permanent", "--set", "model=better", "--set", "input.sentences=3"];

    let plan = rig.plan(&[]).await;
    assert_eq!(plan["letters"], total(kinds));
    assert_eq!(plan["actions"], expected_actions(kinds));
    for (kind, letters) in kinds {
        assert_eq!(rig::letters_of(&plan, *kind), *letters as u64, "{kind:?} in {plan}");
    }
    assert_eq!((rig.waiting().await, rig.lying().await), (0, total(kinds)), "nothing was moved");

    for killed in 1..=3 {
        let running = rig.apply(&[&edit, rig.yard.flags_of_the_killed()].concat()).start();
        rig.until_journal_has(killed * meant / 5).await;
        running.kill();
    }
    let ended: Ended = rig.apply(&edit).start().finish_within(LONG).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let told: Value = serde_json::from_str(&ended.stdout).expect("one JSON object");
    assert_eq!((&told["left"], &told["dropped"]), (&json!({}), &json!(0)), "{told}");
    assert!(!rig.journal().exists());
    assert_eq!(rig.lying().await, total(kinds) - meant, "exactly those were moved");
    assert!(rig.audited("replay").len() >= meant, "a line a job");

    rig.work_off(meant).await;
    assert_eq!(rig.llm.calls(), meant, "none lost, none run twice");
    assert_eq!(rig.llm.calls_by_model(), [("better".to_owned(), meant)].into());
    assert!(rig.are_all_done_anew(Kind::Permanent, meant).await);
    assert_eq!(rig.lying().await, total(kinds) - meant);
}

fn expected_actions(kinds: &[(Kind, usize)]) -> Value {
    let sum = |of: &[Kind]| -> usize {
        kinds.iter().filter(|(kind, _)| of.contains(kind)).map(|(_, letters)| letters).sum()
    };
    json!({
        "replay": sum(&[Kind::Permanent, Kind::Exhausted, Kind::NeverStarted]),
        "tell": sum(&[Kind::DoneUntold]),
        "drop": sum(&[Kind::Done]),
        "leave": sum(&[Kind::Unreadable, Kind::Held]),
    })
}

#[tokio::test]
async fn each_kind_of_letter_in_a_file_gets_what_it_needs() {
    let Some(yard) = FileYard::open().await else { return };
    each_kind_gets_what_it_needs(Rig::new(yard).await).await;
}

#[tokio::test]
async fn each_kind_of_letter_on_aws_gets_what_it_needs() {
    let Some(yard) = AwsYard::open().await else { return };
    each_kind_gets_what_it_needs(Rig::new(yard).await).await;
}

async fn each_kind_gets_what_it_needs<Y: Yard>(rig: Rig<Y>) {
    let kinds = IN_FILE.map(|(kind, _)| (kind, 12));
    rig.fill(&kinds).await;

    let of_class = rig.plan(&["--class", "permanent", "--set", "model=better"]).await;
    assert_eq!(of_class["actions"], json!({"replay": 12, "tell": 0, "drop": 0, "leave": 0}));

    let ended = rig.apply(&[]).finish().await;

    assert_eq!(ended.code, Some(1), "some stay: {ended:?}");
    let told: Value = serde_json::from_str(&ended.stdout).expect("one JSON object");
    assert_eq!((&told["replayed"], &told["told"]), (&json!(36), &json!(12)), "{told}");
    assert_eq!(told["dropped"], 12);
    assert_eq!(told["left"], json!({"held": 12, "unfit": 12}));
    rig.work_off(36).await;
    rig.receiver.wait_for(12).await;
    assert_eq!((rig.llm.calls(), rig.receiver.distinct_ids()), (36, 12));
    assert!(rig.are_all_done_anew(Kind::Exhausted, 12).await);
    assert_eq!(rig.lying().await, 24);

    let again = rig.plan(&["--state", "held", "--state", "unreadable"]).await;
    assert_eq!(again["actions"], json!({"replay": 0, "tell": 0, "drop": 0, "leave": 24}));
    for line in rig.audited("").iter().chain(&rig.audited("replay")) {
        let text = line.to_string();
        assert!(!text.contains("One. Two."), "no payload: {text}");
        assert_eq!((&line["who"], &line["why"]), (&json!("me"), &json!("the model was wrong")));
    }
    let replayed = rig.audited("replay");
    assert!(replayed.iter().all(|line| line["payload_hash_before"] == line["payload_hash_after"]));
}

#[tokio::test]
async fn what_failed_again_is_not_sent_twice_and_stops_the_rest() {
    let Some(yard) = FileYard::open().await else { return };
    let rig = Rig::new(yard).await;
    rig.fill(&[(Kind::Permanent, 600)]).await;
    let worker = rig.worker().await;

    let flags = ["--set", "model=mode-400", "--rate", "100"];
    let ended = rig.apply(&flags).finish().await;

    assert_eq!(ended.code, Some(1), "{ended:?}");
    let told: Value = serde_json::from_str(&ended.stdout).expect("one JSON object");
    assert!(told["stopped_by"]["failures"]["failed"].as_u64().is_some_and(|n| n >= 20), "{told}");
    let sent = usize::try_from(told["replayed"].as_u64().expect("a count")).expect("small");
    assert!((20..590).contains(&sent), "{told}");
    rig.until_idle().await;
    assert_eq!(rig.llm.calls(), sent);
    assert_eq!(rig.lying().await, 600, "each failed again and has a letter of its own");
    assert!(rig.journal().exists(), "the same command goes on");
    let other = rig.apply(&["--set", "model=better"]).finish().await;
    assert_eq!(other.code, Some(2));
    assert!(other.stderr.contains("the journal of another replay"), "{}", other.stderr);
    drop(worker);
}

#[tokio::test]
async fn letters_are_purged_when_somebody_says_yes_and_why() {
    let Some(yard) = FileYard::open().await else { return };
    purged(Rig::new(yard).await).await;
    let Some(yard) = AwsYard::open().await else { return };
    purged(Rig::new(yard).await).await;
}

async fn purged<Y: Yard>(rig: Rig<Y>) {
    rig.fill(&[(Kind::Unreadable, 15), (Kind::Permanent, 15)]).await;
    let meant = ["purge", "--state", "unreadable", "--json"];
    let counted = rig.dlq(&meant).finish().await;
    assert_eq!((counted.code, rig.lying().await), (Some(0), 30));
    let counted: Value = serde_json::from_str(&counted.stdout).expect("one JSON object");
    assert_eq!(counted["letters"], 15);
    let unsaid = rig.dlq(&meant).args(["--yes"]).finish().await;
    assert_eq!((unsaid.code, rig.lying().await), (Some(2), 30));

    let nameless = rig.dlq(&meant).env("USER", "").env("LOGNAME", "");
    let ended = nameless.args(["--yes", "--reason", "noise"]).finish().await;
    assert_eq!((ended.code, rig.lying().await), (Some(0), 15), "{ended:?}");
    let purged = rig.audited("purge");
    assert_eq!(purged.len(), 15);
    let who = purged[0]["who"].as_str().expect("somebody");
    assert!(who.starts_with("uid "), "{who}");
}
