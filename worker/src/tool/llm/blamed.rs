//! A refusal that blames what the catalog or a setting of ours says rather than the job: no job fails
//! for it.

use super::details::Details;

/// What of a request is refused that no job wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Blamed {
    AnswerSchema,
    MaxTokens,
    Temperature,
    /// A field that LiteLLM alone knows.
    LiteLlmsField,
}

/// How APIs name it as the field at fault, and how they say it in words where a router between loses
/// the name. The words are long enough for a message that repeats a prompt's to be known as such.
const FORMS: [(Blamed, &[&str], &[&str]); 4] = [
    (
        Blamed::AnswerSchema,
        &["response_format"],
        &[
            "Invalid schema for response_format",
            "Invalid parameter: 'response_format'",
            "Unsupported parameter: 'response_format",
            "does not support parameters: ['response_format']",
            "does not support response format",
            "response_format value as json_schema",
            "This response_format type is unavailable",
            "generation_config.response_schema",
            "output_format.schema",
            "output_config.format.schema",
            "input_schema: JSON schema is invalid",
        ],
    ),
    (
        Blamed::MaxTokens,
        &["max_tokens", "max_completion_tokens"],
        &[
            "Unsupported parameter: 'max_tokens'",
            "Unsupported parameter: 'max_completion_tokens'",
            "Invalid 'max_tokens': ",
            "Invalid 'max_completion_tokens': ",
            "max_tokens is too large",
            "maximum allowed number of output tokens",
            "the maximum value for `max_tokens`",
            "it has a maxOutputTokens value of",
            "maximum tokens you requested exceeds",
        ],
    ),
    (
        Blamed::Temperature,
        &["temperature"],
        &[
            "Unsupported parameter: 'temperature'",
            "Unsupported value: 'temperature'",
            "Invalid 'temperature': ",
            "does not support parameters: ['temperature']",
            "`temperature` is deprecated for this model",
            "temperature: range: ",
        ],
    ),
    (
        Blamed::LiteLlmsField,
        &["timeout", "metadata"],
        &[
            "Unrecognized request argument supplied: timeout",
            "Unrecognized request argument supplied: metadata",
            "Unrecognized request arguments supplied: metadata, timeout",
            "Unknown parameter: 'timeout'",
            "Unknown parameter: 'metadata'",
            "The 'metadata' parameter is only allowed when",
        ],
    ),
];

impl Blamed {
    /// What a refusal with the status 400 or 422 blames, if it is none of the job's own.
    pub(super) fn by(details: &Details) -> Option<Self> {
        let param = details.param.as_deref().unwrap_or_default();
        let names = |field: &&str| {
            let rest = param.strip_prefix(*field);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        let form =
            FORMS.iter().find(|(_, fields, words)| fields.iter().any(names) || details.says(words));
        form.map(|(blamed, ..)| *blamed)
    }

    /// What a person may do about it.
    pub(super) fn remedy(self) -> &'static str {
        match self {
            Self::AnswerSchema => "see the tool's answer_schema in the catalog",
            Self::MaxTokens => {
                "see the tool's max_tokens, and the model's max_tokens_field, in the catalog"
            }
            Self::Temperature => "see the tool's temperature in the catalog",
            Self::LiteLlmsField => "set MCP_BATCH_LLM_API to openai, since this is no LiteLLM",
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn by(message: &str, param: Option<&str>) -> Option<Blamed> {
        let body = json!({"error": {"message": message, "param": param}});
        Blamed::by(&Details::read(body.to_string().as_bytes(), None, None))
    }

    #[test]
    fn what_no_job_wrote_is_blamed_by_its_name_or_in_words() {
        for (message, param, blamed) in [
            ("no", Some("response_format"), Blamed::AnswerSchema),
            ("no", Some("response_format.json_schema.schema"), Blamed::AnswerSchema),
            ("no", Some("max_completion_tokens"), Blamed::MaxTokens),
            ("no", Some("temperature"), Blamed::Temperature),
            ("no", Some("metadata"), Blamed::LiteLlmsField),
            (
                "litellm.BadRequestError: OpenAIException - Invalid schema for response_format \
                 'answer': In context=(), 'additionalProperties' is required to be supplied and \
                 to be false.",
                None,
                Blamed::AnswerSchema,
            ),
            (
                "litellm.BadRequestError: AzureException - Unsupported parameter: 'max_tokens' is \
                 not supported with this model. Use 'max_completion_tokens' instead.",
                Some("None"),
                Blamed::MaxTokens,
            ),
            (
                "max_tokens: 100000 > 64000, which is the maximum allowed number of output \
                 tokens for claude-sonnet-4-5",
                None,
                Blamed::MaxTokens,
            ),
            (
                "Unsupported value: 'temperature' does not support 0 with this model. Only the \
                 default (1) value is supported.",
                None,
                Blamed::Temperature,
            ),
            (
                "litellm.BadRequestError: VertexAIException - Unable to submit request because it \
                 has a maxOutputTokens value of 100000 but the supported range is from 1 to 65537",
                None,
                Blamed::MaxTokens,
            ),
            (
                "tools.0.custom.input_schema: JSON schema is invalid. It must match JSON Schema \
                 draft 2020-12",
                None,
                Blamed::AnswerSchema,
            ),
            ("Unrecognized request argument supplied: timeout", None, Blamed::LiteLlmsField),
        ] {
            assert_eq!(by(message, param), Some(blamed), "{message} {param:?}");
            assert!(!blamed.remedy().is_empty());
        }
    }

    #[test]
    fn what_a_job_wrote_is_its_own() {
        for (message, param) in [
            ("Invalid 'messages[0].content': string too long.", Some("messages[0].content")),
            ("Invalid value for 'user'", Some("user")),
            ("bad request", None),
            ("no", Some("temperature_of_tea")),
            (
                "input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000, \
                 decrease input length or `max_tokens` and try again",
                None,
            ),
        ] {
            assert_eq!(by(message, param), None, "{message}");
        }
    }
}
