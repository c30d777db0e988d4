//! Whether a parameter is there, given the others: n8n's `displayOptions`.

use serde_json::{Map, Value};

use crate::catalog::Property;

/// Where a parameter stands.
#[derive(Clone, Copy)]
pub(crate) struct Scope<'a> {
    /// The node's version.
    pub(crate) version: f64,
    /// The node's own parameters, and what they may be: names that begin with a slash.
    pub(crate) root: (&'a Map<String, Value>, &'a [Property]),
    /// Those beside it.
    pub(crate) siblings: (&'a Map<String, Value>, &'a [Property]),
}

impl Scope<'_> {
    /// Whether `property` is there.
    pub(crate) fn shows(self, property: &Property) -> bool {
        let conditions = &property.conditions;
        conditions.show.iter().all(|(name, allowed)| self.matches(name, allowed, true))
            && !conditions.hide.iter().any(|(name, allowed)| self.matches(name, allowed, false))
    }

    fn matches(self, name: &str, allowed: &Value, if_expression: bool) -> bool {
        let value = match name {
            "@version" => self.version.into(),
            "@tool" => Value::Bool(false),
            _ => match name.strip_prefix('/') {
                Some(path) => self.of(self.root, path),
                None => self.of(self.siblings, name),
            },
        };
        if is_expression(&value) {
            return if_expression;
        }
        let values = match &value {
            Value::Array(values) => values.clone(),
            _ => vec![value],
        };
        let allowed = allowed.as_array().map(Vec::as_slice).unwrap_or_default();
        values.iter().any(|value| allowed.iter().any(|allowed| fits(value, allowed)))
    }

    /// What a parameter is, or is by default.
    fn of(self, (given, properties): (&Map<String, Value>, &[Property]), path: &str) -> Value {
        let (first, rest) = path.split_once('.').map_or((path, None), |(a, b)| (a, Some(b)));
        let value = given.get(first).cloned().unwrap_or_else(|| self.default(properties, first));
        rest.map_or_else(
            || value.clone(),
            |rest| {
                value.pointer(&format!("/{}", rest.replace('.', "/"))).cloned().unwrap_or_default()
            },
        )
    }

    fn default(self, properties: &[Property], name: &str) -> Value {
        let is_here = |property: &&Property| {
            let versions = property.conditions.show.get("@version");
            versions.is_none_or(|allowed| self.matches("@version", allowed, true))
        };
        let mut named = properties.iter().filter(|property| property.name == name);
        named.find(is_here).map(|property| property.default.clone()).unwrap_or_default()
    }
}

/// Whether a value is made when the workflow runs.
pub(crate) fn is_expression(value: &Value) -> bool {
    value.as_str().is_some_and(|text| text.starts_with('='))
}

fn fits(value: &Value, allowed: &Value) -> bool {
    let Some(condition) = allowed.get("_cnd").and_then(Value::as_object) else {
        return same(value, allowed);
    };
    condition.iter().all(|(operator, operand)| {
        let ordered = value.as_f64().zip(operand.as_f64());
        match operator.as_str() {
            "eq" => same(value, operand),
            "not" => !same(value, operand),
            "gte" => ordered.is_some_and(|(a, b)| a >= b),
            "gt" => ordered.is_some_and(|(a, b)| a > b),
            "lte" => ordered.is_some_and(|(a, b)| a <= b),
            "lt" => ordered.is_some_and(|(a, b)| a < b),
            "exists" => !value.is_null(),
            // The others compare texts, to show hints that the lint has nothing to do with.
            _ => true,
        }
    })
}

fn same(a: &Value, b: &Value) -> bool {
    match a.as_f64().zip(b.as_f64()) {
        Some((a, b)) => (a - b).abs() < f64::EPSILON,
        None => a == b,
    }
}
