//! A chat completion's answer: its text, what it used, why it ended.

use serde::{Deserialize, Deserializer};

use super::{CallTerms, ToolError, head::Head, tokens::Tokens};
use crate::{
    error::{ErrorClass, JobError},
    http::Beginning,
    lease::Usage,
    tool::gate::ANSWER_EMPTY,
};

/// A sound answer.
#[derive(Debug)]
pub(in crate::tool) struct Answer {
    pub(in crate::tool) content: String,
    pub(in crate::tool) usage: Usage,
    /// The answer reached `max_tokens` and ends in the middle.
    pub(in crate::tool) is_truncated: bool,
}

#[derive(Deserialize)]
struct Body {
    #[serde(default)]
    model: Option<String>,
    choices: Vec<Choice>,
    #[serde(default)]
    usage: Tokens,
}

#[derive(Deserialize)]
struct Choice {
    message: Message,
    #[serde(default)]
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct Message {
    #[serde(default, deserialize_with = "content")]
    content: Option<String>,
    /// Why the model itself would not answer.
    #[serde(default)]
    refusal: Option<String>,
}

impl Answer {
    /// Reads the body of a 200.
    pub(super) fn parse(
        body: &Beginning,
        head: &Head,
        terms: &CallTerms<'_>,
    ) -> Result<Self, ToolError> {
        if body.is_cut {
            let usage = head.usage_of_lost_answer(terms);
            let message = "the LLM's answer is longer than 8 MiB";
            return Err(failure(ErrorClass::Permanent, "answer_too_large", message, usage));
        }
        let Ok(body) = serde_json::from_slice::<Body>(&body.bytes) else {
            let usage = head.usage_of_lost_answer(terms);
            let message = "the LLM's answer is not a chat completion in JSON";
            let failure = failure(ErrorClass::Transient, "answer_malformed", message, usage);
            // Whoever wrote that, the provider may have answered before.
            return Err(ToolError { is_ambiguous: true, ..failure });
        };
        let usage = head.usage(body.usage, body.model.as_deref(), terms);
        let Some(choice) = body.choices.into_iter().next() else {
            let message = "the LLM answered without a choice";
            return Err(failure(ErrorClass::Transient, ANSWER_EMPTY, message, usage));
        };
        Self::from_choice(choice, usage)
    }

    fn from_choice(choice: Choice, usage: Usage) -> Result<Self, ToolError> {
        let reason = choice.finish_reason.as_deref();
        let Message { content, refusal } = choice.message;
        match content.filter(|content| !is_blank(content)) {
            _ if reason == Some("content_filter") => {
                let message = "the LLM's content filter withheld the answer";
                Err(failure(ErrorClass::Permanent, "content_filter", message, usage))
            }
            Some(content) => Ok(Self { content, usage, is_truncated: reason == Some("length") }),
            // Asked again it would refuse again, and be paid for it.
            None if refusal.is_some_and(|refusal| !is_blank(&refusal)) => {
                let message = "the model refused to answer";
                Err(failure(ErrorClass::Permanent, "refusal", message, usage))
            }
            None if reason == Some("length") => {
                let message = "the LLM used up max_tokens before it came to any text";
                Err(failure(ErrorClass::Permanent, "answer_truncated", message, usage))
            }
            None => {
                let message = "the LLM answered without any text";
                Err(failure(ErrorClass::Transient, ANSWER_EMPTY, message, usage))
            }
        }
    }
}

/// A text, or parts of which some are: Mistral's models that reason answer so.
fn content<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Content {
        Text(String),
        Parts(Vec<Part>),
    }

    #[derive(Deserialize)]
    struct Part {
        #[serde(rename = "type")]
        kind: String,
        #[serde(default)]
        text: String,
    }

    let text_of = |parts: Vec<Part>| {
        let texts = parts.into_iter().filter(|part| part.kind == "text").map(|part| part.text);
        texts.collect::<String>()
    };
    Ok(Option::<Content>::deserialize(deserializer)?.map(|content| match content {
        Content::Text(text) => text,
        Content::Parts(parts) => text_of(parts),
    }))
}

fn is_blank(text: &str) -> bool {
    text.trim().is_empty()
}

fn failure(class: ErrorClass, code: &'static str, message: &str, usage: Usage) -> ToolError {
    ToolError { usage, ..ToolError::free(JobError::new(class, code, message)) }
}
