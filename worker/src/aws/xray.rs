//! Traces straight to X-Ray: its OTLP endpoint wants each export signed, by Signature Version 4 and
//! the credentials that every AWS SDK finds.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use aws_config::BehaviorVersion;
use aws_credential_types::{
    Credentials,
    provider::{ProvideCredentials, SharedCredentialsProvider},
};
use aws_sigv4::{
    http_request::{SignableBody, SignableRequest, SigningSettings, sign},
    sign::v4::SigningParams,
};
use hyper::{
    HeaderMap,
    header::{CONTENT_TYPE, HeaderName, HeaderValue},
};
use tokio::sync::{Mutex, OnceCell};
use url::Url;

use super::{clients, http::Connections};
use crate::trace::{Sign, Signature, TraceSettings};

/// The name that X-Ray's signatures bear.
const SERVICE: &str = "xray";

/// Credentials are not used in the last of their time.
const BEFORE_EXPIRY: Duration = Duration::from_secs(60);

/// The same settings, with somebody who signs where that is asked for.
pub(crate) fn signed(settings: Option<TraceSettings>) -> Option<TraceSettings> {
    settings.map(|mut settings| {
        let region = settings.export.sign_for.clone();
        settings.export.signer = region.map(|region| Arc::new(XRay::new(region)) as _);
        settings
    })
}

/// Signs for X-Ray.
struct XRay {
    region: String,
    /// Looked for when the first export is signed.
    provider: OnceCell<Option<SharedCredentialsProvider>>,
    /// Credentials that expire, until they do.
    credentials: Mutex<Option<Credentials>>,
}

impl XRay {
    fn new(region: String) -> Self {
        Self { region, provider: OnceCell::new(), credentials: Mutex::default() }
    }

    async fn headers(&self, endpoint: &Url, body: &[u8]) -> Result<HeaderMap, String> {
        let identity = self.credentials().await?.into();
        let params = SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name(SERVICE)
            .time(SystemTime::now())
            .settings(SigningSettings::default())
            .build()
            .map_err(|error| error.to_string())?
            .into();
        let headers = [(CONTENT_TYPE.as_str(), "application/json")].into_iter();
        let body = SignableBody::Bytes(body);
        let request = SignableRequest::new("POST", endpoint.as_str(), headers, body);
        let request = request.map_err(|error| error.to_string())?;
        let signed = sign(request, &params).map_err(|error| error.to_string())?;
        let (instructions, _) = signed.into_parts();
        instructions.headers().map(|(name, value)| header(name, value)).collect()
    }

    async fn credentials(&self) -> Result<Credentials, String> {
        let mut known = self.credentials.lock().await;
        if let Some(credentials) = known.as_ref().filter(|it| is_lasting(it)) {
            return Ok(credentials.clone());
        }
        let provider = self.provider.get_or_init(Self::provider).await;
        let provider = provider.as_ref().ok_or("there are no AWS credentials")?;
        let found = provider.provide_credentials().await;
        let found = found.map_err(|error| format!("there are no AWS credentials: {error}"))?;
        *known = Some(found.clone());
        Ok(found)
    }

    async fn provider() -> Option<SharedCredentialsProvider> {
        let loader = aws_config::defaults(BehaviorVersion::latest());
        let config = clients::config(loader, Connections::default()).await;
        config.credentials_provider()
    }
}

/// Where nobody knows until when credentials hold, they are looked for each time.
fn is_lasting(credentials: &Credentials) -> bool {
    credentials.expiry().is_some_and(|end| end > SystemTime::now() + BEFORE_EXPIRY)
}

fn header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), String> {
    let name = name.parse::<HeaderName>().map_err(|error| error.to_string())?;
    let mut value = HeaderValue::from_str(value).map_err(|error| error.to_string())?;
    value.set_sensitive(true);
    Ok((name, value))
}

impl Sign for XRay {
    fn sign<'a>(&'a self, endpoint: &'a Url, body: &'a [u8]) -> Signature<'a> {
        Box::pin(self.headers(endpoint, body))
    }
}

/// Shows no credentials.
impl fmt::Debug for XRay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("XRay").field("region", &self.region).finish_non_exhaustive()
    }
}
