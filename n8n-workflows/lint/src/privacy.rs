//! Nothing of an instance or a person: no credentials, no pinned data, no real addresses.

use serde_json::Value;

use crate::{Finding, workflow::Workflow};

/// Account numbers and the like have this many digits.
const ACCOUNT_DIGITS: usize = 12;

/// The account number of AWS's own examples.
const EXAMPLE_ACCOUNT: &str = "123456789012";

/// What secrets begin with.
const SECRETS: [&str; 4] = ["AKIA", "ASIA", "sk-", "-----BEGIN"];

pub(crate) fn check(export: &Value, workflow: &Workflow) -> Vec<Finding> {
    let mut findings = Vec::new();
    let is_empty = |field: &str| match export.get(field) {
        None | Some(Value::Null | Value::Bool(false)) => true,
        Some(Value::Object(fields)) => fields.is_empty(),
        Some(Value::Array(all)) => all.is_empty(),
        Some(_) => false,
    };
    for field in [
        "pinData",
        "staticData",
        "tags",
        "active",
        "isArchived",
        "shared",
        "versionId",
        "activeVersion",
    ] {
        if !is_empty(field) {
            findings.push(Finding::of_workflow(format!("{field}: expected none")));
        }
    }
    if export.pointer("/meta/instanceId").is_some() {
        findings.push(Finding::of_workflow("meta.instanceId: expected none"));
    }
    if export.pointer("/settings/errorWorkflow").is_some() {
        findings.push(Finding::of_workflow(
            "settings.errorWorkflow: it is an instance's id; expected none",
        ));
    }
    let nodes =
        export.get("nodes").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    for (node, raw) in workflow.nodes.iter().zip(nodes) {
        if raw.get("credentials").is_some() {
            findings.push(Finding::of_node(&node.name, "credentials: expected none"));
        }
        if raw.get("disabled").is_some() {
            findings.push(Finding::of_node(&node.name, "disabled: expected all nodes at work"));
        }
        let text = Value::from(node.parameters.clone()).to_string();
        findings.extend(personal(&text).map(|what| Finding::of_node(&node.name, what)));
    }
    findings
}

/// What looks like somebody's own.
fn personal(text: &str) -> impl Iterator<Item = String> {
    let hosts = text.split("://").skip(1).map(|rest| {
        let end =
            rest.find(|letter: char| !(letter.is_ascii_alphanumeric() || ".-".contains(letter)));
        &rest[..end.unwrap_or(rest.len())]
    });
    let strange = hosts
        .filter(|host| !is_anybodys(host))
        .map(|host| format!("{host} is a real address; expected example.com"));
    let secrets = SECRETS
        .iter()
        .filter(|secret| text.contains(**secret))
        .map(|secret| format!("{secret}… looks like a secret"));
    let digits = text.split(|letter: char| !letter.is_ascii_digit());
    let accounts = digits.filter(|run| run.len() == ACCOUNT_DIGITS && *run != EXAMPLE_ACCOUNT);
    let accounts = accounts.map(|_| format!("an account number; expected {EXAMPLE_ACCOUNT}"));
    let mail = text
        .split_whitespace()
        .filter(|word| word.contains('@') && word.contains('.') && !word.contains("$("));
    let mail = mail.map(|_| "looks like an e-mail address".to_owned());
    strange.chain(secrets).chain(accounts).chain(mail).collect::<Vec<_>>().into_iter()
}

fn is_anybodys(host: &str) -> bool {
    host.is_empty()
        || host == "127.0.0.1"
        || host.ends_with("example.com")
        || (host.starts_with("sqs.") && host.ends_with(".amazonaws.com"))
}
