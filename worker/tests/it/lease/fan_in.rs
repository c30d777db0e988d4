//! A large batch over several workers that die between every two steps: one callback, right totals.

mod mortal;

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicI64, Ordering::SeqCst},
    },
    time::Duration,
};

use mcp_batch::{
    clock::{Clock, Deadline, UnixMs},
    config::Source,
    environment::{Policy, Post, Unobserved},
    fan_in::{BatchKey, FanIn, deliver_if_over},
    job::Namespace,
    lease::{Claim, Ledger, Repeat, Settled, Settlement, Usage},
    secret::Secrets,
    webhook::{AllowedHosts, Courier, CourierSettings},
};
use mcp_batch_testkit::{Receiver, Reply};
use serde_json::json;
use tokio::task::JoinSet;

use self::mortal::{Moment, Mortal};
use crate::lease_helpers::{
    START, Store, TestJob, Worker, completed, failed, interrupted, released, usage,
};

const JOBS: u64 = 2_000;

/// Worker processes, and jobs at once in each.
const WORKERS: usize = 4;
const AT_ONCE: usize = 16;

/// Where a process dies that has a job for the first time: each job kills one.
const OF_A_JOB: [Moment; 3] = [Moment::Claimed, Moment::Settled, Moment::Looked];

/// Where one dies that delivers the batch's callback: each time at the next one of these.
const OF_THE_DELIVERY: [Moment; 4] = [Moment::Taken, Moment::Read, Moment::Posted, Moment::Marked];

/// What the workers share: the messages that are not deleted, the time, and who is to die.
struct Bench {
    messages: Mutex<VecDeque<u64>>,
    now_ms: AtomicI64,
    receiver: Receiver,
    courier: Courier,
    policy: Policy,
    has_killed: Vec<AtomicBool>,
    of_the_delivery: Mutex<VecDeque<Moment>>,
    deaths: Mutex<BTreeMap<Moment, u64>>,
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
            has_killed: (0..JOBS).map(|_| AtomicBool::new(false)).collect(),
            of_the_delivery: Mutex::new(OF_THE_DELIVERY.into()),
            deaths: Mutex::default(),
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

    /// Whether the process that works off this job dies at this moment.
    fn dies(&self, index: u64, moment: Moment) -> bool {
        let dies = if OF_THE_DELIVERY.contains(&moment) {
            let mut next = self.of_the_delivery.lock().expect("nobody panics with it");
            next.pop_front_if(|next| *next == moment).is_some()
        } else {
            let has_killed = &self.has_killed[usize::try_from(index).expect("a small number")];
            kills_at(index) == moment && !has_killed.swap(true, SeqCst)
        };
        if dies {
            *self.deaths.lock().expect("nobody panics with it").entry(moment).or_default() += 1;
        }
        dies
    }

    fn job(&self, index: u64) -> TestJob {
        let mut place =
            json!({"id": "large", "index": index, "callback": self.receiver.url("/batch")});
        if index.is_multiple_of(7) {
            place["size"] = JOBS.into();
        }
        let job = TestJob::new(&format!("job-{index}")).membership(place);
        if is_never_repeated(index) { job.never_repeated() } else { job }
    }

    /// Works off messages until none is left.
    async fn work<L: Ledger>(self: Arc<Self>, ledger: Arc<L>) {
        while let Some(index) = self.next_message() {
            let bench = Arc::clone(&self);
            let mortal = Mortal::new(Arc::clone(&ledger), move |moment| bench.dies(index, moment));
            let (death, worker) = (mortal.death(), Worker::new(mortal));
            let is_finished = tokio::select! {
                () = death.came() => false,
                is_finished = self.work_off(&worker, index) => {
                    // It comes back, by which time leases and deliveries may be over.
                    if !is_finished {
                        self.now_ms.fetch_add(200, SeqCst);
                    }
                    is_finished
                }
            };
            if !is_finished {
                self.give_back(index);
            }
        }
    }

    /// One message; whether it is finished.
    async fn work_off<L: Ledger>(&self, worker: &Worker<L>, index: u64) -> bool {
        let is_fresh = match worker.claim(self.job(index).claim_at(self.now())).await {
            Claim::Owned(lease) => {
                let settled = worker.settle(&lease, end_of(index, lease.attempts), self.now());
                match settled.await {
                    Settled::Saved(record) if record.state.is_counted() => true,
                    Settled::Saved(_) | Settled::Fenced | Settled::Unkept(_) => return false,
                }
            }
            Claim::Finished(_) | Claim::Held(_) => false,
            Claim::Busy { .. } => return false,
            other => panic!("{other:?}"),
        };
        let clock = Clock::new({
            let now = self.now();
            move || now
        });
        let Self { courier, policy, .. } = self;
        let ledger = worker.ledger();
        let post = Post { ledger, courier, clock: &clock, policy, observer: &Unobserved };
        let key = BatchKey::of(&Namespace::default(), &"large".parse().expect("an id"));
        let deadline = Deadline::after(Duration::from_mins(5));
        match deliver_if_over(post, key, deadline).await.expect("the ledger answers") {
            FanIn::Settled | FanIn::Sent | FanIn::Dead(_) => true,
            FanIn::Taken { .. } => is_fresh,
            FanIn::NotTaken { .. }
            | FanIn::NotDue { .. }
            | FanIn::NoTime
            | FanIn::NoTurn { .. } => false,
        }
    }
}

fn is_never_repeated(index: u64) -> bool {
    index.is_multiple_of(97)
}

fn kills_at(index: u64) -> Moment {
    OF_A_JOB[usize::try_from(index % 3).expect("a small number")]
}

/// Most succeed at once; some fail, some are tried again, some are held.
fn end_of(index: u64, attempts: u32) -> Settlement {
    match index % 10 {
        1 => failed("no"),
        2 if attempts == 1 => released("again"),
        3 if index.is_multiple_of(9) => interrupted(Repeat::Never),
        _ => completed(json!({"answer": index})),
    }
}

/// What must become of a job, and what it used, whoever died.
fn expected(index: u64) -> (&'static str, Usage) {
    let is_lost = kills_at(index) == Moment::Claimed;
    let lost = if is_lost { Usage::unknown() } else { Usage::free() };
    if is_lost && is_never_repeated(index) {
        return ("held", lost);
    }
    let mut used = lost;
    let first = if is_lost { 2 } else { 1 };
    for attempt in first.. {
        let (end, usage) = match end_of(index, attempt) {
            Settlement::Complete(outcome) => (Some("succeeded"), outcome.usage),
            Settlement::Fail(_, usage, _) => (Some("failed"), usage),
            Settlement::Interrupt(_, usage, _) => (Some("held"), usage),
            Settlement::Release(_, usage, _) => (None, usage),
        };
        used = used.plus(&usage);
        if let Some(end) = end {
            return (end, used);
        }
    }
    unreachable!("every job ends")
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
            tasks.spawn(Arc::clone(&bench).work(worker.shared()));
        }
    }
    while let Some(ended) = tasks.join_next().await {
        ended.expect("no worker panics");
    }
    // What the last of them left when others had gone already.
    while !bench.messages.lock().expect("nobody panics with it").is_empty() {
        Arc::clone(&bench).work(workers[0].shared()).await;
    }

    let mut due: BTreeMap<_, u64> = OF_THE_DELIVERY.into_iter().map(|moment| (moment, 1)).collect();
    (0..JOBS).for_each(|index| *due.entry(kills_at(index)).or_default() += 1);
    assert_eq!(*bench.deaths.lock().expect("nobody panics with it"), due, "all have died");
    let deliveries = bench.receiver.deliveries();
    assert_eq!(deliveries.len(), 2 + 2, "two that failed, one that nobody noted, and one");
    assert_eq!(bench.receiver.distinct_ids(), 1);
    assert!(deliveries.iter().all(|one| one.body() == deliveries[0].body()), "one body");
    let told = deliveries[0].json();
    let data = &told["data"];
    assert_eq!((&told["type"], &data["size"]), (&json!("batch.completed"), &json!(JOBS)));

    let (mut ends, mut used) = (BTreeMap::<_, u64>::new(), Usage::free());
    for (end, usage) in (0..JOBS).map(expected) {
        *ends.entry(end).or_default() += 1;
        used = used.plus(&usage);
    }
    for (end, count) in ends {
        assert_eq!(data[end], json!(count), "{end}");
    }
    assert!(used.input_tokens > JOBS * usage().input_tokens * 9 / 10);
    for (name, sum) in [
        ("input_tokens", json!(used.input_tokens)),
        ("output_tokens", json!(used.output_tokens)),
        ("cost_usd", json!(used.cost_usd)),
        ("unpriced_calls", json!(used.unpriced_calls)),
    ] {
        assert_eq!(data["usage"][name], sum, "{name}");
    }
    let results = data["results"].as_array().expect("they fit");
    let indices: Vec<_> = results.iter().filter_map(|result| result["index"].as_u64()).collect();
    assert_eq!(indices, (0..JOBS).collect::<Vec<_>>());
    let batch = workers[2].batch("large").await;
    assert_eq!((batch.counted, batch.size), (JOBS, Some(JOBS)));
    assert_eq!(workers[3].take_batch("large", bench.now(), bench.now()).await, None, "it is told");
}
