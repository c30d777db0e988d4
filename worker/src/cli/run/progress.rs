//! What is shown while jobs run: a bar on a terminal, now and then a plain line elsewhere.

use std::{
    io::{self, IsTerminal},
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressStyle};

use super::tally::Tally;

/// The pause between plain lines.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// The rate is that of the last so many looks.
const BAR: &str = "{bar:30} {pos}/{len} {msg} [{elapsed}]";

/// How progress is shown.
pub(super) enum Progress {
    Bar(ProgressBar),
    Lines { next: Instant, began: Instant },
    Silent,
}

impl Progress {
    pub(super) fn start(is_json: bool) -> Self {
        if io::stderr().is_terminal() {
            let bar = ProgressBar::new(0);
            if let Ok(style) = ProgressStyle::with_template(BAR) {
                bar.set_style(style);
            }
            return Self::Bar(bar);
        }
        let now = Instant::now();
        if is_json { Self::Silent } else { Self::Lines { next: now + LINE_EVERY, began: now } }
    }

    pub(super) fn show(&mut self, tally: &Tally, admitted: u64, is_read: bool) {
        match self {
            Self::Bar(bar) => {
                bar.set_length(admitted);
                bar.set_position(tally.ended.len() as u64);
                bar.set_message(figures(tally, bar.elapsed()));
            }
            Self::Lines { next, began } if Instant::now() >= *next => {
                *next += LINE_EVERY;
                let (done, more) = (tally.ended.len(), if is_read { "" } else { " or more" });
                eprintln!("{done}/{admitted}{more} {}", figures(tally, began.elapsed()));
            }
            Self::Lines { .. } | Self::Silent => {}
        }
    }

    /// Says something beside the bar.
    pub(super) fn say(&self, what: &str) {
        match self {
            Self::Bar(bar) => bar.println(what),
            Self::Lines { .. } | Self::Silent => eprintln!("{what}"),
        }
    }

    pub(super) fn finish(&self) {
        if let Self::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a rate for people")]
fn figures(tally: &Tally, elapsed: Duration) -> String {
    let rate = tally.ended.len() as f64 / elapsed.as_secs_f64().max(0.001);
    let waiting = match tally.waiting.len() {
        0 => String::new(),
        waiting => format!(", {waiting} waiting"),
    };
    format!("{rate:.0}/s, {} in flight{waiting}, {} failed", tally.in_flight, tally.failed)
}
