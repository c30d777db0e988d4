//! Where invocations and the function's polls meet.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use rustix::process::Signal;
use tokio::sync::{Notify, oneshot};
use tokio::time::{sleep, timeout};

use super::process::Process;
use super::{Function, Invocation};
use crate::server::lock;

/// "The Init phase is limited to 10 seconds."
const INIT_LIMIT: Duration = Duration::from_secs(10);

/// How long an answer may still be under way after the process that sent it has ended.
const LAST_WORDS: Duration = Duration::from_millis(100);

/// An event to hand over.
#[derive(Debug)]
pub(super) struct Offer {
    pub(super) request_id: String,
    pub(super) deadline_ms: u128,
    pub(super) event: Bytes,
}

/// An execution environment, as the Runtime API sees it.
#[derive(Debug, Default)]
pub(super) struct Exchange {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    process: Option<Arc<Process>>,
    freezes: bool,
    /// Invocations that it may have at once.
    at_once: usize,
    is_frozen: bool,
    has_extension: bool,
    first_poll: Option<Duration>,
    init_error: Option<Invocation>,
    polls: usize,
    invocations: usize,
    offers: VecDeque<Offer>,
    running: HashMap<String, oneshot::Sender<Invocation>>,
    late_answers: usize,
}

impl State {
    /// What runs nothing else than the test is never frozen.
    fn freeze(&mut self) {
        if let Some(process) = self.process.as_ref().filter(|_| self.freezes) {
            process.signal(Signal::STOP);
            self.is_frozen = true;
        }
    }

    fn thaw(&mut self) {
        if let Some(process) = self.process.as_ref().filter(|_| self.is_frozen) {
            process.signal(Signal::CONT);
            self.is_frozen = false;
        }
    }
}

/// A poll that waits for an event, counted while it does.
struct Poll<'a>(&'a Exchange);

impl Drop for Poll<'_> {
    fn drop(&mut self) {
        lock(&self.0.state).polls -= 1;
    }
}

impl Exchange {
    /// Starts the function's process. Its first poll waits until it is known here.
    pub(super) fn start(
        &self,
        function: &Function,
        start: impl FnOnce() -> std::io::Result<Process>,
    ) -> std::io::Result<()> {
        let mut state = lock(&self.state);
        state.freezes = function.freezes;
        state.at_once = function.at_once;
        state.process = Some(Arc::new(start()?));
        Ok(())
    }

    pub(super) fn process(&self) -> Option<Arc<Process>> {
        lock(&self.state).process.clone()
    }

    pub(super) fn first_poll(&self) -> Option<Duration> {
        lock(&self.state).first_poll
    }

    pub(super) fn is_frozen(&self) -> bool {
        lock(&self.state).is_frozen
    }

    pub(super) fn polls(&self) -> usize {
        lock(&self.state).polls
    }

    pub(super) fn late_answers(&self) -> usize {
        lock(&self.state).late_answers
    }

    pub(super) fn has_extension(&self) -> bool {
        lock(&self.state).has_extension
    }

    pub(super) fn thaw(&self) {
        lock(&self.state).thaw();
    }

    /// One invocation, from the start that may still be under way to what comes of it.
    pub(super) async fn invoke(self: Arc<Self>, event: Bytes, limit: Duration) -> Invocation {
        let process = self.process();
        let died = async {
            match &process {
                Some(process) => Invocation::Crashed(process.end().await),
                None => std::future::pending().await,
            }
        };
        tokio::pin!(died);

        tokio::select! {
            biased;
            failed = self.ready() => if let Some(failed) = failed { return failed },
            crashed = &mut died => return crashed,
            () = sleep(INIT_LIMIT) => return end(process.as_deref()).await,
        }
        let (request_id, mut answer) = self.offer(event, limit);
        tokio::select! {
            biased;
            Ok(answered) = &mut answer => answered,
            crashed = &mut died => match timeout(LAST_WORDS, answer).await {
                Ok(Ok(answered)) => answered,
                _ => crashed,
            },
            () = sleep(limit) => self.time_out(&request_id, process.as_deref()).await,
        }
    }

    /// Waits for a poll, or for the error with which the start ended.
    async fn ready(&self) -> Option<Invocation> {
        loop {
            let changed = self.changed.notified();
            {
                let mut state = lock(&self.state);
                if state.init_error.is_some() {
                    return state.init_error.take();
                }
                if state.polls > 0 {
                    return None;
                }
            }
            changed.await;
        }
    }

    /// Hands an event to a poll that waits, in a process that runs again.
    fn offer(&self, event: Bytes, limit: Duration) -> (String, oneshot::Receiver<Invocation>) {
        let (sender, answer) = oneshot::channel();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let deadline_ms = (now + limit).as_millis();

        let mut state = lock(&self.state);
        state.thaw();
        state.invocations += 1;
        let request_id = format!("00000000-0000-4000-8000-{:012}", state.invocations);
        state.running.insert(request_id.clone(), sender);
        state.offers.push_back(Offer { request_id: request_id.clone(), deadline_ms, event });
        drop(state);
        self.changed.notify_waiters();
        (request_id, answer)
    }

    /// Ends an invocation that is over its time, and its process with it, unless that has others. An
    /// answer that still comes is late.
    async fn time_out(&self, request_id: &str, process: Option<&Process>) -> Invocation {
        let outlives = {
            let mut state = lock(&self.state);
            state.running.remove(request_id);
            state.offers.retain(|offer| offer.request_id != request_id);
            state.at_once > 1
        };
        end(process.filter(|_| !outlives)).await
    }

    /// The function polls: it is through with the last event, and frozen until the next.
    pub(super) async fn next(&self) -> Offer {
        let _poll = self.poll();
        loop {
            let changed = self.changed.notified();
            if let Some(offer) = lock(&self.state).offers.pop_front() {
                return offer;
            }
            changed.await;
        }
    }

    fn poll(&self) -> Poll<'_> {
        let mut state = lock(&self.state);
        state.polls += 1;
        let since_start = state.process.as_ref().map(|process| process.started.elapsed());
        state.first_poll = state.first_poll.or(since_start);
        if state.offers.is_empty() {
            state.freeze();
        }
        drop(state);
        self.changed.notify_waiters();
        Poll(self)
    }

    /// The function answers. Whether that invocation was still waited for.
    pub(super) fn answer(&self, request_id: &str, answer: Invocation) -> bool {
        let mut state = lock(&self.state);
        let Some(waiting) = state.running.remove(request_id) else {
            state.late_answers += 1;
            return false;
        };
        waiting.send(answer).is_ok()
    }

    pub(super) fn fail_init(&self, error: Invocation) {
        lock(&self.state).init_error = Some(error);
        self.changed.notify_waiters();
    }

    pub(super) fn register_extension(&self) {
        lock(&self.state).has_extension = true;
    }
}

/// Kills a process whose time is over.
async fn end(process: Option<&Process>) -> Invocation {
    if let Some(process) = process {
        process.signal(Signal::KILL);
        process.end().await;
    }
    Invocation::TimedOut
}
