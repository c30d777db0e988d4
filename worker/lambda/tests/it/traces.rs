//! Spans of the function: at the collector before the invocation ends, since it is frozen afterwards.

use std::time::Duration;

use mcp_batch_testkit::Collector;
use serde_json::Value;

use crate::{
    event::{Record, event},
    rig::{Setup, job},
};

/// Far longer than any invocation here takes.
const LONG: Duration = Duration::from_secs(60);

const TRACE: &str = "5759e988bd862e3fe1be46a994272793";
const SENDER: &str = "53995c3f42cd8ad8";

#[tokio::test]
async fn a_job_is_a_part_of_its_senders_trace_and_linked_to_its_event() {
    let collector = Collector::start().await;
    let setup = Setup::default()
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url())
        .env("OTEL_TRACES_SAMPLER", "parentbased_always_on");
    let Some(rig) = setup.start().await else { return };
    let records = [Record::new("1", &rig.job_with_callback("a"))];
    let mut sent: Value = serde_json::from_str(&event(&records)).expect("JSON");
    let header = format!("Root=1-{}-{};Parent={SENDER};Sampled=1", &TRACE[..8], &TRACE[8..]);
    sent["Records"][0]["attributes"]["AWSTraceHeader"] = header.into();
    rig.lambda.invoke(&sent.to_string(), LONG).await.json();

    let spans = collector.spans();
    let named = |name: &str| {
        let of_name: Vec<_> = spans.iter().filter(|span| span.name() == name).collect();
        assert!(!of_name.is_empty(), "{name} in {spans:#?}");
        of_name
    };
    let invocation = named("mcp-batch")[0];
    assert_eq!(invocation.attribute("faas.coldstart").as_deref(), Some("true"));
    assert_eq!(invocation.attribute("faas.trigger").as_deref(), Some("pubsub"));
    let processed: Vec<_> =
        spans.iter().filter(|span| span.name().starts_with("process ")).collect();
    let [event, message] = &processed[..] else {
        assert_eq!(processed.len(), 2, "{spans:#?}");
        return;
    };
    let (event, message) = match event.trace_id() == TRACE {
        true => (message, event),
        false => (event, message),
    };
    assert_eq!(event.parent_id(), invocation.span_id());
    assert_eq!(event.attribute("messaging.batch.message_count").as_deref(), Some("1"));
    assert_eq!(event.attribute("messaging.system").as_deref(), Some("aws_sqs"));
    assert_eq!((message.trace_id(), message.parent_id()), (TRACE, SENDER));
    assert_eq!(message.links(), [SENDER, event.span_id()]);
    let callback = named("POST")[0];
    assert_eq!((callback.trace_id(), callback.parent_id()), (TRACE, message.span_id()));
}

#[tokio::test]
async fn a_collector_that_hangs_costs_an_invocation_two_seconds_at_most() {
    let collector = mcp_batch_testkit::Receiver::start().await;
    collector.set_default(mcp_batch_testkit::Reply::status(200).after(LONG));
    let setup = Setup::default()
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url(""))
        .env("OTEL_TRACES_SAMPLER", "always_on");
    let Some(rig) = setup.start().await else { return };
    // Within the function's timeout, or it would be killed.
    let answer = rig.lambda.invoke(&event(&[Record::new("1", &job("a"))]), 3 * LONG / 10).await;
    assert_eq!(answer.json()["batchItemFailures"], serde_json::json!([]));
}
