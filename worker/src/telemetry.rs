//! What the program tells of itself: log lines, for people on a terminal and as one JSON object a line
//! elsewhere, and metrics under one set of names. Logs go to stderr, since stdout is for results.
//! Inputs, results and secrets are told at no level.
//!
//! | file | what lives in it |
//! |---|---|
//! | `level.rs` | how much is logged |
//! | `lines.rs` | an event as a line of JSON |
//! | `metric.rs` | every metric: its name, its kind, its label |
//! | `metered.rs` | from what happens to samples of metrics |
//! | `emf.rs` | samples as lines that CloudWatch reads |
//! | `prometheus.rs` | samples as a page that Prometheus reads |

pub mod emf;
mod level;
mod lines;
pub mod metered;
pub mod metric;
#[cfg(feature = "cli")]
pub mod prometheus;

use std::{
    io::{self, IsTerminal},
    time::Duration,
};

use tracing_subscriber::{
    Layer,
    fmt::{self, MakeWriter},
    layer::SubscriberExt,
    registry,
    util::SubscriberInitExt,
};

pub use self::level::Level;
use self::lines::JsonLines;
use crate::clock::Clock;

/// Starts logging at this level.
pub fn init(level: Level) {
    let filter = level::filter(level);
    // A second start in one process keeps the first.
    let _ = if io::stderr().is_terminal() {
        let layer = fmt::layer().with_writer(io::stderr).with_target(false);
        registry().with(layer.with_filter(filter)).try_init()
    } else {
        registry().with(json_lines().with_filter(filter)).try_init()
    };
}

/// The same where Lambda reads along, at this level, else at that of Lambda's own control, else at
/// `info`.
pub fn init_in_lambda(own: Option<Level>) {
    let level = own.or_else(Level::of_lambda).unwrap_or(Level::Info);
    let _ = registry().with(json_lines().with_filter(level::filter(level))).try_init();
}

/// The same for a program that uses the library: JSON lines, to `writer`.
pub fn init_to(writer: impl for<'a> MakeWriter<'a> + Send + Sync + 'static, level: Level) {
    let lines = JsonLines::new(writer, Clock::system());
    let _ = registry().with(lines.with_filter(level::filter(level))).try_init();
}

fn json_lines() -> JsonLines<fn() -> io::Stderr> {
    JsonLines::new(io::stderr, Clock::system())
}

/// Milliseconds with three places, which is as far as logs and metrics tell a time.
pub(crate) fn rounded_ms(duration: Duration) -> f64 {
    rounded(duration.as_secs_f64() * 1_000.0)
}

/// Seconds, likewise.
pub(crate) fn rounded_s(duration: Duration) -> f64 {
    rounded(duration.as_secs_f64())
}

fn rounded(time: f64) -> f64 {
    (time * 1_000.0).round() / 1_000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_that_is_told_has_three_places_at_most() {
        let told = [12_000_049, 70_000_000, 1_234_567_891].map(Duration::from_nanos);
        assert_eq!(told.map(|it| rounded_ms(it).to_string()), ["12", "70", "1234.568"]);
        assert_eq!(rounded_s(Duration::from_nanos(499_999_999)).to_string(), "0.5");
    }
}
