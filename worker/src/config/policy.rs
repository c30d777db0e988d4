//! Whose jobs these are, and when to give up.

use std::time::Duration;

use super::{
    callbacks,
    source::{ConfigError, Source},
};
use crate::{environment::Policy, job::Namespace};

/// The least days a record lives: the retention of queue and dead letters together.
const MIN_LEDGER_DAYS: u64 = 18;

/// The largest body of a batch's callback that may be asked for: n8n takes 16 MiB.
const MAX_BATCH_BODY_BYTES: usize = 64 * 1024 * 1024;

/// `MCP_BATCH_BATCH_BODY_MAX_BYTES` (4,194,304), `MCP_BATCH_NAMESPACE`, `_MAX_ATTEMPTS` (3), `_MAX_AGE_S` (259,200),
/// `_LEDGER_DAYS` (45), and when callbacks are tried.
pub fn policy(source: &Source) -> Result<Policy, ConfigError> {
    let standard = Policy::default();
    let expected = "1 to 128 characters of A-Z a-z 0-9 . _ : -";
    let namespace =
        source.parse("MCP_BATCH_NAMESPACE", expected, |text| text.parse::<Namespace>().ok())?;
    let max_attempts = source.number("MCP_BATCH_MAX_ATTEMPTS", 1..=1_000)?;
    let max_age_s = source.number("MCP_BATCH_MAX_AGE_S", 1..=1_209_600)?;
    let days = source.number("MCP_BATCH_LEDGER_DAYS", MIN_LEDGER_DAYS..=3_650)?;
    let name = "MCP_BATCH_BATCH_BODY_MAX_BYTES";
    let max_batch_body_bytes = source.number(name, 4_096..=MAX_BATCH_BODY_BYTES)?;
    Ok(Policy {
        max_batch_body_bytes: max_batch_body_bytes.unwrap_or(standard.max_batch_body_bytes),
        namespace: namespace.unwrap_or(standard.namespace),
        max_attempts: max_attempts.unwrap_or(standard.max_attempts),
        max_age: max_age_s.map_or(standard.max_age, Duration::from_secs),
        callbacks: callbacks::schedule(source)?,
        callback_name_wait: callbacks::name_wait(source)?.unwrap_or(standard.callback_name_wait),
        record_lives: days.map_or(standard.record_lives, |days| Duration::from_secs(days * 86_400)),
        ..standard
    })
}
