//! Spans on their way to a collector: a queue with an end, and one POST for many of them. What cannot be
//! sent waits for the next time, as far as there is room; a collector that fails is left alone for a
//! while, and longer each time. So nothing that is done for jobs ever waits for it long.

use std::{
    collections::VecDeque,
    fmt,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use http_body_util::Full;
use hyper::{
    HeaderMap, Request,
    body::Bytes,
    header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER},
};
use tokio::{
    sync::Notify,
    time::{Instant, sleep, timeout},
};
use url::Url;

use super::{
    otlp::{self, Resource},
    span::Ended,
};
use crate::{
    batch::Stop,
    clock::Clock,
    http::Upstream,
    retry::{Backoff, retry_after},
};

/// The most spans of one POST.
const MAX_BATCH: usize = 512;

/// The most of an answer that is read: then the connection can be used again.
const MAX_ANSWER_BYTES: usize = 64 * 1024;

/// In less than this no POST is begun: its failure would say nothing of the collector.
const LEAST_TIME: Duration = Duration::from_millis(50);

/// How long a collector that fails is left alone.
const REST: Backoff = Backoff { base: Duration::from_secs(5), cap: Duration::from_secs(300) };

/// A signature's headers, or why there are none now.
pub type Signature<'a> = Pin<Box<dyn Future<Output = Result<HeaderMap, String>> + Send + 'a>>;

/// Signs exports for a collector that wants to know who sends them.
pub trait Sign: fmt::Debug + Send + Sync + 'static {
    /// The headers that prove who posts this body there.
    fn sign<'a>(&'a self, endpoint: &'a Url, body: &'a [u8]) -> Signature<'a>;
}

/// Where spans go to.
#[derive(Clone, Debug)]
pub struct ExportSettings {
    /// The whole URL, path included.
    pub endpoint: Url,
    /// What is sent along; values may be secret.
    pub headers: HeaderMap,
    /// Exports are to be signed for X-Ray of this region.
    pub sign_for: Option<String>,
    /// Who does that.
    pub signer: Option<Arc<dyn Sign>>,
    /// How long one POST may take.
    pub timeout: Duration,
    /// Spans that may wait; what comes beyond is dropped.
    pub max_waiting: usize,
    /// How often what waits is sent, by a process that goes on.
    pub every: Duration,
    /// Who tells.
    pub resource: Vec<(String, String)>,
}

/// Sends spans to one collector.
pub(super) struct Exporter {
    upstream: Upstream,
    settings: ExportSettings,
    waiting: Mutex<Waiting>,
    is_much: Notify,
    health: Mutex<Health>,
}

#[derive(Default)]
struct Waiting {
    spans: VecDeque<Ended>,
    dropped: u64,
}

/// What the last tries tell of the next one.
#[derive(Default)]
struct Health {
    failures: u32,
    rests_until: Option<Instant>,
}

/// Why spans were not taken.
struct NotSent {
    why: String,
    /// The same may be taken another time.
    may_pass: bool,
    /// When, if it was said.
    after: Option<Duration>,
}

impl NotSent {
    fn passing(why: &impl ToString) -> Self {
        Self { why: why.to_string(), may_pass: true, after: None }
    }

    fn lasting(why: &impl ToString) -> Self {
        Self { may_pass: false, ..Self::passing(why) }
    }
}

impl Exporter {
    pub(super) fn new(settings: ExportSettings) -> Result<Self, String> {
        if settings.sign_for.is_some() && settings.signer.is_none() {
            return Err(
                "MCP_BATCH_XRAY_REGION: this build knows no AWS, and signs nothing".to_owned()
            );
        }
        Ok(Self {
            upstream: Upstream::new(&settings.endpoint)?,
            settings,
            waiting: Mutex::default(),
            is_much: Notify::new(),
            health: Mutex::default(),
        })
    }

    /// Spans to be sent. Does not block.
    pub(super) fn take(&self, spans: Vec<Ended>) {
        let mut waiting = self.waiting();
        for span in spans {
            if waiting.spans.len() < self.settings.max_waiting {
                waiting.spans.push_back(span);
            } else {
                waiting.dropped += 1;
            }
        }
        if waiting.spans.len() >= MAX_BATCH {
            self.is_much.notify_one();
        }
    }

    /// Sends what waits, for at most `time`. What is left waits for the next time.
    pub(super) async fn flush(&self, time: Duration) {
        let ends = Instant::now() + time;
        loop {
            let left = ends.saturating_duration_since(Instant::now());
            if left < LEAST_TIME || self.health().rests() {
                return;
            }
            let spans = self.next();
            if spans.is_empty() {
                return;
            }
            let sent = self.send(&spans, left.min(self.settings.timeout)).await;
            if sent.as_ref().is_err_and(|error| error.may_pass) {
                self.put_back(spans);
            }
            let is_sent = sent.is_ok();
            self.note(sent);
            if !is_sent {
                return;
            }
        }
    }

    /// That a collector fails, and that it does no more, is told once.
    fn note(&self, sent: Result<(), NotSent>) {
        let before = self.health().note(&sent);
        match sent {
            Ok(()) if before > 0 => tracing::info!("the collector takes spans again"),
            Err(NotSent { why, may_pass, .. }) if before == 0 => tracing::warn!(
                error = why,
                are_lost = !may_pass,
                "the collector does not take spans"
            ),
            _ => {}
        }
    }

    pub(super) async fn flush_until_stopped(&self, stop: &Stop) {
        while !stop.is_draining() {
            tokio::select! {
                () = stop.draining() => {}
                () = self.is_much.notified() => {}
                () = sleep(self.settings.every) => {}
            }
            self.flush(self.settings.timeout).await;
        }
    }

    fn next(&self) -> Vec<Ended> {
        let mut waiting = self.waiting();
        let dropped = std::mem::take(&mut waiting.dropped);
        if dropped > 0 {
            tracing::warn!(dropped, "spans were dropped: more came than could be sent");
        }
        let count = waiting.spans.len().min(MAX_BATCH);
        waiting.spans.drain(..count).collect()
    }

    /// The first to be sent the next time, as far as those that came since leave room.
    fn put_back(&self, mut spans: Vec<Ended>) {
        let mut waiting = self.waiting();
        let room = self.settings.max_waiting.saturating_sub(waiting.spans.len());
        let too_many = spans.len().saturating_sub(room);
        waiting.dropped += too_many as u64;
        for span in spans.drain(too_many..).rev() {
            waiting.spans.push_front(span);
        }
    }

    async fn send(&self, spans: &[Ended], time: Duration) -> Result<(), NotSent> {
        let sent = timeout(time, self.post(spans, time)).await;
        sent.map_err(|_| NotSent::passing(&"there was no answer in time"))?
    }

    async fn post(&self, spans: &[Ended], time: Duration) -> Result<(), NotSent> {
        let request = self.request(spans).await?;
        let sent = self.upstream.send(request, time).await;
        let answer = sent.map_err(|error| NotSent::passing(&error))?;
        let (status, headers) = (answer.status(), answer.headers().clone());
        answer.beginning(MAX_ANSWER_BYTES).await.map_err(|error| NotSent::passing(&error))?;
        let why = format!("it answered {}", status.as_u16());
        match status.as_u16() {
            _ if status.is_success() => Ok(()),
            // "OTLP/HTTP Response", "Retryable Response Codes".
            429 | 502..=504 => Err(NotSent { after: asked(&headers), ..NotSent::passing(&why) }),
            _ => Err(NotSent::lasting(&why)),
        }
    }

    async fn request(&self, spans: &[Ended]) -> Result<Request<Full<Bytes>>, NotSent> {
        let ExportSettings { endpoint, headers, signer, resource, .. } = &self.settings;
        let resource: &Resource = resource;
        let body = Bytes::from(otlp::body(resource, spans));
        let mut request = Request::post(path(endpoint))
            .body(Full::new(body.clone()))
            .map_err(|error| NotSent::lasting(&error))?;
        request.headers_mut().extend(headers.clone());
        let json = HeaderValue::from_static("application/json");
        request.headers_mut().insert(CONTENT_TYPE, json);
        if let Some(signer) = signer {
            let signature =
                signer.sign(endpoint, &body).await.map_err(|error| NotSent::passing(&error))?;
            request.headers_mut().extend(signature);
        }
        Ok(request)
    }

    fn health(&self) -> MutexGuard<'_, Health> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Health {
    fn rests(&self) -> bool {
        self.rests_until.is_some_and(|until| Instant::now() < until)
    }

    /// How many tries had failed before this one.
    fn note(&mut self, sent: &Result<(), NotSent>) -> u32 {
        let before = self.failures;
        match sent {
            Ok(()) => *self = Self::default(),
            Err(error) => {
                self.failures = before.saturating_add(1);
                let rest = error.after.unwrap_or_default().max(REST.delay(self.failures, 1.0));
                self.rests_until = Some(Instant::now() + rest);
            }
        }
        before
    }
}

/// The pause that a collector asks for.
fn asked(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?;
    retry_after(value, Clock::system().now(), REST.cap)
}

fn path(url: &Url) -> String {
    match url.query() {
        Some(query) => format!("{}?{query}", url.path()),
        None => url.path().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::{TcpListener, TcpStream},
        task::JoinHandle,
        time,
    };

    use super::{
        super::{Kind, TraceContext},
        *,
    };

    const AMPLE: Duration = Duration::from_secs(60);

    fn spans(names: &[&'static str]) -> Vec<Ended> {
        let context = TraceContext { trace_id: 1, span_id: 2, is_sampled: true, is_decided: true };
        let span = |name: &&'static str| Ended {
            context,
            parent: None,
            kind: Kind::Client,
            name: (*name).into(),
            start_ns: 0,
            end_ns: 1,
            attributes: Vec::new(),
            links: Vec::new(),
            is_error: false,
        };
        names.iter().map(span).collect()
    }

    fn exporter(listener: &TcpListener, max_waiting: usize) -> Exporter {
        let address = listener.local_addr().expect("its address");
        Exporter::new(ExportSettings {
            endpoint: format!("http://{address}/v1/traces").parse().expect("a URL"),
            headers: HeaderMap::new(),
            sign_for: None,
            signer: None,
            timeout: AMPLE,
            max_waiting,
            every: AMPLE,
            resource: Vec::new(),
        })
        .expect("an exporter")
    }

    async fn listener() -> TcpListener {
        TcpListener::bind("127.0.0.1:0").await.expect("a free port")
    }

    /// Answers one request so; the names of the spans in it.
    async fn answer(listener: &TcpListener, status: &str) -> Vec<String> {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        let names = names(&mut stream).await;
        let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        stream.write_all(answer.as_bytes()).await.expect("sent");
        names
    }

    async fn names(stream: &mut TcpStream) -> Vec<String> {
        let (mut text, mut part) = (String::new(), [0; 4096]);
        loop {
            let read = stream.read(&mut part).await.expect("read");
            text.push_str(&String::from_utf8_lossy(&part[..read]));
            let Some((_, body)) = text.split_once("\r\n\r\n") else { continue };
            let Ok(body) = serde_json::from_str::<serde_json::Value>(body) else { continue };
            let spans = body["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array().cloned();
            let names = spans.into_iter().flatten().map(|span| span["name"].to_string());
            return names.map(|name| name.trim_matches('"').to_owned()).collect();
        }
    }

    fn answering(
        listener: TcpListener,
        statuses: &'static [&'static str],
    ) -> JoinHandle<Vec<Vec<String>>> {
        tokio::spawn(async move {
            let mut all = Vec::new();
            for status in statuses {
                all.push(answer(&listener, status).await);
            }
            all
        })
    }

    #[tokio::test]
    async fn spans_for_which_there_is_no_time_wait() {
        let listener = listener().await;
        let exporter = exporter(&listener, 10);
        exporter.take(spans(&["a", "b"]));
        exporter.flush(Duration::ZERO).await;
        let collector = answering(listener, &["200 OK"]);
        exporter.flush(AMPLE).await;
        assert_eq!(collector.await.expect("it ends"), [["a", "b"]]);
    }

    #[tokio::test]
    async fn a_collector_that_is_silent_is_left_alone_and_loses_nothing() {
        let listener = listener().await;
        let exporter = exporter(&listener, 3);
        exporter.take(spans(&["a", "b"]));
        let silence = Duration::from_millis(100);
        exporter.flush(silence).await;
        exporter.take(spans(&["c", "d"]));
        // Nothing is asked of it while it is left alone.
        time::timeout(silence / 2, exporter.flush(AMPLE)).await.expect("at once");
        let (mut silent, _) = listener.accept().await.expect("the first connection");
        assert_eq!(names(&mut silent).await, ["a", "b"]);

        exporter.health().rests_until = Some(Instant::now());
        let collector = answering(listener, &["200 OK"]);
        exporter.flush(AMPLE).await;
        assert_eq!(collector.await.expect("it ends"), [["a", "b", "c"]], "there was no room for d");
    }

    #[tokio::test]
    async fn what_a_collector_cannot_take_is_dropped_and_what_it_can_take_later_is_not() {
        let listener = listener().await;
        let exporter = exporter(&listener, 10);
        let collector = answering(listener, &["503 Busy", "400 Bad Request", "200 OK"]);
        for (name, failures) in [("a", 1), ("b", 2), ("c", 0)] {
            exporter.take(spans(&[name]));
            exporter.health().rests_until = None;
            exporter.flush(AMPLE).await;
            assert_eq!(exporter.health().failures, failures, "{name}");
        }
        let came = collector.await.expect("it ends");
        assert_eq!(came, [vec!["a"], vec!["a", "b"], vec!["c"]]);
    }

    #[test]
    fn a_collector_is_left_alone_longer_each_time_and_as_long_as_it_asks() {
        let mut health = Health::default();
        let mut rest = |after| {
            let before = Instant::now();
            let failed = NotSent { after, ..NotSent::passing(&"it is down") };
            health.note(&Err(failed));
            (health.rests_until.expect("it rests") - before).as_secs()
        };
        let rests: Vec<_> = (0..8).map(|_| rest(None)).collect();
        assert_eq!(rests, [5, 10, 20, 40, 80, 160, 300, 300]);
        let mut health = Health::default();
        health.note(&Err(NotSent { after: Some(AMPLE), ..NotSent::passing(&"429") }));
        assert!(health.rests_until.expect("it rests") > Instant::now() + AMPLE / 2);
    }
}
