//! Expressions and code: the nodes they name exist, and have run before.

use serde_json::Value;

use crate::{
    Finding,
    workflow::{Node, Workflow},
};

/// How a node is named in expressions and in code, with the quote that ends the name.
const REFERENCES: [(&str, char); 4] =
    [("$('", '\''), ("$(\"", '"'), ("$node[\"", '"'), ("$node['", '\'')];

/// May be asked of a node that has not run.
const OF_ANY_NODE: &str = ").isExecuted";

pub(crate) fn check(workflow: &Workflow) -> Vec<Finding> {
    let mut findings = Vec::new();
    for node in workflow.working() {
        let before = workflow.before(&node.name);
        for (path, text) in texts(node) {
            for (name, rest) in references(&text) {
                if !workflow.working().any(|other| other.name == name) {
                    findings.push(Finding::of_node(
                        &node.name,
                        format!("{path}: there is no node “{name}”"),
                    ));
                } else if !before.contains(name) && !rest.starts_with(OF_ANY_NODE) {
                    let message = format!("{path}: “{name}” does not come before this node");
                    findings.push(Finding::of_node(&node.name, message));
                }
            }
            findings
                .extend(braces(&path, &text).map(|message| Finding::of_node(&node.name, message)));
        }
    }
    findings
}

/// Every text among a node's parameters, with where it stands.
fn texts(node: &Node) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for (name, value) in &node.parameters {
        collect(name, value, &mut found);
    }
    found
}

fn collect(path: &str, value: &Value, found: &mut Vec<(String, String)>) {
    match value {
        Value::String(text) => found.push((path.to_owned(), text.clone())),
        Value::Array(all) => {
            for (index, one) in all.iter().enumerate() {
                collect(&format!("{path}[{index}]"), one, found);
            }
        }
        Value::Object(fields) => {
            for (name, field) in fields {
                collect(&format!("{path}.{name}"), field, found);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// The names of nodes in a text, each with what follows its closing quote.
fn references(text: &str) -> Vec<(&str, &str)> {
    let mut found = Vec::new();
    for (opening, quote) in REFERENCES {
        for (at, _) in text.match_indices(opening) {
            if let Some((name, rest)) = text[at + opening.len()..].split_once(quote) {
                found.push((name, rest));
            }
        }
    }
    found
}

/// Braces that n8n would not read as they are meant.
fn braces(path: &str, text: &str) -> Option<String> {
    if path == "jsCode" {
        return None;
    }
    let (opened, closed) = (text.matches("{{").count(), text.matches("}}").count());
    if opened != closed {
        return Some(format!(
            "{path}: {opened} times {{{{ and {closed} times }}}}: an expression ends at the first }}}}"
        ));
    }
    let is_meant = opened > 0 || text.contains("$json") || text.contains("$('");
    (is_meant && !text.starts_with('=')).then(|| format!("{path}: an expression begins with ="))
}
