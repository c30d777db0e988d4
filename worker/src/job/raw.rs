//! A body taken apart into its named fields, before any of them is judged.

use std::{fmt, str};

use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, Visitor},
};
use serde_json::{Value, value::RawValue};

use super::{MAX_BODY_BYTES, fields::Problem};

const INPUT: &str = "input";

/// Every field of the contract.
const FIELDS: [&str; 11] = [
    "id",
    "tool",
    INPUT,
    "model",
    "callback",
    "batch",
    "metadata",
    "expires_at",
    "max_cost_usd",
    "tenant",
    "traceparent",
];

/// The fields that are there, and what is there that should not be.
#[derive(Debug, Default)]
pub(super) struct RawJob<'a> {
    pub(super) known: Vec<(&'static str, Value)>,
    /// By far the largest field: left where it is.
    pub(super) input: Option<&'a RawValue>,
    pub(super) problems: Vec<Problem>,
}

impl<'a> RawJob<'a> {
    /// Reads the text as one JSON object. Unknown and repeated fields are collected, not fatal, so
    /// that the id beside them can still be read.
    pub(super) fn parse(body: &'a [u8]) -> Result<Self, Problem> {
        if body.len() > MAX_BODY_BYTES {
            return Err(Problem::too_large(body.len()));
        }
        let text = str::from_utf8(body).map_err(|error| {
            Problem::body(
                "not_utf8",
                "UTF-8 text",
                format!("an invalid byte at offset {}", error.valid_up_to()),
            )
        })?;
        serde_json::from_str(text).map_err(|error| unreadable(text, &error))
    }

    fn has(&self, field: &str) -> bool {
        let is_input = field == INPUT && self.input.is_some();
        is_input || self.known.iter().any(|(seen, _)| *seen == field)
    }
}

/// Says what a body is instead of a JSON object, without quoting it.
pub(super) fn unreadable(text: &str, error: &serde_json::Error) -> Problem {
    const EXPECTED: &str = "a JSON object";
    if error.is_data() {
        return Problem::body("not_an_object", EXPECTED, kind_of_text(text));
    }
    let place = match error.line() {
        1 => format!("column {}", error.column()),
        line => format!("line {line} of it, column {}", error.column()),
    };
    if error.to_string().starts_with("recursion limit") {
        let expected = "at most 127 levels of nesting";
        return Problem::body("too_deep", expected, format!("more of them at {place}"));
    }
    let what = if error.is_eof() { "that its text ends" } else { "a mistake in its syntax" };
    Problem::body("not_json", EXPECTED, format!("{what} at {place}"))
}

/// What a JSON text is, without quoting it.
pub(crate) fn kind_of_text(text: &str) -> &'static str {
    match text.trim_start().bytes().next() {
        Some(b'{') => "an object",
        Some(b'"') => "a string",
        Some(b'[') => "an array",
        Some(b't' | b'f') => "a boolean",
        Some(b'n') => "null",
        _ => "a number",
    }
}

impl<'de> Deserialize<'de> for RawJob<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(FieldsVisitor)
    }
}

struct FieldsVisitor;

impl<'de> Visitor<'de> for FieldsVisitor {
    type Value = RawJob<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<RawJob<'de>, A::Error> {
        let mut raw = RawJob::default();
        while let Some(name) = map.next_key::<String>()? {
            match FIELDS.into_iter().find(|field| *field == name) {
                Some(field) if raw.has(field) => {
                    map.next_value::<IgnoredAny>()?;
                    raw.problems.push(Problem::repeated(field));
                }
                Some(INPUT) => raw.input = Some(map.next_value()?),
                Some(field) => raw.known.push((field, map.next_value()?)),
                None => {
                    map.next_value::<IgnoredAny>()?;
                    raw.problems.push(Problem::unknown(&name, &FIELDS));
                }
            }
        }
        Ok(raw)
    }
}
