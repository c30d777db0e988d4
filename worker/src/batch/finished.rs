//! Messages that are finished: told in the batch's answer, or deleted beside the jobs that run. A
//! message that waited for the end of its batch would come back meanwhile, and hold up its group.

use std::{sync::Arc, time::Duration};

use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};

use super::{Stop, due};
use crate::{
    environment::{Environment, Ports},
    queue::{Queue, Receipt},
};

/// How long finished messages gather, so that they are deleted together.
const GATHER: Duration = Duration::from_millis(200);

/// Tries to delete finished messages before they are left to come back as finished duplicates.
const DELETE_TRIES: usize = 3;

/// The pause between them.
const DELETE_AGAIN: Duration = Duration::from_secs(1);

/// Who deletes finished messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deletion {
    /// Whoever gets the answer.
    ByCaller,
    /// The batch, as they finish.
    ByBatch,
}

/// What is finished of a batch.
pub(super) struct Finished {
    deletion: Deletion,
    gathered: Vec<Receipt>,
    due: Option<Instant>,
    under_way: JoinSet<()>,
}

impl Finished {
    pub(super) fn new(deletion: Deletion) -> Self {
        Self { deletion, gathered: Vec::new(), due: None, under_way: JoinSet::new() }
    }

    pub(super) fn push(&mut self, receipt: Receipt) {
        if self.deletion == Deletion::ByBatch {
            self.due.get_or_insert_with(|| Instant::now() + GATHER);
        }
        self.gathered.push(receipt);
    }

    /// Returns once there is something to delete that has gathered long enough.
    pub(super) async fn gathered(&self) {
        due(self.due).await;
    }

    /// Deletes what has gathered, where the batch does.
    pub(super) fn delete<P: Ports>(&mut self, environment: &Arc<Environment<P>>) {
        if self.due.take().is_some() {
            let (environment, receipts) =
                (Arc::clone(environment), std::mem::take(&mut self.gathered));
            self.under_way.spawn(async move { delete(&environment.queue, receipts).await });
        }
    }

    /// What is left to the caller, once all else is deleted.
    pub(super) async fn end(mut self, stop: &Stop) -> Vec<Receipt> {
        let deleted = async { while self.under_way.join_next().await.is_some() {} };
        tokio::select! {
            () = deleted => {}
            () = stop.returns_over() => {
                tracing::warn!("finished messages are not deleted: they come back as finished ones");
            }
        }
        self.gathered
    }
}

/// Deletes messages, trying again.
pub(super) async fn delete<Q: Queue>(queue: &Q, receipts: Vec<Receipt>) {
    for _ in 0..DELETE_TRIES {
        match queue.delete(receipts.clone()).await {
            Ok(()) => return,
            Err(error) => tracing::warn!(%error, "finished messages cannot be deleted yet"),
        }
        sleep(DELETE_AGAIN).await;
    }
}
