//! Traces straight to X-Ray: its OTLP endpoint wants each export signed, by Signature Version 4 and
//! the credentials that every AWS SDK finds.

use std::{fmt, sync::Arc, time::SystemTime};

use aws_config::BehaviorVersion;
use aws_credential_types::{Credentials, provider::SharedCredentialsProvider};
use hyper::{
    HeaderMap,
    header::{CONTENT_TYPE, HeaderValue},
};
use tokio::sync::OnceCell;
use url::Url;

use super::{
    clients,
    http::Connections,
    sign::{Kept, Service, Unsigned},
};
use crate::trace::{Sign, Signature, TraceSettings};

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
    kept: Kept,
}

impl XRay {
    fn new(region: String) -> Self {
        Self { region, provider: OnceCell::new(), kept: Kept::default() }
    }

    async fn headers(&self, endpoint: &Url, body: &[u8]) -> Result<HeaderMap, String> {
        let credentials = self.credentials().await?;
        let json = HeaderValue::from_static("application/json");
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, json)]);
        let (method, url) = ("POST", endpoint.as_str());
        let request = Unsigned { method, url, headers: &headers, body };
        Service::XRay.signature(&self.region, request, credentials, SystemTime::now())
    }

    async fn credentials(&self) -> Result<Credentials, String> {
        let provider = self.provider.get_or_init(Self::provider).await;
        let provider = provider.as_ref().ok_or("there are no AWS credentials")?;
        let found = self.kept.or_from(provider).await;
        found.map_err(|error| format!("there are no AWS credentials: {error}"))
    }

    async fn provider() -> Option<SharedCredentialsProvider> {
        let loader = aws_config::defaults(BehaviorVersion::latest());
        let config = clients::config(loader, Connections::default()).await;
        config.credentials_provider()
    }
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
