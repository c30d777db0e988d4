//! OAuth's client credentials, for a server that wants an access token of an authorization server: one
//! is asked for when it is needed, by one call for all, and used until it expires or is refused. Where
//! none is given, all who wait are told so by the one that asked.

mod issuer;

use std::{
    fmt,
    sync::{PoisonError, RwLock},
    time::Duration,
};

use reqwest::header::HeaderValue;
use serde::Deserialize;
use tokio::{
    sync::Mutex,
    time::{Instant, timeout},
};
use url::Url;

use self::issuer::{Answer, Asker};
use super::credentials::{NoSecret, Text};
use crate::{config::Keys, tool::masks::form_encoded};

/// How long finding the authorization server and asking it may take.
const WITHIN: Duration = Duration::from_secs(20);

/// How long nobody asks again after there was none.
const AFTER_FAILURE: Duration = Duration::from_secs(2);

/// A token is not used in the last of its time: at most so much before it expires.
const BEFORE_EXPIRY: Duration = Duration::from_secs(30);

/// `[servers.NAME.oauth]` of the catalog.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OAuthSpec {
    client_id: String,
    client_secret: String,
    /// The only authorization server that is shown the secret. Without it, the one that the server names.
    #[serde(default)]
    issuer: Option<String>,
    #[serde(default)]
    scopes: Vec<String>,
}

/// Why there is no token.
#[derive(Clone, Debug, thiserror::Error)]
pub(super) enum NoToken {
    #[error(transparent)]
    NoSecret(#[from] NoSecret),
    /// A person has to act.
    #[error("no access token is given for it: {0}")]
    Refused(String),
    /// It may work the next time.
    #[error("no access token can be had for it now: {0}")]
    Unreachable(String),
}

/// Who we are to the authorization server, and what it gave us.
pub(super) struct Grant {
    resource: Url,
    client_id: Text,
    client_secret: Text,
    issuer: Option<Url>,
    scopes: Vec<String>,
    http: reqwest::Client,
    token: RwLock<Option<Token>>,
    /// Held by the one who asks for a token: why the last one who did got none.
    asking: Mutex<Option<Failed>>,
}

/// Who we say we are.
#[derive(PartialEq, Eq)]
struct Client {
    id: String,
    secret: String,
}

/// There was no token.
struct Failed {
    why: NoToken,
    /// For whom: another secret may be given one.
    client: Client,
    until: Instant,
}

#[derive(Clone)]
struct Token {
    text: String,
    header: HeaderValue,
    ends: Option<Instant>,
}

impl Grant {
    /// Checks what the catalog says; the error names the key at fault.
    pub(super) fn new(
        spec: OAuthSpec,
        resource: Url,
        http: reqwest::Client,
    ) -> Result<Self, String> {
        let client_secret = Text::new(spec.client_secret);
        if !client_secret.is_secret() {
            return Err(
                "oauth.client_secret: expected secret:NAME, found something else".to_owned()
            );
        }
        if spec.client_id.is_empty() {
            return Err("oauth.client_id: expected the client's id, found nothing".to_owned());
        }
        let issuer = spec.issuer.as_deref().map(Url::parse).transpose().map_err(|_| {
            "oauth.issuer: expected the URL of the authorization server, found something else"
                .to_owned()
        })?;
        Ok(Self {
            resource,
            client_id: Text::new(spec.client_id),
            client_secret,
            issuer,
            scopes: spec.scopes,
            http,
            token: RwLock::default(),
            asking: Mutex::default(),
        })
    }

    /// What is shown with a request that is made now.
    pub(super) async fn header(&self, keys: &Keys) -> Result<HeaderValue, NoToken> {
        if let Some(token) = self.usable() {
            return Ok(token.header);
        }
        let mut failed = self.asking.lock().await;
        if let Some(token) = self.usable() {
            return Ok(token.header);
        }
        let client =
            Client { id: self.client_id.with(keys)?, secret: self.client_secret.with(keys)? };
        if let Some(why) = failed.as_ref().and_then(|failed| failed.still(&client)) {
            return Err(why);
        }
        match self.ask(&client).await {
            Ok(token) => {
                let header = token.header.clone();
                *self.token.write().unwrap_or_else(PoisonError::into_inner) = Some(token);
                *failed = None;
                Ok(header)
            }
            Err(why) => {
                let until = Instant::now() + AFTER_FAILURE;
                *failed = Some(Failed { why: why.clone(), client, until });
                Err(why)
            }
        }
    }

    /// The server does not take this one any more.
    pub(super) fn forget(&self, refused: &HeaderValue) {
        let mut token = self.token.write().unwrap_or_else(PoisonError::into_inner);
        token.take_if(|token| token.header == refused);
    }

    /// What no message may repeat.
    pub(super) fn hidden(&self, keys: &Keys) -> Vec<String> {
        let token = self.token.read().unwrap_or_else(PoisonError::into_inner);
        let token = token.as_ref().map(|token| token.text.clone());
        let client = self.client_id.with(keys).ok().zip(self.client_secret.with(keys).ok());
        // A request bears both in one, before they are encoded once more.
        let shown = client.map(|(id, secret)| {
            [
                format!("{}:{}", form_encoded(&id), form_encoded(&secret)),
                format!("{id}:{secret}"),
                secret,
            ]
        });
        shown.into_iter().flatten().chain(token).collect()
    }

    fn usable(&self) -> Option<Token> {
        let token = self.token.read().unwrap_or_else(PoisonError::into_inner);
        token.clone().filter(|token| token.ends.is_none_or(|ends| ends > Instant::now()))
    }

    async fn ask(&self, client: &Client) -> Result<Token, NoToken> {
        let (id, secret, scopes) = (&client.id, &client.secret, &self.scopes);
        let asker = Asker { id, secret, issuer: self.issuer.as_ref(), scopes };
        let given = timeout(WITHIN, issuer::token(&self.http, &self.resource, &asker)).await;
        Token::of(given.unwrap_or_else(|_| {
            let why = format!("its authorization server did not answer within {WITHIN:?}");
            Err(NoToken::Unreachable(why))
        })?)
    }
}

impl Failed {
    /// Why there is none, while nobody asks again.
    fn still(&self, client: &Client) -> Option<NoToken> {
        (self.client == *client && Instant::now() < self.until).then(|| self.why.clone())
    }
}

impl Token {
    fn of(answer: Answer) -> Result<Self, NoToken> {
        let header = HeaderValue::from_str(&format!("Bearer {}", answer.access_token));
        let unfit = "its authorization server answered a token that is no header's value";
        let mut header = header.map_err(|_| NoToken::Refused(unfit.to_owned()))?;
        header.set_sensitive(true);
        // What ends beyond all clocks does not end.
        let ends = answer.expires_in.and_then(|lasts_s| {
            let lasts = Duration::from_secs(lasts_s);
            Instant::now().checked_add(lasts.saturating_sub(BEFORE_EXPIRY.min(lasts / 4)))
        });
        Ok(Self { text: answer.access_token, header, ends })
    }
}

/// Shows nobody's secret.
impl fmt::Debug for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Grant").field("resource", &self.resource.as_str()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_that_lasts_beyond_all_clocks_does_not_end() {
        let forever = [i64::MAX as u64, u64::MAX].map(|lasts_s| (lasts_s.to_string(), false));
        let written = ["3600", "\"3600\"", "3600.0"].map(|lasts_s| (lasts_s.to_owned(), true));
        let unknown = ["null", "-1", "\"soon\"", "[]"].map(|lasts_s| (lasts_s.to_owned(), false));
        for (lasts_s, has_end) in forever.into_iter().chain(written).chain(unknown) {
            let answer = format!(
                r#"{{"access_token": "t", "token_type": "Bearer", "expires_in": {lasts_s}}}"#
            );
            let token = Token::of(serde_json::from_str(&answer).expect("an answer"));
            assert_eq!(token.expect("a token").ends.is_some(), has_end, "{lasts_s}");
        }
    }
}
