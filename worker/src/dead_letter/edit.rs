//! What is changed in a job before it is sent again, and what is looked for in one: `input.language=de`.

use std::{fmt, str::FromStr};

use bytes::Bytes;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

use crate::error::{ErrorClass, JobError};

/// A field of a job, by its path, and a value: JSON, or else a text.
#[derive(Clone, Debug, PartialEq)]
pub struct Assignment {
    path: Vec<String>,
    text: String,
    value: Value,
}

impl FromStr for Assignment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = "expected FIELD=VALUE, such as input.max_tokens=200";
        let (path, value) = text.split_once('=').ok_or(expected)?;
        let path: Vec<String> = path.split('.').map(str::to_owned).collect();
        if path.iter().any(String::is_empty) {
            return Err(expected.to_owned());
        }
        let parsed = serde_json::from_str(value).unwrap_or_else(|_| value.into());
        Ok(Self { path, text: value.to_owned(), value: parsed })
    }
}

/// Its path alone: the value may be what nobody should read.
impl fmt::Display for Assignment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.path.join("."))
    }
}

impl Assignment {
    /// Whether the field is there and has the value, as JSON or as the same text.
    pub(super) fn is_met_by(&self, job: &Value) -> bool {
        let step = |value: &'_ Value, name: &String| step_into(value, name).cloned();
        let found = self.path.iter().try_fold(job.clone(), |value, name| step(&value, name));
        found.is_some_and(|found| found == self.value || found.as_str() == Some(&self.text))
    }

    fn apply(&self, job: &mut Value) -> Result<(), JobError> {
        let mut place = job;
        for name in &self.path {
            place = match place {
                Value::Array(items) => {
                    let count = items.len();
                    let item = name.parse::<usize>().ok().and_then(|index| items.get_mut(index));
                    item.ok_or_else(|| self.unfit(&format!("a list of {count}")))?
                }
                Value::Null => {
                    *place = Value::Object(Map::new());
                    place
                        .as_object_mut()
                        .ok_or_else(|| self.unfit("nothing"))?
                        .entry(name)
                        .or_insert(Value::Null)
                }
                Value::Object(fields) => fields.entry(name).or_insert(Value::Null),
                _ => return Err(self.unfit("a value without fields")),
            };
        }
        *place = self.value.clone();
        Ok(())
    }

    fn unfit(&self, found: &str) -> JobError {
        let message = format!("{self}: expected a field or an index on the way, found {found}");
        JobError::new(ErrorClass::Invalid, "unfit_edit", message).at(self.to_string())
    }
}

fn step_into<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
    match value {
        Value::Array(items) => items.get(name.parse::<usize>().ok()?),
        value => value.get(name),
    }
}

impl Serialize for Assignment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{self}={}", self.text))
    }
}

/// All that is changed in each job.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Edits(Vec<Assignment>);

impl Edits {
    /// These changes, in this order. The id is not one of them: with it the job would be another.
    pub fn new(assignments: Vec<Assignment>) -> Result<Self, String> {
        match assignments.iter().any(|assignment| assignment.path[0] == "id") {
            true => {
                Err("id: expected another field; with a new id it would be a new job".to_owned())
            }
            false => Ok(Self(assignments)),
        }
    }

    /// Whether nothing is changed.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The paths that are changed, without their values.
    pub fn paths(&self) -> Vec<String> {
        self.0.iter().map(ToString::to_string).collect()
    }

    /// The changed text of a job; the same where nothing is changed.
    pub(super) fn apply(&self, body: &Bytes) -> Result<Bytes, JobError> {
        if self.is_empty() {
            return Ok(body.clone());
        }
        let Ok(mut job @ Value::Object(_)) = serde_json::from_slice(body) else {
            let message = "expected a JSON object to change, found something else";
            return Err(JobError::new(ErrorClass::Invalid, "invalid_json", message));
        };
        self.0.iter().try_for_each(|assignment| assignment.apply(&mut job))?;
        Ok(job.to_string().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edited(body: &str, edits: &[&str]) -> Result<String, String> {
        let assignments = edits.iter().map(|edit| edit.parse().expect("FIELD=VALUE")).collect();
        let edited = Edits::new(assignments)?.apply(&Bytes::copy_from_slice(body.as_bytes()));
        let edited = edited.map_err(|error| error.message)?;
        Ok(String::from_utf8_lossy(&edited).into_owned())
    }

    #[test]
    fn fields_are_changed_added_and_kept_in_their_order() {
        let body = r#"{"id":"a","input":{"text":"One.","n":1.50},"tool":"t"}"#;
        assert_eq!(edited(body, &[]).as_deref(), Ok(body));
        assert_eq!(
            edited(body, &["input.text=2 = 2", "model=gpt", "input.max_tokens=200"]).as_deref(),
            Ok(
                r#"{"id":"a","input":{"text":"2 = 2","n":1.5,"max_tokens":200},"tool":"t","model":"gpt"}"#
            )
        );
        assert_eq!(
            edited(r#"{"input":{"list":[1,{"a":2}]}}"#, &["input.list.1.a=null", "metadata.row=3"])
                .as_deref(),
            Ok(r#"{"input":{"list":[1,{"a":null}]},"metadata":{"row":3}}"#)
        );
    }

    #[test]
    fn what_does_not_fit_is_told_by_its_path() {
        let told = edited(r#"{"input":{"text":"One."}}"#, &["input.text.en=2"]);
        assert!(told.is_err_and(|told| told.starts_with("input.text.en: expected")));
        assert!(edited("[]", &["a=1"]).is_err_and(|told| told.contains("JSON object")));
        assert!(edited("{}", &["id=b"]).is_err_and(|told| told.starts_with("id:")));
        for malformed in ["a", "=1", "a..b=1", ".a=1"] {
            assert!(malformed.parse::<Assignment>().is_err(), "{malformed}");
        }
    }

    #[test]
    fn a_value_is_met_as_json_and_as_text() {
        let job = serde_json::json!({"input": {"n": 3, "text": "3", "list": [true]}});
        let is_met = |text: &str| text.parse::<Assignment>().expect("one").is_met_by(&job);
        assert!(is_met("input.n=3") && is_met("input.text=3") && is_met("input.list.0=true"));
        assert!(!is_met("input.n=4") && !is_met("input.other=3") && !is_met("input.list.1=true"));
    }
}
