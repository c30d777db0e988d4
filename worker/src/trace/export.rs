//! Spans on their way to a collector: a queue with an end, and one POST for many of them. What cannot be
//! sent waits for the next time, as far as there is room; a collector that fails is left alone for a
//! while, and longer each time. So nothing that is done for jobs ever waits for it long.

mod health;
mod post;
mod settings;

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::Notify,
    time::{Instant, sleep},
};

pub use self::settings::{ExportSettings, Sign, Signature};
use self::{health::Health, post::NotSent};
use super::span::Ended;
use crate::{batch::Stop, http::Upstream};

/// The most spans of one POST.
const MAX_BATCH: usize = 512;

/// In less than this no POST is begun: its failure would say nothing of the collector.
const LEAST_TIME: Duration = Duration::from_millis(50);

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

    fn health(&self) -> MutexGuard<'_, Health> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use hyper::HeaderMap;
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
}
