//! What a tool answered, as a job's outcome: the result of `tools/call` as it is.

use rmcp::model::{CallToolResult, ContentBlock, ServerResult};
use serde_json::{Map, Value, json};

use super::failure::{self, Terms};
use crate::{
    lease::{Outcome, Usage},
    tool::ToolError,
};

/// So begin results of servers on the TypeScript SDK that are no results: it tells a wrong name of
/// a tool and wrong arguments in that way.
const REFUSED_ARGUMENTS: &str = "MCP error -32602:";

/// The outcome that an answer to `tools/call` stands for.
pub(super) fn outcome(answer: ServerResult, terms: &Terms<'_>) -> Result<Outcome, ToolError> {
    match answer {
        ServerResult::CallToolResult(result) => match refusal(&result) {
            Some(said) => Err(failure::refused_arguments(said, terms)),
            None => Ok(finished(told(result))),
        },
        // No more than `_meta` and the like: a tool that says nothing.
        ServerResult::EmptyResult(_) | ServerResult::TaskAckResult(_) => {
            Ok(finished(json!({"content": []})))
        }
        // Content of a kind that is not known here.
        ServerResult::CustomResult(result)
            if result.0.get("content").is_some_and(Value::is_array) =>
        {
            Ok(finished(result.0))
        }
        ServerResult::InputRequiredResult(_) => {
            let what = "asked for input in the middle of the call, and nobody is there to answer";
            Err(failure::not_a_result("input_required", what, terms))
        }
        ServerResult::CreateTaskResult(_) => {
            let what = "answered with a task, which was not asked for";
            Err(failure::not_a_result("task", what, terms))
        }
        _ => Err(failure::not_a_result("no_result", "answered with no result of a tool", terms)),
    }
}

fn finished(result: Value) -> Outcome {
    Outcome { result, usage: Usage::free(), offline: false }
}

/// The text of a refusal that looks like a result.
fn refusal(result: &CallToolResult) -> Option<&str> {
    let text = match (result.is_error, result.content.as_slice()) {
        (Some(true), [ContentBlock::Text(only)]) => only.text.as_str(),
        _ => return None,
    };
    text.strip_prefix(REFUSED_ARGUMENTS)
}

/// `content`, `structuredContent` and `isError` as they came; what is for the protocol stays here.
fn told(result: CallToolResult) -> Value {
    let mut told = Map::new();
    let content = serde_json::to_value(result.content).unwrap_or_default();
    told.insert("content".to_owned(), content);
    if let Some(structured) = result.structured_content {
        told.insert("structuredContent".to_owned(), structured);
    }
    if result.is_error == Some(true) {
        told.insert("isError".to_owned(), true.into());
    }
    Value::Object(told)
}
