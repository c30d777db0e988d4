//! The queue as the event source sees it.

use std::{
    sync::atomic::{AtomicBool, Ordering::SeqCst},
    time::Duration,
};

use mcp_batch_testkit::{Source, SqsMessage, SqsQueue};

/// A queue in which Lambda can fail to delete: what was worked off then comes once more.
pub(crate) struct Queue {
    queue: SqsQueue,
    forgets: AtomicBool,
}

impl Queue {
    pub(super) fn new(queue: SqsQueue) -> Self {
        Self { queue, forgets: AtomicBool::new(false) }
    }

    /// The next deletion does not happen.
    pub(crate) fn forget_a_deletion(&self) {
        self.forgets.store(true, SeqCst);
    }
}

impl Source for Queue {
    fn arn(&self) -> &str {
        self.queue.arn()
    }

    fn visibility_timeout(&self) -> Duration {
        self.queue.visibility_timeout()
    }

    async fn receive(&self, max: usize) -> Vec<SqsMessage> {
        self.queue.receive(max).await
    }

    async fn delete(&self, receipts: Vec<String>) {
        if !receipts.is_empty() && !self.forgets.swap(false, SeqCst) {
            self.queue.delete(receipts).await;
        }
    }

    async fn remaining(&self) -> usize {
        self.queue.remaining().await
    }
}
