//! A client of the HTTP face. What can be asked again without harm is asked again for a while when
//! the server cannot be reached, is busy, or asks for a pause.

use std::{
    error::Error,
    fs,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use reqwest::{
    Method, RequestBuilder, Response, StatusCode,
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
    error::with_causes,
    http,
    retry::{Backoff, retry_after},
    trace,
};

/// Longer than a server takes for an answer, 29 s.
const ANSWERS_WITHIN: Duration = Duration::from_secs(60);

/// For how long a request is made again.
const PATIENCE: Duration = Duration::from_secs(60);

/// The same for a server that nothing was heard of yet: most likely its address is wrong, or it does not run.
const FIRST_PATIENCE: Duration = Duration::from_secs(3);

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
    /// It answered once.
    was_reached: AtomicBool,
    /// Somebody was told that it is waited for.
    was_told: AtomicBool,
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
    #[error(
        "{server}: the server cannot be reached: {why}; does it run, and is that its address (--api)?"
    )]
    Unreachable { server: Url, why: String },
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
            Self::Unreachable { .. } => true,
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
        let (was_reached, was_told) = (AtomicBool::new(false), AtomicBool::new(false));
        Ok(Self { http, base: settings.url, caller, was_reached, was_told })
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
        self.ask(self.json(path, body)).await.map_err(|failed| failed.why)
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
            let failed = match self.ask(request()).await {
                Ok(document) => return Ok(document),
                Err(failed) => failed,
            };
            tries += 1;
            let pause = PAUSE.delay(tries, fastrand::f64());
            let pause = failed.again_after.unwrap_or(pause);
            let patience = self.patience();
            if !failed.why.may_pass() || began.elapsed() + pause > patience {
                return Err(failed.why);
            }
            if !self.was_told.swap(true, Ordering::Relaxed) {
                let patience_s = patience.as_secs();
                eprintln!("{}; it is asked again for up to {patience_s} s", failed.why);
            }
            sleep(pause).await;
        }
    }

    fn patience(&self) -> Duration {
        if self.was_reached.load(Ordering::Relaxed) { PATIENCE } else { FIRST_PATIENCE }
    }

    /// One try.
    async fn ask(&self, request: RequestBuilder) -> Result<Value, Failed> {
        let response =
            request.send().await.map_err(|error| self.unreachable(&error.without_url()))?;
        self.was_reached.store(true, Ordering::Relaxed);
        let (status, again_after) = (response.status(), pause(response.headers()));
        let why = match serde_json::from_slice::<Value>(&self.body(response).await?) {
            Ok(document) if status.is_success() => return Ok(document),
            Ok(document) if document.is_object() => {
                Refused::Problem { status, document: Box::new(document) }
            }
            _ => Refused::Unreadable { status },
        };
        Err(Failed { why, again_after })
    }

    async fn body(&self, mut response: Response) -> Result<Vec<u8>, Failed> {
        let mut body = Vec::new();
        let unreachable = |error: reqwest::Error| self.unreachable(&error.without_url());
        while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
            body.extend_from_slice(&chunk);
            if body.len() > MAX_ANSWER_BYTES {
                let why = format!("its answer has more than {MAX_ANSWER_BYTES} bytes");
                return Err(self.unreachable(&*Box::<dyn Error>::from(why)));
            }
        }
        Ok(body)
    }

    fn unreachable(&self, error: &dyn Error) -> Failed {
        let (server, why) = (self.base.clone(), with_causes(error));
        Failed { why: Refused::Unreachable { server, why }, again_after: None }
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

fn pause(headers: &HeaderMap) -> Option<Duration> {
    let asked = headers.get(RETRY_AFTER)?.to_str().ok()?;
    retry_after(asked, Clock::system().now(), ANSWERS_WITHIN)
}
