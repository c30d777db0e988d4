//! One POST of spans, and what its answer means.

use std::time::Duration;

use http_body_util::Full;
use hyper::{
    HeaderMap, Request,
    body::Bytes,
    header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER},
};
use tokio::time::timeout;
use url::Url;

use super::{
    super::{
        otlp::{self, Resource},
        span::Ended,
    },
    ExportSettings, Exporter,
    health::REST,
};
use crate::{clock::Clock, retry::retry_after};

/// The most of an answer that is read: then the connection can be used again.
const MAX_ANSWER_BYTES: usize = 64 * 1024;

/// Why spans were not taken.
pub(super) struct NotSent {
    pub(super) why: String,
    /// The same may be taken another time.
    pub(super) may_pass: bool,
    /// When, if it was said.
    pub(super) after: Option<Duration>,
}

impl NotSent {
    pub(super) fn passing(why: &impl ToString) -> Self {
        Self { why: why.to_string(), may_pass: true, after: None }
    }

    fn lasting(why: &impl ToString) -> Self {
        Self { may_pass: false, ..Self::passing(why) }
    }
}

impl Exporter {
    pub(super) async fn send(&self, spans: &[Ended], time: Duration) -> Result<(), NotSent> {
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
