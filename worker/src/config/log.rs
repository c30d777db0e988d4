//! How much is logged.

use super::source::{ConfigError, Source};
use crate::telemetry::Level;

/// `MCP_BATCH_LOG`: the least level of the lines that are written; `None` where it says nothing.
pub fn log_level(source: &Source) -> Result<Option<Level>, ConfigError> {
    source.parse("MCP_BATCH_LOG", "one of error, warn, info, debug, trace", Level::parse)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_level_is_refused_and_the_levels_are_named() {
        let given = |level: &str| {
            let source = Source::of([("MCP_BATCH_LOG".to_owned(), level.to_owned())]);
            log_level(&source).map_err(|error| error.to_string())
        };
        assert_eq!((given("Debug"), given("")), (Ok(Some(Level::Debug)), Ok(None)));
        let expected = "MCP_BATCH_LOG: expected one of error, warn, info, debug, trace";
        assert_eq!(given("loud"), Err(format!("{expected}, found “loud”")));
    }
}
