//! What the body of a refusal says, in whichever of the shapes that APIs and the proxies before them
//! have for it.

use hyper::header::HeaderValue;
use serde::Deserialize;
use serde_json::Value;

use super::ApiKey;

/// LiteLLM's type for a key of its own that it refuses.
const AUTH_ERROR: &str = "auth_error";

/// The most places of an input that a refusal names are told.
const MAX_PLACES: usize = 5;

/// What a refusal says of itself.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Details {
    pub(super) message: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
    /// The field of the request that is at fault.
    pub(super) param: Option<String>,
    code: Option<Value>,
    /// An API answered, not something before it.
    #[serde(skip)]
    pub(super) is_apis: bool,
}

/// One place of a request that `FastAPI` refuses.
#[derive(Deserialize)]
struct Misfit {
    #[serde(default)]
    loc: Vec<Value>,
    msg: String,
}

impl Details {
    /// Reads a body, of which nothing is expected. Without a database LiteLLM answers a call that shows no
    /// key with a bare 500.
    pub(super) fn read(body: &[u8], kind: Option<&HeaderValue>, key: Option<&ApiKey>) -> Self {
        if key.is_none() && body == b"Internal Server Error" {
            let message = "no key was shown, and it may want one: set MCP_BATCH_LLM_API_KEY";
            let kind = Some(AUTH_ERROR.to_owned());
            return Self { kind, ..Self::said(message.to_owned()) };
        }
        match serde_json::from_slice::<Value>(body) {
            Ok(body) => Self::of(body),
            Err(_) if is_plain_text(kind) => Self::said(String::from_utf8_lossy(body).into_owned()),
            Err(_) => Self::default(),
        }
    }

    fn of(body: Value) -> Self {
        match body {
            // Google's API answers a list of one.
            Value::Array(mut errors) if errors.len() == 1 => Self::of(errors.remove(0)),
            Value::Object(mut body) => match (body.remove("error"), body.remove("detail")) {
                (Some(error @ Value::Object(_)), _) => Self::of_api(error),
                (Some(Value::String(error)), _) => Self::said(error),
                (None, Some(detail)) => Self::of_detail(detail),
                // vLLM's error is the body itself.
                _ if body.get("object").is_some_and(|object| object == "error") => {
                    Self::of_api(body.into())
                }
                _ => Self::told(&body.into(), "message"),
            },
            _ => Self::default(),
        }
    }

    fn of_api(error: Value) -> Self {
        Self { is_apis: true, ..Self::deserialize(error).unwrap_or_default() }
    }

    /// `FastAPI`'s: a text, or the places that do not fit. What stood there is not told.
    fn of_detail(detail: Value) -> Self {
        let Value::Array(_) = detail else {
            return match detail {
                Value::String(text) => Self::said(text),
                detail => Self::told(&detail, "message"),
            };
        };
        let misfits = Vec::<Misfit>::deserialize(detail).unwrap_or_default();
        let said = misfits.iter().take(MAX_PLACES).map(|it| format!("{}: {}", it.place(), it.msg));
        let message = said.collect::<Vec<_>>().join("; ");
        let param = misfits.first().map(Misfit::place);
        Self { param, is_apis: !misfits.is_empty(), ..Self::said(message) }
    }

    fn told(body: &Value, member: &str) -> Self {
        body[member].as_str().map(|text| Self::said(text.to_owned())).unwrap_or_default()
    }

    fn said(message: String) -> Self {
        Self { message: Some(message), ..Self::default() }
    }

    pub(super) fn is(&self, kind: &str) -> bool {
        self.kind.as_deref() == Some(kind)
    }

    /// Whether message, code or type holds one of these.
    pub(super) fn says(&self, words: &[&str]) -> bool {
        let message = self.message.as_deref().unwrap_or_default();
        let code = self.code.as_ref().and_then(Value::as_str).unwrap_or_default();
        let kind = self.kind.as_deref().unwrap_or_default();
        words.iter().any(|word| message.contains(word) || code == *word || kind == *word)
    }

    /// LiteLLM refuses the key it was shown. A provider that refuses LiteLLM's own has another type.
    pub(super) fn refuses_our_key(&self) -> bool {
        self.is(AUTH_ERROR) || self.is("no_db_connection") || self.says(&KEY_REFUSED)
    }
}

/// How LiteLLM says that it was shown no key, or one it does not know; without a database the
/// status is that of another failure.
const KEY_REFUSED: [&str; 3] =
    ["No api key passed in", "Authentication Error", "LiteLLM Virtual Key expected"];

impl Misfit {
    /// `body.max_tokens` is `max_tokens`.
    fn place(&self) -> String {
        let path = self.loc.iter().map(|part| match part {
            Value::String(name) => name.clone(),
            index => index.to_string(),
        });
        path.filter(|name| name != "body").collect::<Vec<_>>().join(".")
    }
}

fn is_plain_text(kind: Option<&HeaderValue>) -> bool {
    kind.and_then(|kind| kind.to_str().ok()).is_some_and(|kind| kind.starts_with("text/plain"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> Details {
        Details::read(body.as_bytes(), None, None)
    }

    #[test]
    fn an_errors_words_are_found_wherever_an_api_puts_them() {
        for (body, message, is_apis) in [
            (r#"{"error": {"message": "no", "code": 400}}"#, Some("no"), true),
            (r#"{"type": "error", "error": {"type": "t", "message": "no"}}"#, Some("no"), true),
            (r#"[{"error": {"message": "no"}}]"#, Some("no"), true),
            (r#"{"object": "error", "message": "no", "code": 400}"#, Some("no"), true),
            (r#"{"error": {"message": 7}}"#, None, true),
            (r#"{"error": "no"}"#, Some("no"), false),
            (r#"{"detail": "no"}"#, Some("no"), false),
            (r#"{"detail": {"message": "no"}}"#, Some("no"), false),
            (r#"{"message": "no"}"#, Some("no"), false),
            (r#"{"error": null}"#, None, false),
            ("<h1>no</h1>", None, false),
            ("[]", None, false),
            ("\"no\"", None, false),
            ("", None, false),
        ] {
            let found = read(body);
            assert_eq!((found.message.as_deref(), found.is_apis), (message, is_apis), "{body}");
        }
        let text = HeaderValue::from_static("text/plain; charset=utf-8");
        let found = Details::read(b"upstream \xff error", Some(&text), None);
        assert_eq!(found.message.as_deref(), Some("upstream \u{fffd} error"));
    }

    #[test]
    fn a_place_that_does_not_fit_is_told_without_what_stands_there() {
        let body = r#"{"detail": [
            {"type": "t", "loc": ["body", "messages", 0, "content"], "msg": "too long", "input": "geheim"},
            {"type": "t", "loc": ["body", "timeout"], "msg": "Extra inputs are not permitted"}]}"#;
        let found = read(body);
        let message = "messages.0.content: too long; timeout: Extra inputs are not permitted";
        assert_eq!(found.message.as_deref(), Some(message));
        assert_eq!(found.param.as_deref(), Some("messages.0.content"));
    }
}
