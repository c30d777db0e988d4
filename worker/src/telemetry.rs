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

use std::io::{self, IsTerminal};

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

/// Starts logging at the level of `MCP_BATCH_LOG`, else at `default`.
pub fn init(default: Level) {
    let filter = level::filter(Level::own().unwrap_or(default));
    // A second start in one process keeps the first.
    let _ = if io::stderr().is_terminal() {
        let layer = fmt::layer().with_writer(io::stderr).with_target(false);
        registry().with(layer.with_filter(filter)).try_init()
    } else {
        registry().with(json_lines().with_filter(filter)).try_init()
    };
}

/// The same where Lambda reads along, at the level of `MCP_BATCH_LOG`, else of Lambda's own control,
/// else `info`.
pub fn init_in_lambda() {
    let level = Level::own().or_else(Level::of_lambda).unwrap_or(Level::Info);
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
