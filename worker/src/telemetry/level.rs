//! How much is logged.

use std::env;

use tracing_subscriber::filter::{LevelFilter, Targets};

/// The least level of the lines that are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Everything.
    Trace,
    /// What helps to find a mistake.
    Debug,
    /// What happens: each job's end, each batch's.
    Info,
    /// What a person may have to look at.
    Warn,
    /// What a person has to look at.
    Error,
}

impl Level {
    /// That of Lambda's advanced logging controls, which drop lines below it.
    pub(super) fn of_lambda() -> Option<Self> {
        Self::parse(&env::var("AWS_LAMBDA_LOG_LEVEL").ok()?)
    }

    /// Lambda's `FATAL` is less than `ERROR`, the least there is here.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let named = [
            ("trace", Self::Trace),
            ("debug", Self::Debug),
            ("info", Self::Info),
            ("warn", Self::Warn),
            ("error", Self::Error),
            ("fatal", Self::Error),
        ];
        named.into_iter().find(|(name, _)| text.eq_ignore_ascii_case(name)).map(|(_, it)| it)
    }

    fn filter(self) -> LevelFilter {
        match self {
            Self::Trace => LevelFilter::TRACE,
            Self::Debug => LevelFilter::DEBUG,
            Self::Info => LevelFilter::INFO,
            Self::Warn => LevelFilter::WARN,
            Self::Error => LevelFilter::ERROR,
        }
    }
}

/// The level that a line must bear to pass Lambda's own filter, whatever it tells. A line that bears
/// none counts as INFO there.
pub(super) fn that_passes_lambda() -> &'static str {
    let told = env::var("AWS_LAMBDA_LOG_LEVEL").unwrap_or_default();
    let stricter = ["WARN", "ERROR", "FATAL"].into_iter();
    stricter.into_iter().find(|level| told.eq_ignore_ascii_case(level)).unwrap_or("INFO")
}

/// The level is ours alone: libraries log whole requests, with all they hold, at their lower ones. What
/// rmcp has to tell comes back with its calls; what it logs besides is that a session was closed.
pub(super) fn filter(level: Level) -> Targets {
    let level = level.filter();
    let others = level.min(LevelFilter::WARN);
    Targets::new()
        .with_default(others)
        .with_target("rmcp", LevelFilter::OFF)
        .with_target("mcp_batch", level)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_low_level_is_ours_and_not_that_of_libraries_which_log_requests() {
        let filter = filter(Level::Trace);
        assert!(filter.would_enable("mcp_batch::run", &tracing::Level::TRACE));
        assert!(filter.would_enable("aws_smithy_runtime", &tracing::Level::WARN));
        assert!(!filter.would_enable("aws_smithy_runtime", &tracing::Level::INFO));
    }

    #[test]
    fn lambdas_words_are_levels_too_and_nonsense_is_none() {
        let levels = ["FATAL", "DEBUG", "warn", "loud", ""].map(Level::parse);
        let expected = [Some(Level::Error), Some(Level::Debug), Some(Level::Warn), None, None];
        assert_eq!(levels, expected);
    }
}
