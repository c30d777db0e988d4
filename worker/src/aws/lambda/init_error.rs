//! A start that failed, told to Lambda: it then shows the sentence itself, and not only that the process
//! has ended.

use std::{env, time::Duration};

use http_body_util::Full;
use hyper::{Request, header::CONTENT_TYPE};
use lambda_runtime::Diagnostic;
use url::Url;

use crate::http::Upstream;

/// Where the Runtime API is.
const RUNTIME_API: &str = "AWS_LAMBDA_RUNTIME_API";

/// "Initialization error" (Lambda developer guide, "Using the Lambda runtime API").
const PATH: &str = "/2018-06-01/runtime/init/error";

/// What Lambda counts the failure under.
const KIND: &str = "Runtime.StartFailed";

/// How long Lambda may take to hear of it.
const PATIENCE: Duration = Duration::from_secs(2);

/// Tells why the function cannot be started. Outside Lambda there is nobody to tell.
pub(super) async fn report(error: &anyhow::Error) {
    let Ok(place) = env::var(RUNTIME_API) else { return };
    if let Err(why) = post(&place, error).await {
        tracing::warn!(error = %why, "Lambda could not be told that the start failed");
    }
}

async fn post(place: &str, error: &anyhow::Error) -> anyhow::Result<()> {
    // It may have failed before that was done.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let api = Url::parse(&format!("http://{place}/"))?;
    let upstream = Upstream::new(&api).map_err(anyhow::Error::msg)?;
    let told = Diagnostic { error_type: KIND.to_owned(), error_message: format!("{error:#}") };
    let request = Request::post(PATH)
        .header(CONTENT_TYPE, "application/json")
        .header("lambda-runtime-function-error-type", KIND)
        .body(Full::new(serde_json::to_vec(&told)?.into()))?;
    let answer = upstream.send(request, PATIENCE).await?;
    anyhow::ensure!(answer.status().is_success(), "it answered {}", answer.status());
    Ok(())
}
