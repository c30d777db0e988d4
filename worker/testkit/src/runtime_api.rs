//! Lambda's Runtime API (2018-06-01), and an execution environment that runs one function.

use std::process::ExitStatus;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Semaphore;

mod environment;

mod exchange;

mod function;

mod invocation;

mod process;

mod routes;

pub use self::function::Function;
pub use self::invocation::Invocation;

use self::environment::Environment;
use self::process::Logs;
use crate::server::lock;

/// Lambda with one function in one execution environment, as far as the function can tell.
///
/// It invokes once at a time, and freezes the function's process between invocations: "Lambda
/// freezes the execution environment when the runtime and each extension have completed and
/// there are no pending events." A process that timed out is killed, and as one that ended by
/// itself replaced for the next invocation. Of a [managed](Function::managed) one several run at once,
/// none of which ends with the time of another. The process ends when this is dropped.
#[derive(Debug)]
pub struct RuntimeApi {
    function: Option<Function>,
    logs: Logs,
    starts: AtomicUsize,
    turns: Semaphore,
    starting: tokio::sync::Mutex<()>,
    current: Mutex<Arc<Environment>>,
}

impl RuntimeApi {
    /// Starts the function's process, as a cold start does.
    ///
    /// # Panics
    ///
    /// When it can't be started.
    pub async fn start(function: Function) -> Self {
        Self::with(Some(function)).await
    }

    /// Starts no process: the test polls [`RuntimeApi::address`] and plays the function. Nothing
    /// is frozen, and nothing is killed at a timeout.
    pub async fn without_process() -> Self {
        Self::with(None).await
    }

    async fn with(function: Option<Function>) -> Self {
        let logs = Logs::default();
        let environment = Environment::start(function.as_ref(), &logs).await;
        let current = Mutex::new(Arc::new(environment));
        let turns = Semaphore::new(function.as_ref().map_or(1, |function| function.at_once));
        let starting = tokio::sync::Mutex::default();
        Self { function, logs, starts: 1.into(), turns, starting, current }
    }

    /// What the function finds in `AWS_LAMBDA_RUNTIME_API`: host and port.
    pub fn address(&self) -> String {
        self.environment().address()
    }

    /// Invokes the function with an event, in JSON, and waits for what comes of it. `timeout`, the
    /// function's own setting, runs from the moment the event is handed over; a start before that
    /// may take 10 seconds.
    pub async fn invoke(&self, event: &str, timeout: Duration) -> Invocation {
        let _turn = self.turns.acquire().await;
        let event = Bytes::copy_from_slice(event.as_bytes());
        self.living().await.invoke(event, timeout).await
    }

    /// The environment to invoke in: a new one if the process of the last has ended.
    async fn living(&self) -> Arc<Environment> {
        let _starting = self.starting.lock().await;
        let environment = self.environment();
        if !environment.has_ended() {
            return environment;
        }
        self.starts.fetch_add(1, SeqCst);
        let environment = Environment::start(self.function.as_ref(), &self.logs).await;
        let environment = Arc::new(environment);
        *lock(&self.current) = Arc::clone(&environment);
        environment
    }

    fn environment(&self) -> Arc<Environment> {
        Arc::clone(&lock(&self.current))
    }

    /// Kills the process, in the middle of an invocation or between two, and waits for its end.
    pub async fn kill(&self) {
        self.environment().kill().await;
    }

    /// Ends the process as Lambda does when it no longer needs it: SIGTERM, which it only gets
    /// when it registered an extension, and SIGKILL after `grace` (Lambda: 500 ms). Answers how
    /// it ended.
    pub async fn shut_down(&self, grace: Duration) -> Option<ExitStatus> {
        self.environment().shut_down(grace).await
    }

    /// From the start of the latest process to its first poll, once that has come.
    ///
    /// # Panics
    ///
    /// After [`PATIENCE`](crate::PATIENCE).
    pub async fn first_poll(&self) -> Duration {
        self.environment().first_poll().await
    }

    /// Waits until the process is frozen.
    ///
    /// # Panics
    ///
    /// After [`PATIENCE`](crate::PATIENCE).
    pub async fn wait_until_frozen(&self) {
        self.environment().wait_until_frozen().await;
    }

    /// How many polls of the latest process wait for an event.
    pub fn polls(&self) -> usize {
        self.environment().polls()
    }

    /// How many processes were started.
    pub fn starts(&self) -> usize {
        self.starts.load(SeqCst)
    }

    /// How many answers came for an invocation that was over.
    pub fn late_answers(&self) -> usize {
        self.environment().late_answers()
    }

    /// What all processes wrote to stdout and stderr.
    pub fn logs(&self) -> String {
        self.logs.text()
    }

    /// CPU time of the latest process so far, in user and system mode, in steps of 10 ms.
    /// `None` without a living process or without `/proc`.
    pub fn cpu(&self) -> Option<Duration> {
        self.environment().process()?.cpu()
    }

    /// The largest resident set of the latest process so far, in KiB. `None` as for
    /// [`RuntimeApi::cpu`].
    pub fn peak_kib(&self) -> Option<u64> {
        self.environment().process()?.peak_kib()
    }
}
