//! How often one key may ask: a bucket of one second's requests, filled evenly.

use std::{
    collections::HashMap,
    num::NonZeroU32,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// The buckets of all keys; there are no more of them than keys. Clones are the same.
#[derive(Clone)]
pub(super) struct Rate(Option<Arc<Buckets>>);

struct Buckets {
    per_second: f64,
    by_key: Mutex<HashMap<String, Bucket>>,
}

struct Bucket {
    left: f64,
    filled: Instant,
}

impl Rate {
    /// So many a second, or any number.
    pub(super) fn new(per_second: Option<NonZeroU32>) -> Self {
        Self(per_second.map(|per_second| {
            Arc::new(Buckets { per_second: per_second.get().into(), by_key: Mutex::default() })
        }))
    }

    /// One request of the key called `name`; the error says how long to wait.
    pub(super) fn take(&self, name: &str) -> Result<(), Duration> {
        let Some(buckets) = &self.0 else { return Ok(()) };
        let (now, per_second) = (Instant::now(), buckets.per_second);
        let mut by_key = buckets.by_key.lock().unwrap_or_else(PoisonError::into_inner);
        if !by_key.contains_key(name) {
            by_key.insert(name.to_owned(), Bucket { left: per_second, filled: now });
        }
        by_key.get_mut(name).map_or(Ok(()), |bucket| bucket.take(now, per_second))
    }
}

impl Bucket {
    fn take(&mut self, now: Instant, per_second: f64) -> Result<(), Duration> {
        let passed = now.saturating_duration_since(self.filled).as_secs_f64();
        self.left = (self.left + passed * per_second).min(per_second);
        self.filled = now;
        if self.left < 1.0 {
            return Err(Duration::from_secs_f64((1.0 - self.left) / per_second));
        }
        self.left -= 1.0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_holds_a_second_of_requests_and_is_filled_evenly() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut bucket = Bucket { left: 4.0, filled: start };
        let taken = |bucket: &mut Bucket, ms| bucket.take(at(ms), 4.0).map_err(|it| it.as_millis());
        assert_eq!(
            [0; 5].map(|ms| taken(&mut bucket, ms)),
            [Ok(()), Ok(()), Ok(()), Ok(()), Err(250)]
        );
        assert_eq!([125, 250, 250].map(|ms| taken(&mut bucket, ms)), [Err(125), Ok(()), Err(250)]);
        assert_eq!(
            [60_000; 5].map(|ms| taken(&mut bucket, ms).is_ok()),
            [true, true, true, true, false]
        );
    }

    #[test]
    fn keys_do_not_share_and_no_limit_is_none() {
        let rate = Rate::new(NonZeroU32::new(1));
        assert!(rate.take("a").is_ok() && rate.take("b").is_ok() && rate.take("a").is_err());
        let unlimited = Rate::new(None);
        assert!((0..1_000).all(|_| unlimited.take("a").is_ok()));
    }
}
