//! What a secret says: a JSON object of strings.

use std::{collections::HashMap, fmt};

use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

/// The values of a secret by their names. It shows the names alone.
#[derive(Clone, Default)]
pub struct Values(HashMap<String, SecretString>);

/// Why a text is no JSON object of strings. It does not say what the text was.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a JSON object of strings, found {0}")]
pub struct ValuesError(String);

impl Values {
    /// Reads a JSON object of strings.
    pub fn parse(text: &str) -> Result<Self, ValuesError> {
        // The parser's own words may quote the text.
        let value = serde_json::from_str(text).map_err(|error| {
            let (line, column) = (error.line(), error.column());
            ValuesError(format!("something that is not JSON (line {line}, column {column})"))
        })?;
        let Value::Object(fields) = value else {
            return Err(ValuesError(kind(&value).to_owned()));
        };
        fields.into_iter().map(value_of).collect::<Result<_, _>>().map(Self)
    }

    /// The value of that name.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(ExposeSecret::expose_secret)
    }
}

fn value_of((name, value): (String, Value)) -> Result<(String, SecretString), ValuesError> {
    match value {
        Value::String(text) => Ok((name, text.into())),
        other => Err(ValuesError(format!("{} in {name}", kind(&other)))),
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

impl PartialEq for Values {
    fn eq(&self, other: &Self) -> bool {
        self.0.len() == other.0.len()
            && self.0.iter().all(|(name, value)| other.get(name) == Some(value.expose_secret()))
    }
}

impl Eq for Values {}

impl fmt::Debug for Values {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_json_object_of_strings_is_read_and_shows_its_names_alone() {
        let values = Values::parse(r#"{"A": "one", "B": "tw\u006f"}"#).expect("sound");
        assert_eq!((values.get("A"), values.get("B")), (Some("one"), Some("two")));
        assert_eq!(values, Values::parse(r#"{"B": "two", "A": "one"}"#).expect("sound"));
        assert_ne!(values, Values::parse(r#"{"A": "one", "C": "two"}"#).expect("sound"));
        let shown = format!("{values:?}");
        assert!(shown.contains("\"A\"") && !shown.contains("one"), "{shown}");
    }

    #[test]
    fn anything_else_is_refused_without_quoting_it() {
        let cases = [
            ("geheim", "not JSON (line 1, column 1)"),
            (r#"{"A": "geheim""#, "not JSON"),
            (r#""geheim""#, "a string"),
            (r#"["geheim"]"#, "an array"),
            (r#"{"A": {"B": "geheim"}}"#, "an object in A"),
            (r#"{"A": 4711}"#, "a number in A"),
            (r#"{"A": null}"#, "null in A"),
            ("", "not JSON"),
        ];
        for (text, found) in cases {
            let error = Values::parse(text).expect_err("refused").to_string();
            assert!(error.contains(found), "{error}");
            assert!(!error.contains("geheim") && !error.contains("4711"), "{error}");
        }
    }
}
