//! Standard Webhooks' symmetric signature: HMAC-SHA256 over id, timestamp and the exact body
//! (specification, "Signature scheme").

use std::fmt;

use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretSlice};
use sha2::Sha256;

use super::Event;

const PREFIX: &str = "whsec_";

/// The specification's bounds on a secret, in bytes.
const SECRET_BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// A secret that callbacks are signed with.
#[derive(Clone)]
pub struct SigningSecret(SecretSlice<u8>);

/// Why a text is no signing secret. It does not say what the text was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// It is not base64 after `whsec_`.
    #[error("expected whsec_ and base64, found something else")]
    Encoding,
    /// It is too short to be safe, or longer than receivers take.
    #[error("expected 24 to 64 bytes in base64 after whsec_, found {0} bytes")]
    Length(usize),
}

/// The characters of a new secret: 64, so that each holds six bits.
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// A secret that was just made, for whoever signs and whoever verifies.
pub struct NewSecret {
    /// `whsec_…`: what Standard Webhooks' libraries take, and `MCP_BATCH_CALLBACK_SECRETS`.
    pub whsec: String,
    /// The key itself, which is text: what n8n's Crypto credential takes.
    pub text: String,
}

impl NewSecret {
    /// 32 characters of text, which the system's generator drew: 192 bits.
    pub fn generate() -> Result<Self, getrandom::Error> {
        let mut random = [0; 32];
        getrandom::fill(&mut random)?;
        let text: String =
            random.iter().map(|byte| char::from(ALPHABET[usize::from(byte % 64)])).collect();
        Ok(Self { whsec: format!("{PREFIX}{}", STANDARD.encode(&text)), text })
    }
}

impl SigningSecret {
    /// Reads `whsec_…`; the prefix may be left out.
    pub fn parse(text: &str) -> Result<Self, SecretError> {
        let encoded = text.strip_prefix(PREFIX).unwrap_or(text);
        let bytes = STANDARD.decode(encoded).map_err(|_| SecretError::Encoding)?;
        match SECRET_BYTES.contains(&bytes.len()) {
            true => Ok(Self(bytes.into())),
            false => Err(SecretError::Length(bytes.len())),
        }
    }

    fn sign(&self, event: &Event, timestamp: i64) -> Option<String> {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.0.expose_secret()).ok()?;
        mac.update(format!("{}.{timestamp}.", event.id).as_bytes());
        mac.update(&event.body);
        Some(format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes())))
    }
}

impl fmt::Debug for SigningSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningSecret([redacted])")
    }
}

/// One signature per secret, in their order; `None` without a secret.
pub(super) fn signatures(
    secrets: &[SigningSecret],
    event: &Event,
    timestamp: i64,
) -> Option<String> {
    let all: Vec<_> = secrets.iter().filter_map(|secret| secret.sign(event, timestamp)).collect();
    (!all.is_empty()).then(|| all.join(" "))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn event() -> Event {
        Event {
            id: "msg_27UH4WbU6Z5A5EzD8u03UvzRbpk".to_owned(),
            body: Bytes::from_static(br#"{"email":"test@example.com","username":"test_user"}"#),
        }
    }

    fn secret(text: &str) -> SigningSecret {
        SigningSecret::parse(text).expect("a sound secret")
    }

    #[test]
    fn the_specifications_vector_is_signed_as_it_says() {
        let secrets = [secret("whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD")];
        assert_eq!(
            signatures(&secrets, &event(), 1_649_367_553).as_deref(),
            Some("v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw=")
        );
    }

    #[test]
    fn two_secrets_sign_side_by_side_in_their_order() {
        let old = "C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
        let new = STANDARD.encode([7_u8; 32]);
        let both = signatures(&[secret(&new), secret(old)], &event(), 1).expect("signed");
        let alone = |text| signatures(&[secret(text)], &event(), 1).expect("signed");
        assert_eq!(both, format!("{} {}", alone(&new), alone(old)));
        assert_eq!(signatures(&[], &event(), 1), None);
    }

    #[test]
    fn the_reference_library_accepts_what_is_signed() {
        let text = format!("whsec_{}", STANDARD.encode([9_u8; 24]));
        let reference = standardwebhooks::Webhook::new(&text).expect("a sound secret");
        let ours = signatures(&[secret(&text)], &event(), 1_700_000_000).expect("signed");
        let event = event();
        let theirs = reference.sign(&event.id, 1_700_000_000, &event.body).expect("signed");
        assert_eq!(ours, theirs);
    }

    #[test]
    fn empty_short_long_and_broken_secrets_are_refused() {
        let of_bytes = |count| format!("whsec_{}", STANDARD.encode(vec![1; count]));
        for count in [0, 1, 23, 65] {
            assert_eq!(
                SigningSecret::parse(&of_bytes(count)).err(),
                Some(SecretError::Length(count))
            );
        }
        assert!(SigningSecret::parse(&of_bytes(24)).is_ok());
        assert!(SigningSecret::parse(&of_bytes(64)).is_ok());
        assert_eq!(SigningSecret::parse("whsec_§").err(), Some(SecretError::Encoding));
    }
}
