//! How callbacks are sent. What they are signed with is one of the [`Keys`](super::Keys).

use super::source::{ConfigError, Source};
use crate::webhook::CourierSettings;

/// The most deliveries at once to one host.
const MAX_PER_HOST: usize = 1_000;

/// `MCP_BATCH_CALLBACK_CONCURRENCY`: deliveries at once to one host, from one process; 5.
pub fn courier(source: &Source) -> Result<CourierSettings, ConfigError> {
    let standard = CourierSettings::default();
    let per_host = source.number("MCP_BATCH_CALLBACK_CONCURRENCY", 1..=MAX_PER_HOST)?;
    Ok(CourierSettings { per_host: per_host.unwrap_or(standard.per_host), ..standard })
}
