//! The server as its own authorization server: it gives tokens to one client.

use std::sync::atomic::Ordering::SeqCst;
use std::sync::atomic::{AtomicBool, AtomicUsize};

use hyper::Response;
use serde_json::json;

use super::answer;
use crate::server::{Body, Received};

/// Who is given tokens, and how many there were.
#[derive(Debug)]
pub(super) struct OAuth {
    pub(super) client_id: String,
    pub(super) client_secret: String,
    pub(super) expires_in_s: u64,
    /// It wants the secret in a header, and takes it from nobody.
    pub(super) is_basic: bool,
    pub(super) given: AtomicUsize,
    /// Requests for tokens, refused ones included.
    pub(super) asked: AtomicUsize,
    /// No token is given.
    pub(super) is_down: AtomicBool,
    /// The latest token is not taken any more.
    pub(super) is_revoked: AtomicBool,
}

impl OAuth {
    /// Whether the request shows the latest token.
    pub(super) fn lets_in(&self, request: &Received) -> bool {
        let latest = format!("Bearer token-{}-geheim", self.given.load(SeqCst));
        !self.is_revoked.load(SeqCst) && request.header("authorization") == Some(&*latest)
    }

    /// The answer to a request that is about tokens.
    pub(super) fn answer(&self, request: &Received) -> Option<Response<Body>> {
        let origin = format!("http://{}", request.header("host").unwrap_or_default());
        match request.path() {
            "/.well-known/oauth-protected-resource/mcp" => Some(answer::json(
                200,
                &json!({"resource": format!("{origin}/mcp"), "authorization_servers": [origin]}),
            )),
            "/.well-known/oauth-authorization-server" => Some(answer::json(
                200,
                &json!({
                    "issuer": origin,
                    "authorization_endpoint": format!("{origin}/authorize"),
                    "token_endpoint": format!("{origin}/token"),
                    "response_types_supported": ["code"],
                    "grant_types_supported": ["client_credentials"],
                    "token_endpoint_auth_methods_supported": [self.method()],
                }),
            )),
            "/token" => Some(self.give(request)),
            path if path.starts_with("/.well-known/") => Some(answer::status(404)),
            _ => None,
        }
    }

    fn method(&self) -> &'static str {
        if self.is_basic { "client_secret_basic" } else { "client_secret_post" }
    }

    fn give(&self, request: &Received) -> Response<Body> {
        self.asked.fetch_add(1, SeqCst);
        if self.is_down.load(SeqCst) {
            return answer::status(503);
        }
        let body = String::from_utf8_lossy(request.body()).into_owned();
        let expected = [
            "grant_type=client_credentials".to_owned(),
            format!("client_id={}", self.client_id),
            format!("client_secret={}", self.client_secret),
        ];
        if !expected.iter().all(|pair| body.split('&').any(|it| it == pair)) {
            let header = request.header("authorization").unwrap_or_default();
            let said = format!("not with {body} {header}");
            return answer::json(
                401,
                &json!({"error": "invalid_client", "error_description": said}),
            );
        }
        self.is_revoked.store(false, SeqCst);
        let number = self.given.fetch_add(1, SeqCst) + 1;
        answer::json(
            200,
            &json!({
                "access_token": format!("token-{number}-geheim"),
                "token_type": "Bearer",
                "expires_in": self.expires_in_s,
            }),
        )
    }
}
