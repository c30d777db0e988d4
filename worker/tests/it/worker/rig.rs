//! A worker with a ledger and a queue in a file, and tools that do what their input says.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, AtomicUsize, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use mcp_batch::{
    batch::{BatchAnswer, Order, Stop, Worker},
    clock::{Clock, Deadline, UnixMs},
    config::Source,
    environment::{Environment, Observation, Observer, Policy, Ports},
    error::{ErrorClass, JobError},
    job::{Job, JobKey, Namespace},
    lease::{
        Claim, ClaimRequest, Delivery, Ledger, Lost, Outcome, OwnerToken, Record, Repeat, Usage,
    },
    local::{Database, SqliteLedger, SqliteQueue},
    queue::{Message, NewMessage, Queue},
    secret::Secrets,
    telemetry::{
        metered::{Meter, Metered},
        metric::{Metric, Sample},
    },
    tool::{CallContext, CallPlan, Gate, Gates, Listing, ToolError, Tools},
    trace::Tracer,
    webhook::{AllowedHosts, Courier, CourierSettings, Lookup, SystemLookup},
};
use mcp_batch_testkit::wait_until;
use rusqlite::Connection;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{sync::Semaphore, task::JoinHandle};

use super::{faulty::Faulty, graves::Graves};
use crate::helpers::log_this_process;

/// What callbacks are signed with.
pub(super) const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// Time enough for any call here.
pub(super) const LONG: Duration = Duration::from_secs(120);

/// Pauses between tries of a callback that are too long to be waited for in place.
const NOT_HERE: Duration = Duration::from_secs(20);

/// Callbacks to receivers on this machine.
pub(super) fn allowing_loopback() -> CourierSettings {
    let hosts = AllowedHosts::parse("127.0.0.1").expect("a host");
    CourierSettings { hosts, ..CourierSettings::default() }
}

/// A job whose tool does `what`.
pub(super) fn job(id: &str, what: &str) -> Value {
    json!({"id": id, "tool": "scripted", "input": {"do": what}})
}

pub(super) fn with_callback(mut job: Value, url: &str) -> Value {
    job["callback"] = url.into();
    job
}

pub(super) struct RigPorts;

impl Ports for RigPorts {
    type Ledger = Faulty;
    type Queue = Graves;
    type Tools = Scripted;
}

/// Tools that do what a job's `input.do` says, and count.
pub(super) struct Scripted {
    pub(super) plan: CallPlan,
    pub(super) calls: AtomicUsize,
    pub(super) running: AtomicUsize,
    pub(super) most_running: AtomicUsize,
    lost_running: AtomicUsize,
    /// Calls that began while a lost worker's job ran, or that were such a job's beside others.
    pub(super) beside_suspects: AtomicUsize,
    began: Mutex<Vec<String>>,
    releases: Semaphore,
    refusals: Mutex<VecDeque<ToolError>>,
    window: Window,
    gate: Mutex<Arc<Gate>>,
}

/// The calls of the latest second.
#[derive(Default)]
struct Window(Mutex<VecDeque<Instant>>);

impl Window {
    fn count(&self, most: usize) -> Result<(), ToolError> {
        let mut calls = self.0.lock().expect("nobody panics with it");
        while calls.front().is_some_and(|first| first.elapsed() > Duration::from_secs(1)) {
            calls.pop_front();
        }
        if calls.len() >= most {
            let error = JobError::new(ErrorClass::Throttled, "http_429", "too many calls");
            let retry_after = Some(Duration::from_secs(1));
            return Err(ToolError { retry_after, ..ToolError::free(error) });
        }
        calls.push_back(Instant::now());
        Ok(())
    }
}

/// One call under way, over when dropped.
struct Running<'a>(&'a Scripted, usize);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, SeqCst);
        self.0.lost_running.fetch_sub(self.1, SeqCst);
    }
}

impl Scripted {
    fn begin(&self, job: &Job) -> Running<'_> {
        self.began.lock().expect("nobody panics with it").push(job.id().to_string());
        self.calls.fetch_add(1, SeqCst);
        let running = self.running.fetch_add(1, SeqCst) + 1;
        self.most_running.fetch_max(running, SeqCst);
        let lost = usize::from(job.id().as_str().starts_with("lost-"));
        let lost_running = self.lost_running.fetch_add(lost, SeqCst) + lost;
        if lost_running > 0 && running > 1 {
            self.beside_suspects.fetch_add(1, SeqCst);
        }
        Running(self, lost)
    }

    /// The next job that is to be refused is, so.
    pub(super) fn refuse(&self, refusal: ToolError) {
        self.refusals.lock().expect("nobody panics with it").push_back(refusal);
    }

    /// The upstream as a new process finds it: nothing is known of it.
    pub(super) fn open_gate(&self) {
        *self.gate.lock().expect("nobody panics with it") = Arc::default();
    }

    fn next_refusal(&self) -> Result<(), ToolError> {
        match self.refusals.lock().expect("nobody panics with it").pop_front() {
            Some(refusal) => Err(refusal),
            None => Ok(()),
        }
    }

    #[expect(clippy::panic, reason = "it is asked to")]
    async fn do_as_told(&self, job: &Job) -> Result<Outcome, ToolError> {
        let _running = self.begin(job);
        let mut input = job.input().to_value();
        if input["do"] == "spoil" {
            input["list"] = json!("spoilt");
            input["do"] = "fail".into();
        }
        let what = input["do"].as_str().unwrap_or_default();
        match what {
            "panic" => panic!("as told"),
            "hang" => std::future::pending().await,
            "fail" => {
                let error = JobError::new(ErrorClass::Permanent, "as_told", "it failed as told");
                return Err(ToolError::free(error));
            }
            "misfit" => {
                let error = JobError::new(ErrorClass::Invalid, "as_told", "it fits no schema");
                return Err(ToolError::free(error));
            }
            "cost" => {
                let error = JobError::new(ErrorClass::Transient, "as_told", "it failed as told");
                let usage = Usage { cost_usd: Some(0.5), ..Usage::free() };
                return Err(ToolError { usage, ..ToolError::free(error) });
            }
            // An upstream that takes fifty calls a second, and names no shorter pause than one.
            "throttle" => self.window.count(50)?,
            "be refused" => self.next_refusal()?,
            "wait" => self.releases.acquire().await.expect("it is never closed").forget(),
            _ => {}
        }
        let usage = Usage { cost_usd: Some(0.5), ..Usage::free() };
        Ok(Outcome { result: json!({"did": what}), usage, offline: false })
    }
}

impl Tools for Scripted {
    async fn prepare(&self, job: &Job) -> Result<(), ToolError> {
        match job.input().to_value()["do"].as_str() {
            Some("silence") => std::future::pending().await,
            Some("refuse") => {
                let error = JobError::new(ErrorClass::Configuration, "as_told", "refused as told");
                Err(ToolError::free(error))
            }
            _ => Ok(()),
        }
    }

    fn check(&self, _: &Job) -> Result<CallPlan, JobError> {
        Ok(self.plan)
    }

    async fn call(&self, job: &Job, _: &CallContext) -> Result<Outcome, ToolError> {
        self.do_as_told(job).await
    }

    async fn list(&self) -> Listing {
        Listing { tools: Vec::new(), unreachable: Vec::new() }
    }

    fn supersedes_offline(&self) -> bool {
        false
    }

    fn gates(&self, _: &Job) -> Gates {
        Arc::clone(&self.gate.lock().expect("nobody panics with it")).into()
    }
}

/// A message that came back: why, and when.
#[derive(Clone, Debug)]
pub(super) struct Returned {
    pub(super) code: String,
    pub(super) after: Duration,
}

pub(super) struct Returns(
    Mutex<Vec<Returned>>,
    AtomicUsize,
    AtomicUsize,
    AtomicUsize,
    Metered<Samples>,
);

/// What was measured.
#[derive(Default)]
pub(super) struct Samples(Mutex<Vec<Sample>>);

impl Meter for Samples {
    fn take(&self, sample: Sample) {
        self.0.lock().expect("nobody panics with it").push(sample);
    }
}

impl Default for Returns {
    fn default() -> Self {
        let none = AtomicUsize::default;
        Self(Mutex::default(), none(), none(), none(), Metered::new(Samples::default()))
    }
}

impl Observer for Returns {
    fn observe(&self, observation: Observation<'_>) {
        if let Observation::Ended { .. } = observation {
            self.1.fetch_add(1, SeqCst);
        }
        if let Observation::Delivered { delivery: Delivery::Dead(_), .. } = observation {
            self.3.fetch_add(1, SeqCst);
        }
        if let Observation::Refused { .. } = observation {
            self.2.fetch_add(1, SeqCst);
        }
        if let Observation::Returned { reason, after, .. } = observation {
            let returned = Returned { code: reason.code.to_string(), after };
            self.0.lock().expect("nobody panics with it").push(returned);
        }
        self.4.observe(observation);
    }
}

/// The system's clock, moved on by so many milliseconds.
fn movable_clock() -> (Clock, Arc<AtomicI64>) {
    let (system, ahead_ms) = (Clock::system(), Arc::<AtomicI64>::default());
    let ahead = Arc::clone(&ahead_ms);
    (Clock::new(move || UnixMs(system.now().0 + ahead.load(SeqCst))), ahead_ms)
}

/// The worker and all around it.
pub(super) struct Rig {
    pub(super) worker: Worker<RigPorts>,
    returns: Arc<Returns>,
    ahead_ms: Arc<AtomicI64>,
    folder: TempDir,
}

impl Rig {
    pub(super) fn new(concurrency: usize) -> Self {
        Self::with(
            concurrency,
            CallPlan { timeout: Duration::from_mins(1), repeat: Repeat::Safe },
            |_| {},
        )
    }

    pub(super) fn with(
        concurrency: usize,
        plan: CallPlan,
        change: impl FnOnce(&mut Policy),
    ) -> Self {
        Self::sending(concurrency, plan, allowing_loopback(), change)
    }

    /// Behind this gate.
    pub(super) fn limited(concurrency: usize, gate: Gate) -> Self {
        let plan = CallPlan { timeout: Duration::from_mins(1), repeat: Repeat::Safe };
        Self::made(concurrency, plan, allowing_loopback(), SystemLookup, gate, |_| {})
    }

    pub(super) fn sending(
        concurrency: usize,
        plan: CallPlan,
        callbacks: CourierSettings,
        change: impl FnOnce(&mut Policy),
    ) -> Self {
        Self::made(concurrency, plan, callbacks, SystemLookup, Gate::default(), change)
    }

    /// Without an allow-list, and with names that are looked up so.
    pub(super) fn finding(lookup: impl Lookup) -> Self {
        let plan = CallPlan { timeout: Duration::from_mins(1), repeat: Repeat::Safe };
        let connect_timeout = Duration::from_millis(300);
        let callbacks = CourierSettings { connect_timeout, ..CourierSettings::default() };
        Self::made(16, plan, callbacks, lookup, Gate::default(), |_| {})
    }

    fn made(
        concurrency: usize,
        plan: CallPlan,
        callbacks: CourierSettings,
        lookup: impl Lookup,
        gate: Gate,
        change: impl FnOnce(&mut Policy),
    ) -> Self {
        // A second start in one process keeps the first.
        let _ = rustls::crypto::ring::default_provider().install_default();
        log_this_process();
        let folder = tempfile::tempdir().expect("a folder");
        let (clock, ahead_ms) = movable_clock();
        let database = Database::open(&folder.path().join("a.db"), clock.clone());
        let database = database.expect("a new ledger");
        let source = Source::default().with("MCP_BATCH_CALLBACK_SECRETS", Some(SECRET));
        let secrets = Secrets::fixed(source).expect("a sound secret");
        let courier = Courier::looking_up(lookup, callbacks, secrets, clock.clone());
        let mut policy = Policy::default();
        policy.callbacks.backoff.base = NOT_HERE;
        change(&mut policy);
        let tools = Scripted {
            plan,
            calls: AtomicUsize::new(0),
            running: AtomicUsize::new(0),
            most_running: AtomicUsize::new(0),
            lost_running: AtomicUsize::new(0),
            beside_suspects: AtomicUsize::new(0),
            began: Mutex::default(),
            releases: Semaphore::new(0),
            refusals: Mutex::default(),
            window: Window::default(),
            gate: Mutex::new(Arc::new(gate)),
        };
        let returns = Arc::<Returns>::default();
        let environment = Arc::new(Environment {
            ledger: Faulty::new(SqliteLedger::new(database.clone())),
            queue: Graves::new(SqliteQueue::shared(database)),
            tools,
            courier: courier.expect("a courier"),
            clock,
            policy,
            observer: Arc::<Returns>::clone(&returns),
            tracer: Tracer::default(),
        });
        let worker = Worker::new(environment, concurrency);
        Self { worker, returns, ahead_ms, folder }
    }

    /// Lets time pass for leases and records; nobody waits.
    pub(super) fn let_pass(&self, seconds: i64) {
        self.ahead_ms.fetch_add(seconds * 1000, SeqCst);
    }

    pub(super) fn tools(&self) -> &Scripted {
        &self.worker.environment().tools
    }

    /// Puts the jobs out of the ledger's reach.
    pub(super) fn break_ledger(&self) {
        let database = Connection::open(self.folder.path().join("a.db")).expect("a database");
        database.execute_batch("ALTER TABLE jobs RENAME TO jobs_elsewhere").expect("renamed");
    }

    /// Sends bodies.
    pub(super) async fn send(&self, jobs: &[Value]) {
        let environment = self.worker.environment();
        let message = |job: &Value| NewMessage {
            namespace: None,
            job: None,
            body: Bytes::from(job.to_string()),
            group: None,
            first_seen: environment.clock.now(),
            delay: Duration::ZERO,
            replay_of: None,
        };
        environment.queue.send(jobs.iter().map(message).collect()).await.expect("sent");
    }

    /// Sends bodies and receives them as one batch.
    pub(super) async fn messages(&self, jobs: &[Value]) -> Vec<Message> {
        self.send(jobs).await;
        self.receive(jobs.len()).await
    }

    async fn receive(&self, count: usize) -> Vec<Message> {
        let environment = self.worker.environment();
        let received = environment.queue.receive(count, Duration::ZERO, LONG).await;
        let received = received.expect("received");
        assert_eq!(received.len(), count);
        received
    }

    /// Works off the next message that was sent, and deletes it once it is finished.
    pub(super) async fn process_next(&self) -> BatchAnswer {
        let answer = self.work_off(self.receive(1).await, LONG).await;
        let deleted = self.worker.environment().queue.delete(answer.finished.clone()).await;
        deleted.expect("deleted");
        answer
    }

    /// The same, each job in its group.
    pub(super) async fn grouped(&self, jobs: &[(&str, Value)]) -> Vec<Message> {
        let (groups, jobs): (Vec<&str>, Vec<Value>) = jobs.iter().cloned().unzip();
        let mut messages = self.messages(&jobs).await;
        messages.sort_by_key(|message| message.id.parse::<u64>().expect("a number"));
        for (message, group) in messages.iter_mut().zip(groups) {
            message.group = Some(group.to_owned());
        }
        messages
    }

    /// Works off a batch to its end.
    pub(super) async fn process(&self, jobs: &[Value]) -> BatchAnswer {
        let messages = self.messages(jobs).await;
        self.work_off(messages, LONG).await
    }

    pub(super) async fn work_off(&self, messages: Vec<Message>, time: Duration) -> BatchAnswer {
        self.worker.process(messages, Order::Any, Deadline::after(time), &Stop::default()).await
    }

    /// How long the callback of a job is to be left alone.
    pub(super) async fn due_after(&self, id: &str) -> Duration {
        let slot = self.record(id).await.and_then(|record| record.callback);
        let now = self.worker.environment().clock.now();
        slot.map_or(Duration::ZERO, |slot| slot.due_after(now))
    }

    /// A worker that shares all but what it knows itself, as one of another process does.
    pub(super) fn another_worker(&self) -> Worker<RigPorts> {
        Worker::new(self.worker.shared(), 64)
    }

    /// Works off a batch by that.
    pub(super) async fn work_off_by(
        &self,
        worker: &Worker<RigPorts>,
        messages: Vec<Message>,
    ) -> BatchAnswer {
        worker.process(messages, Order::Any, Deadline::after(LONG), &Stop::default()).await
    }

    /// The same beside the test.
    pub(super) async fn start(&self, jobs: &[Value], stop: &Stop) -> JoinHandle<BatchAnswer> {
        self.start_with(self.messages(jobs).await, Order::Any, stop)
    }

    pub(super) fn start_with(
        &self,
        messages: Vec<Message>,
        order: Order,
        stop: &Stop,
    ) -> JoinHandle<BatchAnswer> {
        let (worker, stop) = (self.worker.clone(), stop.clone());
        tokio::spawn(
            async move { worker.process(messages, order, Deadline::after(LONG), &stop).await },
        )
    }

    /// Works off a batch of a queue that keeps order within groups.
    pub(super) async fn work_off_in_order(&self, messages: Vec<Message>) -> BatchAnswer {
        let (order, stop) = (Order::WithinGroups, Stop::default());
        self.worker.process(messages, order, Deadline::after(LONG), &stop).await
    }

    /// Begins a job as a worker does that is lost at once.
    pub(super) async fn lose(&self, job: &Value, lost: Lost) -> Claim {
        let environment = self.worker.environment();
        let now = environment.clock.now();
        let job = Job::parse(&job.to_string().into()).expect("a job");
        let request = ClaimRequest {
            key: JobKey::of(&Namespace::default(), job.id()),
            namespace: Namespace::default(),
            job_id: job.id().clone(),
            tool: job.tool().clone(),
            tenant: None,
            payload_hash: job.payload_hash(),
            callback: job.callback().cloned(),
            membership: None,
            metadata: None,
            token: OwnerToken::fresh(),
            now,
            lease_ends: now,
            first_seen: now,
            record_lives: environment.policy.record_lives,
            max_attempts: environment.policy.max_attempts,
            repeat: Repeat::Safe,
            supersedes_offline: false,
            lost,
            redelivered: false,
        };
        environment.ledger.claim(request).await.expect("the ledger answers")
    }

    pub(super) async fn wait_until_running(&self, count: usize) {
        let what = format!("{count} calls run");
        wait_until(&what, || self.tools().running.load(SeqCst) == count).await;
    }

    pub(super) fn release(&self, calls: usize) {
        self.tools().releases.add_permits(calls);
    }

    pub(super) fn calls(&self) -> usize {
        self.tools().calls.load(SeqCst)
    }

    /// The ids of the jobs whose calls began, in that order.
    pub(super) fn began(&self) -> Vec<String> {
        self.tools().began.lock().expect("nobody panics with it").clone()
    }

    pub(super) fn returned(&self) -> Vec<Returned> {
        self.returns.0.lock().expect("nobody panics with it").clone()
    }

    /// Callbacks that were given up, of jobs and of batches.
    pub(super) fn dead_callbacks(&self) -> usize {
        self.returns.3.load(SeqCst)
    }

    /// Messages that need no more work.
    pub(super) fn ended(&self) -> usize {
        self.returns.1.load(SeqCst)
    }

    /// How many samples of a metric were taken.
    pub(super) fn measured(&self, metric: Metric) -> usize {
        let samples = self.returns.4.meter().0.lock().expect("nobody panics with it");
        samples.iter().filter(|sample| sample.metric == metric).count()
    }

    /// Jobs whose upstream refused us.
    pub(super) fn refused(&self) -> usize {
        self.returns.2.load(SeqCst)
    }

    /// The ledger's record of a job.
    pub(super) async fn record(&self, id: &str) -> Option<Record> {
        let key = JobKey::of(&Namespace::default(), &id.parse().expect("an id"));
        let records = self.worker.environment().ledger.read(vec![key]).await;
        records.expect("the ledger answers").remove(0)
    }
}
