//! The authorization server: found by the metadata of the server that wants its tokens (RFC 9728, RFC
//! 8414), and asked for one (RFC 6749 §4.4, RFC 8707).

use reqwest::{
    Client, RequestBuilder, Response, StatusCode,
    header::{ACCEPT, CONTENT_TYPE},
};
use serde::{Deserialize, Deserializer, de::DeserializeOwned};
use serde_json::Value;
use url::{Url, form_urlencoded};

use super::NoToken;
use crate::{error::innermost, tool::masks::form_encoded};

/// The longest answer of an authorization server that is read, in bytes.
const MAX_ANSWER_BYTES: usize = 64 * 1024;

/// Who asks, and for what.
pub(super) struct Asker<'a> {
    pub(super) id: &'a str,
    pub(super) secret: &'a str,
    /// Whom alone it is shown to, if that is set.
    pub(super) issuer: Option<&'a Url>,
    pub(super) scopes: &'a [String],
}

/// A token, as it is given.
#[derive(Deserialize)]
pub(super) struct Answer {
    pub(super) access_token: String,
    token_type: String,
    #[serde(default, deserialize_with = "seconds")]
    pub(super) expires_in: Option<u64>,
}

/// Some write the number as a text. What is no time says nothing.
fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    let told = Value::deserialize(deserializer)?;
    let text = told.as_str().map_or_else(|| told.to_string(), str::to_owned);
    let whole = text.split('.').next().unwrap_or_default();
    Ok(whole.parse().ok())
}

/// What a server says of itself.
#[derive(Deserialize)]
struct ResourceMetadata {
    resource: Address,
    #[serde(default)]
    authorization_servers: Vec<Address>,
}

/// A URL in JSON.
#[derive(Deserialize)]
#[serde(try_from = "String")]
struct Address(Url);

impl TryFrom<String> for Address {
    type Error = url::ParseError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse().map(Self)
    }
}

/// What an authorization server says of itself.
#[derive(Deserialize)]
struct IssuerMetadata {
    issuer: Address,
    token_endpoint: Address,
    #[serde(default)]
    token_endpoint_auth_methods_supported: Vec<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Refusal {
    error: Option<String>,
    error_description: Option<String>,
}

/// Finds the authorization server of `resource` and asks it for a token.
pub(super) async fn token(
    http: &Client,
    resource: &Url,
    client: &Asker<'_>,
) -> Result<Answer, NoToken> {
    let issuer = find(http, resource, client.issuer).await?;
    // A server behind plain http has no more to lose.
    if issuer.token_endpoint.0.scheme() != "https" && resource.scheme() != "http" {
        return Err(refused("its authorization server takes secrets over plain http"));
    }
    let request = http.post(issuer.token_endpoint.0.clone());
    let response = sent(with_credentials(request, &issuer, resource, client)).await?;
    let status = response.status();
    let body = read(response).await?;
    if status.is_success() {
        let answer = serde_json::from_slice::<Answer>(&body).ok();
        let bearer = answer.filter(|answer| answer.token_type.eq_ignore_ascii_case("bearer"));
        return bearer.ok_or_else(|| refused("its authorization server answered no bearer token"));
    }
    let said = serde_json::from_slice::<Refusal>(&body).unwrap_or_default();
    let said = [said.error, said.error_description].into_iter().flatten().collect::<Vec<_>>();
    let why = format!("its authorization server answered {status} {}", said.join(": "));
    Err(if is_passing(status) { NoToken::Unreachable(why) } else { NoToken::Refused(why) })
}

/// In the body, unless it takes them in the header alone.
fn with_credentials(
    request: RequestBuilder,
    issuer: &IssuerMetadata,
    resource: &Url,
    client: &Asker<'_>,
) -> RequestBuilder {
    let methods = &issuer.token_endpoint_auth_methods_supported;
    let takes = |method: &str| methods.iter().any(|it| it == method);
    let is_basic = takes("client_secret_basic") && !takes("client_secret_post");
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.append_pair("grant_type", "client_credentials");
    form.append_pair("resource", resource.as_str());
    if !client.scopes.is_empty() {
        form.append_pair("scope", &client.scopes.join(" "));
    }
    let request = if is_basic {
        request.basic_auth(form_encoded(client.id), Some(form_encoded(client.secret)))
    } else {
        form.append_pair("client_id", client.id);
        form.append_pair("client_secret", client.secret);
        request
    };
    request.header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(form.finish())
}

async fn find(
    http: &Client,
    resource: &Url,
    expected: Option<&Url>,
) -> Result<IssuerMetadata, NoToken> {
    let places = well_known(resource, "oauth-protected-resource");
    let issuer = match first::<ResourceMetadata>(http, &places).await? {
        Some(metadata) if metadata.resource.0.origin() != resource.origin() => {
            return Err(refused("its metadata are those of another server (RFC 9728)"));
        }
        Some(metadata) => {
            let mut named = metadata.authorization_servers.into_iter().map(|it| it.0);
            match expected {
                Some(expected) => named.find(|it| is_same(it, expected)),
                None => named.next(),
            }
        }
        // It may be one itself.
        None => resource.join("/").ok(),
    };
    let issuer = issuer.filter(|it| expected.is_none_or(|expected| is_same(it, expected)));
    let issuer = issuer.ok_or_else(|| match expected {
        Some(_) => refused("it does not name the authorization server that the catalog expects"),
        None => refused("it names no authorization server (RFC 9728)"),
    })?;
    let mut places = well_known(&issuer, "oauth-authorization-server");
    places.extend(well_known(&issuer, "openid-configuration"));
    let metadata = first::<IssuerMetadata>(http, &places).await?;
    let metadata = metadata.ok_or_else(|| {
        refused(&format!("the authorization server {issuer} publishes no metadata (RFC 8414)"))
    })?;
    if !is_same(&metadata.issuer.0, &issuer) {
        return Err(refused("its authorization server calls itself by another name (RFC 8414)"));
    }
    Ok(metadata)
}

fn is_same(one: &Url, other: &Url) -> bool {
    one.as_str().trim_end_matches('/') == other.as_str().trim_end_matches('/')
}

/// Where a server's metadata may be: between its host and its path, else at its root.
fn well_known(server: &Url, name: &str) -> Vec<Url> {
    let path = server.path().trim_end_matches('/');
    let mut places: Vec<Url> =
        server.join(&format!("/.well-known/{name}{path}")).into_iter().collect();
    if !path.is_empty() {
        places.extend(server.join(&format!("/.well-known/{name}")));
    }
    places
}

/// The first of these documents that is there.
async fn first<T: DeserializeOwned>(http: &Client, places: &[Url]) -> Result<Option<T>, NoToken> {
    for place in places {
        let response = sent(http.get(place.clone())).await?;
        let status = response.status();
        if is_passing(status) {
            return Err(NoToken::Unreachable(format!("{place} answered {status}")));
        }
        if status.is_success() {
            let body = read(response).await?;
            let metadata = serde_json::from_slice(&body);
            return metadata.map(Some).map_err(|_| refused(&format!("{place} is no metadata")));
        }
    }
    Ok(None)
}

async fn sent(request: RequestBuilder) -> Result<Response, NoToken> {
    request.header(ACCEPT, "application/json").send().await.map_err(|error| lost(&error))
}

async fn read(mut response: Response) -> Result<Vec<u8>, NoToken> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| lost(&error))? {
        if chunk.len() > MAX_ANSWER_BYTES - body.len() {
            return Err(refused("its authorization server answered more than 64 KiB"));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

fn is_passing(status: StatusCode) -> bool {
    status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS
}

fn lost(error: &reqwest::Error) -> NoToken {
    NoToken::Unreachable(format!("its authorization server: {}", innermost(error)))
}

fn refused(why: &str) -> NoToken {
    NoToken::Refused(why.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_are_looked_for_below_the_host_and_at_its_root() {
        let places = |url: &str| {
            let places = well_known(&url.parse().expect("a URL"), "oauth-protected-resource");
            places.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        let root = "https://a.example.com/.well-known/oauth-protected-resource";
        assert_eq!(places("https://a.example.com/mcp/x"), [format!("{root}/mcp/x"), root.into()]);
        assert_eq!(places("https://a.example.com/"), [root]);
    }
}
