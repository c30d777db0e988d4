//! How callbacks are sent, and how long they are tried. What they are signed with is one of the
//! [`Keys`](super::Keys).

use std::time::Duration;

use super::source::{ConfigError, Source};
use crate::{
    retry::Backoff,
    webhook::{AllowedHosts, CourierSettings, Schedule},
};

const HOSTS: &str = "MCP_BATCH_CALLBACK_HOSTS";

const EXPECTED_HOSTS: &str = "hosts separated by spaces, such as n8n.example.com, *.example.com, \
     127.0.0.1:5678 or [::1]:5678";

/// The most deliveries at once to one host.
const MAX_PER_HOST: usize = 1_000;

/// The longest that a callback is tried: what a queue of SQS keeps a message at most.
const MAX_AGE_S: u64 = 1_209_600;

/// `MCP_BATCH_CALLBACK_CONCURRENCY`: deliveries at once to one host, from one process (5);
/// `_TIMEOUT_S` (30) and `_CONNECT_TIMEOUT_S` (5) of one try; `_HOSTS` that may be private (none).
pub fn courier(source: &Source) -> Result<CourierSettings, ConfigError> {
    let standard = CourierSettings::default();
    let per_host = source.number("MCP_BATCH_CALLBACK_CONCURRENCY", 1..=MAX_PER_HOST)?;
    let connect_s = source.number("MCP_BATCH_CALLBACK_CONNECT_TIMEOUT_S", 0.01..=300.0)?;
    let timeout_s = source.number("MCP_BATCH_CALLBACK_TIMEOUT_S", 0.01..=300.0)?;
    let hosts = source.judged(HOSTS, EXPECTED_HOSTS, AllowedHosts::parse)?;
    Ok(CourierSettings {
        per_host: per_host.unwrap_or(standard.per_host),
        connect_timeout: connect_s.map_or(standard.connect_timeout, Duration::from_secs_f64),
        timeout: timeout_s.map_or(standard.timeout, Duration::from_secs_f64),
        hosts: hosts.unwrap_or_default(),
        ..standard
    })
}

/// `MCP_BATCH_CALLBACK_NAME_WAIT_S`: the age at which a job is given up whose callback has a host that
/// cannot be looked up (3,600).
pub(super) fn name_wait(source: &Source) -> Result<Option<Duration>, ConfigError> {
    let wait_s = source.number("MCP_BATCH_CALLBACK_NAME_WAIT_S", 1..=MAX_AGE_S)?;
    Ok(wait_s.map(Duration::from_secs))
}

/// `MCP_BATCH_CALLBACK_MAX_AGE_S`: how long a callback is tried (259,200); `_MAX_PAUSE_S`: the longest
/// pause between two tries (3,600).
pub(super) fn schedule(source: &Source) -> Result<Schedule, ConfigError> {
    let standard = Schedule::default();
    let max_age_s = source.number("MCP_BATCH_CALLBACK_MAX_AGE_S", 1..=MAX_AGE_S)?;
    let max_pause_s = source.number("MCP_BATCH_CALLBACK_MAX_PAUSE_S", 1..=3_600)?;
    let cap = max_pause_s.map_or(standard.backoff.cap, Duration::from_secs);
    Ok(Schedule {
        backoff: Backoff { cap, ..standard.backoff },
        max_age: max_age_s.map_or(standard.max_age, Duration::from_secs),
    })
}
