//! Who asks, and what that allows. A key is compared by its SHA-256 with every key there is, in
//! constant time; what is wrong with one is not said.

use axum::{
    Router,
    extract::{Request, State},
    http::{HeaderMap, StatusCode, header},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Response},
};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::{problem::Problem, rate::Rate};
use crate::{
    config::{AccessKey, Grant, Keys, Scope},
    job::Namespace,
    secret::Secrets,
};

/// Who is let in.
#[derive(Clone)]
pub enum Access {
    /// Everybody, to everything, with the jobs of this namespace: on loopback.
    Open(Namespace),
    /// Who shows one of the present keys, or is [`Vouched`] for.
    Keys(Secrets),
}

/// Who asks.
#[derive(Clone, Debug)]
pub(super) struct Caller {
    /// Whose jobs it sees.
    pub(super) namespace: Namespace,
    /// What it may do; nothing was asked for.
    grant: Option<Grant>,
}

/// What somebody may whose token was checked before the request came here. It stands in the request's
/// extensions, where only the shell around the router can put it: nothing that is sent gets there.
#[derive(Clone, Debug)]
pub struct Vouched(pub Grant);

impl Caller {
    /// Whether it may do that.
    pub(super) fn may(&self, scope: Scope) -> bool {
        self.grant.as_ref().is_none_or(|grant| grant.scopes.contains(&scope))
    }

    /// The grant's name; empty where none was needed.
    pub(super) fn name(&self) -> &str {
        self.grant.as_ref().map_or("", |grant| &grant.name)
    }
}

impl Access {
    fn caller(&self, request: &Request) -> Option<Caller> {
        match self {
            Self::Open(namespace) => Some(Caller { namespace: namespace.clone(), grant: None }),
            Self::Keys(secrets) => {
                let keys = secrets.current();
                let key = bearer(request.headers()).and_then(|token| known(&keys, token));
                let vouched = || request.extensions().get().map(|Vouched(grant)| grant);
                let grant = key.map(|key| &key.grant).or_else(vouched)?.clone();
                Some(Caller { namespace: grant.namespace.clone(), grant: Some(grant) })
            }
        }
    }
}

/// "The scheme is case-insensitive" (RFC 9110, 11.1).
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// All keys are looked at, whichever it is.
fn known<'a>(keys: &'a Keys, token: &str) -> Option<&'a AccessKey> {
    let digest: [u8; 32] = Sha256::digest(token).into();
    keys.access.iter().fold(None, |found, key| {
        if bool::from(key.digest.ct_eq(&digest)) { Some(key) } else { found }
    })
}

/// What stands before a route.
#[derive(Clone)]
pub(super) struct Guard {
    pub(super) access: Access,
    pub(super) rate: Rate,
    /// One of them is enough.
    pub(super) scopes: &'static [Scope],
}

/// Lets those to `routes` who may read.
pub fn for_readers(routes: Router, access: Access) -> Router {
    let guard = Guard { access, rate: Rate::new(None), scopes: &[Scope::Read] };
    routes.route_layer(from_fn_with_state(guard, self::guard))
}

/// Lets in who may, as often as it may; the route knows the [`Caller`].
pub(super) async fn guard(
    State(guard): State<Guard>,
    mut request: Request,
    next: Next,
) -> Response {
    let Some(caller) = guard.access.caller(&request) else {
        let detail = "this needs a valid key: Authorization: Bearer …";
        return Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", detail).into_response();
    };
    if let Err(pause) = guard.rate.take(caller.name()) {
        let detail = "this key asks too often";
        let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, "rate_limit", detail);
        return problem.after(pause).into_response();
    }
    if !guard.scopes.iter().any(|scope| caller.may(*scope)) {
        let detail = "the key does not allow this";
        return Problem::new(StatusCode::FORBIDDEN, "forbidden", detail).into_response();
    }
    request.extensions_mut().insert(caller);
    next.run(request).await
}
