//! Requests that may be made again: an `Idempotency-Key` names one, and the ledger remembers what
//! was asked for under it.

use axum::http::{HeaderMap, StatusCode};
use uuid::Uuid;

use super::{Api, access::Caller, problem::Problem};
use crate::{
    environment::Ports,
    job::{BodyHash, JobId, RequestKey},
    lease::Ledger,
};

const HEADER: &str = "idempotency-key";

const MAX_CHARS: usize = 255;

/// Where the ids of a request's jobs come from.
pub(super) enum Identity {
    /// The caller named the request: its jobs have the same ids each time.
    Named(RequestKey),
    /// Nobody did: they have fresh ones.
    Fresh,
}

impl Identity {
    /// The id of the job at place `index`, if the job has none of its own.
    pub(super) fn job_id(&self, index: usize) -> JobId {
        match self {
            Self::Named(key) => key.job_id(index),
            Self::Fresh => JobId::of_uuid(Uuid::now_v7()),
        }
    }
}

/// The key that a request bears.
pub(super) fn key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let mut given = headers.get_all(HEADER).into_iter();
    let Some(key) = given.next() else { return Ok(None) };
    let key = key.to_str().unwrap_or_default();
    judged(key).filter(|_| given.next().is_none()).map(Some).ok_or_else(|| {
        let detail = format!("expected one key of 1 to {MAX_CHARS} visible ASCII characters");
        Problem::bad_request("invalid_field", detail).at("Idempotency-Key")
    })
}

/// The key that is an argument of an MCP tool.
pub(super) fn of_argument(key: &serde_json::Value) -> Result<&str, Problem> {
    key.as_str().filter(|key| judged(key).is_some()).ok_or_else(|| {
        let detail = format!("expected 1 to {MAX_CHARS} visible ASCII characters");
        Problem::bad_request("invalid_field", detail).at("idempotency_key")
    })
}

fn judged(key: &str) -> Option<String> {
    let is_sound =
        (1..=MAX_CHARS).contains(&key.len()) && key.bytes().all(|it| it.is_ascii_graphic());
    is_sound.then(|| key.to_owned())
}

impl<P: Ports> Api<P> {
    /// Notes the request under its key, if it has one. The same key with something else is refused.
    pub(super) async fn identity(
        &self,
        caller: &Caller,
        key: Option<&str>,
        body: BodyHash,
    ) -> Result<Identity, Problem> {
        let Some(key) = key else { return Ok(Identity::Fresh) };
        let request = RequestKey::of(&caller.namespace, key);
        let now = self.environment.clock.now();
        let expires = now.plus(self.environment.policy.record_lives);
        let stands = self.environment.ledger.note_request(request, body, now, expires).await?;
        if stands != body {
            let detail = "the key was used with another request: take a new one for a new request";
            let problem = Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "idempotency_key", detail);
            return Err(problem.at("Idempotency-Key"));
        }
        Ok(Identity::Named(request))
    }
}
