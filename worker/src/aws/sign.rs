//! Signature Version 4, for the requests to AWS that none of its clients makes.

use std::time::{Duration, SystemTime};

use aws_credential_types::{
    Credentials,
    provider::{ProvideCredentials, SharedCredentialsProvider, error::CredentialsError},
};
use aws_sigv4::{
    http_request::{
        PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings,
        UriPathNormalizationMode, sign,
    },
    sign::v4::SigningParams,
};
use hyper::{
    HeaderMap,
    header::{HeaderName, HeaderValue},
};
use tokio::sync::Mutex;

/// Credentials are fetched anew this long before they end.
const BEFORE_EXPIRY: Duration = Duration::from_secs(60);

/// Whom a request goes to.
#[derive(Clone, Copy, Debug)]
pub(super) enum Service {
    S3,
    XRay,
}

/// A request without its signature.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unsigned<'a> {
    pub(super) method: &'a str,
    pub(super) url: &'a str,
    /// Those that are signed as well, beside the host.
    pub(super) headers: &'a HeaderMap,
    pub(super) body: &'a [u8],
}

/// Credentials that expire, until shortly before they do.
#[derive(Debug, Default)]
pub(super) struct Kept(Mutex<Option<Credentials>>);

impl Kept {
    /// Those that are kept, or new ones. Where nobody knows until when credentials hold, they are
    /// looked for each time.
    pub(super) async fn or_from(
        &self,
        provider: &SharedCredentialsProvider,
    ) -> Result<Credentials, CredentialsError> {
        let mut kept = self.0.lock().await;
        let soon = SystemTime::now() + BEFORE_EXPIRY;
        let lasts = |kept: &&Credentials| kept.expiry().is_some_and(|ends| ends > soon);
        if let Some(credentials) = kept.as_ref().filter(lasts) {
            return Ok(credentials.clone());
        }
        let fresh = provider.provide_credentials().await?;
        *kept = Some(fresh.clone());
        Ok(fresh)
    }
}

impl Service {
    /// The name that its signatures bear.
    fn name(self) -> &'static str {
        match self {
            Self::S3 => "s3",
            Self::XRay => "xray",
        }
    }

    /// S3 wants the path as it is sent, and the body's digest in a header.
    fn settings(self) -> SigningSettings {
        let mut settings = SigningSettings::default();
        if let Self::S3 = self {
            settings.percent_encoding_mode = PercentEncodingMode::Single;
            settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
            settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        }
        settings
    }

    /// The headers that prove who sends the request, and when.
    pub(super) fn signature(
        self,
        region: &str,
        request: Unsigned<'_>,
        credentials: Credentials,
        now: SystemTime,
    ) -> Result<HeaderMap, String> {
        let identity = credentials.into();
        let parameters = SigningParams::builder().identity(&identity).region(region);
        let parameters = parameters.name(self.name()).time(now).settings(self.settings()).build();
        let parameters = parameters.map_err(|error| error.to_string())?.into();
        let headers = request.headers.iter();
        let headers =
            headers.filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
        let body = SignableBody::Bytes(request.body);
        let signable = SignableRequest::new(request.method, request.url, headers, body);
        let signable = signable.map_err(|error| error.to_string())?;
        let signed = sign(signable, &parameters).map_err(|error| error.to_string())?;
        let (instructions, _) = signed.into_parts();
        instructions.headers().map(|(name, value)| header(name, value)).collect()
    }
}

fn header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), String> {
    let name = name.parse::<HeaderName>().map_err(|error| error.to_string())?;
    let mut value = HeaderValue::from_str(value).map_err(|error| error.to_string())?;
    value.set_sensitive(true);
    Ok((name, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Those of AWS's examples.
    fn credentials() -> Credentials {
        let secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
        Credentials::new("AKIAIOSFODNN7EXAMPLE", secret, None, None, "example")
    }

    /// "Authenticating Requests: Using the Authorization Header", S3's API reference.
    #[test]
    fn requests_to_s3_are_signed_as_in_the_examples_of_aws() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("date", "Fri, 24 May 2013 00:00:00 GMT"),
            ("x-amz-storage-class", "REDUCED_REDUNDANCY"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        let request = Unsigned {
            method: "PUT",
            url: "https://examplebucket.s3.amazonaws.com/test%24file.text",
            headers: &headers,
            body: b"Welcome to Amazon S3.",
        };
        let moment = SystemTime::UNIX_EPOCH + Duration::from_secs(1_369_353_600);

        let signed = Service::S3.signature("us-east-1", request, credentials(), moment);

        let signed = signed.expect("a signature");
        let header = signed["authorization"].to_str().expect("text");
        let signature = "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd";
        assert!(header.ends_with(&format!("Signature={signature}")), "{header}");
    }
}
