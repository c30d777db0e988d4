//! What the pinned n8n says of its nodes: an extract that `harness/extract-nodes.mjs` writes.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value};

/// The descriptions of all nodes that the workflows use.
#[derive(Deserialize)]
pub struct Catalog {
    /// The version of n8n they are of.
    n8n: String,
    /// By type and version, such as `n8n-nodes-base.webhook@2`.
    nodes: BTreeMap<String, Description>,
}

/// One version of one type of node.
#[derive(Deserialize)]
pub(crate) struct Description {
    /// How many it has, unless that depends on its parameters.
    pub(crate) outputs: Option<usize>,
    pub(crate) properties: Vec<Property>,
}

/// A parameter. Several may have one name, for different values of other parameters.
#[derive(Deserialize)]
pub(crate) struct Property {
    pub(crate) name: String,
    #[serde(rename = "type")]
    pub(crate) kind: String,
    #[serde(default)]
    pub(crate) default: Value,
    #[serde(default)]
    pub(crate) required: bool,
    #[serde(default, rename = "displayOptions")]
    pub(crate) conditions: Conditions,
    /// Whether there may be a list of them.
    #[serde(default)]
    pub(crate) multiple: bool,
    /// Of a choice: what there is to choose, unless it is loaded while one edits.
    #[serde(default)]
    pub(crate) values: Vec<Value>,
    /// Of a collection.
    #[serde(default)]
    pub(crate) fields: Vec<Property>,
    /// Of a fixed collection.
    #[serde(default)]
    pub(crate) groups: Vec<Group>,
}

/// Fields that come together.
#[derive(Deserialize)]
pub(crate) struct Group {
    pub(crate) name: String,
    pub(crate) fields: Vec<Property>,
}

/// When a parameter is there: by the values of others.
#[derive(Default, Deserialize)]
pub(crate) struct Conditions {
    #[serde(default)]
    pub(crate) show: Map<String, Value>,
    #[serde(default)]
    pub(crate) hide: Map<String, Value>,
}

impl Catalog {
    /// The one that is compiled in.
    pub fn pinned() -> Result<Self, serde_json::Error> {
        serde_json::from_str(include_str!("../nodes.json"))
    }

    /// The version of n8n that it describes.
    pub fn n8n(&self) -> &str {
        &self.n8n
    }

    pub(crate) fn find(&self, kind: &str, version: f64) -> Option<&Description> {
        self.nodes.get(&format!("{kind}@{version}"))
    }
}
