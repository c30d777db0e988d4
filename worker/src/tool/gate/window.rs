//! How many calls at once an upstream seems to take, once it has refused some for being too many. It
//! halves with each such refusal and grows slowly: whoever has a limit that nobody told us is found
//! out, and then kept to.

use std::time::Duration;

use tokio::time::Instant;

/// How much more fits after as many answers as there were calls at once.
const GROWTH: f64 = 0.25;

/// After so long without a refusal there is room for another call with each answer.
const QUIET: Duration = Duration::from_mins(1);

/// A window this wide is none.
const WIDEST: f64 = 10_000.0;

/// The window, if there is one.
#[derive(Debug, Default)]
pub(super) struct Window(Option<Learned>);

#[derive(Debug)]
struct Learned {
    most: f64,
    shrunk: Instant,
}

impl Window {
    /// The most calls at once.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it lies between 1 and 10,000"
    )]
    pub(super) fn most(&self) -> usize {
        self.0.as_ref().map_or(usize::MAX, |learned| learned.most as usize)
    }

    /// Whether it bounds anything.
    pub(super) fn is_narrow(&self) -> bool {
        self.0.is_some()
    }

    /// The upstream refused a call for being too many, while so many were on their way.
    #[expect(clippy::cast_precision_loss, reason = "nobody makes so many calls at once")]
    pub(super) fn shrink(&mut self, in_flight: usize, now: Instant) {
        let most = (in_flight as f64 / 2.0).clamp(1.0, WIDEST);
        self.0 = Some(Learned { most, shrunk: now });
    }

    /// The upstream answered a call.
    pub(super) fn grow(&mut self, now: Instant) {
        let Some(learned) = &mut self.0 else { return };
        let is_quiet = now.saturating_duration_since(learned.shrunk) > QUIET;
        learned.most += if is_quiet { 1.0 } else { GROWTH / learned.most };
        if learned.most > WIDEST {
            self.0 = None;
        }
    }
}
