//! Logs: for people on a terminal, one JSON object a line elsewhere; to stderr, since stdout is
//! for results. Metrics are told beside them.

pub mod emf;
mod json_lines;
pub mod metrics;

use std::{
    env,
    io::{self, IsTerminal},
};

use tracing_subscriber::{
    Layer,
    filter::{LevelFilter, Targets},
    fmt,
    layer::SubscriberExt,
    registry,
    util::SubscriberInitExt,
};

use self::json_lines::JsonLines;
use crate::clock::Clock;

/// Starts logging at the level of `MCP_BATCH_LOG` (`warn`). Inputs, results and secrets are not
/// logged at any level.
pub fn init() {
    let filter = filter(own_level());
    // A second start in one process keeps the first.
    let _ = if io::stderr().is_terminal() {
        let layer = fmt::layer().with_writer(io::stderr).with_target(false);
        registry().with(layer.with_filter(filter)).try_init()
    } else {
        registry().with(json_lines().with_filter(filter)).try_init()
    };
}

/// The same where Lambda reads along: one JSON object a line, at the level of `MCP_BATCH_LOG`, else
/// of Lambda's own control.
pub fn init_in_lambda() {
    let level = own_level().or_else(|| env::var("AWS_LAMBDA_LOG_LEVEL").ok());
    let _ = registry().with(json_lines().with_filter(filter(level))).try_init();
}

fn json_lines() -> JsonLines<fn() -> io::Stderr> {
    JsonLines::new(io::stderr, Clock::system())
}

fn own_level() -> Option<String> {
    env::var("MCP_BATCH_LOG").ok().filter(|level| !level.is_empty())
}

/// The level is ours alone: libraries log whole requests, with all they hold, at their lower ones.
fn filter(level: Option<String>) -> Targets {
    let level = level.and_then(|level| parse(&level)).unwrap_or(LevelFilter::WARN);
    let others = level.min(LevelFilter::WARN);
    Targets::new().with_default(others).with_target("mcp_batch", level)
}

/// `None` for what is no level. `FATAL` is Lambda's word for less than `ERROR`, the least there is.
fn parse(level: &str) -> Option<LevelFilter> {
    match level.eq_ignore_ascii_case("fatal") {
        true => Some(LevelFilter::ERROR),
        false => level.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    #[test]
    fn a_low_level_is_ours_and_not_that_of_libraries_which_log_requests() {
        let filter = filter(Some("trace".to_owned()));
        assert!(filter.would_enable("mcp_batch::run", &Level::TRACE));
        assert!(filter.would_enable("aws_smithy_runtime", &Level::WARN));
        assert!(!filter.would_enable("aws_smithy_runtime", &Level::INFO));
    }

    #[test]
    fn lambdas_words_are_levels_too_and_nonsense_is_a_warning() {
        let of = |level: &str| filter(Some(level.to_owned()));
        assert!(!of("FATAL").would_enable("mcp_batch", &Level::WARN));
        assert!(of("DEBUG").would_enable("mcp_batch", &Level::DEBUG));
        assert!(of("loud").would_enable("mcp_batch", &Level::WARN));
        assert!(!of("loud").would_enable("mcp_batch", &Level::INFO));
    }
}
