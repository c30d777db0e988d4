//! Who may use the HTTP face by a key. Keys are kept as their SHA-256.

use std::fmt;

use sha2::{Digest, Sha256};

use super::{
    grant::{self, Grant},
    source::{ConfigError, Source},
};

const NAME: &str = "MCP_BATCH_API_KEYS";

/// The shortest key: 16 random hex digits are 64 bits.
const LEAST_CHARS: usize = 16;

const EXPECTED: &str = "entries name:namespace:scope+scope:key, separated by spaces or commas; \
     scopes are enqueue, read, call and admin, a key has 16 visible ASCII characters or more, \
     without a comma, and a namespace no colon";

/// A bearer key, and what it allows.
#[derive(Clone)]
pub struct AccessKey {
    /// What whoever shows it may do.
    pub grant: Grant,
    /// SHA-256 of the key.
    pub digest: [u8; 32],
}

impl fmt::Debug for AccessKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AccessKey({} in {})", self.grant.name, self.grant.namespace.as_str())
    }
}

/// `MCP_BATCH_API_KEYS`; none.
pub(super) fn access_keys(source: &Source) -> Result<Vec<AccessKey>, ConfigError> {
    Ok(source.hidden(NAME, EXPECTED, all)?.unwrap_or_default())
}

fn all(text: &str) -> Result<Vec<AccessKey>, String> {
    let clash = |one: &AccessKey, other: &AccessKey| {
        (one.digest == other.digest).then_some("a key used twice")
    };
    grant::entries(text, entry_of, |key| &key.grant, clash)
}

fn entry_of(entry: &str) -> Result<AccessKey, &'static str> {
    let (grant, key) = Grant::of_entry(entry)?;
    if key.len() < LEAST_CHARS || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("a key that is too short or not ASCII");
    }
    Ok(AccessKey { grant, digest: Sha256::digest(key).into() })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::config::Scope;

    fn read(text: &str) -> Result<Vec<AccessKey>, String> {
        let source = Source::default().with(NAME, Some(text));
        access_keys(&source).map_err(|error| error.to_string())
    }

    #[test]
    fn entries_name_who_has_a_key_whose_jobs_it_sees_and_what_it_allows() {
        let keys =
            read("n8n:shop:enqueue+read:0123456789abcdef, ops:default:admin:a:b:c-d/e+f=0123456");
        let keys = keys.expect("sound");
        let grant = &keys[0].grant;
        assert_eq!((&*grant.name, grant.namespace.as_str()), ("n8n", "shop"));
        assert_eq!(grant.scopes, HashSet::from([Scope::Enqueue, Scope::Read]));
        assert_eq!(keys[1].digest, <[u8; 32]>::from(Sha256::digest("a:b:c-d/e+f=0123456")));
        assert!(!format!("{keys:?}").contains("0123456789abcdef"));
    }

    #[test]
    fn what_cannot_be_used_is_named_without_its_key() {
        let cases = [
            ("n8n:shop:read:short", "too short"),
            ("n8n:shop:read", "fewer parts"),
            (":shop:read:0123456789abcdef", "no name"),
            ("n8n::read:0123456789abcdef", "no namespace"),
            ("n8n:shop:root:0123456789abcdef", "unknown scope"),
            ("n8n:shop::0123456789abcdef", "unknown scope"),
            ("a:x:read:0123456789abcdef a:x:read:0123456789abcdeg", "a name used twice in entry 2"),
            ("a:x:read:0123456789abcdef b:x:read:0123456789abcdef", "a key used twice in entry 2"),
        ];
        for (text, found) in cases {
            let error = read(text).expect_err("refused");
            assert!(error.contains(found) && !error.contains("abcdef"), "{error}");
        }
    }
}
