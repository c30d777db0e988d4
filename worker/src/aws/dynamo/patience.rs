//! How often a transition is tried against others that get in its way.

use std::time::Duration;

use crate::lease::LedgerError;

/// Tries before the job's message is rather given back.
const MAX_TRIES: u32 = 16;

/// Doubled with each try, the longest pause before the next.
const FIRST_PAUSE: Duration = Duration::from_millis(5);

/// The longest pause of all.
const MAX_PAUSE: Duration = Duration::from_millis(500);

/// Counts the tries of one operation, and spaces them at random.
pub(super) struct Patience {
    operation: &'static str,
    tries: u32,
}

impl Patience {
    pub(super) fn new(operation: &'static str) -> Self {
        Self { operation, tries: 1 }
    }

    /// One more try: the second at once, since what was in the way is known by now, each later one
    /// after a pause.
    pub(super) async fn again(&mut self) -> Result<(), LedgerError> {
        if self.tries >= MAX_TRIES {
            let text = format!("{}: {MAX_TRIES} tries met somebody else's", self.operation);
            return Err(LedgerError(text));
        }
        let longest = FIRST_PAUSE.saturating_mul(1 << self.tries.min(10)).min(MAX_PAUSE);
        if self.tries > 1 {
            tokio::time::sleep(longest.mul_f64(fastrand::f64())).await;
        }
        self.tries += 1;
        Ok(())
    }
}
