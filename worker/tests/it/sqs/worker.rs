//! The worker on a queue in SQS, with a ledger in a file.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use mcp_batch::{
    aws::sqs::{SqsQueue, SqsSettings},
    batch::{BatchAnswer, Order, Stop, Worker},
    clock::{Clock, Deadline},
    config::Source,
    environment::{Environment, Policy, Ports, Unobserved},
    error::{ErrorClass, JobError},
    job::Job,
    lease::{Outcome, Repeat, Usage},
    local::{Database, SqliteLedger},
    poller::{Poller, PollerSettings},
    queue::{Message, NewMessage, Queue},
    secret::Secrets,
    tool::{CallContext, CallPlan, Gate, Gates, Listing, ToolError, Tools},
    trace::Tracer,
    webhook::{AllowedHosts, Courier, CourierSettings},
};
use mcp_batch_testkit::{Receiver, wait_until, wait_until_async};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{LONG, receive};
use crate::queue::store::SqsRig;

struct SqsPorts;

impl Ports for SqsPorts {
    type Ledger = SqliteLedger;
    type Queue = SqsQueue;
    type Tools = Diary;
}

/// A tool that writes down when each call began and ended, and fails those that ask for it.
#[derive(Default)]
struct Diary {
    entries: Mutex<Vec<Entry>>,
    gate: Arc<Gate>,
}

#[derive(Clone, Debug, PartialEq)]
enum Entry {
    Began(String),
    Ended(String),
}

impl Diary {
    fn note(&self, entry: Entry) {
        self.entries.lock().expect("nobody panics with it").push(entry);
    }

    fn entries(&self) -> Vec<Entry> {
        self.entries.lock().expect("nobody panics with it").clone()
    }
}

impl Tools for Diary {
    fn check(&self, _: &Job) -> Result<CallPlan, JobError> {
        Ok(CallPlan { timeout: Duration::from_secs(60), repeat: Repeat::Safe })
    }

    async fn call(&self, job: &Job, _: &CallContext) -> Result<Outcome, ToolError> {
        self.note(Entry::Began(job.id().to_string()));
        // Time enough for another call to begin, if it may.
        tokio::time::sleep(Duration::from_millis(5)).await;
        self.note(Entry::Ended(job.id().to_string()));
        if job.input().to_value()["hang"] == true {
            std::future::pending::<()>().await;
        }
        if job.input().to_value()["fail"] == true {
            let error = JobError::new(ErrorClass::Permanent, "as_told", "it failed as told");
            return Err(ToolError::free(error));
        }
        Ok(Outcome { result: json!({}), usage: Usage::free(), offline: false })
    }

    async fn list(&self) -> Listing {
        Listing { tools: Vec::new(), unreachable: Vec::new() }
    }

    fn supersedes_offline(&self) -> bool {
        false
    }

    fn gates(&self, _: &Job) -> Gates {
        Arc::clone(&self.gate).into()
    }
}

/// Workers with one ledger.
struct Bench {
    rig: SqsRig,
    database: Database,
    _folder: TempDir,
}

impl Bench {
    fn new(rig: SqsRig) -> Self {
        // A second start in one process keeps the first.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let folder = tempfile::tempdir().expect("a folder");
        let database = Database::open(&folder.path().join("a.db"), Clock::system());
        Self { rig, database: database.expect("a new ledger"), _folder: folder }
    }

    fn worker(&self) -> Worker<SqsPorts> {
        let clock = Clock::system();
        let secrets = Secrets::fixed(Source::default()).expect("no secrets");
        let hosts = AllowedHosts::parse("127.0.0.1").expect("a host");
        let settings = CourierSettings { hosts, ..CourierSettings::default() };
        let courier = Courier::new(settings, secrets, clock.clone());
        let environment = Environment {
            ledger: SqliteLedger::new(self.database.clone()),
            queue: self.rig.queue(),
            tools: Diary::default(),
            courier: courier.expect("a courier"),
            clock,
            policy: Policy::default(),
            observer: Arc::new(Unobserved),
            tracer: Tracer::default(),
        };
        Worker::new(Arc::new(environment), 8)
    }

    async fn send(&self, jobs: &[(Value, &str)]) {
        let message = |(job, group): &(Value, &str)| NewMessage {
            namespace: None,
            job: None,
            body: Bytes::from(job.to_string()),
            group: Some((*group).to_owned()),
            first_seen: Clock::system().now(),
            delay: Duration::ZERO,
            replay_of: None,
        };
        self.rig.queue().send(jobs.iter().map(message).collect()).await.expect("sent");
    }
}

fn job(id: &str, fails: bool) -> Value {
    json!({"id": id, "tool": "diary", "input": {"fail": fails}})
}

async fn process(worker: &Worker<SqsPorts>, message: &Message) -> BatchAnswer {
    let order = worker.environment().queue.order();
    let deadline = Deadline::after(LONG);
    worker.process(vec![message.clone()], order, deadline, &Stop::default()).await
}

#[tokio::test]
async fn a_dead_job_without_a_place_for_dead_letters_is_told_and_left_to_the_queue() {
    let Some(mut rig) = SqsRig::standard().await else { return };
    let dead_letter_url = rig.settings.dead_letter_url.take();
    let (mut bench, receiver) = (Bench::new(rig), Receiver::start().await);
    let mut failing = job("a", true);
    failing["callback"] = receiver.url("/told").into();
    bench.send(&[(failing, "g")]).await;
    let message = receive(&bench.rig.queue(), 1).await.remove(0);
    bench.rig.proxy.forget();

    let worker = bench.worker();
    for _ in 0..2 {
        let answer = process(&worker, &message).await;
        assert_eq!((answer.finished, answer.returned), (vec![], vec![message.id.clone()]));
    }

    let calls = worker.environment().tools.entries().len() / 2;
    assert_eq!((calls, receiver.count()), (1, 1));
    assert_eq!(bench.rig.proxy.count("sqs"), 0, "neither deferred nor deleted");

    let queue_url = bench.rig.settings.queue_url.clone();
    bench.rig.settings = SqsSettings { dead_letter_url, ..SqsSettings::new(queue_url) };
    let answer = process(&bench.worker(), &message).await;
    assert_eq!(answer.finished, [message.receipt], "once there is a place, it lies there");
    assert_eq!(bench.rig.raw_letters().await.len(), 1);
}

#[tokio::test]
async fn messages_without_a_receipt_are_left_to_the_queue() {
    let Some(rig) = SqsRig::standard().await else { return };
    let bench = Bench::new(rig);
    bench.send(&[(job("a", false), "g"), (job("b", false), "g")]).await;
    let mut messages = receive(&bench.rig.queue(), 2).await;
    for message in &mut messages {
        message.receipt.0.clear();
    }
    // It would be sent anew, were there a receipt to delete it by.
    messages[0].receive_count = 50;
    let mut ids: Vec<String> = messages.iter().map(|message| message.id.clone()).collect();
    bench.rig.proxy.forget();

    let no_time = Deadline::after(Duration::from_secs(1));
    let mut answer = bench.worker().process(messages, Order::Any, no_time, &Stop::default()).await;

    ids.sort();
    answer.returned.sort();
    assert_eq!((answer.finished, answer.returned), (vec![], ids));
    assert_eq!(bench.rig.proxy.count("sqs"), 0);
}

#[tokio::test]
async fn the_poller_deletes_a_short_job_before_a_long_one_of_its_batch_ends() {
    let Some(rig) = SqsRig::standard().await else { return };
    let bench = Bench::new(rig);
    let endless = json!({"id": "endless", "tool": "diary", "input": {"hang": true}});
    bench.send(&[(endless, "g"), (job("short", false), "g")]).await;
    let worker = bench.worker();
    let settings = PollerSettings::for_tools(8, LONG, Duration::from_secs(2));
    let (poller, stop) = (Poller::new(worker, settings), Stop::default());

    let stopping = async {
        let what = "the short one is deleted, the endless one hidden";
        wait_until_async(what, async || bench.rig.counts().await == [0, 1, 0]).await;
        stop.interrupt();
    };
    tokio::join!(poller.run(&stop), stopping);
}

#[tokio::test]
async fn the_poller_deletes_what_was_sent_anew_before_its_batch_ends() {
    let Some(mut rig) = SqsRig::standard().await else { return };
    // What is not begun is sent anew at once.
    rig.settings.visibility_budget = Duration::ZERO;
    let bench = Bench::new(rig);
    bench.send(&[(job("a", false), "g")]).await;
    let messages = receive(&bench.rig.queue(), 1).await;

    let no_time = Deadline::after(Duration::from_secs(1));
    bench.worker().process_and_delete(messages, no_time, &Stop::default()).await;

    let [visible, hidden, delayed] = bench.rig.counts().await;
    assert_eq!((hidden, visible + delayed), (0, 1), "only the new one is there");
}

#[tokio::test]
async fn the_poller_works_off_each_group_of_a_fifo_queue_in_its_order() {
    let Some(rig) = SqsRig::fifo().await else { return };
    let bench = Bench::new(rig);
    let ids: Vec<String> = (0..30).map(|n| format!("{}-{n:02}", ["a", "b", "c"][n % 3])).collect();
    let jobs: Vec<_> = ids.iter().map(|id| (job(id, false), &id[..1])).collect();
    bench.send(&jobs).await;
    let worker = bench.worker();
    let settings = PollerSettings::for_tools(8, LONG, Duration::from_secs(2));
    let (poller, stop) = (Poller::new(worker.clone(), settings), Stop::default());

    let stopping = async {
        let done = || worker.environment().tools.entries().len() == 2 * ids.len();
        wait_until("all jobs have run", done).await;
        wait_until_async("all are deleted", async || bench.rig.counts().await == [0, 0, 0]).await;
        stop.drain();
    };
    tokio::join!(poller.run(&stop), stopping);

    let entries = worker.environment().tools.entries();
    for group in ["a", "b", "c"] {
        let is_of_group = |entry: &&Entry| match entry {
            Entry::Began(id) | Entry::Ended(id) => id.starts_with(group),
        };
        let in_turn = ids.iter().filter(|id| id.starts_with(group));
        let in_turn = in_turn.flat_map(|id| [Entry::Began(id.clone()), Entry::Ended(id.clone())]);
        let of_group: Vec<_> = entries.iter().filter(is_of_group).cloned().collect();
        assert_eq!(of_group, in_turn.collect::<Vec<_>>());
    }
}
