//! The worker outside Lambda: receives from any queue and hands batches to the core as Lambda's event
//! source would; what is finished, the batch deletes.

use std::{convert::Infallible, future::pending, time::Duration};

use tokio::{
    sync::watch,
    task::JoinSet,
    time::{Instant, sleep},
};

use crate::{
    batch::{Stop, Worker},
    clock::Deadline,
    environment::Ports,
    queue::{Cause, Message, Queue, QueueError},
};

/// The pause after a queue could not be reached.
const RECEIVE_AGAIN: Duration = Duration::from_secs(1);

/// How a poller receives.
#[derive(Clone, Copy, Debug)]
pub struct PollerSettings {
    /// Jobs that run at once.
    pub concurrency: usize,
    /// The most messages one receive asks for.
    pub batch_size: usize,
    /// How long a receive waits for the first message.
    pub wait: Duration,
    /// How long received messages stay hidden, unless hearts beat for them.
    pub visibility_timeout: Duration,
    /// The time a batch has, from first to last.
    pub batch_time: Duration,
    /// How long running jobs may go on after a stop before they are interrupted.
    pub drain: Duration,
}

impl PollerSettings {
    /// Settings that suit `concurrency` and tools of which none takes longer than `timeout`. Half
    /// as many messages again wait in the process, so that no permit lies idle.
    pub fn for_tools(concurrency: usize, timeout: Duration, settle_margin: Duration) -> Self {
        let batch_time = timeout * 3 + settle_margin * 2;
        Self {
            concurrency,
            batch_size: concurrency.clamp(1, 100),
            wait: Duration::from_secs(1),
            visibility_timeout: batch_time,
            batch_time,
            drain: Duration::from_secs(30),
        }
    }

    fn most_messages(&self) -> usize {
        self.concurrency + self.concurrency.div_ceil(2)
    }

    /// Receiving a few at a time costs a write each; waiting for too many leaves permits idle.
    fn least_room(&self) -> usize {
        self.concurrency.div_ceil(4).min(self.batch_size)
    }
}

/// How receiving goes.
#[derive(Clone, Debug)]
pub enum Reception {
    /// The queue answers, as far as is known.
    Well,
    /// It does not, or refuses.
    InVain {
        /// The first time.
        since: Instant,
        /// What the last time came from.
        cause: Cause,
    },
}

/// Receives until it is stopped.
pub struct Poller<P: Ports> {
    worker: Worker<P>,
    settings: PollerSettings,
    reception: watch::Sender<Reception>,
}

impl<P: Ports> Poller<P> {
    /// A poller that feeds `worker`.
    pub fn new(worker: Worker<P>, settings: PollerSettings) -> Self {
        Self { worker, settings, reception: watch::Sender::new(Reception::Well) }
    }

    /// How receiving goes.
    pub fn reception(&self) -> watch::Receiver<Reception> {
        self.reception.subscribe()
    }

    /// Receives and works until `stop` drains; returns when nothing runs any more, five seconds after
    /// an interruption at the latest.
    pub async fn run(&self, stop: &Stop) {
        tokio::select! {
            () = self.work(stop) => {}
            never = self.interrupt_when_overdue(stop) => match never {},
            () = stop.over() => {
                tracing::warn!("something did not end in time; what it held comes back by itself");
            }
        }
    }

    /// The time to drain begins with the stop, even if a receive still waits by then.
    async fn interrupt_when_overdue(&self, stop: &Stop) -> Infallible {
        stop.draining().await;
        sleep(self.settings.drain).await;
        stop.interrupt();
        pending().await
    }

    async fn work(&self, stop: &Stop) {
        let mut batches = JoinSet::new();
        while let Some(messages) = self.next_batch(stop).await {
            while batches.try_join_next().is_some() {}
            if !messages.is_empty() {
                let (worker, deadline, stop) = (self.worker.clone(), self.deadline(), stop.clone());
                let batch =
                    async move { worker.process_and_delete(messages, deadline, &stop).await };
                batches.spawn(batch);
            }
        }
        while batches.join_next().await.is_some() {}
    }

    /// The next messages, as soon as there is room for them; `None` once the poller stops. A
    /// receive that has begun is waited for, since what it brings would stay hidden otherwise, but no
    /// longer than for interrupted jobs: its queue may never answer.
    async fn next_batch(&self, stop: &Stop) -> Option<Vec<Message>> {
        let settings = &self.settings;
        let room = tokio::select! {
            biased;
            () = stop.draining() => return None,
            room = self.worker.room(settings.most_messages(), settings.least_room()) => room,
        };
        let queue = &self.worker.environment().queue;
        let max = room.min(settings.batch_size);
        let received = tokio::select! {
            received = queue.receive(max, settings.wait, settings.visibility_timeout) => received,
            () = stop.tries_over() => {
                tracing::warn!(
                    "a receive was given up; what it may have brought comes back by its visibility \
                     timeout"
                );
                return None;
            }
        };
        match received {
            Ok(messages) => {
                self.reception.send_replace(Reception::Well);
                Some(messages)
            }
            Err(error) => {
                self.note_vain(&error);
                tokio::select! {
                    () = sleep(RECEIVE_AGAIN) => {}
                    () = stop.draining() => {}
                }
                Some(Vec::new())
            }
        }
    }

    /// What needs a person is told as an error when it begins.
    fn note_vain(&self, error: &QueueError) {
        let cause = error.cause();
        let (since, is_known) = match *self.reception.borrow() {
            Reception::InVain { since, cause: before } => (since, before == cause),
            Reception::Well => (Instant::now(), false),
        };
        self.reception.send_replace(Reception::InVain { since, cause });
        match cause {
            Cause::Settings if !is_known => {
                tracing::error!(
                    %error,
                    "nothing can be received: expected a queue that exists and that these credentials \
                     may receive from"
                );
            }
            _ => tracing::warn!(%error, "nothing can be received"),
        }
    }

    fn deadline(&self) -> Deadline {
        Deadline::after(self.settings.batch_time)
    }
}
