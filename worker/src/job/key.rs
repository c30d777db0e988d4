//! What identifies a job in the ledger, and what tells two payloads under one id apart.

use std::{fmt, sync::Arc};

use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::{JobId, ModelName, ToolName};

/// Whose jobs these are: an id is unique within one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Namespace(Arc<str>);

impl Default for Namespace {
    fn default() -> Self {
        Self("default".into())
    }
}

impl Namespace {
    /// The name as it was given.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::str::FromStr for Namespace {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse::<JobId>().map(|id| Self(id.as_str().into()))
    }
}

macro_rules! digest {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; 32]);

        impl $name {
            /// The digest's bytes.
            pub fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }

            /// A digest that was stored.
            pub fn from_bytes(bytes: [u8; 32]) -> Self {
                Self(bytes)
            }

            /// A digest as it is displayed.
            pub fn from_hex(text: &str) -> Option<Self> {
                let bytes = HEXLOWER_PERMISSIVE.decode(text.as_bytes()).ok()?;
                bytes.try_into().ok().map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                HEXLOWER.encode_display(&self.0).fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    };
}

digest! {
    /// The ledger's key: SHA-256 over version, namespace and id.
    JobKey
}

impl JobKey {
    /// The key of job `id` in `namespace`.
    pub fn of(namespace: &Namespace, id: &JobId) -> Self {
        let mut hasher = Sha256::new();
        hash_text(&mut hasher, "mcp-batch job v1");
        hash_text(&mut hasher, namespace.as_str());
        hash_text(&mut hasher, id.as_str());
        Self(hasher.finalize().into())
    }
}

impl JobKey {
    /// The key of a message that cannot become a run: its own, whatever id it names.
    pub fn of_refused(namespace: &Namespace, body: &[u8]) -> Self {
        let mut hasher = Sha256::new();
        hash_text(&mut hasher, "mcp-batch refused message v1");
        hash_text(&mut hasher, namespace.as_str());
        hasher.update(Sha256::digest(body));
        Self(hasher.finalize().into())
    }
}

digest! {
    /// SHA-256 over tool, input and model, independent of the order of the input's fields.
    PayloadHash
}

impl PayloadHash {
    pub(super) fn of(tool: &ToolName, input: &Value, model: Option<&ModelName>) -> Self {
        let mut hasher = Sha256::new();
        hash_text(&mut hasher, "mcp-batch payload v1");
        hash_text(&mut hasher, tool.as_str());
        hash_text(&mut hasher, model.map_or("", ModelName::as_str));
        hash_value(&mut hasher, input);
        Self(hasher.finalize().into())
    }

    /// An id for the job number `nth` (from 0) of several with this payload: the same each time, a
    /// UUID of version 8.
    pub fn job_id(&self, nth: u64) -> JobId {
        derived(&self.0, nth)
    }
}

digest! {
    /// What identifies a request that may be repeated: SHA-256 over version, namespace and the
    /// caller's key for it.
    RequestKey
}

impl RequestKey {
    /// The key of the request that a caller names `name`.
    pub fn of(namespace: &Namespace, name: &str) -> Self {
        let mut hasher = Sha256::new();
        hash_text(&mut hasher, "mcp-batch request v1");
        hash_text(&mut hasher, namespace.as_str());
        hash_text(&mut hasher, name);
        Self(hasher.finalize().into())
    }

    /// The id of the job at place `index` of the request: the same each time, a UUID of version 8.
    pub fn job_id(&self, index: usize) -> JobId {
        derived(&self.0, index as u64)
    }
}

/// An id that follows from a digest and a number.
fn derived(digest: &[u8; 32], number: u64) -> JobId {
    let digest = Sha256::new().chain_update(digest).chain_update(number.to_be_bytes());
    let digest: [u8; 32] = digest.finalize().into();
    let (bytes, _) = digest.split_first_chunk::<16>().unwrap_or((&[0; 16], &[]));
    JobId::of_uuid(uuid::Uuid::new_v8(*bytes))
}

digest! {
    /// SHA-256 over what is asked for: the same key with another one is a mistake.
    BodyHash
}

impl BodyHash {
    /// The hash of a request's `body` to `path`.
    pub fn of(path: &str, body: &[u8]) -> Self {
        let mut hasher = Sha256::new();
        hash_text(&mut hasher, path);
        hasher.update(body);
        Self(hasher.finalize().into())
    }
}

/// Each part goes in with its length, so that no two sequences of parts read the same.
fn hash_text(hasher: &mut Sha256, text: &str) {
    hasher.update((text.len() as u64).to_be_bytes());
    hasher.update(text.as_bytes());
}

/// Fields go in sorted by name: JSON objects have no order.
fn hash_object(hasher: &mut Sha256, object: &Map<String, Value>) {
    let mut fields: Vec<_> = object.iter().collect();
    fields.sort_unstable_by_key(|(name, _)| *name);
    hasher.update(b"{");
    for (name, value) in fields {
        hash_text(hasher, name);
        hash_value(hasher, value);
    }
    hasher.update(b"}");
}

/// Depth is bounded by the parser's own limit.
fn hash_value(hasher: &mut Sha256, value: &Value) {
    match value {
        Value::Object(object) => hash_object(hasher, object),
        Value::Array(items) => {
            hasher.update(b"[");
            for item in items {
                hash_value(hasher, item);
            }
            hasher.update(b"]");
        }
        Value::String(text) => {
            hasher.update(b"\"");
            hash_text(hasher, text);
        }
        scalar => hash_text(hasher, &scalar.to_string()),
    }
}
