//! Jobs as texts, which stay what they are: what one lacks is put at its beginning.

use bytes::Bytes;
use serde_json::{Map, Value};

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
