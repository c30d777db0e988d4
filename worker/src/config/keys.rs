//! The settings that may change while the process runs: what is shown to upstreams, what signs.

use reqwest::header::{self, HeaderName, HeaderValue};
use secrecy::SecretString;

use super::{
    access_keys::{AccessKey, access_keys},
    source::{ConfigError, Source},
};
use crate::{tool::ApiKey, webhook::SigningSecret};

const SIGNING: &str = "MCP_BATCH_CALLBACK_SECRETS";

/// Headers that say what a callback is and where it ends: another value would cut or garble it.
const OURS: [HeaderName; 11] = [
    header::CONNECTION,
    header::CONTENT_ENCODING,
    header::CONTENT_LENGTH,
    header::CONTENT_TYPE,
    header::EXPECT,
    header::HOST,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    HeaderName::from_static("keep-alive"),
];

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

fn header(text: &str) -> Result<(HeaderName, HeaderValue), String> {
    let (name, value) = text.split_once(':').ok_or_else(something_else)?;
    let name: HeaderName = name.trim().parse().map_err(|_| something_else())?;
    let mut value = HeaderValue::from_str(value.trim()).map_err(|_| something_else())?;
    value.set_sensitive(true);
    if OURS.contains(&name) || name.as_str().starts_with("webhook-") {
        return Err(format!("the header {name}, which each callback has of its own"));
    }
    Ok((name, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_that_would_change_how_a_callback_is_read_is_refused_by_its_name() {
        for text in ["Content-Length: 5", "host: a", "TRANSFER-ENCODING: chunked", "Webhook-Id: 1"]
        {
            let found = header(text).expect_err(text);
            let name = text.split(':').next().unwrap_or_default().to_lowercase();
            assert!(found.contains(&format!("the header {name}, which")), "{found}");
        }
        assert!(header("Authorization: Bearer x").is_ok());
        assert_eq!(header("geheim"), Err(something_else()));
    }
}
