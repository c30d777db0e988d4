//! Fields judged one by one: what was expected, what was found, and where.

use serde_json::{Map, Value};

use super::MAX_BODY_BYTES;
use crate::{
    clock::UnixMs,
    error::{ErrorClass, JobError},
};

/// How many problems one body is told about; hostile bodies can hold thousands.
const MAX_PROBLEMS: usize = 10;

/// One thing that is wrong with a body. Neither text quotes the payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    code: &'static str,
    field: Option<String>,
    expected: String,
    found: String,
}

impl Problem {
    /// The body as a whole is at fault.
    pub(super) fn body(
        code: &'static str,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) -> Self {
        Self { code, field: None, expected: expected.into(), found: found.into() }
    }

    /// A field holds the wrong thing.
    pub(crate) fn invalid(expected: impl Into<String>, found: impl Into<String>) -> Self {
        Self::body("invalid_field", expected, found)
    }

    pub(super) fn too_large(bytes: usize) -> Self {
        let expected = format!("a body of at most {MAX_BODY_BYTES} bytes");
        Self::body("too_large", expected, format!("{bytes} bytes"))
    }

    fn missing_value() -> Self {
        Self::body("missing_field", "a value, since it is required", "no such field")
    }

    pub(super) fn missing(field: &str) -> Self {
        Self::missing_value().under(field)
    }

    pub(super) fn repeated(field: &str) -> Self {
        Self::body("repeated_field", "this field once", "it again").under(field)
    }

    pub(super) fn unknown(name: &str, known: &[&str]) -> Self {
        let shown: String = name.chars().filter(|c| !c.is_control()).take(64).collect();
        let expected = format!("one of {}", known.join(", "));
        Self::body("unknown_field", expected, "an unknown field").under(&shown)
    }

    /// The same problem, seen from the object that holds the field.
    #[must_use]
    pub(crate) fn under(mut self, name: &str) -> Self {
        self.field = Some(match self.field {
            Some(inner) => format!("{name}.{inner}"),
            None => name.to_owned(),
        });
        self
    }

    fn sentence(&self) -> String {
        match &self.field {
            Some(field) => format!("{field}: expected {}, found {}", self.expected, self.found),
            None => format!("expected {}, found {}", self.expected, self.found),
        }
    }
}

/// All problems as one failure of class `invalid`.
pub(super) fn error(problems: &[Problem]) -> JobError {
    let message = problems.iter().map(Problem::sentence).collect::<Vec<_>>().join("; ");
    let first = problems.first();
    let mut error =
        JobError::new(ErrorClass::Invalid, first.map_or("invalid_job", |p| p.code), message);
    error.field = first.and_then(|problem| problem.field.clone());
    error
}

/// A body's fields, handed out one at a time, with the problems met on the way.
pub(super) struct Fields {
    known: Vec<(&'static str, Value)>,
    problems: Vec<Problem>,
}

impl Fields {
    pub(super) fn new(known: Vec<(&'static str, Value)>, problems: Vec<Problem>) -> Self {
        Self { known, problems }
    }

    /// A required field that was judged elsewhere; that it is missing or wrong is noted.
    pub(super) fn judged<T>(
        &mut self,
        name: &'static str,
        value: Option<Result<T, Problem>>,
    ) -> Option<T> {
        let judged = value.unwrap_or_else(|| Err(Problem::missing_value()));
        judged.map_err(|problem| self.problems.push(problem.under(name))).ok()
    }

    /// The fields of a nested object that may hold just `names`.
    pub(super) fn of_object(value: Value, names: &[&'static str]) -> Result<Self, Problem> {
        let mut fields = Self::new(Vec::new(), Vec::new());
        for (name, value) in object(value)? {
            match names.iter().find(|known| **known == name) {
                Some(known) => fields.known.push((known, value)),
                None => return Err(Problem::unknown(&name, names)),
            }
        }
        Ok(fields)
    }

    /// The field's value; that it is missing or wrong is noted.
    pub(super) fn required<T>(
        &mut self,
        name: &'static str,
        parse: impl FnOnce(Value) -> Result<T, Problem>,
    ) -> Option<T> {
        if !self.known.iter().any(|(known, _)| *known == name) {
            self.problems.push(Problem::missing(name));
        }
        self.optional(name, parse)
    }

    /// The field's value, if it is there; that it is wrong is noted.
    pub(super) fn optional<T>(
        &mut self,
        name: &'static str,
        parse: impl FnOnce(Value) -> Result<T, Problem>,
    ) -> Option<T> {
        let place = self.known.iter().position(|(known, _)| *known == name)?;
        let (_, value) = self.known.swap_remove(place);
        parse(value).map_err(|problem| self.problems.push(problem.under(name))).ok()
    }

    /// What was wrong.
    pub(super) fn finish(mut self) -> Vec<Problem> {
        self.problems.truncate(MAX_PROBLEMS);
        self.problems
    }
}

pub(super) fn object(value: Value) -> Result<Map<String, Value>, Problem> {
    match value {
        Value::Object(map) => Ok(map),
        other => Err(Problem::invalid("a JSON object", kind(&other))),
    }
}

pub(super) fn string(value: Value, expected: &str) -> Result<String, Problem> {
    match value {
        Value::String(text) => Ok(text),
        other => Err(Problem::invalid(expected, kind(&other))),
    }
}

pub(super) fn timestamp(value: Value) -> Result<UnixMs, Problem> {
    const EXPECTED: &str = "an RFC 3339 time such as 2026-01-31T12:00:00Z";
    let text = string(value, EXPECTED)?;
    let moment = UnixMs::parse(&text).filter(|_| has_rfc3339_shape(&text));
    moment.ok_or_else(|| Problem::invalid(EXPECTED, "another text"))
}

/// The time's own parser takes more of ISO 8601, which other readers of the contract do not.
fn has_rfc3339_shape(text: &str) -> bool {
    let digits_as_zero = |c: char| if c.is_ascii_digit() { '0' } else { c.to_ascii_uppercase() };
    let shape: String = text.chars().map(digits_as_zero).collect();
    let Some(rest) = shape.strip_prefix("0000-00-00T00:00:00") else { return false };
    let zone = rest.strip_prefix('.').map_or(rest, |fraction| fraction.trim_start_matches('0'));
    matches!(zone, "Z" | "+00:00" | "-00:00")
}

pub(super) fn positive_number(value: &Value) -> Result<f64, Problem> {
    value
        .as_f64()
        .filter(|number| *number > 0.0)
        .ok_or_else(|| Problem::invalid("a number above 0", another(value)))
}

/// A whole number within the bounds.
pub(super) fn integer(value: &Value, least: u64, most: u64) -> Result<u64, Problem> {
    value.as_u64().filter(|number| (least..=most).contains(number)).ok_or_else(|| {
        Problem::invalid(format!("a whole number from {least} to {most}"), another(value))
    })
}

/// What a value is, without quoting it.
pub(super) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

/// The same where a number was expected, and may be there.
fn another(value: &Value) -> &'static str {
    if value.is_number() { "another number" } else { kind(value) }
}
