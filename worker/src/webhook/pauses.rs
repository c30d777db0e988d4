//! URLs whose receiver asked for a pause: all callbacks of one are put off by that, and those of its
//! host's others are not.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::{NotTried, answer::Answer};
use crate::job::Callback;

/// The longest pause of all callbacks of one URL: the one that was answered waits for as long as it was
/// asked to.
const LONGEST: Duration = Duration::from_secs(60);

/// URLs that are remembered at most.
const MOST: usize = 1_024;

/// The URLs of one process, by their hash: they may be secrets.
#[derive(Debug, Default)]
pub(super) struct Pauses {
    hasher: RandomState,
    until: Mutex<HashMap<u64, Instant>>,
}

impl Pauses {
    /// Whether the callback's URL may be asked now.
    pub(super) fn check(&self, callback: &Callback, now: Instant) -> Result<(), NotTried> {
        let until = self.until().get(&self.hash(callback)).copied();
        let after = until.map(|until| until.saturating_duration_since(now));
        match after.filter(|after| !after.is_zero()) {
            Some(after) => Err(NotTried::Failing { after }),
            None => Ok(()),
        }
    }

    /// Notes what it answered.
    pub(super) fn note(&self, callback: &Callback, answer: &Answer, now: Instant) {
        let Answer::Status { status: 429 | 503, retry_after: Some(pause), .. } = answer else {
            return;
        };
        let mut pauses = self.until();
        if pauses.len() >= MOST {
            pauses.retain(|_, until| *until > now);
        }
        if pauses.len() < MOST {
            pauses.insert(self.hash(callback), now + LONGEST.min(*pause));
        }
    }

    fn hash(&self, callback: &Callback) -> u64 {
        self.hasher.hash_one(callback.expose_url())
    }

    /// A poisoned lock holds pauses that are at worst out of date.
    fn until(&self) -> MutexGuard<'_, HashMap<u64, Instant>> {
        self.until.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_that_asks_for_a_pause_gets_it_alone_and_a_minute_at_most() {
        let [busy, other] = ["/busy", "/other"].map(|path| {
            let url = format!("https://n8n.example.com{path}");
            Callback::from_url(url).expect("a URL")
        });
        let (pauses, mut now) = (Pauses::default(), Instant::now());
        let asks = |seconds| Answer::Status {
            status: 429,
            text: String::new(),
            retry_after: Some(Duration::from_secs(seconds)),
        };
        for (asked, given) in [(7, 7), (9_000, 60)] {
            pauses.note(&busy, &asks(asked), now);
            let after = Duration::from_secs(given);
            assert_eq!(pauses.check(&busy, now), Err(NotTried::Failing { after }));
            assert_eq!(pauses.check(&other, now), Ok(()));
            now += after;
            assert_eq!(pauses.check(&busy, now), Ok(()));
        }
    }

    #[test]
    fn so_many_urls_are_remembered_and_no_more() {
        let pauses = Pauses::default();
        for number in 0..2 * MOST {
            let url = format!("https://n8n.example.com/{number}");
            let pause = Some(Duration::from_secs(60));
            let answer = Answer::Status { status: 503, text: String::new(), retry_after: pause };
            let callback = Callback::from_url(url).expect("a URL");
            pauses.note(&callback, &answer, Instant::now());
        }
        assert_eq!(pauses.until().len(), MOST);
    }
}
