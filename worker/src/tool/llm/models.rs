//! Which models the endpoint has, for a person who checks a catalog.

use std::time::Duration;

use http_body_util::Full;
use hyper::{Request, StatusCode, header::AUTHORIZATION};
use serde::Deserialize;

use super::{LlmClient, MAX_ANSWER_BYTES, endpoint, innermost, read};

/// How long the question may take.
const TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Deserialize)]
struct Models {
    data: Vec<Model>,
}

#[derive(Deserialize)]
struct Model {
    id: String,
}

impl LlmClient {
    /// The names of the models that the key may use; `None` where the endpoint does not tell. The
    /// error says what is wrong with endpoint or key.
    pub(in crate::tool) async fn models(&self) -> Result<Option<Vec<String>>, String> {
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
            StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => return Ok(None),
            status => {
                return Err(format!("the LLM answered {status} to the question for its models"));
            }
        }
        let text =
            read(response, MAX_ANSWER_BYTES).await.map_err(|failure| failure.error.message)?;
        let models = serde_json::from_slice::<Models>(&text.head);
        let models = models.map_err(|_| "the LLM's list of models cannot be read".to_owned())?;
        Ok(Some(models.data.into_iter().map(|model| model.id).collect()))
    }
}
