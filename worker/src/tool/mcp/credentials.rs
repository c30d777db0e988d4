//! What is shown to a server with each request: headers, whose values may be secrets that change.

use std::{collections::BTreeMap, sync::Arc};

use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use secrecy::ExposeSecret;

use super::oauth::{Grant, NoToken};
use crate::{config::Keys, secret::Secrets};

/// Headers that the protocol or HTTP itself sets.
const RESERVED: [&str; 12] = [
    "accept",
    "connection",
    "content-length",
    "content-type",
    "host",
    "last-event-id",
    "mcp-method",
    "mcp-name",
    "mcp-protocol-version",
    "mcp-session-id",
    "te",
    "transfer-encoding",
];

/// What refers to a secret begins with this.
const SECRET: &str = "secret:";

/// Headers as the catalog writes them.
#[derive(Debug)]
pub(super) struct HeaderSpec {
    pub(super) bearer: Option<String>,
    pub(super) headers: BTreeMap<String, String>,
}

/// The headers of every request to a server.
#[derive(Debug)]
pub(super) struct Shown(Vec<(HeaderName, HeaderText)>);

/// The value of a header, or where to find it.
#[derive(Debug)]
enum HeaderText {
    Plain(HeaderValue),
    Secret { name: String, scheme: &'static str },
}

/// A secret that the catalog names and that is not there, or is no header's value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NoSecret {
    #[error(
        "there is no secret {0}: add it to the JSON object of MCP_BATCH_SECRET_ARN, or set the \
         environment variable of that name"
    )]
    Missing(String),
    #[error("the secret {0}: expected visible ASCII characters, found something else")]
    Unfit(String),
}

impl Shown {
    /// Checks the headers; the error names the key at fault and repeats no value.
    pub(super) fn new(spec: HeaderSpec) -> Result<Self, String> {
        let bearer = spec.bearer.map(|text| match text.strip_prefix(SECRET) {
            Some(name) if !name.is_empty() => {
                Ok((AUTHORIZATION, HeaderText::Secret { name: name.to_owned(), scheme: "Bearer " }))
            }
            _ => Err("bearer: expected secret:NAME, found something else".to_owned()),
        });
        let headers = spec.headers.iter().map(|(name, text)| header(name, text));
        let all = bearer.into_iter().chain(headers).collect::<Result<Vec<_>, _>>()?;
        let twice = all.iter().filter(|(name, _)| name == AUTHORIZATION).count() > 1;
        match twice {
            true => Err("headers.Authorization: there is a bearer already".to_owned()),
            false => Ok(Self(all)),
        }
    }

    /// Whether one of them says who we are.
    pub(super) fn authorizes(&self) -> bool {
        self.0.iter().any(|(name, _)| name == AUTHORIZATION)
    }

    /// The headers with the secrets as `keys` has them.
    fn with(&self, keys: &Keys) -> Result<HeaderMap, NoSecret> {
        let header = |(name, text): &(HeaderName, HeaderText)| Ok((name.clone(), text.with(keys)?));
        self.0.iter().map(header).collect()
    }
}

impl HeaderText {
    fn with(&self, keys: &Keys) -> Result<HeaderValue, NoSecret> {
        match self {
            Self::Plain(value) => Ok(value.clone()),
            Self::Secret { name, scheme } => {
                let secret = keys.named(name).ok_or_else(|| NoSecret::Missing(name.clone()))?;
                let value = format!("{scheme}{}", secret.expose_secret());
                let mut value =
                    HeaderValue::from_str(&value).map_err(|_| NoSecret::Unfit(name.clone()))?;
                value.set_sensitive(true);
                Ok(value)
            }
        }
    }
}

fn header(name: &str, text: &str) -> Result<(HeaderName, HeaderText), String> {
    let parsed = name.parse::<HeaderName>();
    let parsed = parsed.map_err(|_| format!("headers: “{name}” is no header's name"))?;
    if RESERVED.contains(&parsed.as_str()) || parsed.as_str().starts_with("mcp-param-") {
        return Err(format!("headers.{name}: the protocol sets this header itself"));
    }
    let text = match text.strip_prefix(SECRET) {
        Some(secret) => HeaderText::Secret { name: secret.to_owned(), scheme: "" },
        None => HeaderText::Plain(HeaderValue::from_str(text).map_err(|_| {
            format!("headers.{name}: expected visible ASCII characters, found something else")
        })?),
    };
    Ok((parsed, text))
}

/// What is shown now, and in its place once that was refused.
#[derive(Clone, Debug)]
pub(super) struct Credentials {
    shown: Arc<Shown>,
    grant: Option<Arc<Grant>>,
    secrets: Secrets,
}

/// A text of the catalog that may be a secret.
#[derive(Debug)]
pub(super) enum Text {
    Plain(String),
    Secret(String),
}

impl Text {
    pub(super) fn new(text: String) -> Self {
        match text.strip_prefix(SECRET) {
            Some(name) => Self::Secret(name.to_owned()),
            None => Self::Plain(text),
        }
    }

    pub(super) fn is_secret(&self) -> bool {
        matches!(self, Self::Secret(_))
    }

    /// The text, as `keys` has it.
    pub(super) fn with(&self, keys: &Keys) -> Result<String, NoSecret> {
        match self {
            Self::Plain(text) => Ok(text.clone()),
            Self::Secret(name) => {
                let secret = keys.named(name).ok_or_else(|| NoSecret::Missing(name.clone()))?;
                Ok(secret.expose_secret().to_owned())
            }
        }
    }
}

/// Headers, and the keys they were made of.
pub(super) struct Present {
    pub(super) headers: HeaderMap,
    keys: Arc<Keys>,
}

impl Credentials {
    pub(super) fn new(shown: Shown, grant: Option<Grant>, secrets: Secrets) -> Self {
        Self { shown: Arc::new(shown), grant: grant.map(Arc::new), secrets }
    }

    /// What is shown with a request that is made now.
    pub(super) async fn present(&self) -> Result<Present, NoToken> {
        let keys = self.secrets.current();
        self.made_of(keys).await
    }

    /// The same after a refusal, if it has changed since. A token is asked for anew.
    pub(super) async fn other_than(&self, refused: &Present) -> Option<Present> {
        let keys = self.secrets.renew(&refused.keys).await;
        if let (Some(grant), Some(token)) = (&self.grant, refused.headers.get(AUTHORIZATION)) {
            grant.forget(token);
        }
        let present = self.made_of(keys).await.ok()?;
        (present.headers != refused.headers).then_some(present)
    }

    async fn made_of(&self, keys: Arc<Keys>) -> Result<Present, NoToken> {
        let mut headers = self.shown.with(&keys)?;
        if let Some(grant) = &self.grant {
            headers.insert(AUTHORIZATION, grant.header(&keys).await?);
        }
        Ok(Present { headers, keys })
    }

    /// What no message may repeat.
    pub(super) fn hidden(&self) -> Vec<String> {
        let keys = self.secrets.current();
        let secret = |(_, text): &(HeaderName, HeaderText)| match text {
            HeaderText::Plain(_) => None,
            HeaderText::Secret { name, .. } => keys.named(name),
        };
        let secrets = self.shown.0.iter().filter_map(secret);
        let secrets = secrets.map(|secret| secret.expose_secret().to_owned());
        let granted = self.grant.iter().flat_map(|grant| grant.hidden(&keys));
        secrets.chain(granted).collect()
    }
}
