//! Where an outcome is posted. The URL may be a secret (an n8n resume URL is), so it shows itself
//! to nobody but the one who dials it.

use std::{fmt, net::IpAddr, sync::Arc};

use serde_json::Value;
use url::{Host, Url};

use super::fields::{self, Fields, Problem};

const EXPECTED: &str = "an http or https URL of at most 2048 characters, without user or password";

const MAX_URL_CHARS: usize = 2048;

/// A URL that an outcome is posted to, kept exactly as it was given.
#[derive(Clone, PartialEq, Eq)]
pub struct Callback {
    url: Arc<str>,
    host: Arc<str>,
    port: u16,
    literal: Option<IpAddr>,
    is_https: bool,
}

impl Callback {
    /// A URL as text, or an object `{"url": …}`.
    pub(super) fn parse(value: Value) -> Result<Self, Problem> {
        if value.is_string() {
            return Self::from_value(value);
        }
        let mut fields = Fields::of_object(value, &["url"])?;
        let callback = fields.required("url", Self::from_value);
        match (callback, fields.finish().into_iter().next()) {
            (_, Some(problem)) => Err(problem),
            (Some(callback), None) => Ok(callback),
            (None, None) => Err(Problem::missing("url")),
        }
    }

    fn from_value(value: Value) -> Result<Self, Problem> {
        let text = fields::string(value, EXPECTED)?;
        Self::from_url(text).map_err(|found| Problem::invalid(EXPECTED, found))
    }

    /// Judges a URL; the error says what it is instead, without quoting it.
    pub fn from_url(text: String) -> Result<Self, &'static str> {
        if text.len() > MAX_URL_CHARS {
            return Err("a longer text");
        }
        let url = Url::parse(&text).map_err(|_| "no URL")?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err("another scheme");
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err("a user or password in it");
        }
        let literal = match url.host().ok_or("no host")? {
            Host::Domain(name) if name.trim_end_matches('.').is_empty() => return Err("no host"),
            Host::Domain(_) => None,
            Host::Ipv4(address) => Some(IpAddr::V4(address)),
            Host::Ipv6(address) => Some(IpAddr::V6(address)),
        };
        let host = url.host_str().ok_or("no host")?.into();
        let port = url.port_or_known_default().filter(|port| *port != 0).ok_or("no port")?;
        Ok(Self { url: text.into(), host, port, literal, is_https: url.scheme() == "https" })
    }

    /// The whole URL: for dialling, never for logs.
    pub fn expose_url(&self) -> &str {
        &self.url
    }

    /// The host alone, which may be logged.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, that of the scheme where the URL names none.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The host where it is an address, however that was spelled.
    pub fn literal(&self) -> Option<IpAddr> {
        self.literal
    }

    /// Whether it is sent over TLS.
    pub fn is_https(&self) -> bool {
        self.is_https
    }

    /// The host and the port, where a connection goes.
    pub fn address(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }
}

impl fmt::Debug for Callback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Callback({})", self.host)
    }
}
