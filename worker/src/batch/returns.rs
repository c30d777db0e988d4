//! Messages on their way back: those of a moment are deferred together, beside the jobs that run.

use std::{collections::HashSet, sync::Arc, time::Duration};

use tokio::{
    task::JoinSet,
    time::{Instant, timeout},
};

use super::{
    BatchAnswer, Stop, due,
    finished::{Deletion, delete},
};
use crate::{
    clock::Deadline,
    environment::{Environment, Ports},
    queue::{Message, Queue, Receipt},
};

/// How long returned messages gather, so that they are deferred together.
const GATHER: Duration = Duration::from_millis(20);

/// How much longer than the batch itself the last deferrals may take.
const GRACE: Duration = Duration::from_millis(700);

/// What comes back of a batch.
pub(super) struct Returns {
    deletion: Deletion,
    gathered: Vec<(Message, Duration)>,
    due: Option<Instant>,
    under_way: JoinSet<Vec<Receipt>>,
    /// Every message that comes back.
    messages: Vec<(String, Receipt)>,
}

impl Returns {
    pub(super) fn new(deletion: Deletion) -> Self {
        Self {
            deletion,
            gathered: Vec::new(),
            due: None,
            under_way: JoinSet::new(),
            messages: Vec::new(),
        }
    }

    pub(super) fn push(&mut self, message: &Message, after: Duration) {
        if message.receipt.0.is_empty() {
            // It can't be deferred, nor told from another one without a receipt.
            return self.leave(message);
        }
        self.due.get_or_insert_with(|| Instant::now() + GATHER);
        self.messages.push((message.id.clone(), message.receipt.clone()));
        self.gathered.push((message.clone(), after));
    }

    /// The message comes back by the queue's own rules.
    pub(super) fn leave(&mut self, message: &Message) {
        self.messages.push((message.id.clone(), message.receipt.clone()));
    }

    /// Returns once there is something to send that has gathered long enough.
    pub(super) async fn gathered(&self) {
        due(self.due).await;
    }

    /// Defers what has gathered. What cannot be deferred comes back when its visibility timeout
    /// ends.
    pub(super) fn send<P: Ports>(&mut self, environment: &Arc<Environment<P>>) {
        self.due = None;
        let messages = std::mem::take(&mut self.gathered);
        if messages.is_empty() {
            return;
        }
        let (environment, deletion) = (Arc::clone(environment), self.deletion);
        self.under_way.spawn(async move {
            let sent_anew = environment.queue.defer(messages).await.unwrap_or_else(|error| {
                tracing::warn!(%error, "messages come back by their visibility timeout");
                Vec::new()
            });
            if deletion == Deletion::ByBatch {
                delete(&environment.queue, sent_anew.clone()).await;
            }
            sent_anew
        });
    }

    /// The batch's answer, once all is deferred: what was sent anew is as good as finished.
    pub(super) async fn end(
        mut self,
        finished: Vec<Receipt>,
        deadline: Deadline,
        stop: &Stop,
    ) -> BatchAnswer {
        let mut sent_anew = HashSet::new();
        let gather = async {
            while let Some(deferred) = self.under_way.join_next().await {
                sent_anew.extend(deferred.unwrap_or_default());
            }
        };
        let in_time = tokio::select! {
            gathered = timeout(deadline.time_left() + GRACE, gather) => gathered.is_ok(),
            () = stop.returns_over() => false,
        };
        if !in_time {
            tracing::warn!("some messages could not be deferred in time");
        }
        self.under_way.shutdown().await;
        let mut answer = BatchAnswer { finished, returned: Vec::new() };
        for (id, receipt) in self.messages {
            match sent_anew.contains(&receipt) {
                true => answer.finished.push(receipt),
                false => answer.returned.push(id),
            }
        }
        answer
    }
}
