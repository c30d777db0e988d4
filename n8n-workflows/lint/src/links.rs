//! Connections: they lead somewhere, and every node is reached.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::{
    Finding,
    catalog::Catalog,
    workflow::{Node, Workflow},
};

pub(crate) fn check(workflow: &Workflow, catalog: &Catalog) -> Vec<Finding> {
    let mut findings = names(workflow);
    findings.extend(ends(workflow, catalog));
    findings.extend(unreached(workflow));
    findings
}

/// Names and ids are each node's own.
fn names(workflow: &Workflow) -> Vec<Finding> {
    let (mut names, mut ids) = (BTreeSet::new(), BTreeSet::new());
    let is_new = |node: &&Node| {
        let is_new_name = names.insert(node.name.clone());
        ids.insert(node.id.clone()) && is_new_name
    };
    let mut is_new = is_new;
    let repeated = workflow.nodes.iter().filter(|node| !is_new(node));
    repeated
        .map(|node| Finding::of_node(&node.name, "another node has its name or its id"))
        .collect()
}

fn ends(workflow: &Workflow, catalog: &Catalog) -> Vec<Finding> {
    let find = |name: &str| workflow.working().find(|node| node.name == name);
    let mut findings = Vec::new();
    for (kind, from, output, to) in workflow.links() {
        if find(to).is_none() {
            findings.push(Finding::of_node(
                from,
                format!("a connection leads to “{to}”, which is no node"),
            ));
        }
        let Some(node) = find(from) else {
            findings.push(Finding::of_node(
                from,
                "a connection begins here, but there is no such node",
            ));
            continue;
        };
        let outputs = outputs(node, catalog).filter(|_| kind == "main");
        if outputs.is_some_and(|outputs| output >= outputs) {
            findings.push(Finding::of_node(from, format!("it has no output {output}")));
        }
    }
    findings
}

/// How many outputs a node has, if that can be told.
fn outputs(node: &Node, catalog: &Catalog) -> Option<usize> {
    let of_errors = usize::from(node.on_error.as_deref() == Some("continueErrorOutput"));
    let own = match node.short_kind() {
        "switch" => {
            let rules = node.parameters.get("rules")?.get("values")?.as_array()?.len();
            let fallback =
                node.parameters.get("options").and_then(|options| options.get("fallbackOutput"));
            rules + usize::from(fallback.and_then(Value::as_str) == Some("extra"))
        }
        _ => catalog.find(&node.kind, node.version)?.outputs?,
    };
    Some(own + of_errors)
}

/// Nodes at which no trigger ever arrives.
fn unreached(workflow: &Workflow) -> Vec<Finding> {
    let serves =
        |name: &str| workflow.links().any(|(kind, from, ..)| kind != "main" && from == name);
    let is_reached = |node: &&Node| {
        let before = workflow.before(&node.name);
        workflow.working().any(|other| other.is_trigger() && before.contains(other.name.as_str()))
    };
    let idle = workflow
        .working()
        .filter(|node| !node.is_trigger() && !serves(&node.name) && !is_reached(node));
    idle.map(|node| Finding::of_node(&node.name, "no trigger leads here")).collect()
}
