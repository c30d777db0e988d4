//! What is wrong with a catalog that can be read: servers that do not answer, tools that they do not
//! have, models that the LLM does not list.

use std::collections::BTreeMap;

use super::{Catalog, Model};
use crate::{
    job::ModelName,
    tool::{Listing, Problem, Tools, mcp::McpServer, words},
};

/// The most of a tool's name that is told, in characters: a server may name its own as it likes.
const MAX_PART_CHARS: usize = 200;

impl Catalog {
    /// Every tool that jobs may call now, with all that can be found wrong: servers, their tools, the LLM and its models.
    pub async fn examine(&self) -> (Listing, Vec<Problem>) {
        let (listing, models) = tokio::join!(self.list(), self.examine_models());
        let of_tools = listing.tools.iter().filter_map(|tool| {
            let part = words::on_one_line(&tool.name).take(MAX_PART_CHARS).collect();
            Some(Problem { part, problem: tool.problem.clone()? })
        });
        let of_servers = self.servers.values().flat_map(McpServer::problems);
        let found = listing.unreachable.iter().cloned().chain(of_tools).chain(of_servers);
        let problems = found.chain(models).collect();
        (listing, problems)
    }

    async fn examine_models(&self) -> Vec<Problem> {
        let Model::Llm { client, default_model } = &self.model else { return Vec::new() };
        let known = match client.models().await {
            Ok(known) => known,
            Err(problem) => return vec![Problem { part: "llm".to_owned(), problem }],
        };
        let default_model = default_model.as_ref();
        let named = self.tools.iter().map(|(name, tool)| {
            let model = tool.model.as_ref().or(default_model).map(ModelName::as_str);
            (model, format!("the tool {name} needs it"))
        });
        let described = self.models.names();
        let described =
            described.map(|name| (Some(name), "the catalog has a table for it".to_owned()));
        let mut missing = BTreeMap::new();
        for (model, why) in described.chain(named) {
            match model {
                None => {
                    let problem = "neither the tool nor the catalog names a model: set \
                                   MCP_BATCH_LLM_MODEL, or model in the catalog";
                    missing.insert("llm", problem.to_owned());
                }
                Some(model) if !known.has(model) => {
                    let problem = format!(
                        "the LLM does not list this model, or the key may not use it; {why}"
                    );
                    missing.insert(model, problem);
                }
                Some(_) => {}
            }
        }
        let problem = |(part, problem): (&str, String)| Problem { part: part.to_owned(), problem };
        missing.into_iter().map(problem).collect()
    }
}
