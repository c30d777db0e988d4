//! How many messages are in the process, running or waiting for a permit.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tokio::sync::Notify;

/// Counts the messages in the process.
#[derive(Default)]
pub(super) struct Room {
    messages: AtomicUsize,
    less: Notify,
}

/// One message's place, free again when it is dropped.
pub(super) struct Place(Arc<Room>);

impl Place {
    pub(super) fn take(room: &Arc<Room>) -> Self {
        room.messages.fetch_add(1, Ordering::AcqRel);
        Self(Arc::clone(room))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.messages.fetch_sub(1, Ordering::AcqRel);
        self.0.less.notify_waiters();
    }
}

impl Room {
    /// Waits until there is room for `least` more below `limit`; answers for how many.
    pub(super) async fn wait(&self, limit: usize, least: usize) -> usize {
        loop {
            let less = self.less.notified();
            let room = limit.saturating_sub(self.messages.load(Ordering::Acquire));
            if room >= least.max(1) {
                return room;
            }
            less.await;
        }
    }
}
