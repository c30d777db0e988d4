//! Dead letters: with their reasons, with their bodies, and back again.

use std::{collections::BTreeMap, fs};

use mcp_batch_testkit::{Behaviour, Received};
use serde_json::{Value, json};

use crate::rig::{Letter, Rig, Setup, job, text_of, with_callback};

/// The attributes but those that differ from run to run.
fn reason(letter: &Letter) -> BTreeMap<&str, &str> {
    let attributes = letter.attributes.iter();
    let attributes = attributes.map(|(name, value)| (name.as_str(), value.as_str()));
    attributes.filter(|(name, _)| !["error_message", "first_seen"].contains(name)).collect()
}

/// Works `body` off until it is a dead letter.
async fn letter_of(rig: &mut Rig, body: Value) -> Letter {
    rig.aws.send([body]).await;
    rig.work_off().await;
    let mut letters = rig.aws.take_dead_letters().await;
    assert_eq!(letters.len(), 1);
    letters.remove(0)
}

#[tokio::test]
async fn an_invalid_job_is_buried_with_what_is_wrong_with_it() {
    let Some(mut rig) = Rig::start().await else { return };
    let mut invalid = job("a");
    invalid["tol"] = "a typo".into();
    let letter = letter_of(&mut rig, invalid.clone()).await;

    assert_eq!(letter.body, invalid.to_string());
    let expected = [
        ("error_class", "invalid"),
        ("error_code", "unknown_field"),
        ("job_id", "a"),
        ("tool", "summarize"),
        ("attempts", "0"),
    ];
    assert_eq!(reason(&letter), BTreeMap::from(expected));
    assert!(letter.attribute("error_message").contains("tol"), "{letter:?}");
    assert!(letter.attribute("first_seen").ends_with('Z'), "{letter:?}");
}

#[tokio::test]
async fn a_job_that_fails_for_good_is_buried_with_its_run() {
    let Some(mut rig) = Rig::start().await else { return };
    rig.llm.script(text_of("a"), [Behaviour::filtered_request()]);
    let job = job("a");
    let letter = letter_of(&mut rig, job.clone()).await;

    assert_eq!(letter.body, job.to_string());
    let expected = [
        ("error_class", "permanent"),
        ("error_code", "content_filter"),
        ("job_id", "a"),
        ("tool", "summarize"),
        ("attempts", "1"),
        ("epoch", "1"),
    ];
    assert_eq!(reason(&letter), BTreeMap::from(expected));
}

#[tokio::test]
async fn an_exhausted_job_is_buried_with_the_number_of_its_attempts() {
    let setup = Setup::default().env("MCP_BATCH_MAX_ATTEMPTS", "2");
    let Some(mut rig) = setup.start().await else { return };
    rig.llm.script(text_of("a"), [Behaviour::status(500)]);
    let letter = letter_of(&mut rig, job("a")).await;

    let expected = [
        ("error_class", "exhausted"),
        ("error_code", "http_500"),
        ("job_id", "a"),
        ("tool", "summarize"),
        ("attempts", "2"),
        ("epoch", "2"),
    ];
    assert_eq!(reason(&letter), BTreeMap::from(expected));
    assert_eq!(rig.llm.calls(), 2);
}

const CATALOG: &str = r#"
model = "m"
[tools.say]
description = "Says a prompt as it stands."
user = "{{ text }}"
input_schema = {}
[tools.strict]
description = "The same, of a text alone."
user = "{{ text }}"
input_schema = { required = ["text"] }
"#;

#[tokio::test]
async fn a_job_for_which_no_call_was_made_is_buried_and_told_with_no_attempt() {
    let folder = tempfile::tempdir().expect("a folder");
    let catalog = folder.path().join("tools.toml");
    fs::write(&catalog, CATALOG).expect("written");
    let setup = Setup::default().env("MCP_BATCH_TOOLS", catalog.to_str().expect("a path"));
    let Some(mut rig) = setup.start().await else { return };
    let url = rig.receiver.url("/");
    let cases = [("sing", "unknown_tool"), ("strict", "input_schema"), ("say", "template")];
    for (tool, code) in cases {
        let job = with_callback(json!({"id": tool, "tool": tool, "input": {}}), &url);
        let letter = letter_of(&mut rig, job).await;
        let expected = [
            ("error_class", "invalid"),
            ("error_code", code),
            ("job_id", tool),
            ("tool", tool),
            ("attempts", "0"),
            ("epoch", "1"),
        ];
        assert_eq!(reason(&letter), BTreeMap::from(expected));
        assert_eq!(rig.aws.record(tool).await.map(|record| record.attempts), Some(0), "{tool}");
    }
    assert_eq!((rig.llm.calls(), rig.receiver.count()), (0, cases.len()));
    for told in rig.receiver.deliveries() {
        assert_eq!(told.json()["data"]["attempts"], 0);
    }
}

#[tokio::test]
async fn a_dead_letter_that_is_put_back_is_run_once_and_its_new_outcome_told() {
    let Some(mut rig) = Rig::start().await else { return };
    rig.llm.script(text_of("a"), [Behaviour::filtered_request(), Behaviour::Echo]);
    let job = with_callback(job("a"), &rig.receiver.url("/"));
    let letter = letter_of(&mut rig, job).await;

    // Twice: a redrive delivers at least once.
    for _ in 0..2 {
        rig.aws.put_back(&letter).await;
        rig.work_off().await;
    }
    assert_eq!(rig.llm.calls(), 2, "one run, and one replay of it");
    let told: Vec<Value> = rig.receiver.deliveries().iter().map(Received::json).collect();
    let told: Vec<_> = told.iter().map(|told| (&told["type"], &told["data"]["attempts"])).collect();
    let (failed, succeeded) = (json!("job.failed"), json!("job.succeeded"));
    assert_eq!(told, [(&failed, &json!(1)), (&succeeded, &json!(1))]);
    assert_eq!(rig.receiver.distinct_ids(), 2);
    assert!(rig.aws.take_dead_letters().await.is_empty());
}

#[tokio::test]
async fn a_dead_letter_that_fails_again_is_buried_again_with_the_new_run() {
    let Some(mut rig) = Rig::start().await else { return };
    rig.llm.script(text_of("a"), [Behaviour::filtered_request()]);
    let first = letter_of(&mut rig, job("a")).await;
    rig.aws.put_back(&first).await;
    rig.work_off().await;

    let letters = rig.aws.take_dead_letters().await;
    assert_eq!(letters.len(), 1);
    assert_eq!((first.attribute("epoch"), letters[0].attribute("epoch")), ("1", "2"));
    assert_eq!(letters[0].body, first.body);
}

#[tokio::test]
async fn an_invalid_dead_letter_that_is_put_back_is_not_swallowed() {
    let Some(mut rig) = Rig::start().await else { return };
    let first = letter_of(&mut rig, json!({"id": "a", "tool": "no-such-tool", "input": {}})).await;
    rig.aws.put_back(&first).await;
    rig.work_off().await;

    let letters = rig.aws.take_dead_letters().await;
    assert_eq!(letters.len(), 1);
    assert_eq!(
        (&letters[0].body, reason(&letters[0])["error_code"]),
        (&first.body, "unknown_tool")
    );
}

#[tokio::test]
async fn without_a_place_for_dead_letters_the_redrive_policy_takes_the_message() {
    let setup = Setup::default().env("MCP_BATCH_DLQ_URL", "");
    let Some(mut rig) = setup.max_receives(1).start().await else { return };
    rig.llm.script(text_of("a"), [Behaviour::filtered_request()]);
    let job = with_callback(job("a"), &rig.receiver.url("/"));
    let letter = letter_of(&mut rig, job.clone()).await;

    assert_eq!((&letter.body, &letter.attributes), (&job.to_string(), &BTreeMap::new()));
    assert_eq!((rig.llm.calls(), rig.receiver.count()), (1, 1), "it is only reported as failed");
}
