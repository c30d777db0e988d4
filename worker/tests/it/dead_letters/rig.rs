//! Letters of seven kinds, the command, and a worker for what comes back.

use std::{fs, path::PathBuf, time::Duration};

use bytes::Bytes;
use mcp_batch::{
    clock::Clock,
    error::{ErrorClass, JobError},
    job::{JobKey, Namespace},
    lease::{Attempt, Lease, Ledger, Repeat, Settlement, State, Usage},
    queue::DeadLetter,
};
use mcp_batch_testkit::{FakeLlm, Receiver, wait_until_async};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::yard::Yard;
use crate::{
    helpers::{Run, Running, json_lines, summarize},
    lease_helpers::{TestJob, Worker, completed, interrupted},
};

/// Longer than thousands of letters take, on a machine that has much else to do.
pub(super) const LONG: Duration = Duration::from_secs(180);

/// Records that are made at once.
const AT_ONCE: usize = 32;

/// What a letter's job came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// It failed for good.
    Permanent,
    /// It failed too often.
    Exhausted,
    /// It is no job.
    Unreadable,
    /// Nobody ever claimed it; the letter bears no reason.
    NeverStarted,
    /// It is done, and its callback was not told.
    DoneUntold,
    /// It is done.
    Done,
    /// It waits for a person.
    Held,
}

impl Kind {
    fn id(self, n: usize) -> String {
        format!("{self:?}-{n}")
    }

    fn class(self) -> Option<ErrorClass> {
        match self {
            Self::Permanent => Some(ErrorClass::Permanent),
            Self::Unreadable => Some(ErrorClass::Invalid),
            Self::NeverStarted => None,
            _ => Some(ErrorClass::Exhausted),
        }
    }

    /// As a plan names it: class and state.
    fn told(self) -> (Value, &'static str, &'static str) {
        let state = match self {
            Self::Permanent | Self::Exhausted => "failed",
            Self::Unreadable => "unreadable",
            Self::NeverStarted => "never_started",
            Self::DoneUntold | Self::Done => "done",
            Self::Held => "held",
        };
        let action = match self {
            Self::Done => "drop",
            Self::DoneUntold => "tell",
            Self::Unreadable | Self::Held => "leave",
            _ => "replay",
        };
        (json!(self.class().map(ErrorClass::as_str)), state, action)
    }
}

pub(super) fn total(kinds: &[(Kind, usize)]) -> usize {
    kinds.iter().map(|(_, letters)| letters).sum()
}

/// How many letters of a kind a plan tells of.
pub(super) fn letters_of(plan: &Value, kind: Kind) -> u64 {
    let (class, state, action) = kind.told();
    let groups = plan["groups"].as_array().expect("groups").iter();
    let of_kind = groups.filter(|group| {
        group["class"] == class && group["standing"] == state && group["action"] == action
    });
    of_kind.map(|group| group["letters"].as_u64().expect("a count")).sum()
}

/// A letter, with a reason or without one.
pub(super) struct Buried {
    pub(super) letter: DeadLetter,
    pub(super) has_reason: bool,
}

pub(super) struct Rig<Y> {
    pub(super) yard: Y,
    pub(super) llm: FakeLlm,
    pub(super) receiver: Receiver,
}

impl<Y: Yard> Rig<Y> {
    pub(super) async fn new(yard: Y) -> Self {
        Self { yard, llm: FakeLlm::start().await, receiver: Receiver::start().await }
    }

    /// Lays letters of these kinds, and what the ledger knows of their jobs.
    pub(super) async fn fill(&self, kinds: &[(Kind, usize)]) {
        let worker = Worker::new(self.yard.ledger());
        let mut settling = JoinSet::new();
        let mut letters = Vec::new();
        for (kind, count) in kinds {
            for n in 0..*count {
                letters.push(self.letter(*kind, n));
                if settling.len() >= AT_ONCE {
                    settling.join_next().await.expect("one").expect("it is settled");
                }
                let (worker, kind, url) = (worker.clone(), *kind, self.receiver.url("/"));
                settling.spawn(async move { settle(&worker, kind, &kind.id(n), &url).await });
            }
        }
        while let Some(settled) = settling.join_next().await {
            settled.expect("it is settled");
        }
        self.yard.bury(letters).await;
    }

    pub(super) fn letter(&self, kind: Kind, n: usize) -> Buried {
        let mut job = job(kind, &kind.id(n), &self.receiver.url("/"));
        if kind == Kind::Unreadable {
            job["tool"] = json!(7);
        }
        let class = kind.class();
        let error = JobError::new(class.unwrap_or(ErrorClass::Invalid), "no", "it failed");
        let letter = DeadLetter {
            body: Bytes::from(job.to_string()),
            namespace: None,
            group: Some(format!("tenant-{}", n % 3)),
            error,
            job_id: Some(kind.id(n)),
            tool: Some("summarize".to_owned()),
            attempts: 1,
            epoch: (kind != Kind::Unreadable).then_some(1),
            first_seen: Clock::system().now(),
            trace: None,
            others: Box::default(),
        };
        Buried { letter, has_reason: class.is_some() }
    }

    /// `mcp-batch dlq` in this world.
    pub(super) fn dlq(&self, args: &[&str]) -> Run<'_> {
        args.iter().fold(self.yard.command("dlq"), |run, arg| run.args([arg]))
    }

    pub(super) async fn plan(&self, flags: &[&str]) -> Value {
        let planning = self.dlq(&[&["replay", "--json"], flags].concat()).start();
        let ended = planning.finish_within(LONG).await;
        assert_eq!(ended.code, Some(0), "{ended:?}");
        serde_json::from_str(&ended.stdout).expect("one JSON object")
    }

    pub(super) fn apply(&self, flags: &[&str]) -> Run<'_> {
        let applied = ["replay", "--apply", "--json", "--who", "me"];
        let why = ["--reason", "the model was wrong"];
        let rate: &[&str] = if flags.contains(&"--rate") { &[] } else { &["--rate", "600"] };
        self.dlq(&[&applied[..], &why, rate, flags].concat())
    }

    pub(super) fn journal(&self) -> PathBuf {
        self.yard.folder().path("mcp-batch-replay.jsonl")
    }

    pub(super) async fn until_journal_has(&self, lines: usize) {
        wait_until_async(&format!("{lines} jobs were sent"), async || {
            let text = fs::read_to_string(self.journal()).unwrap_or_default();
            text.lines().count() > lines
        })
        .await;
    }

    /// The audit lines of an action.
    pub(super) fn audited(&self, action: &str) -> Vec<Value> {
        let path = self.yard.folder().path("mcp-batch-audit.jsonl");
        let text = fs::read_to_string(path).unwrap_or_default();
        json_lines(&text).into_iter().filter(|line| line["action"] == action).collect()
    }

    /// How many letters lie there.
    pub(super) async fn lying(&self) -> usize {
        self.yard.counts().await.0
    }

    /// How many messages wait to be worked off.
    pub(super) async fn waiting(&self) -> usize {
        self.yard.counts().await.1
    }

    /// A worker of this world.
    pub(super) async fn worker(&self) -> Running {
        let run = self.yard.worker().llm(&self.llm).env("MCP_BATCH_CALLBACK_HOSTS", "127.0.0.1");
        let running = run.start();
        running.wait_until_it_says(self.yard.ready()).await;
        running
    }

    /// Works off what waits, of which `jobs` call the LLM.
    pub(super) async fn work_off(&self, jobs: usize) {
        let worker = self.worker().await;
        for part in 1..=20 {
            self.llm.wait_for_calls(part * jobs / 20).await;
        }
        self.until_idle().await;
        worker.terminate();
        let ended = worker.finish().await;
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    }

    pub(super) async fn until_idle(&self) {
        wait_until_async("all is worked off", async || {
            tokio::time::sleep(Duration::from_millis(50)).await;
            self.waiting().await == 0
        })
        .await;
    }

    /// Whether every job of a kind was run once more and is done.
    pub(super) async fn are_all_done_anew(&self, kind: Kind, count: usize) -> bool {
        let key = |n| {
            let id = kind.id(n).parse().expect("an id");
            JobKey::of(&Namespace::default(), &id)
        };
        let records = self.yard.ledger().read((0..count).map(key).collect()).await;
        records.expect("the ledger answers").into_iter().all(|record| {
            let is_done = |state: &State| matches!(state, State::Done(_));
            record.is_some_and(|record| is_done(&record.state) && record.epoch == 2)
        })
    }
}

fn job(kind: Kind, id: &str, callback: &str) -> Value {
    let mut job = summarize(id, "One. Two.");
    if kind == Kind::DoneUntold {
        job["callback"] = callback.into();
    }
    job
}

/// Brings the ledger to where the kind says the job stands.
async fn settle<L: Ledger>(worker: &Worker<L>, kind: Kind, id: &str, callback: &str) {
    let settlement = match kind {
        Kind::Unreadable | Kind::NeverStarted => return,
        Kind::Permanent | Kind::Exhausted => {
            let class = kind.class().unwrap_or(ErrorClass::Permanent);
            Settlement::Fail(
                JobError::new(class, "no", "it failed"),
                Usage::free(),
                Attempt::Counted,
            )
        }
        Kind::DoneUntold | Kind::Done => completed("a result"),
        Kind::Held => interrupted(Repeat::Never),
    };
    let mut test_job = TestJob::new(id).text("One. Two.");
    if kind == Kind::DoneUntold {
        test_job = test_job.callback(callback);
    }
    let now = Clock::system().now();
    let lease: Lease = worker.own(test_job.claim_at(now)).await;
    worker.save(&lease, settlement, now).await;
}
