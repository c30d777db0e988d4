//! Secrets in an upstream's own words: as they are, and in the forms in which a request carries them.

use std::cmp::Reverse;

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD},
};
use url::form_urlencoded::{byte_serialize, parse};

/// What stands in place of a secret.
const MASK: &str = "[key]";

/// A form that is shorter is a part of words, in bytes.
const SHORTEST_FORM: usize = 8;

/// The message without `secrets`; `None` where one of them cannot be taken out.
pub(super) fn masked(message: &str, secrets: &[String]) -> Option<String> {
    let mut forms: Vec<String> = secrets.iter().flat_map(|secret| forms(secret)).collect();
    // One may be a part of another.
    forms.sort_by_key(|form| Reverse(form.len()));
    let told = forms.iter().fold(message.to_owned(), |message, form| message.replace(form, MASK));
    let is_left = |text: &str| secrets.iter().any(|it| is_telling(it) && text.contains(it));
    (!is_left(&decoded(&told))).then_some(told)
}

fn is_telling(secret: &str) -> bool {
    secret.len() >= SHORTEST_FORM
}

fn forms(secret: &str) -> Vec<String> {
    let form = form_encoded(secret);
    let json = serde_json::to_string(secret).unwrap_or_default();
    let encoded = [
        form.replace('+', "%20"),
        form,
        json.trim_matches('"').to_owned(),
        STANDARD_NO_PAD.encode(secret),
        URL_SAFE_NO_PAD.encode(secret),
    ];
    let encoded = encoded.into_iter().filter(|form| is_telling(form));
    encoded.chain([secret.to_owned()]).filter(|form| !form.is_empty()).collect()
}

/// As a form's body has it, and each half of what `Authorization: Basic` has for a client of OAuth.
pub(super) fn form_encoded(text: &str) -> String {
    byte_serialize(text.as_bytes()).collect()
}

/// A form's body, or any other text, without its percent signs: encoders differ in what they encode.
fn decoded(text: &str) -> String {
    parse(text.as_bytes()).flat_map(|(name, value)| [name, "=".into(), value, "&".into()]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "s3cr+t&x=1 Ä";

    fn told(message: &str) -> Option<String> {
        masked(message, &[SECRET.to_owned()])
    }

    #[test]
    fn a_secret_is_taken_out_in_every_form_a_request_has_for_it() {
        let basic = STANDARD_NO_PAD.encode(SECRET);
        for form in [SECRET, "s3cr%2Bt%26x%3D1+%C3%84", "s3cr%2Bt%26x%3D1%20%C3%84", &basic] {
            let told = told(&format!("bad secret {form}, it says")).expect("it can be taken out");
            assert_eq!(told, "bad secret [key], it says");
        }
    }

    #[test]
    fn a_message_from_which_a_secret_cannot_be_taken_is_not_told() {
        for form in ["s3cr%2bt%26x%3d1+%c3%84", "s3cr%2Bt%26x=1%20%C3%84", "%733cr%2Bt%26x%3D1+Ä"]
        {
            assert_eq!(told(&format!("a=1&client_secret={form}")), None, "{form}");
        }
        assert_eq!(told("a%20word").as_deref(), Some("a%20word"));
    }

    #[test]
    fn a_short_secret_leaves_other_words_alone() {
        let told = masked("a raw key k", &["k".to_owned()]);
        assert_eq!(told.as_deref(), Some("a raw [key]ey [key]"));
    }
}
