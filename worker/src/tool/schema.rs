//! JSON Schemas, compiled once, and failures that name the place without quoting the payload.

use jsonschema::{ValidationError, Validator, error::ValidationErrorKind};
use serde_json::Value;

use crate::error::{ErrorClass, JobError};

/// A compiled JSON Schema (2020-12 unless it says otherwise).
#[derive(Debug)]
pub(super) struct Schema {
    source: Value,
    validator: Validator,
}

/// The first place where a value does not fit.
#[derive(Debug)]
pub(super) struct Misfit {
    /// Path of the place, joined by full stops; empty for the value itself.
    pub(super) path: String,
    /// What is wrong there.
    pub(super) message: String,
}

impl Schema {
    /// Compiles a schema. References to other documents are refused: nothing is fetched.
    pub(super) fn compile(source: Value) -> Result<Self, String> {
        let validator = jsonschema::validator_for(&source).map_err(|error| error.to_string())?;
        Ok(Self { source, validator })
    }

    /// The schema as it was given.
    pub(super) fn source(&self) -> &Value {
        &self.source
    }

    /// Says where a value first does not fit.
    pub(super) fn misfit(&self, value: &Value) -> Option<Misfit> {
        self.validator.iter_errors(value).next().map(|error| Misfit {
            path: path(&error),
            message: error.masked_with("the value").to_string(),
        })
    }
}

/// An input as the schema takes it: what is null where the schema knows no null is left out, as callers
/// write what they have nothing for.
pub(super) fn fitting(schema: &Schema, mut input: Value) -> Result<Value, JobError> {
    let Err(error) = check_input(schema, &input) else { return Ok(input) };
    if let Value::Object(fields) = &mut input {
        fields.retain(|_, value| !value.is_null());
    }
    // Told of the input as it came.
    if schema.misfit(&input).is_none() { Ok(input) } else { Err(error) }
}

/// Judges a job's input.
pub(super) fn check_input(schema: &Schema, input: &Value) -> Result<(), JobError> {
    let Some(misfit) = schema.misfit(input) else { return Ok(()) };
    let field = match misfit.path.as_str() {
        "" => "input".to_owned(),
        path => format!("input.{path}"),
    };
    let message = format!("{field}: {}", misfit.message);
    Err(JobError::new(ErrorClass::Invalid, "input_schema", message).at(field))
}

/// A missing or surplus field is named itself rather than the object around it.
fn path(error: &ValidationError<'_>) -> String {
    let mut path = error.instance_path().as_str().trim_start_matches('/').replace('/', ".");
    let field = match error.kind() {
        ValidationErrorKind::Required { property } => property.as_str(),
        ValidationErrorKind::AdditionalProperties { unexpected } => {
            unexpected.first().map(String::as_str)
        }
        _ => None,
    };
    if let Some(field) = field {
        if !path.is_empty() {
            path.push('.');
        }
        path.push_str(field);
    }
    path
}
