//! The trace that begins where jobs are sent.

use mcp_batch_testkit::Collector;

use super::worlds::World;
use crate::helpers::summarize;

#[tokio::test]
async fn a_trace_begins_with_the_command_that_sends_its_jobs() {
    for mut world in World::all().await {
        let (name, collector) = (world.name(), Collector::start().await);
        let of_its_own = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let mut jobs = [summarize("a", "Ours."), summarize("b", "Its own.")];
        jobs[1]["traceparent"] = of_its_own.into();
        world.folder.jobs(&jobs);
        let sending = world.command("enqueue").args(["jobs.jsonl"]);
        let sending = sending.env("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.url());
        let sent = sending.env("OTEL_TRACES_SAMPLER", "always_on").summary().await;
        assert_eq!(sent["accepted"], 2, "{name}: {sent}");
        let spans = collector.spans();
        assert_eq!(spans.len(), 1, "{name}: {spans:#?}");
        let span = &spans[0];
        assert!(span.name().starts_with("send ") && span.parent_id().is_empty(), "{span:?}");
        let count = span.attribute("messaging.batch.message_count");
        assert_eq!(count.as_deref(), Some("2"), "{name}");

        let worker = world.start_worker().await;
        world.llm.wait_for_calls(2).await;
        let handed_on = |text: &str| {
            let requests = world.llm.requests();
            let of_job =
                requests.iter().find(|it| String::from_utf8_lossy(it.body()).contains(text));
            of_job.and_then(|it| it.header("traceparent").map(str::to_owned))
        };
        let ours = format!("00-{}-{}-01", span.trace_id(), span.span_id());
        assert_eq!(handed_on("Ours.").as_deref(), Some(&*ours), "{name}");
        assert_eq!(handed_on("Its own.").as_deref(), Some(of_its_own), "{name}");
        drop(worker);
    }
}
