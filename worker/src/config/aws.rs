//! What the worker needs to know of its place on AWS. Endpoint, region and credentials come from
//! the standard AWS variables.

use std::time::Duration;

use super::{
    queue_url::QueueUrl,
    source::{ConfigError, Source, required},
};

/// An hour: a worker that died should not hold its jobs up for longer.
const LONGEST_HIDDEN_S: u64 = 3_600;

/// What the Lambda binary does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Works off the batches of an event source mapping.
    Worker,
    /// Sweeps once with each event of a schedule.
    Sweep,
    /// Answers API Gateway.
    Api,
}

/// The queue and the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AwsSettings {
    /// The ledger.
    pub ledger: LedgerSettings,
    /// The queue.
    pub queue: QueueSettings,
}

/// The queue alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueSettings {
    /// `MCP_BATCH_QUEUE_URL`: where jobs come from.
    pub queue_url: QueueUrl,
    /// `MCP_BATCH_DLQ_URL`: where dead letters go; without it the queue's own redrive takes them.
    /// Another queue of the same kind.
    pub dlq_url: Option<QueueUrl>,
}

/// `MCP_BATCH_ROLE`; `worker`.
pub fn role(source: &Source) -> Result<Role, ConfigError> {
    let name = "MCP_BATCH_ROLE";
    let role = source.parse(name, "worker, api or sweep", |text| match text {
        "worker" => Some(Role::Worker),
        "api" => Some(Role::Api),
        "sweep" => Some(Role::Sweep),
        _ => None,
    })?;
    Ok(role.unwrap_or(Role::Worker))
}

/// `MCP_BATCH_SECRET_ARN`: a Secrets Manager secret; none: the environment is all there is.
pub fn secret_arn(source: &Source) -> Result<Option<String>, ConfigError> {
    let expected = "the ARN of a Secrets Manager secret (arn:aws:secretsmanager:…:secret:…)";
    let is_arn = |text: &str| {
        let parts: Vec<_> = text.splitn(7, ':').collect();
        matches!(parts[..], ["arn", _, "secretsmanager", _, _, "secret", name] if !name.is_empty())
    };
    source.parse("MCP_BATCH_SECRET_ARN", expected, |text| is_arn(text).then(|| text.to_owned()))
}

/// The ledger alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerSettings {
    /// `MCP_BATCH_TABLE`: the ledger.
    pub table: String,
    /// `MCP_BATCH_RESULTS_BUCKET`: where results go that do not fit the ledger.
    pub results_bucket: Option<String>,
}

/// `MCP_BATCH_TABLE`, `_RESULTS_BUCKET`.
pub fn ledger(source: &Source) -> Result<LedgerSettings, ConfigError> {
    let table = "the name of a DynamoDB table, 3 to 255 of A-Z a-z 0-9 . _ -";
    let given = source.parse("MCP_BATCH_TABLE", table, |text| name(text, 255, true))?;
    let bucket = "the name of an S3 bucket, 3 to 63 of a-z 0-9 . -";
    let lower = |text: &str| name(text, 63, false);
    Ok(LedgerSettings {
        table: required("MCP_BATCH_TABLE", table, given)?,
        results_bucket: source.parse("MCP_BATCH_RESULTS_BUCKET", bucket, lower)?,
    })
}

/// `MCP_BATCH_QUEUE_URL`, `_DLQ_URL`.
pub fn queue(source: &Source) -> Result<QueueSettings, ConfigError> {
    let expected = "the URL of an SQS queue";
    let given = source.parse("MCP_BATCH_QUEUE_URL", expected, |text| text.parse().ok())?;
    let queue_url = required("MCP_BATCH_QUEUE_URL", expected, given)?;
    Ok(QueueSettings { dlq_url: dlq(source, &queue_url)?, queue_url })
}

/// The queue of dead letters. Were it the queue itself, each letter would come back as somebody's
/// redrive, and its job be paid again without end.
fn dlq(source: &Source, queue: &QueueUrl) -> Result<Option<QueueUrl>, ConfigError> {
    let url = "MCP_BATCH_DLQ_URL";
    let kind = if queue.is_fifo() { "a FIFO queue (.fifo)" } else { "a standard queue" };
    let expected =
        format!("the URL of {kind}, as MCP_BATCH_QUEUE_URL is one, but another than that");
    source.judged(url, &expected, |text| match text.parse::<QueueUrl>() {
        Err(_) => Err("no URL of an SQS queue"),
        Ok(dlq) if dlq.is_same_queue(queue) => {
            Err("the queue itself, where each dead letter would be run, and paid, again")
        }
        Ok(dlq) if dlq.is_fifo() != queue.is_fifo() => Err("a queue of the other kind"),
        Ok(dlq) => Ok(dlq),
    })
}

/// [`ledger`] and [`queue`].
pub fn aws(source: &Source) -> Result<AwsSettings, ConfigError> {
    Ok(AwsSettings { ledger: ledger(source)?, queue: queue(source)? })
}

/// `MCP_BATCH_VISIBILITY_TIMEOUT_S`: how long `poll` hides a message between two beats of its heart,
/// and so how long a worker that died holds its jobs up; 120 s.
pub fn visibility_timeout(source: &Source) -> Result<Duration, ConfigError> {
    let given = source.number("MCP_BATCH_VISIBILITY_TIMEOUT_S", 6..=LONGEST_HIDDEN_S)?;
    Ok(Duration::from_secs(given.unwrap_or(120)))
}

/// The characters that AWS takes in names of tables (any case, underscores) and of buckets.
fn name(text: &str, longest: usize, any_case: bool) -> Option<String> {
    let fits = |c: char| {
        c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '-') || {
            any_case && (c.is_ascii_uppercase() || c == '_')
        }
    };
    ((3..=longest).contains(&text.len()) && text.chars().all(fits)).then(|| text.to_owned())
}
