//! What is counted on a server, and waiting for a count.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;

use tokio::sync::Notify;

use crate::PATIENCE;

/// The counters of one server.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    connections: AtomicUsize,
    requests: AtomicUsize,
    in_flight: AtomicUsize,
    max_in_flight: AtomicUsize,
    clients_left: AtomicUsize,
    changed: Notify,
}

impl Traffic {
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(SeqCst)
    }

    pub(crate) fn requests(&self) -> usize {
        self.requests.load(SeqCst)
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight.load(SeqCst)
    }

    pub(crate) fn max_in_flight(&self) -> usize {
        self.max_in_flight.load(SeqCst)
    }

    pub(crate) fn clients_left(&self) -> usize {
        self.clients_left.load(SeqCst)
    }

    pub(crate) fn connected(&self) {
        self.connections.fetch_add(1, SeqCst);
    }

    /// Counts a request, after all else about it was noted: who waits for the count finds
    /// the rest complete. Its number counts from 1.
    pub(crate) fn count_request(&self) -> usize {
        let number = self.requests.fetch_add(1, SeqCst) + 1;
        self.changed.notify_waiters();
        number
    }

    /// Whether a count came to `at_least` in time.
    pub(crate) async fn reach(self: Arc<Self>, at_least: usize, count: fn(&Self) -> usize) -> bool {
        let reached = async {
            loop {
                // Made before the count is read: a change in between wakes it too.
                let changed = self.changed.notified();
                if count(&self) >= at_least {
                    return;
                }
                changed.await;
            }
        };
        tokio::time::timeout(PATIENCE, reached).await.is_ok()
    }
}

/// One request in flight. Dropped before [`Visit::end`], it says that the client left.
#[derive(Debug)]
pub(crate) struct Visit {
    traffic: Arc<Traffic>,
    ended: bool,
}

impl Visit {
    pub(crate) fn begin(traffic: Arc<Traffic>) -> Self {
        let now = traffic.in_flight.fetch_add(1, SeqCst) + 1;
        traffic.max_in_flight.fetch_max(now, SeqCst);
        Self { traffic, ended: false }
    }

    /// The answer is ready. Called before its first byte is sent, so that a client's next
    /// request never overlaps with this one.
    pub(crate) fn end(mut self) {
        self.ended = true;
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        self.traffic.in_flight.fetch_sub(1, SeqCst);
        if !self.ended {
            self.traffic.clients_left.fetch_add(1, SeqCst);
            self.traffic.changed.notify_waiters();
        }
    }
}
