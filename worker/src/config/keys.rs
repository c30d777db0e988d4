//! The settings that may change while the process runs: what is shown to upstreams, what signs.

use reqwest::header::{HeaderName, HeaderValue};
use secrecy::SecretString;

use super::{
    access_keys::{AccessKey, access_keys},
    source::{ConfigError, Source},
};
use crate::{tool::ApiKey, webhook::SigningSecret};

const SIGNING: &str = "MCP_BATCH_CALLBACK_SECRETS";

/// Everything secret, parsed once each time it changes.
#[derive(Clone, Debug)]
pub struct Keys {
    /// `MCP_BATCH_LLM_API_KEY`: shown to the LLM.
    pub llm: Option<ApiKey>,
    /// `MCP_BATCH_CALLBACK_SECRETS`, separated by spaces: each signs; none: callbacks go out
    /// unsigned.
    pub signing: Vec<SigningSecret>,
    /// `MCP_BATCH_CALLBACK_HEADER`: sent beside the signature.
    pub callback_header: Option<(HeaderName, HeaderValue)>,
    /// `MCP_BATCH_API_KEYS`: who may use the HTTP face.
    pub access: Vec<AccessKey>,
    source: Source,
}

impl Keys {
    /// Reads them all; one that cannot be used is an error.
    pub fn read(source: Source) -> Result<Self, ConfigError> {
        let key = |text: &str| ApiKey::parse(text).ok_or_else(something_else);
        let header = |text: &str| header(text).ok_or_else(something_else);
        // Unsigned by mistake, nobody would notice.
        source.refuse_empty(SIGNING, "whsec_ secrets separated by spaces, or no such setting")?;
        let signing = source.hidden(SIGNING, "whsec_ secrets separated by spaces", all)?;
        Ok(Self {
            llm: source.hidden("MCP_BATCH_LLM_API_KEY", "visible ASCII characters", key)?,
            signing: signing.unwrap_or_default(),
            callback_header: source.hidden("MCP_BATCH_CALLBACK_HEADER", "Name: value", header)?,
            access: access_keys(&source)?,
            source,
        })
    }

    /// What a catalog calls `secret:NAME`: of the secret, else the environment variable.
    pub fn named(&self, name: &str) -> Option<SecretString> {
        self.source.get(name).map(SecretString::from)
    }

    /// All settings, as the secret overrides them.
    pub fn source(&self) -> &Source {
        &self.source
    }
}

fn something_else() -> String {
    "something else".to_owned()
}

fn all(text: &str) -> Result<Vec<SigningSecret>, String> {
    let secrets = text.split_whitespace().map(SigningSecret::parse);
    let secrets: Vec<_> =
        secrets.collect::<Result<_, _>>().map_err(|error| format!("one that is none ({error})"))?;
    match secrets.is_empty() {
        true => Err("nothing but spaces".to_owned()),
        false => Ok(secrets),
    }
}

fn header(text: &str) -> Option<(HeaderName, HeaderValue)> {
    let (name, value) = text.split_once(':')?;
    let mut value = HeaderValue::from_str(value.trim()).ok()?;
    value.set_sensitive(true);
    Some((name.trim().parse().ok()?, value))
}
