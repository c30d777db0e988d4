//! The event source mapping, rule by rule: with a queue and a function that the test plays, and
//! with a real function on a real queue.

mod shelf;

mod sqs;

use std::time::Duration;

use mcp_batch_testkit::{
    EventSource, Function, Invocation, Mapping, Refused, Report, RuntimeApi, WholeBatch,
};
use serde_json::{Value, json};

use self::shelf::{Shelf, numbered};
use crate::function::{Answer, failed, play, text};

/// What becomes of a batch of three, `m-0` to `m-2`, when the function answers this.
async fn batch_of_three(answer: Answer) -> Report {
    batch_of_three_under(Mapping::default(), answer).await
}

async fn batch_of_three_under(mapping: Mapping, answer: Answer) -> Report {
    let lambda = RuntimeApi::without_process().await;
    let playing = play(&lambda, [answer]);
    let mut source = EventSource::create(Shelf::standard(numbered(3)), mapping).expect("sound");
    let report = source.poll(&lambda).await.expect("a batch");
    playing.join().expect("it answers");
    assert_eq!(report.ids, ["m-0", "m-1", "m-2"]);
    assert_eq!(source.queue().deleted(), report.deleted);
    report
}

async fn why(answer: impl Into<String>) -> Option<WholeBatch> {
    let report = batch_of_three(text(answer)).await;
    assert_eq!((report.deleted.len(), report.kept.len()), (0, 3), "{report:?}");
    report.failure
}

#[tokio::test]
async fn an_empty_or_null_answer_or_list_deletes_the_whole_batch() {
    for answer in
        ["", "null", "{}", r#"{"batchItemFailures": []}"#, r#"{"batchItemFailures": null}"#]
    {
        let report = batch_of_three(text(answer)).await;
        assert_eq!((report.deleted.len(), report.failure), (3, None), "{answer}");
    }
}

#[tokio::test]
async fn listed_messages_stay_and_the_others_are_deleted() {
    let report = batch_of_three(failed(&["m-1"])).await;
    assert_eq!(report.deleted, ["m-0", "m-2"]);
    assert_eq!((report.kept, report.failure), (vec!["m-1".to_owned()], None));

    let all = batch_of_three(failed(&["m-2", "m-0", "m-1"])).await;
    assert_eq!((all.deleted.len(), all.kept.len(), all.failure), (0, 3, None));
}

#[tokio::test]
async fn an_answer_that_is_not_json_or_not_a_response_deletes_nothing() {
    for answer in ["ok", r#"{"batchItemFailures": [}"#, "[]", "\"done\"", "3", "true"] {
        assert_eq!(why(answer).await, Some(WholeBatch::InvalidJson), "{answer}");
    }
    let list = why(r#"{"batchItemFailures": "m-1"}"#).await;
    assert_eq!(list, Some(WholeBatch::InvalidJson));
}

#[tokio::test]
async fn an_identifier_that_is_empty_null_unknown_repeated_or_misnamed_deletes_nothing() {
    let item = |item: Value| {
        why(json!({"batchItemFailures": [{"itemIdentifier": "m-1"}, item]}).to_string())
    };
    assert_eq!(item(json!({"itemIdentifier": ""})).await, Some(WholeBatch::EmptyId));
    assert_eq!(item(json!({"itemIdentifier": null})).await, Some(WholeBatch::NullId));
    assert_eq!(item(json!({"itemIdentifier": 1})).await, Some(WholeBatch::NullId));
    assert_eq!(item(json!({"messageId": "m-2"})).await, Some(WholeBatch::BadKey));
    assert_eq!(item(json!("m-2")).await, Some(WholeBatch::BadKey));
    let unknown = WholeBatch::UnknownId("m-3".into());
    assert_eq!(item(json!({"itemIdentifier": "m-3"})).await, Some(unknown));
    let repeated = WholeBatch::RepeatedId("m-1".into());
    assert_eq!(item(json!({"itemIdentifier": "m-1"})).await, Some(repeated));
}

#[tokio::test]
async fn a_misspelt_list_is_an_empty_answer_and_deletes_the_whole_batch() {
    let report = batch_of_three(text(r#"{"batchItemFailure": [{"itemIdentifier": "m-1"}]}"#)).await;
    assert_eq!((report.deleted.len(), report.failure), (3, None));
}

#[tokio::test]
async fn without_failure_reports_switched_on_the_answer_is_not_read() {
    for answer in [failed(&["m-1"]), text("not JSON")] {
        let mapping = Mapping::default().without_failure_reports();
        let report = batch_of_three_under(mapping, answer).await;
        assert_eq!((report.deleted.len(), report.failure), (3, None));
    }
}

#[tokio::test]
async fn an_error_a_timeout_and_a_crash_delete_nothing() {
    let function = Function::new(env!("CARGO_BIN_EXE_scripted-function"));
    for (told, failure) in
        [("fail", WholeBatch::Error), ("hang", WholeBatch::TimedOut), ("exit", WholeBatch::Crashed)]
    {
        let lambda = RuntimeApi::start(function.clone().env("DO", told)).await;
        let mapping = Mapping::default().function_timeout(Duration::from_millis(100));
        let mut source = EventSource::create(Shelf::standard(numbered(2)), mapping).expect("sound");
        let report = source.poll(&lambda).await.expect("a batch");
        assert_eq!(report.failure, Some(failure));
        assert_eq!((report.deleted.len(), report.kept.len()), (0, 2));
        assert!(source.queue().deleted().is_empty());
    }
}

#[tokio::test]
async fn a_batch_is_no_larger_than_its_size_and_gathered_from_receives_of_ten() {
    let lambda = RuntimeApi::without_process().await;
    let playing = play(&lambda, [text(""), text(""), text("")]);
    let mapping = Mapping::default().batch_size(25).window_s(60);
    let mut source = EventSource::create(Shelf::standard(numbered(60)), mapping).expect("sound");
    let reports = source.until_empty(&lambda).await;
    let sizes: Vec<usize> = reports.iter().map(|report| report.ids.len()).collect();
    assert_eq!(sizes, [25, 25, 10]);
    assert!(source.queue().largest_receive() <= 10);
    let events = playing.join().expect("it answers");
    assert_eq!(events[1]["Records"][0]["messageId"], "m-25");
}

#[tokio::test]
async fn an_event_is_no_larger_than_six_megabytes_and_the_rest_comes_next_in_order() {
    let lambda = RuntimeApi::without_process().await;
    let playing = play(&lambda, [text(""), text("")]);
    let body = "x".repeat(1_000_000);
    let large = numbered(10).into_iter().map(|mut message| {
        message["Body"] = body.as_str().into();
        message
    });
    let mut source =
        EventSource::create(Shelf::standard(large.collect()), Mapping::default()).expect("sound");
    let reports = source.until_empty(&lambda).await;
    assert_eq!(reports[0].ids, ["m-0", "m-1", "m-2", "m-3", "m-4", "m-5"]);
    assert_eq!(reports[1].ids, ["m-6", "m-7", "m-8", "m-9"]);
    for event in playing.join().expect("it answers") {
        assert!(event.to_string().len() <= 6 * 1024 * 1024);
    }
}

#[tokio::test]
async fn a_record_has_the_shape_that_lambda_gives_it() {
    let lambda = RuntimeApi::without_process().await;
    let playing = play(&lambda, [text("")]);
    let mut message = numbered(1).remove(0);
    message["MessageAttributes"] = json!({
        "error_class": {"StringValue": "invalid", "DataType": "String"},
        "raw": {"BinaryValue": "AAE=", "DataType": "Binary"},
    });
    let mut source =
        EventSource::create(Shelf::standard(vec![message]), Mapping::default()).expect("sound");
    source.poll(&lambda).await.expect("a batch");
    let events = playing.join().expect("it answers");
    assert_eq!(
        events[0]["Records"],
        json!([{
            "messageId": "m-0",
            "receiptHandle": "r-0",
            "body": "{}",
            "attributes": {"ApproximateReceiveCount": "1", "SentTimestamp": "1700000000000"},
            "messageAttributes": {
                "error_class": {
                    "stringValue": "invalid",
                    "stringListValues": [],
                    "binaryListValues": [],
                    "dataType": "String",
                },
                "raw": {
                    "binaryValue": "AAE=",
                    "stringListValues": [],
                    "binaryListValues": [],
                    "dataType": "Binary",
                },
            },
            "md5OfBody": "99914b932bd37a50b983c5e7c90ae93b",
            "eventSource": "aws:sqs",
            "eventSourceARN": "arn:aws:sqs:eu-central-1:000000000000:jobs",
            "awsRegion": "eu-central-1",
        }])
    );
}

#[test]
fn a_mapping_that_aws_refuses_is_refused() {
    let standard = |mapping| EventSource::create(Shelf::standard(Vec::new()), mapping).err();
    let fifo = |mapping| EventSource::create(Shelf::fifo(Vec::new()), mapping).err();
    let mapping = Mapping::default();

    assert_eq!(standard(mapping.batch_size(11)), Some(Refused::WindowTooShort));
    assert_eq!(standard(mapping.batch_size(10_000).window_s(1)), None);
    assert_eq!(standard(mapping.batch_size(10_001).window_s(1)), Some(Refused::BatchSize));
    assert_eq!(standard(mapping.batch_size(0)), Some(Refused::BatchSize));
    assert_eq!(fifo(mapping), None);
    assert_eq!(fifo(mapping.batch_size(11)), Some(Refused::BatchSize));
    assert_eq!(fifo(mapping.window_s(1)), Some(Refused::WindowOnFifo));
    let too_long = mapping.function_timeout(Duration::from_secs(31));
    assert_eq!(standard(too_long), Some(Refused::VisibilityTimeout));
}

#[tokio::test]
async fn an_answer_to_an_invocation_that_is_over_is_refused_and_counted() {
    let lambda = RuntimeApi::without_process().await;
    let over = lambda.invoke("{}", Duration::ZERO);
    let (release, released) = std::sync::mpsc::channel();
    let late: Answer = Box::new(move |_| {
        released.recv().expect("the test says when");
        String::new()
    });
    let playing = play(&lambda, [late, text("1")]);
    assert!(matches!(over.await, Invocation::TimedOut));
    release.send(()).expect("it waits");
    assert_eq!(lambda.invoke("{}", Duration::from_secs(60)).await.json(), 1);
    playing.join().expect("it answers");
    assert_eq!(lambda.late_answers(), 1);
}
