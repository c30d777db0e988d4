//! How many calls at once an upstream seems to take, once it has refused some for being too many. It
//! halves with each such refusal and grows slowly: whoever has a limit that nobody told us is found
//! out, and then kept to. Where it has held nobody up for a while, it is forgotten.

use std::time::Duration;

use tokio::time::Instant;

use super::line::LONGEST_TURN;
use crate::retry::Backoff;

/// How much more fits after as many answers as there were calls at once.
const GROWTH: f64 = 0.25;

/// After so long without a refusal there is room for another call with each answer; and where nobody
/// was held up in that time, for any number.
const QUIET: Duration = Duration::from_mins(1);

/// A window this wide is none.
const WIDEST: f64 = 10_000.0;

/// For how long a job may be sent away for the sake of a window: longer each time that the upstream
/// confirms it by another refusal.
const LONGEST_TURNS: Backoff = Backoff { base: Duration::from_mins(1), cap: LONGEST_TURN };

/// The window, if there is one.
#[derive(Debug, Default)]
pub(super) struct Window(Option<Learned>);

#[derive(Debug)]
struct Learned {
    most: f64,
    refusals: u32,
    /// The one call that was refused was alone: that does not tell how many would fit.
    is_guess: bool,
    /// The latest refusal, or the end of the pause that it asked for.
    refused: Instant,
    /// When it, or that pause, held somebody up for the last time.
    held_up: Instant,
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

    /// The longest that a job may be sent away for its sake.
    pub(super) fn longest_turn(&self) -> Duration {
        let refusals = self.0.as_ref().map_or(1, |learned| learned.refusals);
        LONGEST_TURNS.delay(refusals, 1.0)
    }

    /// The upstream refused a call for being too many, while so many were on their way.
    #[expect(clippy::cast_precision_loss, reason = "nobody makes so many calls at once")]
    pub(super) fn shrink(&mut self, in_flight: usize, now: Instant) {
        let most = (in_flight as f64 / 2.0).clamp(1.0, WIDEST);
        let refusals = self.0.as_ref().map_or(0, |learned| learned.refusals).saturating_add(1);
        let is_guess = in_flight <= 1 && refusals == 1;
        self.0 = Some(Learned { most, refusals, is_guess, refused: now, held_up: now });
    }

    /// The upstream asked for a pause.
    pub(super) fn pause(&mut self, until: Instant) {
        if let Some(learned) = &mut self.0 {
            learned.refused = learned.refused.max(until);
            learned.held_up = learned.held_up.max(until);
        }
    }

    /// Somebody had to wait.
    pub(super) fn held_up(&mut self, now: Instant) {
        if let Some(learned) = &mut self.0 {
            learned.held_up = learned.held_up.max(now);
        }
    }

    /// Answers whether it is forgotten: nobody had to wait for its sake for long.
    pub(super) fn forget(&mut self, now: Instant) -> bool {
        let is_old = |it: &Learned| now.saturating_duration_since(it.held_up) > QUIET;
        self.0.take_if(|learned| is_old(learned)).is_some()
    }

    /// The upstream answered a call.
    pub(super) fn grow(&mut self, now: Instant) {
        let Some(learned) = &mut self.0 else { return };
        let is_quiet = now.saturating_duration_since(learned.refused) > QUIET;
        let is_fast = is_quiet || learned.is_guess;
        learned.most += if is_fast { 1.0 } else { GROWTH / learned.most };
        if learned.most > WIDEST {
            self.0 = None;
        }
    }
}
