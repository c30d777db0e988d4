//! What is one job, and what is not.

use std::slice;

use serde_json::{Value, json};

use super::rig::{Rig, job};

fn letters(rig: &Rig) -> usize {
    rig.worker.environment().queue.letters()
}

#[tokio::test]
async fn jobs_without_an_id_or_with_null_for_one_are_no_duplicates_of_each_other() {
    let rig = Rig::new(8);
    let missing = |what: &str| json!({"tool": "scripted", "input": {"do": what}});
    let null = |what: &str| json!({"id": null, "tool": "scripted", "input": {"do": what}});
    let all_null = json!({"id": null, "tool": null, "input": null});
    let bodies =
        [missing("answer"), missing("something else"), null("answer"), null("else"), all_null];

    let answer = rig.process(&bodies).await;

    assert_eq!((answer.finished.len(), answer.returned.len()), (5, 0));
    assert_eq!((letters(&rig), rig.calls()), (5, 0), "each is buried with its own body");
}

#[tokio::test]
async fn nulls_in_an_input_make_it_another_one() {
    let inputs = [
        json!({"do": "answer"}),
        json!({"do": "answer", "a": null}),
        json!({"do": "answer", "b": null}),
        json!({"do": "answer", "a": null, "b": null}),
        json!({"do": "answer", "a": "null"}),
        json!({"do": "answer", "a": [null]}),
        json!({"do": "answer", "a": [null, null]}),
    ];
    let of = |input: &Value| json!({"id": "a", "tool": "scripted", "input": input});
    for first in &inputs {
        let rig = Rig::new(8);
        assert_eq!(rig.process(&[of(first)]).await.finished.len(), 1);
        for second in &inputs {
            assert_eq!(rig.process(&[of(second)]).await.finished.len(), 1);
        }
        // All but its like are conflicts.
        assert_eq!((rig.calls(), letters(&rig)), (1, inputs.len() - 1), "{first}");
    }
}

#[tokio::test]
async fn one_id_for_two_tools_on_one_store_is_a_conflict_and_not_the_others_result() {
    let rig = Rig::new(8);
    let mut other = job("a", "answer");
    other["tool"] = "another".into();

    assert_eq!(rig.process(&[job("a", "answer")]).await.finished.len(), 1);
    assert_eq!(rig.process(&[other]).await.finished.len(), 1);

    assert_eq!((rig.calls(), letters(&rig)), (1, 1));
    let record = rig.record("a").await.expect("a record");
    assert_eq!((record.tool.as_str(), record.state.name()), ("scripted", "done"));
}

#[tokio::test]
async fn what_a_tool_makes_of_its_input_changes_neither_the_job_nor_its_dead_letter() {
    let rig = Rig::new(8);
    let before = json!({"do": "spoil", "list": [1, {"a": null}]});
    let body = json!({"id": "a", "tool": "scripted", "input": before});

    assert_eq!(rig.process(slice::from_ref(&body)).await.finished.len(), 1);
    assert_eq!(rig.process(slice::from_ref(&body)).await.finished.len(), 1);

    assert_eq!((rig.calls(), letters(&rig)), (1, 1), "the second was its duplicate");
    let letter = rig.worker.environment().queue.latest_letter().expect("a letter");
    assert_eq!(letter, body.to_string());
}
