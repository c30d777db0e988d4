//! Which models the endpoint has, for a person who checks a catalog.

use std::time::Duration;

use http_body_util::Full;
use hyper::{Request, StatusCode, header::AUTHORIZATION};
use serde::Deserialize;

use super::{LlmClient, MAX_ANSWER_BYTES, endpoint, failed};
use crate::error::innermost;

/// How long the question may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The models that an endpoint lists.
#[derive(Deserialize)]
pub(in crate::tool) struct KnownModels {
    data: Vec<Model>,
}

#[derive(Deserialize)]
struct Model {
    id: String,
}

impl KnownModels {
    /// Whether it is one of them; LiteLLM lists all models of a provider as `provider/*`.
    pub(in crate::tool) fn has(&self, name: &str) -> bool {
        self.data.iter().any(|model| match model.id.strip_suffix('*') {
            Some(beginning) => name.starts_with(beginning),
            None => model.id == name,
        })
    }
}

impl LlmClient {
    /// The models that the key may use. The error says what is wrong with endpoint or key.
    pub(in crate::tool) async fn models(&self) -> Result<KnownModels, String> {
        let mut request = Request::get(endpoint(&self.settings.url, "models"));
        if let Some(key) = &self.secrets.current().llm {
            request = request.header(AUTHORIZATION, key.header());
        }
        let request = request.body(Full::default()).map_err(|error| error.to_string())?;
        let response = self.upstream.send(request, TIMEOUT).await;
        let response = response
            .map_err(|error| format!("the LLM cannot be reached: {}", innermost(&error)))?;
        match response.status() {
            status if status.is_success() => {}
            status @ (StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED) => {
                return Err(format!(
                    "the LLM answered {status} to the question for its models, so none of them could \
                     be checked: is MCP_BATCH_LLM_URL the base that ends before /chat/completions?"
                ));
            }
            status @ (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => {
                return Err(format!(
                    "the LLM answered {status} to the question for its models: is \
                     MCP_BATCH_LLM_API_KEY right?"
                ));
            }
            status => {
                return Err(format!("the LLM answered {status} to the question for its models"));
            }
        }
        let body = response.beginning(MAX_ANSWER_BYTES).await;
        let body = body.map_err(|error| failed(&error).error.message)?;
        serde_json::from_slice(&body.bytes)
            .map_err(|_| "the LLM's list of models cannot be read".to_owned())
    }
}
