//! `fixtures/events`: each is an event as Lambda hands it over, has its expected answer, and its
//! bodies are the jobs it is said to show.

use std::{collections::BTreeSet, fs};

use mcp_batch::job::Job;
use serde_json::{Map, Value};

use crate::helpers::fixture;

fn read(name: &str) -> Value {
    let text = fs::read_to_string(fixture(name)).expect("a fixture");
    serde_json::from_str(&text).expect("a fixture in JSON")
}

fn expected() -> Map<String, Value> {
    read("events.expected.json").as_object().expect("an object").clone()
}

/// Events by their names, with the answers expected to them.
fn events() -> impl Iterator<Item = (String, Value, Value)> {
    expected().into_iter().map(|(name, expected)| {
        let event = read(&format!("events/{name}.json"));
        (name, event, expected)
    })
}

fn records(event: &Value) -> &[Value] {
    event["Records"].as_array().map(Vec::as_slice).unwrap_or_default()
}

fn ids(expected: &Value, list: &str) -> Vec<String> {
    let ids = expected[list].as_array().into_iter().flatten();
    ids.map(|id| id.as_str().expect("an id").to_owned()).collect()
}

#[test]
fn every_event_has_an_expected_answer_and_a_line_in_the_readme() {
    let folder = fs::read_dir(fixture("events")).expect("the folder");
    let files: BTreeSet<String> = folder
        .filter_map(|entry| entry.expect("an entry").file_name().into_string().ok())
        .filter_map(|file| file.strip_suffix(".json").map(str::to_owned))
        .collect();
    assert_eq!(files, expected().into_iter().map(|(name, _)| name).collect());

    let readme = fs::read_to_string(fixture("events/README.md")).expect("the README");
    for name in files {
        assert!(readme.contains(&format!("| `{name}.json` | ")), "{name}");
    }
}

#[test]
fn records_have_the_fields_that_lambda_gives_them() {
    for (name, event, expected) in events() {
        for record in records(&event) {
            let text = |field: &str| record[field].as_str().unwrap_or_default();
            for field in ["receiptHandle", "md5OfBody", "eventSourceARN", "awsRegion"] {
                assert!(!text(field).is_empty(), "{name}: {field}");
            }
            assert_eq!(text("eventSource"), "aws:sqs", "{name}");
            assert!(record["body"].is_string(), "{name}");
            assert_eq!(
                text("messageId").is_empty(),
                expected["error"] == true && is_last(&event, record)
            );
            for time in ["SentTimestamp", "ApproximateFirstReceiveTimestamp"] {
                let time = record["attributes"][time].as_str().map(str::parse::<i64>);
                assert!(matches!(time, Some(Ok(_))), "{name}");
            }
            assert!(record["attributes"]["ApproximateReceiveCount"].is_string(), "{name}");
            assert!(record["messageAttributes"].is_object(), "{name}");
        }
    }
}

fn is_last(event: &Value, record: &Value) -> bool {
    records(event).last() == Some(record)
}

#[test]
fn expected_answers_list_only_messages_of_their_event_and_only_fit_answers() {
    for (name, event, expected) in events() {
        let of_event: Vec<&Value> = records(&event).iter().map(|it| &it["messageId"]).collect();
        for list in ["failures", "may_fail", "invalid"] {
            for id in ids(&expected, list) {
                assert!(of_event.iter().any(|of_event| **of_event == id), "{name}: {id}");
            }
        }
        assert_ne!(expected["error"] == true, expected["failures"].is_array(), "{name}");
    }
}

#[test]
fn bodies_are_jobs_unless_they_are_said_not_to_be() {
    for (name, event, expected) in events() {
        let invalid = ids(&expected, "invalid");
        for record in records(&event) {
            let body = record["body"].as_str().expect("a body").to_owned();
            let is_invalid = invalid.iter().any(|id| record["messageId"] == **id);
            assert_eq!(Job::parse(&body.into()).is_err(), is_invalid, "{name}");
        }
    }
}

#[cfg(feature = "lambda")]
#[test]
fn lambdas_own_types_read_every_event_of_sqs() {
    use aws_lambda_events::event::sqs::SqsEvent;

    for (name, event, _) in events() {
        let count = records(&event).len();
        let is_of_sqs = event.get("Records").is_some();
        let read = serde_json::from_value::<SqsEvent>(event);
        assert_eq!(read.is_ok(), is_of_sqs, "{name}");
        assert_eq!(read.map_or(0, |event| event.records.len()), count, "{name}");
    }
}
