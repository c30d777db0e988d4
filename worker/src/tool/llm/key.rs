//! The key that is shown to the LLM.

use reqwest::header::HeaderValue;
use secrecy::{ExposeSecret, SecretString};

/// A bearer token.
#[derive(Clone, Debug)]
pub struct ApiKey {
    text: SecretString,
    header: HeaderValue,
}

impl ApiKey {
    /// Reads a key of visible ASCII characters.
    pub fn parse(text: &str) -> Option<Self> {
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return None;
        }
        let mut header = HeaderValue::from_str(&format!("Bearer {text}")).ok()?;
        header.set_sensitive(true);
        Some(Self { text: text.into(), header })
    }

    /// As `Authorization` has it.
    pub(super) fn header(&self) -> HeaderValue {
        self.header.clone()
    }

    /// As an upstream may repeat it.
    pub(super) fn expose(&self) -> &str {
        self.text.expose_secret()
    }
}

impl PartialEq for ApiKey {
    fn eq(&self, other: &Self) -> bool {
        self.expose() == other.expose()
    }
}

impl Eq for ApiKey {}
