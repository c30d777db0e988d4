//! Documents as people read them.

use std::io::{self, Write};

use serde_json::Value;

/// The width of the names.
const NAMES: usize = 18;

/// One field a line, without those that are empty; after a blank line where something went before.
pub(super) fn fields(out: &mut impl Write, document: &Value, goes_on: bool) -> io::Result<()> {
    if goes_on {
        writeln!(out)?;
    }
    let fields = document.as_object().into_iter().flatten();
    for (name, value) in fields.filter(|(_, value)| !value.is_null()) {
        writeln!(out, "{:<NAMES$}{}", name.replace('_', " "), text(value))?;
    }
    Ok(())
}

/// A text as it is; an error and what was used as a sentence; anything else as JSON.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Object(error) if error.contains_key("class") => {
            let field = |name: &str| error.get(name).and_then(Value::as_str).unwrap_or_default();
            format!("{} ({}, {})", field("message"), field("class"), field("code"))
        }
        Value::Object(usage) if usage.contains_key("input_tokens") => used(value),
        other => other.to_string(),
    }
}

fn used(usage: &Value) -> String {
    let mut parts = vec![format!("{} + {} tokens", usage["input_tokens"], usage["output_tokens"])];
    parts.extend(usage["cost_usd"].as_f64().map(|cost| format!("{cost} USD")));
    parts.extend(usage["model"].as_str().map(str::to_owned));
    parts.join(", ")
}
