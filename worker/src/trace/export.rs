//! Spans on their way to a collector: a queue with an end, and one POST for many of them. What cannot be
//! sent is dropped and counted: nothing that is done for jobs ever waits for it.

use std::{
    collections::VecDeque,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use http_body_util::Full;
use hyper::{
    HeaderMap, Request,
    body::Bytes,
    header::{CONTENT_TYPE, HeaderValue},
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
use crate::{batch::Stop, http::Upstream};

/// The most spans of one POST.
const MAX_BATCH: usize = 512;

/// The most of an answer that is read: then the connection can be used again.
const MAX_ANSWER_BYTES: usize = 64 * 1024;

/// Where spans go to.
#[derive(Clone, Debug)]
pub struct ExportSettings {
    /// The whole URL, path included.
    pub endpoint: Url,
    /// What is sent along; values may be secret.
    pub headers: HeaderMap,
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
    /// The last POST failed: that is told once.
    has_failed: AtomicBool,
}

#[derive(Default)]
struct Waiting {
    spans: VecDeque<Ended>,
    dropped: u64,
}

impl Exporter {
    pub(super) fn new(settings: ExportSettings) -> Result<Self, String> {
        Ok(Self {
            upstream: Upstream::new(&settings.endpoint)?,
            settings,
            waiting: Mutex::default(),
            is_much: Notify::new(),
            has_failed: AtomicBool::new(false),
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

    /// Sends what waits, for at most `time`.
    pub(super) async fn flush(&self, time: Duration) {
        let ends = Instant::now() + time;
        loop {
            let (spans, dropped) = self.next();
            if dropped > 0 {
                tracing::warn!(dropped, "spans were dropped: more came than could be sent");
            }
            if spans.is_empty() {
                return;
            }
            let left = ends.saturating_duration_since(Instant::now());
            let sent = self.send(&spans, left.min(self.settings.timeout)).await;
            let failed = sent.is_err();
            if failed != self.has_failed.swap(failed, Relaxed) {
                match sent {
                    Ok(()) => tracing::info!("the collector takes spans again"),
                    Err(error) => {
                        tracing::warn!(error, "spans are lost: the collector does not take them");
                    }
                }
            }
            if failed || left.is_zero() {
                return;
            }
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

    fn next(&self) -> (Vec<Ended>, u64) {
        let mut waiting = self.waiting();
        let count = waiting.spans.len().min(MAX_BATCH);
        (waiting.spans.drain(..count).collect(), std::mem::take(&mut waiting.dropped))
    }

    async fn send(&self, spans: &[Ended], time: Duration) -> Result<(), String> {
        let resource: &Resource = &self.settings.resource;
        let body = Full::new(Bytes::from(otlp::body(resource, spans)));
        let mut request = Request::post(path(&self.settings.endpoint))
            .body(body)
            .map_err(|error| error.to_string())?;
        request.headers_mut().extend(self.settings.headers.clone());
        let json = HeaderValue::from_static("application/json");
        request.headers_mut().insert(CONTENT_TYPE, json);
        let posted = timeout(time, self.post(request, time)).await;
        posted.map_err(|_| "there was no answer in time".to_owned())?
    }

    async fn post(&self, request: Request<Full<Bytes>>, time: Duration) -> Result<(), String> {
        let sent = self.upstream.send(request, time).await;
        let mut answer = sent.map_err(|error| error.to_string())?;
        let status = answer.status();
        let mut read = 0;
        while let Some(part) = answer.chunk().await.map_err(|error| error.to_string())? {
            read += part.len();
            if read > MAX_ANSWER_BYTES {
                break;
            }
        }
        match status.is_success() {
            true => Ok(()),
            false => Err(format!("it answered {}", status.as_u16())),
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn path(url: &Url) -> String {
    match url.query() {
        Some(query) => format!("{}?{query}", url.path()),
        None => url.path().to_owned(),
    }
}
