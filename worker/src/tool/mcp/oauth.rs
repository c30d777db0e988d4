//! OAuth's client credentials, for a server that wants an access token of an authorization server: one
//! is asked for when it is needed, by one call for all, and used until it expires or is refused.
//! rmcp finds the authorization server by the server's own metadata.

use std::{
    fmt,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use hyper::Response;
use reqwest::{Client, header::HeaderValue};
use rmcp::transport::{
    AuthError, AuthorizationManager, ClientCredentialsConfig, OAuthHttpClient,
    OAuthHttpClientError, OAuthHttpClientFuture, OAuthHttpRequest,
    auth::AuthorizationMetadataSource,
};
use serde::Deserialize;
use tokio::{
    sync::Mutex,
    time::{Instant, timeout},
};
use url::Url;

use super::credentials::{NoSecret, Text};
use crate::config::Keys;

/// How long finding the authorization server and asking it may take.
const WITHIN: Duration = Duration::from_secs(20);

/// The longest answer of an authorization server that is read, in bytes.
const MAX_ANSWER_BYTES: usize = 64 * 1024;

/// A token is not used in the last of its time: at most so much before it expires.
const BEFORE_EXPIRY: Duration = Duration::from_secs(30);

/// `[servers.NAME.oauth]` of the catalog.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OAuthSpec {
    client_id: String,
    client_secret: String,
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
    scopes: Vec<String>,
    http: Arc<Http>,
    token: RwLock<Option<Token>>,
    /// Held by the one who asks for a token.
    asking: Mutex<()>,
}

#[derive(Clone)]
struct Token {
    text: String,
    header: HeaderValue,
    ends: Option<Instant>,
}

/// What of its answer counts here.
#[derive(Deserialize)]
struct Answer {
    access_token: String,
    #[serde(default)]
    expires_in: Option<u64>,
}

impl Grant {
    /// Checks what the catalog says; the error names the key at fault.
    pub(super) fn new(spec: OAuthSpec, resource: Url, client: Client) -> Result<Self, String> {
        let client_secret = Text::new(spec.client_secret);
        if !client_secret.is_secret() {
            return Err(
                "oauth.client_secret: expected secret:NAME, found something else".to_owned()
            );
        }
        if spec.client_id.is_empty() {
            return Err("oauth.client_id: expected the client's id, found nothing".to_owned());
        }
        Ok(Self {
            resource,
            client_id: Text::new(spec.client_id),
            client_secret,
            scopes: spec.scopes,
            http: Arc::new(Http(client)),
            token: RwLock::default(),
            asking: Mutex::default(),
        })
    }

    /// What is shown with a request that is made now.
    pub(super) async fn header(&self, keys: &Keys) -> Result<HeaderValue, NoToken> {
        if let Some(token) = self.usable() {
            return Ok(token.header);
        }
        let _asking = self.asking.lock().await;
        if let Some(token) = self.usable() {
            return Ok(token.header);
        }
        let asked = timeout(WITHIN, self.ask(keys)).await;
        let token = asked.unwrap_or_else(|_| {
            let why = format!("its authorization server did not answer within {WITHIN:?}");
            Err(NoToken::Unreachable(why))
        })?;
        let header = token.header.clone();
        *self.token.write().unwrap_or_else(PoisonError::into_inner) = Some(token);
        Ok(header)
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
        self.client_secret.with(keys).ok().into_iter().chain(token).collect()
    }

    fn usable(&self) -> Option<Token> {
        let token = self.token.read().unwrap_or_else(PoisonError::into_inner);
        token.clone().filter(|token| token.ends.is_none_or(|ends| ends > Instant::now()))
    }

    async fn ask(&self, keys: &Keys) -> Result<Token, NoToken> {
        let config = ClientCredentialsConfig::ClientSecret {
            client_id: self.client_id.with(keys)?,
            client_secret: self.client_secret.with(keys)?,
            scopes: self.scopes.clone(),
            resource: Some(self.resource.to_string()),
        };
        let http = Arc::<Http>::clone(&self.http);
        let manager = AuthorizationManager::new_with_oauth_http_client(self.resource.clone(), http);
        let mut manager = manager.await?;
        let found = manager.resolve_metadata().await?;
        if found.source == AuthorizationMetadataSource::LegacyEndpointFallback {
            let why = "it names no authorization server (RFC 9728), and is none (RFC 8414)";
            return Err(NoToken::Refused(why.to_owned()));
        }
        manager.set_metadata(found.metadata);
        manager.validate_client_credentials_metadata(&config)?;
        manager.configure_client_credentials(&config)?;
        let answer = manager.exchange_client_credentials(&config).await?;
        let answer = serde_json::to_value(&answer).and_then(serde_json::from_value::<Answer>);
        Token::of(answer.map_err(|_| unreadable())?)
    }
}

impl Token {
    fn of(answer: Answer) -> Result<Self, NoToken> {
        let header = HeaderValue::from_str(&format!("Bearer {}", answer.access_token));
        let mut header = header.map_err(|_| unreadable())?;
        header.set_sensitive(true);
        let ends = answer.expires_in.map(|lasts_s| {
            let lasts = Duration::from_secs(lasts_s);
            Instant::now() + lasts.saturating_sub(BEFORE_EXPIRY.min(lasts / 4))
        });
        Ok(Self { text: answer.access_token, header, ends })
    }
}

fn unreadable() -> NoToken {
    NoToken::Refused("its authorization server answered no usable token".to_owned())
}

impl From<AuthError> for NoToken {
    fn from(error: AuthError) -> Self {
        let why = error.to_string();
        match error {
            AuthError::HttpError(_) | AuthError::DiscoveryRequestFailed { .. } => {
                Self::Unreachable(why)
            }
            // rmcp tells no more than this of a request that brought no answer.
            AuthError::ClientCredentialsError(said) if said.contains("Request failed") => {
                Self::Unreachable(why)
            }
            _ => Self::Refused(why),
        }
    }
}

/// Shows nobody's secret.
impl fmt::Debug for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Grant").field("resource", &self.resource.as_str()).finish_non_exhaustive()
    }
}

/// Our own client, which follows no redirects: a secret goes to nobody but who was asked.
struct Http(Client);

impl OAuthHttpClient for Http {
    fn execute(&self, request: OAuthHttpRequest) -> OAuthHttpClientFuture<'_> {
        Box::pin(async move {
            let request = reqwest::Request::try_from(request.request)?;
            let mut answer = self.0.execute(request).await?;
            let mut response = Response::builder().status(answer.status());
            for (name, value) in answer.headers() {
                response = response.header(name, value);
            }
            let mut body = Vec::new();
            while let Some(chunk) = answer.chunk().await? {
                if chunk.len() > MAX_ANSWER_BYTES - body.len() {
                    return Err(OAuthHttpClientError::from("the answer is longer than 64 KiB"));
                }
                body.extend_from_slice(&chunk);
            }
            Ok(response.body(body)?)
        })
    }
}
