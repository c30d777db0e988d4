//! Secrets Manager as the vault: one secret, the JSON object of strings that `MCP_BATCH_SECRET_ARN`
//! names. What it says is never part of an error.

use std::time::Duration;

use aws_sdk_secretsmanager::{
    Client,
    config::{Config, timeout::TimeoutConfig},
    error::{ProvideErrorMetadata, SdkError},
    operation::get_secret_value::{GetSecretValueError, GetSecretValueOutput},
};

use crate::{
    clock::Clock,
    config::{Source, secret_arn},
    error::innermost,
    secret::{Reading, Secrets, SecretsError, Values, Vault, VaultError},
};

/// How long one try may take. Batches wait for it, and calls whose key was refused.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(2);

/// How long a reading may take with all its tries.
const READING_TIMEOUT: Duration = Duration::from_secs(5);

/// The secrets of this process: those of the secret that `source` names, before its own; or its
/// own alone if it names none.
pub async fn open(source: Source, client: Client, clock: Clock) -> Result<Secrets, SecretsError> {
    match secret_arn(&source)? {
        Some(arn) => Secrets::open(source, SecretsManager { client, arn }, clock).await,
        None => Ok(Secrets::fixed(source)?),
    }
}

/// One secret.
struct SecretsManager {
    client: Client,
    arn: String,
}

impl Vault for SecretsManager {
    fn read(&self) -> Reading<'_> {
        Box::pin(async {
            let answer = self.get().await.map_err(|error| unreadable(&error));
            answer.and_then(|answer| values(&answer)).map_err(|problem| {
                VaultError(format!("MCP_BATCH_SECRET_ARN: the secret {}: {problem}", self.arn))
            })
        })
    }
}

impl SecretsManager {
    async fn get(&self) -> Result<GetSecretValueOutput, SdkError<GetSecretValueError>> {
        let timeouts = TimeoutConfig::builder()
            .operation_attempt_timeout(ATTEMPT_TIMEOUT)
            .operation_timeout(READING_TIMEOUT);
        let request = self.client.get_secret_value().secret_id(&self.arn).customize();
        request.config_override(Config::builder().timeout_config(timeouts.build())).send().await
    }
}

fn values(answer: &GetSecretValueOutput) -> Result<Values, String> {
    let text = answer.secret_string().ok_or("expected a JSON object of strings, found bytes")?;
    Values::parse(text).map_err(|error| error.to_string())
}

/// What a person can mend. An answer that was not understood may be the secret: it is not shown.
fn unreadable(error: &SdkError<GetSecretValueError>) -> String {
    let why = match (error.code(), error) {
        (Some("AccessDeniedException"), _) => {
            "the permission secretsmanager:GetSecretValue is missing, or kms:Decrypt for its key"
                .to_owned()
        }
        (Some("ResourceNotFoundException"), _) => {
            "there is none of this ARN in its region".to_owned()
        }
        (Some(code), _) => format!("{code}: {}", error.message().unwrap_or_default()),
        (None, SdkError::DispatchFailure(failure)) => {
            let cause = failure.as_connector_error().map(|error| innermost(error));
            format!("Secrets Manager cannot be reached: {}", cause.unwrap_or_default())
        }
        (None, SdkError::TimeoutError(_)) => "Secrets Manager did not answer in time".to_owned(),
        (None, SdkError::ConstructionFailure(_)) => {
            format!("the request cannot be made: {}", innermost(error))
        }
        (None, _) => "its answer cannot be understood".to_owned(),
    };
    format!("it cannot be read: {why}")
}
