//! Nodes and their parameters, against n8n's own descriptions.

use serde_json::{Map, Value};

use crate::{
    Finding,
    catalog::{Catalog, Property},
    visibility::{Scope, is_expression},
    workflow::{Node, Workflow},
};

pub(crate) fn check(workflow: &Workflow, catalog: &Catalog) -> Vec<Finding> {
    workflow.nodes.iter().flat_map(|node| check_node(node, catalog)).collect()
}

fn check_node(node: &Node, catalog: &Catalog) -> Vec<Finding> {
    let Some(description) = catalog.find(&node.kind, node.version) else {
        let message = format!(
            "{} in version {} is not among the nodes of n8n {} that the workflows use; if it is new, \
             run harness/extract-nodes.mjs",
            node.kind,
            node.version,
            catalog.n8n()
        );
        return vec![Finding::of_node(&node.name, message)];
    };
    let level = (&node.parameters, description.properties.as_slice());
    let mut faults = Vec::new();
    check_level(Scope { version: node.version, root: level, siblings: level }, "", &mut faults);
    if node.short_kind() == "httpRequest" && node.on_error.is_none() && !node.retries {
        faults.push("expected a word on failure: retryOnFail or onError".to_owned());
    }
    if matches!(node.short_kind(), "webhook" | "wait") && node.webhook_id.is_none() {
        faults.push("expected a webhookId".to_owned());
    }
    faults.into_iter().map(|fault| Finding::of_node(&node.name, fault)).collect()
}

/// Checks the parameters of one level, and those within them.
fn check_level(scope: Scope<'_>, path: &str, faults: &mut Vec<String>) {
    let (given, properties) = scope.siblings;
    for (name, value) in given {
        let mut named = properties.iter().filter(|property| property.name == *name).peekable();
        if named.peek().is_none() {
            faults.push(format!("{path}{name}: there is no such parameter"));
        } else if let Some(property) = named.find(|property| scope.shows(property)) {
            check_value(scope, property, value, &format!("{path}{name}"), faults);
        } else {
            faults.push(format!("{path}{name}: the other parameters leave no place for it"));
        }
    }
    for property in properties.iter().filter(|property| property.required && scope.shows(property))
    {
        let value = given.get(&property.name).unwrap_or(&property.default);
        if is_empty(value) {
            faults.push(format!("{path}{}: expected a value", property.name));
        }
    }
}

fn check_value(
    scope: Scope<'_>,
    property: &Property,
    value: &Value,
    path: &str,
    faults: &mut Vec<String>,
) {
    if is_expression(value) {
        return;
    }
    let expected = match property.kind.as_str() {
        "options" => choice(property, value),
        "multiOptions" => value.as_array().map_or(Some("an array".to_owned()), |all| {
            all.iter().find_map(|one| choice(property, one))
        }),
        "boolean" => (!value.is_boolean()).then(|| "true or false".to_owned()),
        "number" => (!value.is_number()).then(|| "a number".to_owned()),
        "string" | "json" | "credentialsSelect" => {
            (!value.is_string()).then(|| "a text".to_owned())
        }
        "resourceLocator" => {
            let is_whole =
                value.get("mode").is_some() && value.get("value").is_some_and(|it| !is_empty(it));
            (!is_whole).then(|| "mode and value".to_owned())
        }
        "collection" => return check_within(scope, value, &property.fields, path, faults),
        "fixedCollection" => return check_groups(scope, property, value, path, faults),
        _ => None,
    };
    if let Some(expected) = expected {
        faults.push(format!("{path}: expected {expected}, found {value}"));
    }
}

fn choice(property: &Property, value: &Value) -> Option<String> {
    let is_known = property.values.is_empty() || property.values.contains(value);
    (!is_known).then(|| format!("one of {}", Value::from(property.values.clone())))
}

fn check_groups(
    scope: Scope<'_>,
    property: &Property,
    value: &Value,
    path: &str,
    faults: &mut Vec<String>,
) {
    let Some(groups) = value.as_object() else {
        return faults.push(format!("{path}: expected an object, found {value}"));
    };
    for (name, content) in groups {
        let Some(group) = property.groups.iter().find(|group| group.name == *name) else {
            faults.push(format!("{path}.{name}: there is no such parameter"));
            continue;
        };
        match content {
            Value::Array(all) if property.multiple => {
                for (index, one) in all.iter().enumerate() {
                    check_within(
                        scope,
                        one,
                        &group.fields,
                        &format!("{path}.{name}[{index}]"),
                        faults,
                    );
                }
            }
            one => check_within(scope, one, &group.fields, &format!("{path}.{name}"), faults),
        }
    }
}

fn check_within(
    scope: Scope<'_>,
    value: &Value,
    fields: &[Property],
    path: &str,
    faults: &mut Vec<String>,
) {
    match value.as_object() {
        Some(given) => {
            check_level(Scope { siblings: (given, fields), ..scope }, &format!("{path}."), faults);
        }
        None => faults.push(format!("{path}: expected an object, found {value}")),
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Object(fields) => {
            fields.get("value").is_some_and(is_empty) && !holds_columns(fields)
        }
        _ => false,
    }
}

/// A mapping of columns may take them from the input.
fn holds_columns(fields: &Map<String, Value>) -> bool {
    fields.get("mappingMode").and_then(Value::as_str) == Some("autoMapInputData")
}
