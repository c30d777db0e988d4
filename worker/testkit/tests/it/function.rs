//! A function in the test's own process: it polls the Runtime API, and answers what the test says.

use std::thread::JoinHandle;

use mcp_batch_testkit::RuntimeApi;
use serde_json::{Value, json};

use crate::client::{get, post};

/// What it answers to an event.
pub(crate) type Answer = Box<dyn FnOnce(&Value) -> String + Send>;

/// This text, whatever the event.
pub(crate) fn text(answer: impl Into<String>) -> Answer {
    let answer = answer.into();
    Box::new(move |_| answer)
}

/// A partial batch response that lists these ids.
pub(crate) fn failed(ids: &[&str]) -> Answer {
    let failures: Vec<Value> = ids.iter().map(|id| json!({"itemIdentifier": id})).collect();
    text(json!({"batchItemFailures": failures}).to_string())
}

/// Answers one event after another, and ends after the last with all events.
pub(crate) fn play(
    lambda: &RuntimeApi,
    answers: impl IntoIterator<Item = Answer>,
) -> JoinHandle<Vec<Value>> {
    let base = format!("http://{}/2018-06-01/runtime/invocation", lambda.address());
    let answers: Vec<Answer> = answers.into_iter().collect();
    std::thread::spawn(move || {
        answers.into_iter().map(|answer| answer_one(&base, answer)).collect()
    })
}

fn answer_one(base: &str, answer: Answer) -> Value {
    let polled = get(&format!("{base}/next")).expect("an event");
    let event = polled.json();
    let id = polled.header("lambda-runtime-aws-request-id").expect("an id");
    post(&format!("{base}/{id}/response"), "", &answer(&event)).expect("it is taken");
    event
}
