//! When a callback that was not taken is tried again, and when it is given up.

use std::time::Duration;

use crate::{lease::CallbackSlot, retry::Backoff};

/// Pauses that double from seconds to an hour, for days.
#[derive(Clone, Copy, Debug)]
pub struct Schedule {
    /// The pauses, of which each is drawn evenly from its upper half.
    pub backoff: Backoff,
    /// How old a callback becomes before it is given up.
    pub max_age: Duration,
}

impl Default for Schedule {
    fn default() -> Self {
        let backoff = Backoff { base: Duration::from_secs(1), cap: Duration::from_secs(3600) };
        Self { backoff, max_age: Duration::from_secs(259_200) }
    }
}

impl Schedule {
    /// The pause after the latest failure of `slot`; `chance` lies in 0..1. A receiver that refuses
    /// is there: its pauses begin anew, however long it was away. What it asked for is the least.
    pub fn pause(
        &self,
        slot: &CallbackSlot,
        retry_after: Option<Duration>,
        chance: f64,
    ) -> Duration {
        let failures = if slot.refusals > 0 { slot.refusals } else { slot.failures };
        let longest = self.backoff.delay(failures, 1.0);
        let asked = retry_after.unwrap_or_default();
        let least = asked.max(longest / 2);
        least + (longest / 2).mul_f64(chance.clamp(0.0, 1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        clock::UnixMs,
        job::Callback,
        lease::{Delivery, Failure},
    };

    fn slot(failures: &[Failure]) -> CallbackSlot {
        let url = "https://n8n.example.com/webhook/1".to_owned();
        let mut slot = CallbackSlot::pending(Callback::from_url(url).expect("a URL"));
        for failure in failures {
            slot.note(Delivery::Failed(*failure), UnixMs(1));
        }
        slot
    }

    fn longest(failures: &[Failure], retry_after: Option<Duration>) -> Duration {
        Schedule::default().pause(&slot(failures), retry_after, 1.0)
    }

    #[test]
    fn pauses_grow_from_seconds_over_minutes_to_hours() {
        let after = |count| longest(&vec![Failure::NotTaken; count], None).as_secs();
        let pauses = [1, 2, 3, 4, 7, 10, 12, 13, 100].map(after);
        assert_eq!(pauses, [1, 2, 4, 8, 64, 512, 2048, 3600, 3600]);
        let shortest = Schedule::default().pause(&slot(&[Failure::NotTaken; 13]), None, 0.0);
        assert_eq!(shortest, Duration::from_secs(1800), "never less than half");
    }

    #[test]
    fn a_receiver_that_refuses_after_an_outage_is_asked_again_soon() {
        let mut failures = vec![Failure::NotTaken; 13];
        failures.push(Failure::Refused);
        assert!(longest(&failures, None) <= Duration::from_secs(1));
    }

    #[test]
    fn what_the_receiver_asks_for_is_the_least_pause() {
        let asked = |s| Some(Duration::from_secs(s));
        assert!(longest(&[Failure::NotTaken], asked(30)) >= Duration::from_secs(30));
        assert!(longest(&[Failure::NotTaken; 13], asked(30)) >= Duration::from_secs(1800));
        assert!(longest(&[Failure::NotTaken], asked(0)) <= Duration::from_secs(1));
    }

    #[test]
    fn ten_refusals_take_minutes_whatever_chance_says() {
        let pause = |refusals| {
            let slot = slot(&vec![Failure::Refused; refusals]);
            Schedule::default().pause(&slot, None, 0.0)
        };
        let least: Duration = (1..10).map(pause).sum();
        assert!(least >= Duration::from_secs(240), "{least:?}");
    }
}
