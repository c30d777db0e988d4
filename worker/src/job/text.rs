//! Jobs as texts, which stay what they are: what one lacks is put at its beginning.

use bytes::Bytes;
use serde_json::{Map, Value};

use super::{Job, MAX_BODY_BYTES};
use crate::trace::TraceContext;

/// The most that a span's ids add to a job's text: `"traceparent":"…",`.
const MAX_TRACEPARENT_BYTES: usize = 128;

/// A job that names no span bears that of its sending, where there is room for it.
pub fn traced(body: Bytes, job: &Job, sending: Option<TraceContext>) -> Bytes {
    let has_room = body.len() + MAX_TRACEPARENT_BYTES <= MAX_BODY_BYTES;
    let Some(context) = sending.filter(|_| has_room && !job.has_traceparent()) else { return body };
    let field = ("traceparent".to_owned(), context.to_string().into());
    let text = str::from_utf8(&body).map(str::trim_start);
    text.map_or(body.clone(), |text| with_fields(&Map::from_iter([field]), text))
}

/// An object's text with more fields at its beginning.
pub fn with_fields(fields: &Map<String, Value>, object: &str) -> Bytes {
    let Some(rest) = object.strip_prefix('{').filter(|_| !fields.is_empty()) else {
        return Bytes::copy_from_slice(object.as_bytes());
    };
    let mut text = Value::from(fields.clone()).to_string();
    // Its closing brace gives way to what follows.
    text.pop();
    if !rest.trim_start().starts_with('}') {
        text.push(',');
    }
    text.push_str(rest);
    text.into()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn with(fields: &Value, object: &str) -> Bytes {
        with_fields(fields.as_object().expect("fields"), object)
    }

    #[test]
    fn what_a_text_lacks_is_put_at_its_beginning() {
        let fields = json!({"id": "a", "n": 1});
        assert_eq!(with(&fields, r#"{"x": 1.0 }"#), r#"{"id":"a","n":1,"x": 1.0 }"#);
        assert_eq!(with(&fields, "{ }"), r#"{"id":"a","n":1 }"#);
        assert_eq!(with(&json!({}), r#"{"x": 1}"#), r#"{"x": 1}"#);
        assert_eq!(with(&fields, "[1]"), "[1]");
    }
}
