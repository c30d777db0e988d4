//! A large batch over several workers that die at every step, again and again: one callback.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, Ordering::SeqCst},
    },
    time::Duration,
};

use mcp_batch::{
    clock::{Clock, Deadline, UnixMs},
    config::Source,
    environment::{Policy, Post, Unobserved},
    fan_in::{BatchKey, FanIn, deliver_if_over},
    job::Namespace,
    lease::{Claim, Ledger, Repeat, Settled, Settlement},
    secret::Secrets,
    webhook::{AllowedHosts, Courier, CourierSettings},
};
use mcp_batch_testkit::{Receiver, Reply};
use serde_json::json;
use tokio::{task::JoinSet, time::timeout};

use crate::lease_helpers::{
    START, Store, TestJob, Worker, completed, failed, interrupted, released,
};

const JOBS: u64 = 2_000;

/// Worker processes, and jobs at once in each.
const WORKERS: usize = 4;
const AT_ONCE: usize = 16;

/// How often a step is the last of its process, in percent.
const CRASHES: u8 = 4;

/// What the workers share: the messages that are not deleted, and the time.
struct Bench {
    messages: Mutex<VecDeque<u64>>,
    now_ms: AtomicI64,
    receiver: Receiver,
    courier: Courier,
    policy: Policy,
}

/// The process died in the middle of it.
struct Crashed;

/// Carries out a step of which the process may die: before it, in it, or after it.
async fn step<T>(step: impl Future<Output = T>) -> Result<T, Crashed> {
    if fastrand::u8(..100) >= CRASHES {
        return Ok(step.await);
    }
    let dies_after = Duration::from_micros(fastrand::u64(..20_000));
    let _ = timeout(dies_after, step).await;
    Err(Crashed)
}

impl Bench {
    async fn new() -> Self {
        // A second start in one process keeps the first.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let secrets = Secrets::fixed(Source::default()).expect("no secret");
        let hosts = AllowedHosts::parse("127.0.0.1").expect("a host");
        let settings = CourierSettings { hosts, ..CourierSettings::default() };
        let courier = Courier::new(settings, secrets, Clock::system()).expect("a courier");
        Self {
            messages: Mutex::new((0..JOBS).collect()),
            now_ms: AtomicI64::new(START.0),
            receiver: Receiver::start().await,
            courier,
            policy: Policy::default(),
        }
    }

    fn now(&self) -> UnixMs {
        UnixMs(self.now_ms.load(SeqCst))
    }

    fn next_message(&self) -> Option<u64> {
        self.messages.lock().expect("nobody panics with it").pop_front()
    }

    fn give_back(&self, index: u64) {
        self.messages.lock().expect("nobody panics with it").push_back(index);
    }

    fn job(&self, index: u64) -> TestJob {
        let callback = self.receiver.url("/batch");
        let size = index.is_multiple_of(7).then_some(JOBS);
        let place = json!({"id": "large", "index": index, "size": size, "callback": callback});
        let mut place = place;
        if place["size"].is_null() {
            place.as_object_mut().expect("an object").remove("size");
        }
        let job = TestJob::new(&format!("job-{index}")).membership(place);
        if index.is_multiple_of(97) { job.never_repeated() } else { job }
    }

    /// Works off messages until none is left.
    async fn work<L: Ledger>(self: Arc<Self>, worker: Worker<L>) {
        while let Some(index) = self.next_message() {
            match self.work_off(&worker, index).await {
                Ok(true) => {}
                // It comes back, by which time leases and deliveries may be over.
                Ok(false) => {
                    self.now_ms.fetch_add(1_000, SeqCst);
                    self.give_back(index);
                }
                Err(Crashed) => self.give_back(index),
            }
        }
    }

    /// One message; whether it is finished.
    async fn work_off<L: Ledger>(&self, worker: &Worker<L>, index: u64) -> Result<bool, Crashed> {
        let claim = step(worker.claim(self.job(index).claim_at(self.now()))).await?;
        let is_fresh = match claim {
            Claim::Owned(lease) => {
                let settled =
                    step(worker.settle(&lease, end_of(index, lease.attempts), self.now())).await?;
                match settled {
                    Settled::Saved(record) if record.state.is_counted() => true,
                    Settled::Saved(_) | Settled::Fenced => return Ok(false),
                }
            }
            Claim::Finished(_) | Claim::Held(_) => false,
            Claim::Busy { .. } => return Ok(false),
            other => panic!("{other:?}"),
        };
        let ledger = worker.ledger();
        let clock = Clock::new({
            let now = self.now();
            move || now
        });
        let (courier, policy) = (&self.courier, &self.policy);
        let post = Post { ledger, courier, clock: &clock, policy, observer: &Unobserved };
        let key = BatchKey::of(&Namespace::default(), &"large".parse().expect("an id"));
        let deadline = Deadline::after(Duration::from_mins(5));
        let told = step(deliver_if_over(post, key, deadline, false)).await?;
        Ok(match told.expect("the ledger answers") {
            FanIn::Settled => true,
            FanIn::Taken { .. } => is_fresh,
            FanIn::NotTaken { .. } | FanIn::NoTime | FanIn::NoTurn { .. } => false,
        })
    }
}

/// Most succeed at once; some fail, some are tried again, some are held.
fn end_of(index: u64, attempts: u32) -> Settlement {
    match index % 10 {
        1 => failed("no"),
        2 if attempts == 1 => released("again"),
        3 if index.is_multiple_of(3) => interrupted(Repeat::Never),
        _ => completed(json!({"answer": index})),
    }
}

pub(super) async fn of_two_thousand_jobs_over_dying_workers_one_callback_tells_all<S: Store>(
    store: S,
) {
    let bench = Arc::new(Bench::new().await);
    bench.receiver.respond_with((0..2).map(|_| Reply::status(500)));
    let workers: Vec<_> = (0..WORKERS).map(|_| store.worker()).collect();
    let mut tasks = JoinSet::new();
    for worker in &workers {
        for _ in 0..AT_ONCE {
            tasks.spawn(Arc::clone(&bench).work(worker.clone()));
        }
    }
    while let Some(ended) = tasks.join_next().await {
        ended.expect("no worker panics");
    }
    // What the last of them left when others had gone already.
    while !bench.messages.lock().expect("nobody panics with it").is_empty() {
        Arc::clone(&bench).work(workers[0].clone()).await;
    }

    let deliveries = bench.receiver.deliveries();
    assert!(!deliveries.is_empty());
    assert_eq!(bench.receiver.distinct_ids(), 1, "of {} deliveries", deliveries.len());
    assert!(deliveries.iter().all(|one| one.body() == deliveries[0].body()), "one body");
    let told = deliveries[0].json();
    let data = &told["data"];
    assert_eq!((&told["type"], &data["size"]), (&json!("batch.completed"), &json!(JOBS)));
    let members = workers[1].counted("large").await;
    for (status, state) in [("succeeded", "done"), ("failed", "failed"), ("held", "held")] {
        let of_state = |name: &str| name == state;
        let names = members.iter().filter_map(|member| member.record());
        let count = names.filter(|record| of_state(record.state.name())).count();
        assert!(count > 0, "{status}");
        assert_eq!(data[status], json!(count), "{status}");
    }
    let results = data["results"].as_array().expect("they fit");
    let indices: Vec<_> = results.iter().filter_map(|result| result["index"].as_u64()).collect();
    assert_eq!(indices, (0..JOBS).collect::<Vec<_>>());
    let batch = workers[2].batch("large").await;
    assert_eq!((batch.counted, batch.size), (JOBS, Some(JOBS)));
    assert_eq!(workers[3].take_batch("large", bench.now(), bench.now()).await, None, "it is told");
}
