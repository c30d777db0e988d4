//! **1. The batch.** Messages come in, all at once; which of them are finished and which come back
//! goes out. Each runs in a task of its own under one bound for the whole process, so that a panic
//! or an endless call is the failure of that message alone.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{Notify, Semaphore},
    task::{Id, JoinError, JoinSet},
    time::sleep,
};
use tokio_util::sync::CancellationToken;

use crate::{
    clock::Deadline,
    environment::{Environment, Ports},
    queue::{Message, Queue, Receipt},
    run::{Run, Verdict},
};

/// A message whose task died comes back after this.
const AFTER_PANIC: Duration = Duration::from_secs(5);

/// How long returned messages gather, so that they are deferred together.
const RETURNS_GATHER: Duration = Duration::from_millis(20);

/// Which messages of a batch are finished, and which come back. Together they are the batch.
#[derive(Debug, Default)]
pub struct BatchAnswer {
    /// To be deleted.
    pub finished: Vec<Receipt>,
    /// Ids of those that come back (SQS: `batchItemFailures`). They are deferred already.
    pub returned: Vec<String>,
}

/// Asks running batches to end.
#[derive(Clone, Debug, Default)]
pub struct Stop {
    drain: CancellationToken,
    interrupt: CancellationToken,
}

impl Stop {
    /// No job is begun any more; running ones are finished.
    pub fn drain(&self) {
        self.drain.cancel();
    }

    /// Running jobs are interrupted as well.
    pub fn interrupt(&self) {
        self.drain.cancel();
        self.interrupt.cancel();
    }

    /// Whether no job is begun any more.
    pub fn is_draining(&self) -> bool {
        self.drain.is_cancelled()
    }

    /// Returns when no job is begun any more.
    pub async fn draining(&self) {
        self.drain.cancelled().await;
    }

    /// Returns when running jobs are to be interrupted.
    pub async fn interrupting(&self) {
        self.interrupt.cancelled().await;
    }
}

/// Works off batches, any number at once, under one bound. Clones are the same worker.
pub struct Worker<P: Ports> {
    environment: Arc<Environment<P>>,
    permits: Arc<Semaphore>,
    load: Arc<Load>,
}

impl<P: Ports> Clone for Worker<P> {
    fn clone(&self) -> Self {
        Self {
            environment: Arc::clone(&self.environment),
            permits: Arc::clone(&self.permits),
            load: Arc::clone(&self.load),
        }
    }
}

/// Messages in the process, running or waiting for a permit.
#[derive(Default)]
struct Load {
    messages: AtomicUsize,
    less: Notify,
}

/// One message's share of the load.
struct Place(Arc<Load>);

impl Place {
    fn take(load: &Arc<Load>) -> Self {
        load.messages.fetch_add(1, Ordering::AcqRel);
        Self(Arc::clone(load))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.messages.fetch_sub(1, Ordering::AcqRel);
        self.0.less.notify_waiters();
    }
}

impl<P: Ports> Worker<P> {
    /// A worker that runs `concurrency` jobs at once.
    pub fn new(environment: Arc<Environment<P>>, concurrency: usize) -> Self {
        Self { environment, permits: Arc::new(Semaphore::new(concurrency)), load: Arc::default() }
    }

    /// What its jobs may touch.
    pub fn environment(&self) -> &Environment<P> {
        &self.environment
    }

    /// Waits until no more than `limit` − `least` messages are in the process; answers how many
    /// more there may be.
    pub async fn room(&self, limit: usize, least: usize) -> usize {
        loop {
            let less = self.load.less.notified();
            let room = limit.saturating_sub(self.load.messages.load(Ordering::Acquire));
            if room >= least.max(1) {
                return room;
            }
            less.await;
        }
    }

    /// Works off one batch. Returns when every task of it has ended, at the deadline at the latest.
    pub async fn process(
        &self,
        messages: Vec<Message>,
        deadline: Deadline,
        stop: &Stop,
    ) -> BatchAnswer {
        let mut batch = Batch::new(self.environment());
        for message in messages {
            batch.spawn(self.task(message, deadline, stop.clone()));
        }
        batch.settle_all(deadline).await
    }

    fn task(
        &self,
        message: Message,
        deadline: Deadline,
        stop: Stop,
    ) -> (Entry, impl Future<Output = Verdict> + Send + 'static) {
        let entry = Entry { id: message.id.clone(), receipt: message.receipt.clone() };
        let place = Place::take(&self.load);
        let environment = Arc::clone(&self.environment);
        let permits = Arc::clone(&self.permits);
        let task = async move {
            let _place = place;
            Run {
                environment: &environment,
                message: &message,
                permits: &permits,
                deadline,
                stop: &stop,
            }
            .to_verdict()
            .await
        };
        (entry, task)
    }
}

/// What is kept of a message while its task has the rest.
struct Entry {
    id: String,
    receipt: Receipt,
}

/// A batch in work.
struct Batch<'a, P: Ports> {
    environment: &'a Environment<P>,
    tasks: JoinSet<Verdict>,
    entries: HashMap<Id, Entry>,
    to_defer: Vec<(Receipt, Duration)>,
    answer: BatchAnswer,
}

impl<'a, P: Ports> Batch<'a, P> {
    fn new(environment: &'a Environment<P>) -> Self {
        Self {
            environment,
            tasks: JoinSet::new(),
            entries: HashMap::new(),
            to_defer: Vec::new(),
            answer: BatchAnswer::default(),
        }
    }

    fn spawn(&mut self, (entry, task): (Entry, impl Future<Output = Verdict> + Send + 'static)) {
        let id = self.tasks.spawn(task).id();
        self.entries.insert(id, entry);
    }

    async fn settle_all(mut self, deadline: Deadline) -> BatchAnswer {
        let mut is_late = false;
        loop {
            tokio::select! {
                joined = self.tasks.join_next_with_id() => match joined {
                    Some(joined) => self.note(joined),
                    None => break,
                },
                () = sleep(RETURNS_GATHER), if !self.to_defer.is_empty() => self.defer().await,
                // What hangs even now hangs in a port; its lease ends by itself.
                () = deadline.reached(), if !is_late => {
                    is_late = true;
                    self.tasks.abort_all();
                }
            }
        }
        self.defer().await;
        self.answer
    }

    fn note(&mut self, joined: Result<(Id, Verdict), JoinError>) {
        let (id, verdict) = joined.unwrap_or_else(|error| {
            if error.is_panic() {
                tracing::error!("a job's task panicked; its message comes back");
            }
            (error.id(), Verdict::Return(AFTER_PANIC))
        });
        let Some(entry) = self.entries.remove(&id) else { return };
        match verdict {
            Verdict::Finished => self.answer.finished.push(entry.receipt),
            Verdict::Return(after) => {
                self.to_defer.push((entry.receipt, after));
                self.answer.returned.push(entry.id);
            }
        }
    }

    /// A message that cannot be deferred comes back when its visibility timeout ends.
    async fn defer(&mut self) {
        let to_defer = std::mem::take(&mut self.to_defer);
        if to_defer.is_empty() {
            return;
        }
        if let Err(error) = self.environment.queue.defer(to_defer).await {
            tracing::warn!(%error, "messages come back by their visibility timeout");
        }
    }
}
