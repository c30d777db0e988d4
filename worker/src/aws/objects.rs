//! Objects in S3, in the two requests that the worker makes. They are signed by AWS's own crate; with
//! S3's whole client the binary would be a fourteenth larger.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use aws_config::SdkConfig;
use aws_credential_types::{
    Credentials,
    provider::{ProvideCredentials, SharedCredentialsProvider},
};
use aws_sigv4::{
    http_request::{
        PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings,
        UriPathNormalizationMode, sign,
    },
    sign::v4::SigningParams,
};
use aws_types::{app_name::AppName, service_config::ServiceConfigKey};
use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Method, Request, StatusCode,
    header::{HeaderValue, USER_AGENT},
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use tokio::time::{sleep, timeout};

use super::{
    clients::{ATTEMPT_TIMEOUT, CONNECT_TIMEOUT, MAX_ATTEMPTS, OPERATION_TIMEOUT, THROTTLED_PAUSE},
    http::Connections,
};
use crate::{http::Response, retry::Backoff};

/// The pauses between tries.
const AGAIN: Backoff = Backoff { base: THROTTLED_PAUSE, cap: Duration::from_secs(2) };

/// Credentials are fetched anew this long before they end.
const BEFORE_EXPIRY: Duration = Duration::from_secs(60);

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
    kept: Mutex<Option<Credentials>>,
    /// Who asks: with the name of the application, as AWS's own clients tell it.
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
            kept: Mutex::default(),
            agent: agent(config.app_name().map(AppName::as_ref)),
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
        let object = read(self.0.ask(asked).await?, max_bytes).await?;
        object.ok_or_else(|| ObjectError(format!("expected {max_bytes} bytes at most")))
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
        signed(&mut request, &asked.body, credentials, region, SystemTime::now())?;
        request.headers_mut().insert(USER_AGENT, self.agent.clone());
        let answer = self.connections.send(request, CONNECT_TIMEOUT, ATTEMPT_TIMEOUT).await;
        let response = answer.map_err(Failed::for_now)?;
        match response.status() {
            status if status.is_success() => Ok(response),
            status => Err(refused(status, response).await),
        }
    }

    /// The credentials, until shortly before they end.
    async fn credentials(&self) -> Result<Credentials, Failed> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let soon = SystemTime::now() + BEFORE_EXPIRY;
        let lasts = |kept: &Credentials| kept.expiry().is_none_or(|ends| ends > soon);
        if let Some(kept) = kept.filter(lasts) {
            return Ok(kept);
        }
        let missing = || Failed::forever("expected credentials of AWS, found nothing");
        let provider = self.credentials.as_ref().ok_or_else(missing)?;
        let fresh = provider.provide_credentials().await.map_err(Failed::for_now)?;
        *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(fresh.clone());
        Ok(fresh)
    }
}

impl Failed {
    fn forever(error: impl fmt::Display) -> Self {
        Self { error: ObjectError(error.to_string()), may_pass: false }
    }

    fn for_now(error: impl std::error::Error) -> Self {
        let mut text = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            text = format!("{text}: {error}");
            cause = error.source();
        }
        Self { error: ObjectError(text), may_pass: true }
    }
}

fn agent(app: Option<&str>) -> HeaderValue {
    let own = concat!("mcp-batch/", env!("CARGO_PKG_VERSION"));
    let named = app.and_then(|app| HeaderValue::from_str(&format!("{own} app/{app}")).ok());
    named.unwrap_or(HeaderValue::from_static(own))
}

/// An endpoint of one's own, for S3 or for all services.
fn endpoint(config: &SdkConfig) -> Option<String> {
    let key = ServiceConfigKey::builder();
    let key = key.service_id("S3").env("AWS_ENDPOINT_URL").profile("endpoint_url").build().ok();
    let own = config.service_config().zip(key).and_then(|(service, key)| service.load_config(key));
    own.or_else(|| config.endpoint_url().map(ToOwned::to_owned))
}

/// Signs a request as S3 wants it: the path as it is sent, the body's digest in a header.
fn signed(
    request: &mut Request<Full<Bytes>>,
    body: &[u8],
    credentials: Credentials,
    region: &str,
    now: SystemTime,
) -> Result<(), Failed> {
    let mut settings = SigningSettings::default();
    settings.percent_encoding_mode = PercentEncodingMode::Single;
    settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
    settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
    let identity = credentials.into();
    let parameters = SigningParams::builder().identity(&identity).region(region).name("s3");
    let parameters = parameters.time(now).settings(settings).build().map_err(Failed::forever)?;
    let url = request.uri().to_string();
    let headers = request.headers().iter();
    let headers = headers.filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
    let signable =
        SignableRequest::new(request.method().as_str(), &*url, headers, SignableBody::Bytes(body));
    let signed = sign(signable.map_err(Failed::forever)?, &parameters.into());
    let (instructions, _) = signed.map_err(Failed::forever)?.into_parts();
    instructions.apply_to_request_http1x(request);
    Ok(())
}

/// The code and message of S3's XML; what is busy, or fails, may not always.
async fn refused(status: StatusCode, response: Response) -> Failed {
    let body = read(response, MAX_REFUSAL_BYTES).await.ok().flatten().unwrap_or_default();
    let body = String::from_utf8_lossy(&body);
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

/// A body of at most so many bytes; `None`: it is longer.
async fn read(mut response: Response, max_bytes: usize) -> Result<Option<Vec<u8>>, ObjectError> {
    let mut body = Vec::new();
    while let Some(part) = response.chunk().await.map_err(|it| Failed::for_now(it).error)? {
        if part.len() > max_bytes - body.len() {
            return Ok(None);
        }
        body.extend_from_slice(&part);
    }
    Ok(Some(body))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Those of AWS's examples.
    fn credentials() -> Credentials {
        let secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
        Credentials::new("AKIAIOSFODNN7EXAMPLE", secret, None, None, "example")
    }

    fn objects(region: &str, endpoint: Option<&str>) -> Shared {
        Shared {
            connections: Connections::default(),
            endpoint: endpoint.map(ToOwned::to_owned),
            region: Some(region.to_owned()),
            credentials: None,
            kept: Mutex::default(),
            agent: agent(None),
        }
    }

    #[test]
    fn who_asks_is_told_with_the_name_of_the_application() {
        assert_eq!(agent(None), concat!("mcp-batch/", env!("CARGO_PKG_VERSION")));
        let named = agent(Some("jobs-worker"));
        assert!(named.to_str().is_ok_and(|agent| agent.ends_with(" app/jobs-worker")));
    }

    /// "Authenticating Requests: Using the Authorization Header", S3's API reference.
    #[test]
    fn requests_are_signed_as_in_the_examples_of_aws() {
        let body = Bytes::from_static(b"Welcome to Amazon S3.");
        let key = utf8_percent_encode("test$file.text", ESCAPED);
        let mut request = Request::put(format!("https://examplebucket.s3.amazonaws.com/{key}"))
            .header("date", "Fri, 24 May 2013 00:00:00 GMT")
            .header("x-amz-storage-class", "REDUCED_REDUNDANCY")
            .body(Full::new(body.clone()))
            .expect("a request");
        let moment = SystemTime::UNIX_EPOCH + Duration::from_secs(1_369_353_600);

        let answer = signed(&mut request, &body, credentials(), "us-east-1", moment);

        assert!(answer.is_ok());
        let header = request.headers()["authorization"].to_str().expect("text");
        let signature = "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd";
        assert!(header.ends_with(&format!("Signature={signature}")), "{header}");
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
