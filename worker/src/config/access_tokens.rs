//! Who needs no key, since API Gateway has checked its token. Tokens themselves are not seen here,
//! only what API Gateway says of one.

use std::collections::HashMap;

use super::{
    grant::{self, Grant},
    source::{ConfigError, Source},
};

const NAME: &str = "MCP_BATCH_API_TOKENS";

const EXPECTED: &str = "entries name:namespace:scope+scope:claim=value, separated by spaces or \
     commas, without either in a value; scopes are enqueue, read, call and admin";

/// What a token of the issuer says, by the names of claims.
pub type Claims = HashMap<String, String>;

/// A claim that tokens have, and what it allows.
#[derive(Clone, Debug)]
pub struct AccessToken {
    grant: Grant,
    claim: String,
    value: String,
}

impl AccessToken {
    /// What the first of them allows that fits a token with these claims.
    pub fn grant<'a>(tokens: &'a [Self], claims: &Claims) -> Option<&'a Grant> {
        tokens.iter().find(|token| token.fits(claims)).map(|token| &token.grant)
    }

    /// A claim is the whole value; only `scope` is a list of words (RFC 8693, 4.2).
    fn fits(&self, claims: &Claims) -> bool {
        claims.get(&self.claim).is_some_and(|said| match &*self.claim {
            "scope" => said.split(' ').any(|word| word == self.value),
            _ => *said == self.value,
        })
    }
}

/// `MCP_BATCH_API_TOKENS`; none.
pub fn access_tokens(source: &Source) -> Result<Vec<AccessToken>, ConfigError> {
    Ok(source.hidden(NAME, EXPECTED, all)?.unwrap_or_default())
}

fn all(text: &str) -> Result<Vec<AccessToken>, String> {
    grant::entries(text, entry_of, |token| &token.grant, |_, _| None)
}

fn entry_of(entry: &str) -> Result<AccessToken, &'static str> {
    let (grant, said) = Grant::of_entry(entry)?;
    match said.split_once('=') {
        Some((claim, value)) if !claim.is_empty() && !value.is_empty() => {
            Ok(AccessToken { grant, claim: claim.to_owned(), value: value.to_owned() })
        }
        _ => Err("no claim=value"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<AccessToken>, String> {
        let source = Source::default().with(NAME, Some(text));
        access_tokens(&source).map_err(|error| error.to_string())
    }

    /// The name of the grant that a token with this claim has.
    fn named(text: &str, claim: &str, value: &str) -> Option<String> {
        let claims = Claims::from([(claim.to_owned(), value.to_owned())]);
        let tokens = read(text).expect("sound");
        AccessToken::grant(&tokens, &claims).map(|grant| grant.name.clone())
    }

    #[test]
    fn a_token_may_what_the_first_entry_says_whose_claim_it_has() {
        let text = "shop:shop:enqueue:client_id=a=b, ops:default:admin+read:cognito:groups=[ops] \
             any:default:read:scope=jobs/read";
        assert_eq!(named(text, "client_id", "a=b").as_deref(), Some("shop"));
        assert_eq!(named(text, "scope", "openid jobs/read").as_deref(), Some("any"));
        assert_eq!(
            named("g:default:read:groups:x=[ops]", "groups:x", "[ops]").as_deref(),
            Some("g")
        );
    }

    #[test]
    fn nothing_less_than_the_whole_claim_is_enough() {
        let text = "shop:shop:enqueue:sub=abc any:default:read:scope=jobs/read";
        for (claim, value) in [
            ("sub", "abcd"),
            ("sub", "ABC"),
            ("sub", "x abc"),
            ("sub", ""),
            ("Sub", "abc"),
            ("client_id", "abc"),
            ("scope", "jobs/readall"),
            ("scope", "jobs/read,other"),
        ] {
            assert_eq!(named(text, claim, value), None, "{claim}={value}");
        }
        assert_eq!(named("", "sub", "abc"), None);
    }

    #[test]
    fn what_is_no_entry_is_named() {
        for (text, found) in [
            ("shop:shop:enqueue", "fewer parts in entry 1"),
            ("shop:shop:enqueue:sub", "no claim=value in entry 1"),
            ("shop:shop:enqueue:=abc", "no claim=value in entry 1"),
            ("shop:shop:enqueue:sub=", "no claim=value in entry 1"),
            ("shop:shop:root:sub=a", "an unknown scope in entry 1"),
            ("a:x:read:sub=a a:x:read:sub=b", "a name used twice in entry 2"),
        ] {
            let error = read(text).expect_err("refused");
            assert!(error.contains(found), "{error}");
        }
    }
}
