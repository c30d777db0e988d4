//! The partial batch response: which messages come back, whatever an event holds.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use mcp_batch_testkit::{Behaviour, Invocation, wait_until};
use serde_json::{Value, json};

use crate::{
    event::{Record, event, listed},
    rig::{Rig, job, text_of},
};

/// Far longer than any invocation here takes.
const LONG: Duration = Duration::from_secs(60);

/// Hands these records to the function.
async fn answer(rig: &Rig, records: &[Record]) -> Vec<String> {
    listed(&rig.lambda.invoke(&event(records), LONG).await.json())
}

fn ids(records: &[Record]) -> BTreeSet<String> {
    records.iter().map(|record| record.id.clone()).collect()
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures")
}

/// `events.expected.json`: by the event's name, what is to be answered.
fn expected() -> BTreeMap<String, Value> {
    let text = fs::read_to_string(fixtures().join("events.expected.json"));
    serde_json::from_str(&text.expect("the fixture")).expect("an object")
}

fn texts(list: &Value) -> BTreeSet<String> {
    let list = list.as_array().into_iter().flatten();
    list.filter_map(Value::as_str).map(str::to_owned).collect()
}

#[tokio::test]
async fn the_fixtures_are_answered_as_written_down() {
    let Some(rig) = Rig::start().await else { return };
    for (name, expected) in expected() {
        let path = fixtures().join("events").join(format!("{name}.json"));
        let event = fs::read_to_string(path).expect("the fixture");
        let event = event.replace("http://127.0.0.1:5678", &rig.receiver.url(""));
        let invocation = rig.lambda.invoke(&event, LONG).await;
        if expected["error"] == true {
            assert!(matches!(invocation, Invocation::Error { .. }), "{name}: {invocation:?}");
            continue;
        }
        let listed: BTreeSet<String> = listed(&invocation.json()).into_iter().collect();
        let (must, may) = (texts(&expected["failures"]), texts(&expected["may_fail"]));
        assert!(listed.is_superset(&must), "{name}: {listed:?}");
        assert!(listed.is_subset(&must.union(&may).cloned().collect()), "{name}: {listed:?}");
    }
    assert_eq!(rig.lambda.starts(), 1, "no event takes the process with it");
}

#[tokio::test]
async fn a_record_without_an_id_fails_the_invocation_before_any_job_is_run() {
    let Some(rig) = Rig::start().await else { return };
    for id in [Value::Null, "".into()] {
        let mut event: Value = serde_json::from_str(&event(&[
            Record::new("a", &job("a")),
            Record::new("b", &job("b")),
        ]))
        .expect("an event");
        event["Records"][1]["messageId"] = id;
        let failed = rig.lambda.invoke(&event.to_string(), LONG).await;
        let Invocation::Error { kind, message } = failed else { unreachable!("{failed:?}") };
        assert_eq!(kind, "InvalidEvent");
        assert!(message.contains("messageId"), "{message}");
    }
    let told = "the event cannot be worked off";
    wait_until("both are told", || rig.lambda.logs().matches(told).count() == 2).await;
    let log = rig.lambda.logs();
    assert!(log.lines().filter(|line| line.contains(told)).all(|line| line.contains("request_id")));
    assert!(!log.contains("NoMessageId"), "{log}");
    assert_eq!((rig.llm.calls(), rig.proxy.calls().len()), (0, 0));
}

#[tokio::test]
async fn an_event_that_is_none_of_sqs_is_an_error_and_an_empty_one_a_success() {
    let Some(rig) = Rig::start().await else { return };
    for event in ["{}", r#"{"Records": null}"#, r#"{"Records": 7}"#, r#"{"records": []}"#, "[]"] {
        let invocation = rig.lambda.invoke(event, LONG).await;
        assert!(matches!(invocation, Invocation::Error { .. }), "{event}: {invocation:?}");
    }
    assert!(answer(&rig, &[]).await.is_empty());
    assert_eq!(rig.lambda.starts(), 1);
}

#[tokio::test]
async fn where_every_job_fails_all_ids_come_back_and_the_invocation_succeeds() {
    let Some(rig) = Rig::start().await else { return };
    rig.llm.set_default(Behaviour::throttled("1"));
    let records: Vec<Record> =
        (0..30).map(|n| Record::new(&format!("m-{n}"), &job(&format!("job-{n}")))).collect();
    let listed = answer(&rig, &records).await;
    assert_eq!(listed.len(), records.len(), "each once");
    assert_eq!(listed.into_iter().collect::<BTreeSet<_>>(), ids(&records));
}

#[tokio::test]
async fn one_body_that_is_no_job_costs_its_neighbours_nothing() {
    let Some(rig) = Rig::start().await else { return };
    let bad = ["", "{", "null", "[]", "\u{0}", "{\"id\": \"a\"}", "🦀", "\"job\""];
    let good = (0..bad.len()).map(|n| Record::new(&format!("good-{n}"), &job(&format!("job-{n}"))));
    let bad = bad.iter().enumerate().map(|(n, body)| Record::new(&format!("bad-{n}"), *body));
    let records: Vec<Record> = good.zip(bad).flat_map(|(good, bad)| [good, bad]).collect();

    assert!(answer(&rig, &records).await.is_empty(), "the bad ones are dead letters");
    assert_eq!(rig.llm.calls(), records.len() / 2);
    assert_eq!(rig.aws.take_dead_letters().await.len(), records.len() / 2);
}

#[tokio::test]
async fn whatever_else_a_record_lacks_the_invocation_succeeds_and_its_neighbour_is_run() {
    let Some(rig) = Rig::start().await else { return };
    let whole = Record::new("whole", &job("a")).json();
    let fields = whole.as_object().expect("an object").keys().filter(|name| *name != "messageId");
    for (at, (field, is_null)) in fields.flat_map(|name| [(name, false), (name, true)]).enumerate()
    {
        let (id, neighbour) = (format!("lacking-{at}"), format!("neighbour-{at}"));
        let mut lacking = Record::new(&id, &job(&id)).json();
        match is_null {
            true => lacking[field] = Value::Null,
            false => drop(lacking.as_object_mut().expect("an object").remove(field)),
        }
        let neighbour = Record::new(&neighbour, &job(&neighbour)).json();
        let event = json!({"Records": [lacking, neighbour]}).to_string();
        let answer = rig.lambda.invoke(&event, LONG).await;
        assert!(matches!(answer, Invocation::Response(_)), "{field}: {answer:?}");
        assert!(listed(&answer.json()).is_empty(), "{field}");
        assert_eq!(rig.llm.calls_containing(&text_of(&format!("neighbour-{at}"))), 1, "{field}");
    }
}

#[tokio::test]
async fn a_record_of_a_shape_that_sqs_never_sends_is_buried_with_its_body_and_costs_its_neighbours_nothing()
 {
    let Some(rig) = Rig::start().await else { return };
    let odd = [
        ("body", json!(7)),
        ("body", job("never")),
        ("receiptHandle", json!(["receipt"])),
        ("attributes", json!("ApproximateReceiveCount")),
        ("attributes", json!({"ApproximateReceiveCount": 1})),
        ("messageAttributes", json!([])),
        ("messageAttributes", json!({"replay_of": {"stringValue": 4}})),
        ("eventSourceARN", json!(null)),
    ];
    let mut records = Vec::new();
    for (at, (field, value)) in odd.iter().enumerate() {
        let (id, neighbour) = (format!("odd-{at}"), format!("neighbour-{at}"));
        let mut record = Record::new(&id, &job(&id)).json();
        record[field] = value.clone();
        records.extend([record, Record::new(&neighbour, &job(&neighbour)).json()]);
    }
    let answer = rig.lambda.invoke(&json!({"Records": records}).to_string(), LONG).await;

    assert!(listed(&answer.json()).is_empty(), "{answer:?}");
    // The last one lacks what it can be run without.
    assert_eq!(rig.llm.calls(), odd.len() + 1);
    let letters = rig.aws.take_dead_letters().await;
    let bodies: BTreeSet<&str> = letters.iter().map(|letter| &*letter.body).collect();
    let as_sent = |(at, (field, value)): (usize, &(&str, Value))| match *field {
        "body" => value.to_string(),
        _ => job(&format!("odd-{at}")).to_string(),
    };
    let expected: Vec<_> = odd[..odd.len() - 1].iter().enumerate().map(as_sent).collect();
    assert_eq!(bodies, expected.iter().map(String::as_str).collect());
    for letter in &letters {
        assert_eq!(letter.attribute("error_class"), "invalid");
        assert!(letter.attribute("error_message").starts_with("record."), "{letter:?}");
    }
}

#[tokio::test]
async fn half_a_surrogate_in_one_body_is_buried_as_a_question_mark_and_costs_its_neighbour_nothing()
{
    let Some(rig) = Rig::start().await else { return };
    let records = [Record::new("half", "a HALF b"), Record::new("whole", &job("whole"))];
    let answer = rig.lambda.invoke(&event(&records).replace("HALF", "\\ud800"), LONG).await;

    assert!(listed(&answer.json()).is_empty(), "{answer:?}");
    assert_eq!(rig.llm.calls_containing(&text_of("whole")), 1);
    let letters = rig.aws.take_dead_letters().await;
    let [letter] = &letters[..] else { panic!("{letters:?}") };
    assert_eq!(letter.attribute("error_code"), "not_utf8");
    assert!(letter.body.starts_with("a ?") && letter.body.ends_with("? b"), "{letter:?}");
    assert!(!letter.attribute("body_altered").is_empty());
}

#[tokio::test]
async fn one_message_that_comes_twice_in_an_event_is_listed_once() {
    let Some(rig) = Rig::start().await else { return };
    rig.llm.set_default(Behaviour::throttled("1"));
    let records = [Record::new("a", &job("a")), Record::new("a", &job("a"))];
    assert_eq!(answer(&rig, &records).await, ["a"]);
}

#[tokio::test]
async fn a_message_of_full_size_is_run_and_one_that_is_no_job_keeps_its_body() {
    const FULL: usize = 1_048_576;
    let Some(rig) = Rig::start().await else { return };
    let mut large = job("large");
    let rest = FULL - large.to_string().len();
    large["input"]["text"] = format!("{}{}", text_of("large"), "x".repeat(rest)).into();
    assert_eq!(large.to_string().len(), FULL);
    let no_job = "y".repeat(FULL);
    let records = [Record::new("large", &large), Record::new("no-job", &no_job)];

    assert!(answer(&rig, &records).await.is_empty());
    assert_eq!(rig.llm.calls_containing(&text_of("large")), 1);
    let letters = rig.aws.take_dead_letters().await;
    assert_eq!(letters.len(), 1);
    assert!(letters[0].body == no_job, "the reason gives way to the body");
}
