//! A good answer's body, in either shape.

use bytes::Bytes;
use serde_json::{Value, json};

use super::answer::Asked;
use super::question::Shape;

/// What an answer says it used.
#[derive(Debug, Default)]
pub(super) struct Used {
    /// Those that were in no cache.
    prompt: usize,
    cache_read: usize,
    cache_written: usize,
    completion: usize,
    /// Part of the completion's.
    reasoning: usize,
}

impl Used {
    pub(super) fn plain(prompt: usize, completion: usize) -> Self {
        Self { prompt, completion, ..Self::default() }
    }

    pub(super) fn cached(shape: Shape) -> Self {
        let plain = Self { cache_read: 900, completion: 17, ..Self::default() };
        match shape {
            Shape::OpenAi => Self { prompt: 120, reasoning: 7, ..plain },
            Shape::Anthropic => Self { prompt: 20, cache_written: 100, ..plain },
        }
    }

    /// `OpenAI` counts what it had in its cache with the prompt.
    fn openai(&self) -> Value {
        let prompt = self.prompt + self.cache_read;
        let mut usage = json!({
            "prompt_tokens": prompt,
            "completion_tokens": self.completion,
            "total_tokens": prompt + self.completion,
        });
        if self.cache_read > 0 {
            usage["prompt_tokens_details"] = json!({"cached_tokens": self.cache_read});
            usage["completion_tokens_details"] = json!({"reasoning_tokens": self.reasoning});
        }
        usage
    }

    fn anthropic(&self) -> Value {
        json!({
            "input_tokens": self.prompt,
            "cache_read_input_tokens": self.cache_read,
            "cache_creation_input_tokens": self.cache_written,
            "output_tokens": self.completion,
        })
    }
}

/// The body of a good answer.
pub(super) fn of(asked: &Asked, text: &str, finish_reason: &str, used: &Used) -> Bytes {
    match asked.shape {
        Shape::OpenAi => openai(asked, text, finish_reason, used),
        Shape::Anthropic => anthropic(asked, text, finish_reason, used),
    }
}

fn openai(asked: &Asked, text: &str, finish_reason: &str, used: &Used) -> Bytes {
    format!(
        r#"{{"id":"chatcmpl-{number}","object":"chat.completion","created":1700000000,"model":{model},"choices":[{{"index":0,"message":{{"role":"assistant","content":{text}}},"finish_reason":{finish_reason}}}],"usage":{usage}}}"#,
        number = asked.number,
        model = quoted(&asked.model),
        text = quoted(text),
        finish_reason = quoted(finish_reason),
        usage = used.openai(),
    )
    .into()
}

fn anthropic(asked: &Asked, text: &str, finish_reason: &str, used: &Used) -> Bytes {
    let stop_reason = match finish_reason {
        "length" => "max_tokens",
        "content_filter" => "refusal",
        _ => "end_turn",
    };
    let message = json!({
        "id": format!("msg_{}", asked.number),
        "type": "message",
        "role": "assistant",
        "model": asked.model,
        "content": [{"type": "text", "text": text}],
        "stop_reason": stop_reason,
        "stop_sequence": null,
        "usage": used.anthropic(),
    });
    message.to_string().into()
}

fn quoted(text: &str) -> Value {
    Value::String(text.to_owned())
}
