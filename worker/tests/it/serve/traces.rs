//! Traces: what the server tells a collector, and hands on.

use hmac::{Hmac, KeyInit, Mac};
use mcp_batch_testkit::{CollectedSpan, Collector, Method, Received, Receiver};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::rig::{Serve, send};
use crate::helpers::{closed_port, summarize};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const SENDER: &str = "00f067aa0ba902b7";

fn traceparent(flags: &str) -> String {
    format!("00-{TRACE}-{SENDER}-{flags}")
}

async fn traced(collector: &Collector, variables: &[(&str, &str)]) -> Serve {
    let endpoint = collector.url();
    let mut all =
        vec![("OTEL_EXPORTER_OTLP_ENDPOINT", &*endpoint), ("OTEL_BSP_SCHEDULE_DELAY", "100")];
    all.extend(variables);
    Serve::with(&all).await
}

async fn enqueue(serve: &Serve, jobs: &[Value], sender: Option<&str>) {
    let request =
        serve.request(Method::POST, "/v1/jobs").header("content-type", "application/json");
    let request = match sender {
        Some(sender) => request.header("traceparent", sender),
        None => request,
    };
    send(request.body(json!({"jobs": jobs}).to_string())).await.expect(202);
}

fn named<'a>(spans: &'a [CollectedSpan], name: &str) -> &'a CollectedSpan {
    let mut of_name = spans.iter().filter(|span| span.name() == name);
    let span = of_name.next().expect(name);
    assert!(of_name.next().is_none(), "one span is called {name}: {spans:#?}");
    span
}

#[tokio::test]
async fn one_trace_tells_of_a_job_from_its_enqueue_to_its_callback() {
    let (collector, receiver) = (Collector::start().await, Receiver::start().await);
    let mut serve = traced(&collector, &[]).await;
    let mut job = summarize("a", "Whales sing under water.");
    job["callback"] = receiver.url("/hooks/a-secret-path").into();
    enqueue(&serve, &[job], Some(&traceparent("01"))).await;
    let told = receiver.wait_for(1).await.remove(0);
    serve.terminate();
    let log = serve.finish().await.stderr;

    let names = ["POST /v1/jobs", "send jobs", "process jobs", "POST"];
    let spans = collector.wait_for(&names).await;
    assert!(spans.iter().all(|span| span.trace_id() == TRACE && !span.is_error()), "{spans:#?}");
    let [request, sending, message, callback] = names.map(|name| named(&spans, name));
    let chat = spans.iter().find(|span| span.name().starts_with("chat ")).expect("a chat");
    assert_eq!(request.parent_id(), SENDER);
    assert_eq!(sending.parent_id(), request.span_id());
    assert_eq!(message.parent_id(), sending.span_id());
    assert_eq!(message.links(), [sending.span_id()]);
    assert_eq!(chat.parent_id(), message.span_id());
    assert_eq!(callback.parent_id(), message.span_id());

    let handed_on = |span: &CollectedSpan| format!("00-{TRACE}-{}-01", span.span_id());
    let asked = serve.llm.last_request().expect("a call");
    assert_eq!(asked.header("traceparent"), Some(&*handed_on(chat)));
    assert_eq!(told.header("traceparent"), Some(&*handed_on(callback)));

    for (span, attribute, value) in [
        (message, "messaging.operation.type", "process"),
        (message, "messaging.destination.name", "jobs"),
        (message, "mcp_batch.job.id", "a"),
        (chat, "gen_ai.operation.name", "chat"),
        (callback, "server.address", "127.0.0.1"),
        (callback, "http.response.status_code", "204"),
    ] {
        assert_eq!(span.attribute(attribute).as_deref(), Some(value), "{attribute}");
    }
    assert!(chat.attribute("gen_ai.usage.input_tokens").is_some());
    let all: String = spans.iter().map(|span| span.json().to_string()).collect();
    assert!(!all.contains("Whales") && !all.contains("a-secret-path"), "{all}");
    let ended = log.lines().find(|line| line.contains("job ended")).expect("a line");
    assert!(ended.contains(&format!("\"trace_id\":\"{TRACE}\"")), "{ended}");
}

#[tokio::test]
async fn a_trace_in_which_something_failed_is_kept_whatever_the_share() {
    let collector = Collector::start().await;
    let mut serve = traced(&collector, &[("OTEL_TRACES_SAMPLER", "always_off")]).await;
    let mut jobs = vec![summarize("sound", "One. Two."), summarize("bad", "Three. [[400]]")];
    jobs[0]["traceparent"] = traceparent("00").into();
    enqueue(&serve, &jobs, None).await;
    serve.until("sound", "succeeded").await;
    serve.until("bad", "failed").await;
    serve.terminate();
    serve.finish().await;
    let spans = collector.wait_for(&["process jobs"]).await;
    let message = named(&spans, "process jobs");
    assert_eq!(message.attribute("mcp_batch.job.id").as_deref(), Some("bad"));
    assert_eq!(message.attribute("error.type").as_deref(), Some("permanent"));
    assert!(message.is_error(), "{message:?}");
    let chat = spans.iter().find(|span| span.name().starts_with("chat ")).expect("a named chat");
    assert!(chat.attribute("gen_ai.request.model").is_some_and(|model| !model.is_empty()));
    assert!(spans.iter().all(|span| span.trace_id() == message.trace_id()), "{spans:#?}");
}

#[tokio::test]
async fn without_a_collector_the_senders_span_is_handed_on_untouched() {
    let receiver = Receiver::start().await;
    let serve = Serve::start().await;
    let mut job = summarize("a", "One. Two.");
    job["callback"] = receiver.url("/").into();
    job["traceparent"] = traceparent("01").into();
    let mut nonsense = summarize("b", "Three. Four.");
    nonsense["traceparent"] = "no span at all".into();
    enqueue(&serve, &[job, nonsense], None).await;
    let told = receiver.wait_for(1).await.remove(0);
    assert_eq!(told.header("traceparent"), Some(&*traceparent("01")));
    serve.until("b", "succeeded").await;
    let asked = serve.llm.last_request().expect("a call");
    assert!(asked.header("traceparent").is_none_or(|header| header == traceparent("01")));
}

#[tokio::test]
async fn a_collector_that_is_not_there_hinders_nobody_and_is_told_once() {
    let collector = closed_port();
    let mut serve = Serve::with(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &*collector),
        ("OTEL_TRACES_SAMPLER", "always_on"),
        ("OTEL_BSP_SCHEDULE_DELAY", "100"),
    ])
    .await;
    for id in ["a", "b", "c"] {
        enqueue(&serve, &[summarize(id, "One. Two.")], None).await;
        serve.until(id, "succeeded").await;
    }
    serve.terminate();
    let log = serve.finish().await.stderr;
    assert_eq!(log.matches("does not take spans").count(), 1, "{log}");
}

const AWS_SECRET: &str = "a-secret-that-signs-traces";

fn hex(bytes: impl AsRef<[u8]>) -> String {
    let digits: Vec<_> = bytes.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    digits.concat()
}

fn keyed(key: impl AsRef<[u8]>, text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key.as_ref()).expect("any key will do");
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

/// The signature that the receiver of a request comes to ("Signature Version 4", IAM user guide).
fn recomputed(request: &Received, signed: &str, scope: &str) -> String {
    let header = |name: &str| request.header(name).expect(name).to_owned();
    let lines = signed.split(';').map(|name| format!("{name}:{}\n", header(name).trim()));
    let headers = lines.collect::<Vec<_>>().concat();
    let body = hex(Sha256::digest(request.body()));
    let canonical = format!("POST\n{}\n\n{headers}\n{signed}\n{body}", request.path());
    let of_request = hex(Sha256::digest(canonical));
    let text = format!("AWS4-HMAC-SHA256\n{}\n{scope}\n{of_request}", header("x-amz-date"));
    let key = scope.split('/').fold(format!("AWS4{AWS_SECRET}").into_bytes(), keyed);
    hex(keyed(key, &text))
}

#[tokio::test]
async fn exports_to_xray_bear_a_signature_that_its_receiver_comes_to_as_well() {
    let collector = Collector::start().await;
    let endpoint = format!("{}/v1/traces", collector.url());
    let mut serve = Serve::with(&[
        ("MCP_BATCH_XRAY_REGION", "eu-central-1"),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", &endpoint),
        ("OTEL_TRACES_SAMPLER", "always_on"),
        ("OTEL_BSP_SCHEDULE_DELAY", "100"),
        ("AWS_ACCESS_KEY_ID", "AKIDOFTRACES"),
        ("AWS_SECRET_ACCESS_KEY", AWS_SECRET),
        ("AWS_SESSION_TOKEN", "a-session"),
    ])
    .await;
    enqueue(&serve, &[summarize("a", "One. Two.")], None).await;
    collector.wait_for(&["process jobs"]).await;
    for export in collector.exports() {
        let authorization = export.header("authorization").expect("a signature");
        let fields = authorization.strip_prefix("AWS4-HMAC-SHA256 ").expect("its algorithm");
        let field = |name: &str| {
            let mut fields = fields.split(',').filter_map(|field| field.trim().split_once('='));
            fields.find(|(known, _)| *known == name).expect(name).1
        };
        let (key, scope) = field("Credential").split_once('/').expect("a key and its scope");
        let signed = field("SignedHeaders");
        assert_eq!(key, "AKIDOFTRACES");
        assert!(scope.ends_with("/eu-central-1/xray/aws4_request"), "{scope}");
        assert!(
            ["host", "x-amz-date", "x-amz-security-token"].iter().all(|it| signed.contains(it))
        );
        assert_eq!(field("Signature"), recomputed(&export, signed, scope));
        assert_eq!(export.header("x-amz-security-token"), Some("a-session"));
    }
    serve.terminate();
    let log = serve.finish().await.stderr;
    assert!(!log.contains(AWS_SECRET) && !log.contains("does not take spans"), "{log}");
}
