//! A limit on calls, as providers enforce it.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::server::lock;

/// At most so many calls within any such time.
#[derive(Debug, Clone, Copy)]
pub struct RateLimit {
    /// So many.
    pub calls: usize,
    /// Within this time.
    pub within: Duration,
}

/// The calls of the latest time that counts.
#[derive(Debug)]
pub(super) struct Window {
    limit: RateLimit,
    calls: Mutex<VecDeque<Instant>>,
}

impl Window {
    pub(super) fn new(limit: RateLimit) -> Self {
        Self { limit, calls: Mutex::default() }
    }

    /// Counts a call, or says how long it is to wait.
    pub(super) fn count(&self) -> Result<(), Duration> {
        let now = Instant::now();
        let mut calls = lock(&self.calls);
        while calls.front().is_some_and(|first| now - *first >= self.limit.within) {
            calls.pop_front();
        }
        match calls.front() {
            Some(first) if calls.len() >= self.limit.calls => {
                Err(self.limit.within.saturating_sub(now - *first))
            }
            _ => {
                calls.push_back(now);
                Ok(())
            }
        }
    }
}
