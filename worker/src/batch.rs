//! **1. The batch.** Messages come in, all at once; which of them are finished and which come back
//! goes out. Each runs in a task of its own under one bound for the whole process, so that a panic
//! or an endless call is the failure of that message alone.

mod finished;
mod journal;
mod returns;
mod room;
mod stop;
mod waiting;

use std::{
    collections::HashMap,
    future::poll_fn,
    sync::{Arc, OnceLock},
    time::Duration,
};

use tokio::{
    sync::{Mutex, OwnedSemaphorePermit, Semaphore},
    task::{Id, JoinError, JoinSet},
    time::{Instant, sleep_until},
};
use tokio_util::sync::PollSemaphore;
use tracing::Instrument;

use self::{
    finished::{Deletion, Finished},
    journal::Tally,
    returns::Returns,
    room::{Place, Room},
    waiting::{Entry, Waiting},
};
pub use self::{stop::Stop, waiting::Order};
use crate::{
    clock::Deadline,
    environment::{Environment, Observation, Ports},
    error::{ErrorClass, JobError},
    queue::{Message, Queue, Receipt},
    run::{self, Beside, Run, Verdict},
    trace,
};

/// A message whose task died comes back after this.
const AFTER_PANIC: Duration = Duration::from_secs(5);

/// Which messages of a batch are finished, and which come back. Together they are the batch.
#[derive(Debug, Default)]
pub struct BatchAnswer {
    /// To be deleted.
    pub finished: Vec<Receipt>,
    /// Ids of those that come back (SQS: `batchItemFailures`). They are deferred already, unless
    /// they were left to the queue.
    pub returned: Vec<String>,
}

/// Works off batches, any number at once, under one bound. Clones are the same worker.
pub struct Worker<P: Ports> {
    environment: Arc<Environment<P>>,
    bounds: Arc<Bounds>,
}

/// What all batches of a process share.
pub(crate) struct Bounds {
    /// Jobs that run at once, and as many may wait in line at one gate.
    pub(crate) concurrency: usize,
    pub(crate) permits: Arc<Semaphore>,
    /// Held by the one suspect that runs, or waits for all permits.
    pub(crate) alone: Mutex<()>,
    pub(crate) room: Arc<Room>,
    pub(crate) beside: Beside,
}

impl<P: Ports> Clone for Worker<P> {
    fn clone(&self) -> Self {
        Self { environment: Arc::clone(&self.environment), bounds: Arc::clone(&self.bounds) }
    }
}

impl<P: Ports> Worker<P> {
    /// A worker that runs `concurrency` jobs at once.
    pub fn new(environment: Arc<Environment<P>>, concurrency: usize) -> Self {
        let bounds = Bounds {
            concurrency,
            permits: Arc::new(Semaphore::new(concurrency)),
            alone: Mutex::default(),
            room: Arc::default(),
            beside: Beside::default(),
        };
        Self { environment, bounds: Arc::new(bounds) }
    }

    /// What its jobs may touch.
    pub fn environment(&self) -> &Arc<Environment<P>> {
        &self.environment
    }

    /// The same, for a task of its own.
    pub fn shared(&self) -> Arc<Environment<P>> {
        Arc::clone(&self.environment)
    }

    /// Waits until no more than `limit` − `least` messages are in the process; answers how many
    /// more there may be.
    pub async fn room(&self, limit: usize, least: usize) -> usize {
        self.bounds.room.wait(limit, least).await
    }

    /// Works off one batch. Returns when every task of it has ended, at the deadline at the latest.
    pub async fn process(
        &self,
        messages: Vec<Message>,
        order: Order,
        deadline: Deadline,
        stop: &Stop,
    ) -> BatchAnswer {
        let waiting = self.take_in(messages, order);
        Batch::new(self, waiting, deadline, stop, Deletion::ByCaller).work_off().await
    }

    /// The same for messages of its own queue: each is deleted as soon as it is finished, long
    /// before the slowest of its batch may be.
    pub async fn process_and_delete(
        &self,
        messages: Vec<Message>,
        deadline: Deadline,
        stop: &Stop,
    ) {
        let waiting = self.take_in(messages, self.environment.queue.order());
        Batch::new(self, waiting, deadline, stop, Deletion::ByBatch).work_off().await;
    }

    fn take_in(&self, messages: Vec<Message>, order: Order) -> Waiting {
        let began = Observation::BatchBegan { messages: messages.len() };
        self.environment.observer.observe(began);
        let room = &self.bounds.room;
        let entry = |message| Entry { message: Arc::new(message), place: Place::take(room) };
        Waiting::new(messages.into_iter().map(entry), order)
    }
}

/// A batch in work.
struct Batch<'a, P: Ports> {
    worker: &'a Worker<P>,
    deadline: Deadline,
    stop: &'a Stop,
    permits: PollSemaphore,
    waiting: Waiting,
    tasks: JoinSet<Verdict>,
    running: HashMap<Id, Entry>,
    returns: Returns,
    next_beat: Option<Instant>,
    beats: JoinSet<()>,
    finished: Finished,
    tally: Tally,
}

impl<'a, P: Ports> Batch<'a, P> {
    fn new(
        worker: &'a Worker<P>,
        waiting: Waiting,
        deadline: Deadline,
        stop: &'a Stop,
        deletion: Deletion,
    ) -> Self {
        let heartbeat = worker.environment.policy.heartbeat;
        Self {
            worker,
            deadline,
            stop,
            permits: PollSemaphore::new(Arc::clone(&worker.bounds.permits)),
            waiting,
            tasks: JoinSet::new(),
            running: HashMap::new(),
            returns: Returns::new(deletion),
            next_beat: heartbeat.map(|heartbeat| Instant::now() + heartbeat.every),
            beats: JoinSet::new(),
            finished: Finished::new(deletion),
            tally: Tally::default(),
        }
    }

    async fn work_off(mut self) -> BatchAnswer {
        let began = Instant::now();
        let mut is_late = false;
        while !(self.tasks.is_empty() && self.waiting.is_empty()) {
            tokio::select! {
                Some(joined) = self.tasks.join_next_with_id() => self.note(joined),
                permit = poll_fn(|context| self.permits.poll_acquire(context)),
                    if self.may_begin() => self.begin(permit),
                () = self.returns.gathered() => self.returns.send(&self.worker.environment),
                () = self.finished.gathered() => self.finished.delete(&self.worker.environment),
                () = self.stop.draining(), if !self.waiting.is_empty() => self.begin_nothing(),
                () = due(self.next_beat) => self.extend(),
                // What hangs even now hangs in a port; its lease ends by itself.
                () = time_is_over(self.deadline, self.stop), if !is_late => {
                    is_late = true;
                    self.begin_nothing();
                    self.tasks.abort_all();
                }
            }
        }
        self.returns.send(&self.worker.environment);
        self.finished.delete(&self.worker.environment);
        let finished = self.finished.end(self.stop).await;
        let answer = self.returns.end(finished, self.deadline, self.stop).await;
        self.tally.note(began.elapsed());
        answer
    }

    /// Tasks that only deliver hold no permit; they are as many again at most.
    fn may_begin(&self) -> bool {
        let is_full = self.tasks.len() >= 2 * self.worker.bounds.concurrency;
        self.waiting.has_ready() && !is_full && !self.stop.is_draining()
    }

    fn begin(&mut self, permit: Option<OwnedSemaphorePermit>) {
        let Some(permit) = permit else { return };
        let Some(entry) = self.waiting.next() else { return };
        let worker = self.worker.clone();
        let (message, deadline, stop) =
            (Arc::clone(&entry.message), self.deadline, self.stop.clone());
        let event = trace::current();
        let task = async move {
            Run {
                environment: &worker.environment,
                message: &message,
                bounds: &worker.bounds,
                deadline,
                stop: &stop,
                event,
                failed: OnceLock::new(),
            }
            .to_verdict(permit)
            .await
        };
        let task = task.instrument(run::span(&entry.message));
        let id = self.tasks.spawn(task).id();
        self.running.insert(id, entry);
    }

    fn note(&mut self, joined: Result<(Id, Verdict), JoinError>) {
        let (id, verdict) = joined
            .unwrap_or_else(|error| (error.id(), Verdict::Return(self.after_failing(&error))));
        let Some(entry) = self.running.remove(&id) else { return };
        self.tally.count(verdict);
        match verdict {
            Verdict::Finished => {
                self.waiting.finished(&entry.message);
                self.finished.push(entry.message.receipt.clone());
            }
            Verdict::Return(after) => {
                for follower in self.waiting.returned(&entry.message) {
                    self.give_back(&follower, &follows(), after);
                }
                self.returns.push(&entry.message, after);
            }
            Verdict::Leave => {
                for follower in self.waiting.returned(&entry.message) {
                    // Its group stands still until the queue takes the message before it.
                    self.give_back(&follower, &follows(), Duration::ZERO);
                }
                self.returns.leave(&entry.message);
            }
        }
    }

    /// When the message of a task that did not end by itself comes back.
    fn after_failing(&self, error: &JoinError) -> Duration {
        if error.is_panic() {
            tracing::error!("a job's task panicked; its message comes back");
            return AFTER_PANIC;
        }
        let message_id = self.running.get(&error.id()).map(|entry| entry.message.id.as_str());
        tracing::warn!(
            message_id,
            "a job was not done with when its time was over: expected its outcome to be saved and told \
             by then; its message comes back"
        );
        if self.stop.is_interrupted() { Duration::ZERO } else { AFTER_PANIC }
    }

    /// No more is begun: what waits comes back.
    fn begin_nothing(&mut self) {
        let after = run::not_started_after(self.stop);
        for entry in self.waiting.drain() {
            self.give_back(&entry, &run::not_started(), after);
        }
    }

    /// Returns a message that no task has looked at.
    fn give_back(&mut self, entry: &Entry, reason: &JobError, after: Duration) {
        let message_id = entry.message.id.as_str();
        let returned = Observation::Returned { message_id, key: None, reason, after };
        self.worker.environment.observer.observe(returned);
        self.tally.count(Verdict::Return(after));
        self.returns.push(&entry.message, after);
    }

    /// The heart beats: what is in the process stays hidden from others.
    fn extend(&mut self) {
        let Some(heartbeat) = self.worker.environment.policy.heartbeat else { return };
        self.next_beat = Some(Instant::now() + heartbeat.every);
        let entries = self.running.values().chain(self.waiting.iter());
        let receipts = entries.map(|entry| entry.message.receipt.clone()).collect();
        let environment = Arc::clone(&self.worker.environment);
        while self.beats.try_join_next().is_some() {}
        self.beats.spawn(async move {
            if let Err(error) = environment.queue.extend(receipts, heartbeat.lasts).await {
                tracing::warn!(%error, "running messages could not be kept hidden");
            }
        });
    }
}

/// Returns when what still runs is to be ended.
async fn time_is_over(deadline: Deadline, stop: &Stop) {
    tokio::select! {
        () = deadline.reached() => {}
        () = stop.tries_over() => {}
    }
}

/// Returns at that moment, if there is one.
async fn due(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}

fn follows() -> JobError {
    let message = "an earlier message of its group came back, and the group is in order";
    JobError::new(ErrorClass::Busy, "fifo_follower", message)
}
