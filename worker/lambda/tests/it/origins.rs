//! Events of another queue than the configured one: an event source mapping that was set wrongly.

use std::time::Duration;

use mcp_batch_testkit::{Behaviour, Invocation, RuntimeApi, Source as _, wait_until};

use crate::{
    event::{Record, event, listed},
    rig::{Rig, Setup, job, text_of},
};

const LONG: Duration = Duration::from_secs(60);

const OTHER: &str = "arn:aws:sqs:us-east-1:000000000000:other";

/// Longer than the visibility budget: of its own queue such a message is sent anew.
fn throttled() -> Behaviour {
    Behaviour::throttled("600")
}

#[tokio::test]
async fn a_message_of_another_queue_is_never_moved_to_the_configured_one() {
    let Some(rig) = Rig::start().await else { return };
    let own = rig.source.queue().arn().to_owned();
    for id in ["waits", "waits-too"] {
        rig.llm.script(text_of(id), [throttled()]);
    }
    let records =
        [Record::new("1", &job("waits")).from(OTHER), Record::new("2", &job("runs")).from(OTHER)];
    let answer = rig.lambda.invoke(&event(&records), LONG).await.json();

    assert_eq!(listed(&answer), ["1"], "it stays where it is");
    assert_eq!(rig.proxy.count("sqs"), 0, "neither sent nor hidden by the wrong queue");
    let told = "an event came from another queue than MCP_BATCH_QUEUE_URL";
    wait_until("it is told", || rig.lambda.logs().contains(told)).await;
    let log = rig.lambda.logs();
    assert_eq!(log.matches(told).count(), 1, "{log}");
    assert!(log.contains(OTHER) && log.contains(rig.aws.queue_url()), "{log}");

    let records = [Record::new("3", &job("waits-too")).from(&own)];
    rig.lambda.invoke(&event(&records), LONG).await.json();
    assert_eq!(rig.lambda.logs().matches(told).count(), 1, "that one is its own");
    assert_eq!(rig.proxy.count("SendMessageBatch"), 1);
}

#[tokio::test]
async fn the_groups_of_another_queue_keep_their_order_if_it_is_a_fifo_queue() {
    let Some(rig) = Rig::start().await else { return };
    rig.llm.script(text_of("a1"), [throttled()]);
    let fifo = format!("{OTHER}.fifo");
    let record = |id: &str| Record::new(id, &job(id)).in_group(&id[..1]).from(&fifo);
    let records = ["a1", "a2", "b1"].map(record);
    let answer = rig.lambda.invoke(&event(&records), LONG).await.json();

    assert_eq!(listed(&answer), ["a1", "a2"]);
    assert_eq!((rig.llm.calls(), rig.proxy.count("sqs")), (2, 0));
}

#[tokio::test]
async fn no_job_is_run_from_the_queue_of_dead_letters() {
    let Some(rig) = Rig::start().await else { return };
    let dead = rig.aws.dlq_arn().await;
    let records = ["a", "b"].map(|id| Record::new(id, &job(id)).from(&dead));
    let answer = rig.lambda.invoke(&event(&records), LONG).await.json();

    assert_eq!(listed(&answer), ["a", "b"]);
    assert_eq!((rig.llm.calls(), rig.proxy.calls().len()), (0, 0));
    let told = "an event came from the queue of dead letters";
    wait_until("it is told", || rig.lambda.logs().contains(told)).await;
}

#[tokio::test]
async fn a_function_whose_dead_letters_would_be_its_own_jobs_does_not_start() {
    let Some(rig) = Setup::default().start().await else { return };
    let function = rig.function.clone().env("MCP_BATCH_DLQ_URL", rig.aws.queue_url());
    let lambda = RuntimeApi::start(function).await;
    let told = lambda.invoke(&event(&[Record::new("a", &job("a"))]), LONG).await;

    let Invocation::Error { kind, message } = told else { unreachable!("{told:?}") };
    assert_eq!(kind, "Runtime.StartFailed", "Lambda is told why");
    assert!(
        message.starts_with("MCP_BATCH_DLQ_URL: expected the URL of a standard queue"),
        "{message}"
    );
    assert_eq!(rig.llm.calls(), 0);
}
