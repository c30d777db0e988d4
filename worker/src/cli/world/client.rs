//! A client of the HTTP face. What can be asked again without harm is asked again for a while when
//! the server cannot be reached, is busy, or asks for a pause.

use std::{
    fs,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use reqwest::{
    Method, RequestBuilder, StatusCode,
    header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER},
};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio::time::sleep;
use url::Url;

use crate::{
    clock::Clock,
    config::{ClientKey, ClientSettings},
    http,
    retry::{Backoff, retry_after},
    trace,
};

/// Longer than a server takes for an answer, 29 s.
const ANSWERS_WITHIN: Duration = Duration::from_secs(60);

/// For how long a request is made again.
const PATIENCE: Duration = Duration::from_secs(60);

/// The pause before that, where the server names none.
const PAUSE: Backoff = Backoff { base: Duration::from_millis(200), cap: Duration::from_secs(10) };

/// The largest answer that is read: a page of results, or one job with a large one.
const MAX_ANSWER_BYTES: usize = 64 * 1024 * 1024;

/// A server's HTTP face.
pub(in crate::cli) struct Client {
    http: reqwest::Client,
    base: Url,
    /// A hash of the key.
    caller: String,
}

/// Why a server did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub(in crate::cli) enum Refused {
    /// It said so (RFC 9457).
    #[error("{}: {}", code(.document), .document["detail"].as_str().unwrap_or("refused"))]
    Problem { status: StatusCode, document: Box<Value> },
    /// It answered something else.
    #[error("the server answered {status}, and no document: is --api its address?")]
    Unreadable { status: StatusCode },
    /// It could not be reached.
    #[error("the server cannot be reached: {0}")]
    Unreachable(String),
}

fn code(document: &Value) -> &str {
    document["code"].as_str().unwrap_or("problem")
}

impl Refused {
    /// Whether it is the answer to something that is not there.
    pub(in crate::cli) fn is_not_found(&self) -> bool {
        matches!(self, Self::Problem { status, .. } if *status == StatusCode::NOT_FOUND)
    }

    /// Whether what it was asked for does not fit what there is.
    pub(in crate::cli) fn is_conflict(&self) -> bool {
        matches!(self, Self::Problem { status, .. } if *status == StatusCode::CONFLICT)
    }

    fn may_pass(&self) -> bool {
        match self {
            Self::Unreachable(_) => true,
            Self::Problem { status, .. } | Self::Unreadable { status } => matches!(
                *status,
                StatusCode::TOO_MANY_REQUESTS
                    | StatusCode::BAD_GATEWAY
                    | StatusCode::SERVICE_UNAVAILABLE
                    | StatusCode::GATEWAY_TIMEOUT
            ),
        }
    }
}

/// A failure, and when the server wants to be asked again.
struct Failed {
    why: Refused,
    again_after: Option<Duration>,
}

impl Client {
    /// A client of the server, which nothing is asked yet.
    pub(in crate::cli) fn new(settings: ClientSettings) -> anyhow::Result<Self> {
        let mut headers = HeaderMap::new();
        let mut caller = String::new();
        if let Some(key) = settings.key.map(read).transpose()? {
            caller = URL_SAFE_NO_PAD.encode(Sha256::digest(key.expose_secret()));
            let bearer = HeaderValue::try_from(format!("Bearer {}", key.expose_secret()));
            let mut bearer = bearer.ok().context("the server's key: expected visible ASCII")?;
            bearer.set_sensitive(true);
            headers.insert(AUTHORIZATION, bearer);
        }
        let builder = http::builder(4).map_err(anyhow::Error::msg)?;
        let builder = builder.default_headers(headers).timeout(ANSWERS_WITHIN);
        let http = http::build(builder).map_err(anyhow::Error::msg)?;
        Ok(Self { http, base: settings.url, caller })
    }

    /// Where it is.
    pub(in crate::cli) fn base(&self) -> &Url {
        &self.base
    }

    /// Who asks there, told by a hash: another key may be of another namespace.
    pub(in crate::cli) fn caller(&self) -> &str {
        &self.caller
    }

    /// Asks for a document.
    pub(in crate::cli) async fn get(&self, path: &str) -> Result<Value, Refused> {
        self.patiently(|| self.request(Method::GET, path)).await
    }

    /// Asks to delete or cancel something.
    pub(in crate::cli) async fn delete(&self, path: &str) -> Result<Value, Refused> {
        self.patiently(|| self.request(Method::DELETE, path)).await
    }

    /// Sends what does no harm when it is sent twice.
    pub(in crate::cli) async fn post(&self, path: &str, body: &str) -> Result<Value, Refused> {
        self.patiently(|| self.json(path, body)).await
    }

    /// Sends what must not be sent twice.
    pub(in crate::cli) async fn post_once(&self, path: &str, body: &str) -> Result<Value, Refused> {
        answer(self.json(path, body)).await.map_err(|failed| failed.why)
    }

    fn json(&self, path: &str, body: &str) -> RequestBuilder {
        let kind = HeaderValue::from_static("application/json");
        self.request(Method::POST, path).header(CONTENT_TYPE, kind).body(body.to_owned())
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let base = self.base.as_str().trim_end_matches('/');
        let request = self.http.request(method, format!("{base}{path}"));
        match trace::current() {
            Some(context) => request.header("traceparent", context.to_string()),
            None => request,
        }
    }

    async fn patiently(&self, request: impl Fn() -> RequestBuilder) -> Result<Value, Refused> {
        let began = Instant::now();
        let mut tries = 0;
        loop {
            let failed = match answer(request()).await {
                Ok(document) => return Ok(document),
                Err(failed) => failed,
            };
            tries += 1;
            let pause = PAUSE.delay(tries, fastrand::f64());
            let pause = failed.again_after.unwrap_or(pause);
            if !failed.why.may_pass() || began.elapsed() + pause > PATIENCE {
                return Err(failed.why);
            }
            sleep(pause).await;
        }
    }
}

/// A key out of its file.
fn read(key: ClientKey) -> anyhow::Result<SecretString> {
    let path = match key {
        ClientKey::Here(key) => return Ok(key),
        ClientKey::In(path) => path,
    };
    let text = fs::read_to_string(&path)
        .with_context(|| format!("{}: the server's key cannot be read", path.display()))?;
    match text.trim() {
        "" => bail!("{}: expected the server's key, found nothing", path.display()),
        key => Ok(key.into()),
    }
}

async fn answer(request: RequestBuilder) -> Result<Value, Failed> {
    let unreachable = |error: reqwest::Error| {
        let why = Refused::Unreachable(with_causes(&error.without_url()));
        Failed { why, again_after: None }
    };
    let mut response = request.send().await.map_err(unreachable)?;
    let status = response.status();
    let again_after = pause(response.headers());
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
        body.extend_from_slice(&chunk);
        if body.len() > MAX_ANSWER_BYTES {
            let why = format!("its answer has more than {MAX_ANSWER_BYTES} bytes");
            return Err(Failed { why: Refused::Unreachable(why), again_after: None });
        }
    }
    let why = match serde_json::from_slice::<Value>(&body) {
        Ok(document) if status.is_success() => return Ok(document),
        Ok(document) if document.is_object() => {
            Refused::Problem { status, document: Box::new(document) }
        }
        _ => Refused::Unreadable { status },
    };
    Err(Failed { why, again_after })
}

fn pause(headers: &HeaderMap) -> Option<Duration> {
    let asked = headers.get(RETRY_AFTER)?.to_str().ok()?;
    retry_after(asked, Clock::system().now(), ANSWERS_WITHIN)
}

fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(deeper) = cause {
        text = format!("{text}: {deeper}");
        cause = deeper.source();
    }
    text
}
