//! A workflow as n8n exports it.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::{Map, Value};

const NOTE: &str = "n8n-nodes-base.stickyNote";

#[derive(Deserialize)]
pub(crate) struct Workflow {
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) description: String,
    pub(crate) nodes: Vec<Node>,
    /// By the node they begin at and the kind of connection: a list for each output.
    pub(crate) connections: BTreeMap<String, BTreeMap<String, Vec<Vec<Target>>>>,
}

#[derive(Deserialize)]
pub(crate) struct Node {
    pub(crate) id: String,
    pub(crate) name: String,
    #[serde(rename = "type")]
    pub(crate) kind: String,
    #[serde(rename = "typeVersion")]
    pub(crate) version: f64,
    pub(crate) position: (f64, f64),
    #[serde(default)]
    pub(crate) parameters: Map<String, Value>,
    #[serde(rename = "webhookId")]
    pub(crate) webhook_id: Option<String>,
    #[serde(rename = "onError")]
    pub(crate) on_error: Option<String>,
    #[serde(default, rename = "retryOnFail")]
    pub(crate) retries: bool,
}

#[derive(Deserialize)]
pub(crate) struct Target {
    pub(crate) node: String,
}

impl Workflow {
    /// The nodes that do something.
    pub(crate) fn working(&self) -> impl Iterator<Item = &Node> {
        self.nodes.iter().filter(|node| !node.is_note())
    }

    pub(crate) fn notes(&self) -> impl Iterator<Item = &Node> {
        self.nodes.iter().filter(|node| node.is_note())
    }

    /// Every connection: its kind, where it begins, by which output, and where it ends.
    pub(crate) fn links(&self) -> impl Iterator<Item = (&str, &str, usize, &str)> {
        self.connections.iter().flat_map(|(from, kinds)| {
            kinds.iter().flat_map(move |(kind, outputs)| {
                outputs.iter().enumerate().flat_map(move |(output, targets)| {
                    targets
                        .iter()
                        .map(move |to| (kind.as_str(), from.as_str(), output, to.node.as_str()))
                })
            })
        })
    }

    /// All nodes from which `name` can be reached, the other way round for nodes that serve another,
    /// such as a model its agent: they see what it sees.
    pub(crate) fn before(&self, name: &str) -> BTreeSet<&str> {
        let mut found = BTreeSet::new();
        let mut next = vec![name.to_owned()];
        while let Some(current) = next.pop() {
            for (kind, from, _, to) in self.links() {
                let earlier = match kind {
                    "main" if to == current => from,
                    kind if kind != "main" && from == current => to,
                    _ => continue,
                };
                if found.insert(earlier) {
                    next.push(earlier.to_owned());
                }
            }
        }
        found
    }
}

impl Node {
    pub(crate) fn is_note(&self) -> bool {
        self.kind == NOTE
    }

    /// Whether a workflow begins here.
    pub(crate) fn is_trigger(&self) -> bool {
        self.kind == "n8n-nodes-base.webhook" || self.kind.ends_with("Trigger")
    }

    /// The last part of its type, such as `httpRequest`.
    pub(crate) fn short_kind(&self) -> &str {
        self.kind.rsplit('.').next().unwrap_or_default()
    }
}
