//! What a tool is called with. Kept as the text it came in, a part of the body that the message
//! holds in any case, and read when it is needed: a job that waits for its call holds its text once.

use std::fmt;

use bytes::Bytes;
use serde_json::{Value, value::RawValue};

use super::{
    fields::{self, Problem},
    raw::unreadable,
};

/// A JSON object that was read once, and can be read again.
#[derive(Clone, PartialEq, Eq)]
pub struct Input(Bytes);

impl Input {
    /// Judges the text of the field, a part of `body`; hands out what it says as well.
    pub(super) fn parse(raw: &RawValue, body: &Bytes) -> Result<(Self, Value), Problem> {
        let text = raw.get();
        let value = serde_json::from_str(text).map_err(|error| unreadable(text, &error))?;
        let object = fields::object(value).map(Value::Object)?;
        Ok((Self(body.slice_ref(text.as_bytes())), object))
    }

    /// The object.
    pub fn to_value(&self) -> Value {
        serde_json::from_slice(&self.0).unwrap_or_default()
    }
}

/// A payload shows itself to nobody.
impl fmt::Debug for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Input({} bytes)", self.0.len())
    }
}
