//! Objects in S3, in the two requests that the worker makes. They are signed by AWS's own crate; with
//! S3's whole client the binary would be a fourteenth larger.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use aws_config::SdkConfig;
use aws_credential_types::{Credentials, provider::SharedCredentialsProvider};
use aws_types::service_config::ServiceConfigKey;
use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Method, Request, StatusCode,
    header::{HeaderValue, USER_AGENT},
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use tokio::time::{sleep, timeout};

use super::{
    agent::Agent,
    clients::{ATTEMPT_TIMEOUT, CONNECT_TIMEOUT, MAX_ATTEMPTS, OPERATION_TIMEOUT, THROTTLED_PAUSE},
    http::Connections,
    sign::{Kept, Service, Unsigned},
};
use crate::{error::with_causes, http::Response, retry::Backoff};

/// The pauses between tries.
const AGAIN: Backoff = Backoff { base: THROTTLED_PAUSE, cap: Duration::from_secs(2) };

/// What a key's characters are escaped but for ("Authenticating Requests", S3's API reference).
const ESCAPED: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

/// The most of a refusal that is read, in bytes.
const MAX_REFUSAL_BYTES: usize = 64 * 1024;

/// Why an object was not put or got.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ObjectError(String);

/// The objects that a role may put and get; clones share connections and credentials.
#[derive(Clone, Debug)]
pub struct Objects(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    connections: Connections,
    endpoint: Option<String>,
    region: Option<String>,
    credentials: Option<SharedCredentialsProvider>,
    kept: Kept,
    agent: HeaderValue,
}

/// One request, as often as it is tried.
struct Asked<'a> {
    method: Method,
    url: String,
    headers: &'a [(&'static str, &'static str)],
    body: Bytes,
}

/// A try that brought nothing.
struct Failed {
    error: ObjectError,
    may_pass: bool,
}

impl Objects {
    /// Those that `config` leads to.
    pub(super) fn new(config: &SdkConfig, connections: Connections) -> Self {
        Self(Arc::new(Shared {
            connections,
            endpoint: endpoint(config),
            region: config.region().map(ToString::to_string),
            credentials: config.credentials_provider(),
            kept: Kept::default(),
            agent: Agent::of(config).header(),
        }))
    }

    /// Puts an object, with `headers` to be kept beside it.
    pub async fn put(
        &self,
        bucket: &str,
        key: &str,
        body: Bytes,
        headers: &[(&'static str, &'static str)],
    ) -> Result<(), ObjectError> {
        let url = self.0.url(bucket, key)?;
        self.0.ask(Asked { method: Method::PUT, url, headers, body }).await.map(drop)
    }

    /// Gets an object of at most so many bytes.
    pub async fn get(
        &self,
        bucket: &str,
        key: &str,
        max_bytes: usize,
    ) -> Result<Vec<u8>, ObjectError> {
        let url = self.0.url(bucket, key)?;
        let asked = Asked { method: Method::GET, url, headers: &[], body: Bytes::new() };
        let object = self.0.ask(asked).await?.beginning(max_bytes).await;
        let object = object.map_err(|error| Failed::for_now(&error).error)?;
        match object.is_cut {
            false => Ok(object.bytes),
            true => Err(ObjectError(format!("expected {max_bytes} bytes at most"))),
        }
    }
}

impl Shared {
    /// A bucket has a name of its own at AWS, unless that has dots, which no certificate covers; an
    /// endpoint of one's own seldom has one for each bucket.
    fn url(&self, bucket: &str, key: &str) -> Result<String, ObjectError> {
        let key = utf8_percent_encode(key, ESCAPED);
        if let Some(endpoint) = &self.endpoint {
            return Ok(format!("{}/{bucket}/{key}", endpoint.trim_end_matches('/')));
        }
        let region = self.region()?;
        let domain = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
        Ok(match bucket.contains('.') {
            true => format!("https://s3.{region}.{domain}/{bucket}/{key}"),
            false => format!("https://{bucket}.s3.{region}.{domain}/{key}"),
        })
    }

    fn region(&self) -> Result<&str, ObjectError> {
        let missing = || ObjectError("AWS_REGION: expected a region, found nothing".to_owned());
        self.region.as_deref().ok_or_else(missing)
    }

    /// Asks until there is an answer, within the time and the tries of every request to AWS.
    async fn ask(&self, asked: Asked<'_>) -> Result<Response, ObjectError> {
        let tries = async {
            let mut failures = 0;
            loop {
                let failed = match self.try_once(&asked).await {
                    Ok(response) => return Ok(response),
                    Err(failed) => failed,
                };
                failures += 1;
                if failures == MAX_ATTEMPTS || !failed.may_pass {
                    return Err(failed.error);
                }
                sleep(AGAIN.delay(failures, fastrand::f64())).await;
            }
        };
        let late = |_| ObjectError(format!("no answer within {} s", OPERATION_TIMEOUT.as_secs()));
        timeout(OPERATION_TIMEOUT, tries).await.map_err(late)?
    }

    async fn try_once(&self, asked: &Asked<'_>) -> Result<Response, Failed> {
        let mut request = Request::new(Full::new(asked.body.clone()));
        *request.method_mut() = asked.method.clone();
        *request.uri_mut() = asked.url.parse().map_err(Failed::forever)?;
        for (name, value) in asked.headers {
            request.headers_mut().insert(*name, HeaderValue::from_static(value));
        }
        let credentials = self.credentials().await?;
        let region = self.region().map_err(Failed::forever)?;
        let unsigned = Unsigned {
            method: asked.method.as_str(),
            url: &asked.url,
            headers: request.headers(),
            body: &asked.body,
        };
        let signature = Service::S3.signature(region, unsigned, credentials, SystemTime::now());
        request.headers_mut().extend(signature.map_err(Failed::forever)?);
        request.headers_mut().insert(USER_AGENT, self.agent.clone());
        let answer = self.connections.send(request, CONNECT_TIMEOUT, ATTEMPT_TIMEOUT).await;
        let response = answer.map_err(|error| Failed::for_now(&error))?;
        match response.status() {
            status if status.is_success() => Ok(response),
            status => Err(refused(status, response).await),
        }
    }

    async fn credentials(&self) -> Result<Credentials, Failed> {
        let missing = || Failed::forever("expected credentials of AWS, found nothing");
        let provider = self.credentials.as_ref().ok_or_else(missing)?;
        self.kept.or_from(provider).await.map_err(|error| Failed::for_now(&error))
    }
}

impl Failed {
    fn forever(error: impl fmt::Display) -> Self {
        Self { error: ObjectError(error.to_string()), may_pass: false }
    }

    fn for_now(error: &dyn std::error::Error) -> Self {
        Self { error: ObjectError(with_causes(error)), may_pass: true }
    }
}

/// An endpoint of one's own, for S3 or for all services.
fn endpoint(config: &SdkConfig) -> Option<String> {
    let key = ServiceConfigKey::builder();
    let key = key.service_id("S3").env("AWS_ENDPOINT_URL").profile("endpoint_url").build().ok();
    let own = config.service_config().zip(key).and_then(|(service, key)| service.load_config(key));
    own.or_else(|| config.endpoint_url().map(ToOwned::to_owned))
}

/// The code and message of S3's XML; what is busy, or fails, may not always.
async fn refused(status: StatusCode, response: Response) -> Failed {
    let body = response.beginning(MAX_REFUSAL_BYTES).await.unwrap_or_default();
    let body = String::from_utf8_lossy(&body.bytes);
    let told = |tag: &str| {
        let (_, rest) = body.split_once(&format!("<{tag}>"))?;
        Some(rest.split_once("</")?.0)
    };
    let code = told("Code").unwrap_or("an error without a code");
    let message = told("Message").unwrap_or("no message");
    let may_pass = status.is_server_error()
        || status == StatusCode::TOO_MANY_REQUESTS
        || code == "RequestTimeout";
    Failed { error: ObjectError(format!("{status}: {code}: {message}")), may_pass }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn objects(region: &str, endpoint: Option<&str>) -> Shared {
        Shared {
            connections: Connections::default(),
            endpoint: endpoint.map(ToOwned::to_owned),
            region: Some(region.to_owned()),
            credentials: None,
            kept: Kept::default(),
            agent: Agent::named(None).header(),
        }
    }

    #[test]
    fn a_bucket_is_asked_where_it_lies() {
        let url = |region, bucket, key| objects(region, None).url(bucket, key).expect("a URL");
        assert_eq!(
            url("eu-west-1", "results", "a/b c.json"),
            "https://results.s3.eu-west-1.amazonaws.com/a/b%20c.json"
        );
        assert_eq!(
            url("eu-west-1", "my.results", "a"),
            "https://s3.eu-west-1.amazonaws.com/my.results/a"
        );
        assert_eq!(
            url("cn-north-1", "results", "a"),
            "https://results.s3.cn-north-1.amazonaws.com.cn/a"
        );
        let own = objects("eu-west-1", Some("http://127.0.0.1:9000/")).url("results", "a");
        assert_eq!(own.expect("a URL"), "http://127.0.0.1:9000/results/a");
    }
}
