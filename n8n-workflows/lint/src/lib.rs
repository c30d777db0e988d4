//! Checks exported n8n workflows without n8n: quick enough for every commit.
//!
//! | file | what is checked there |
//! |---|---|
//! | `parameters.rs` | types and versions of nodes, and their parameters, against the pinned n8n's own descriptions |
//! | `links.rs` | connections lead somewhere, and every node is reached |
//! | `expressions.rs` | they refer to nodes that exist and come before |
//! | `layout.rs` | nothing overlaps, and the notes follow the rules for templates |
//! | `privacy.rs` | no credentials, no pinned data, nothing of an instance or a person |
//!
//! What it can't see, such as the code in Code nodes, the real n8n of `scripts/e2e/n8n` does.

mod catalog;
mod expressions;
mod layout;
mod links;
mod parameters;
mod privacy;
mod visibility;
mod workflow;

use std::fmt;

use serde_json::Value;

pub use self::catalog::Catalog;
use self::workflow::Workflow;

/// Something that is wrong with a workflow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The node at fault, where it is one.
    pub node: Option<String>,
    /// What is wrong, and what was expected.
    pub message: String,
}

impl Finding {
    fn of_workflow(message: impl Into<String>) -> Self {
        Self { node: None, message: message.into() }
    }

    fn of_node(node: &str, message: impl Into<String>) -> Self {
        Self { node: Some(node.to_owned()), message: message.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.node {
            Some(node) => write!(f, "“{node}”: {}", self.message),
            None => f.write_str(&self.message),
        }
    }
}

/// Everything that is wrong with the export `text`.
pub fn lint(text: &str, catalog: &Catalog) -> Vec<Finding> {
    let export: Value = match serde_json::from_str(text) {
        Ok(export) => export,
        Err(error) => return vec![Finding::of_workflow(format!("expected JSON: {error}"))],
    };
    let workflow: Workflow = match serde_json::from_value(export.clone()) {
        Ok(workflow) => workflow,
        Err(error) => return vec![Finding::of_workflow(format!("expected a workflow: {error}"))],
    };
    let mut findings = privacy::check(&export, &workflow);
    findings.extend(parameters::check(&workflow, catalog));
    findings.extend(links::check(&workflow, catalog));
    findings.extend(expressions::check(&workflow));
    findings.extend(layout::check(&workflow));
    findings
}
