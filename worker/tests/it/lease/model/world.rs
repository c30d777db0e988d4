//! The workers and the true time.

use mcp_batch::{
    clock::UnixMs,
    lease::{
        Attempt, Claim, ClaimRequest, Decision, Delivery, Failure, Lease, Ledger, Mark, Outcome,
        Record, Repeat, Settled, Settlement, Usage,
    },
};

use super::{
    step::{Answer, End, Handoff, JOBS, Step, Verdict, WORKERS},
    watch::{Did, Violation, Watch, numbered},
};
use crate::lease_helpers::{START, TestJob, Worker, tried, usage};

/// How long a call may take before its worker stops it.
const CALL_MS: i64 = 10_000;

/// How much longer its lease lasts.
const GRACE_MS: i64 = 2000;

const CALLBACK: &str = "https://n8n.example.com/";

/// How far the workers' clocks are from the true time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Clocks {
    /// Any two at most the grace apart.
    Close,
    /// Hours apart.
    Wild,
}

impl Clocks {
    fn skew(self, share: i64) -> i64 {
        match self {
            Self::Close => share * (GRACE_MS / 2) / 100,
            Self::Wild => share * 72_000,
        }
    }
}

pub(super) struct World<'a, L> {
    ledger: &'a Worker<L>,
    clocks: Clocks,
    jobs: [TestJob; JOBS],
    desks: [Desk; WORKERS],
    now_ms: i64,
    settlements: u64,
    watch: Watch,
}

/// What one worker knows.
#[derive(Default)]
struct Desk {
    skew_ms: i64,
    runs: Vec<Run>,
    unheard: Vec<Request>,
}

/// A job that a worker believes to own.
#[derive(Clone)]
struct Run {
    job: usize,
    lease: Lease,
}

/// A request that was sent.
#[expect(clippy::large_enum_variant, reason = "there are never more than a few")]
enum Request {
    Claim { job: usize, request: Box<ClaimRequest>, call_ends_ms: i64, first: Option<Lease> },
    Settle { run: Run, settlement: Settlement, first: Option<Box<Record>> },
}

impl<'a, L: Ledger> World<'a, L> {
    pub(super) fn new(ledger: &'a Worker<L>, case: u64, clocks: Clocks) -> Self {
        let batch = format!("batch-{case}");
        let job = |index: u64| {
            TestJob::new(&format!("job-{case}-{index}")).member_of(&batch, index, JOBS as u64)
        };
        let jobs = [job(0).callback(CALLBACK), job(1).never_repeated(), job(2)];
        let keys = jobs.iter().map(TestJob::key).collect();
        Self {
            ledger,
            clocks,
            desks: Default::default(),
            now_ms: START.0,
            settlements: 0,
            watch: Watch::new(batch, keys),
            jobs,
        }
    }

    pub(super) async fn play(mut self, steps: &[Step]) -> Result<(), Violation> {
        for step in steps {
            self.step(step).await?;
        }
        self.assert_nothing_is_stuck().await
    }

    async fn step(&mut self, step: &Step) -> Result<(), Violation> {
        match *step {
            Step::Claim { worker, job, other_payload, has_llm, answer } => {
                let job_asked = self.as_asked(job, other_payload, has_llm);
                let mut request = job_asked.claim_at(self.clock(worker));
                request.lease_ends = UnixMs(request.now.0 + CALL_MS + GRACE_MS);
                let call_ends_ms = self.now_ms + CALL_MS;
                let request =
                    Request::Claim { job, request: request.into(), call_ends_ms, first: None };
                self.send(worker, request, answer).await
            }
            Step::Settle { worker, run, end, answer } => {
                let runs = &mut self.desks[worker].runs;
                if runs.is_empty() {
                    return Ok(());
                }
                let run = runs.remove(run % runs.len());
                let settlement = self.settlement(run.job, end);
                let request = Request::Settle { run, settlement, first: None };
                self.send(worker, request, answer).await
            }
            Step::Repeat { worker, request } => {
                let unheard = &mut self.desks[worker].unheard;
                if unheard.is_empty() {
                    return Ok(());
                }
                let request = unheard.remove(request % unheard.len());
                self.send(worker, request, Answer::Heard).await
            }
            Step::Mark { job, epochs_ago, handoff } => self.mark(job, epochs_ago, handoff).await,
            Step::Cancel { job } => {
                let request = self.jobs[job].claim_at(UnixMs(self.now_ms));
                let is_refused = self.ledger.cancel(request.clone()).await.is_err();
                let did = Did::Cancelled { job, now: request.now, is_refused };
                self.watch.check(self.ledger, did).await
            }
            Step::Decide { job, verdict } => self.decide(job, verdict).await,
            Step::Crash { worker } => {
                for run in std::mem::take(&mut self.desks[worker]).runs {
                    self.watch.call_ends(&run.lease, self.now_ms);
                }
                Ok(())
            }
            Step::SetClock { worker, share } => {
                self.desks[worker].skew_ms = self.clocks.skew(share);
                Ok(())
            }
            Step::Pass { ms } => {
                self.now_ms += ms;
                Ok(())
            }
        }
    }

    fn clock(&self, worker: usize) -> UnixMs {
        UnixMs(self.now_ms + self.desks[worker].skew_ms)
    }

    fn as_asked(&self, job: usize, other_payload: bool, has_llm: bool) -> TestJob {
        let mut asked = self.jobs[job].clone();
        if other_payload {
            asked = asked.text("Another one.");
        }
        if has_llm { asked.superseding_offline() } else { asked }
    }

    fn next_number(&mut self) -> u64 {
        self.settlements += 1;
        self.settlements
    }

    fn settlement(&mut self, job: usize, end: End) -> Settlement {
        let number = self.next_number();
        let error = numbered(number);
        match end {
            End::Complete { offline } => {
                Settlement::Complete(Outcome { result: number.into(), usage: usage(), offline })
            }
            End::Fail => Settlement::Fail(error, usage(), Attempt::Counted),
            End::Release { counted: true } => Settlement::Release(error, usage(), Attempt::Counted),
            End::Release { counted: false } => {
                Settlement::Release(error, usage(), Attempt::NotCounted)
            }
            End::Interrupt => {
                let repeat = if job == 1 { Repeat::Never } else { Repeat::Safe };
                Settlement::Interrupt(error, Usage::unknown(), repeat)
            }
        }
    }

    async fn send(
        &mut self,
        worker: usize,
        request: Request,
        answer: Answer,
    ) -> Result<(), Violation> {
        match request {
            Request::Claim { job, request, call_ends_ms, first } => {
                let claim = self.ledger.claim((*request).clone()).await;
                let did =
                    Did::Claimed { job, request: &request, first: first.as_ref(), answer: &claim };
                self.watch.check(self.ledger, did).await?;
                let owned = match claim {
                    Claim::Owned(lease) => Some(lease),
                    _ => None,
                };
                match (answer, owned) {
                    (Answer::Lost, first) => {
                        let unheard = Request::Claim { job, request, call_ends_ms, first };
                        self.desks[worker].unheard.push(unheard);
                    }
                    (Answer::Heard, Some(lease)) => self.begin(worker, job, lease, call_ends_ms)?,
                    (Answer::Heard, None) => {}
                }
            }
            Request::Settle { run, settlement, first } => {
                self.watch.call_ends(&run.lease, self.now_ms);
                let now = self.clock(worker);
                let settled = self.ledger.settle(&run.lease, settlement.clone(), now).await;
                let Run { job, lease } = &run;
                let did = Did::Settled {
                    job: *job,
                    lease,
                    settlement: &settlement,
                    first: first.as_deref(),
                    answer: &settled,
                };
                self.watch.check(self.ledger, did).await?;
                if matches!(answer, Answer::Lost) {
                    let first = match settled {
                        Settled::Saved(record) => Some(record),
                        Settled::Fenced | Settled::Unkept(_) => None,
                    };
                    let unheard = Request::Settle { run, settlement, first };
                    self.desks[worker].unheard.push(unheard);
                }
            }
        }
        Ok(())
    }

    /// The worker calls the tool, until it settles or its time is over.
    fn begin(
        &mut self,
        worker: usize,
        job: usize,
        lease: Lease,
        call_ends_ms: i64,
    ) -> Result<(), Violation> {
        if self.clocks == Clocks::Close {
            self.watch.call_begins(&lease, self.now_ms, call_ends_ms)?;
        }
        self.desks[worker].runs.push(Run { job, lease });
        Ok(())
    }

    async fn mark(
        &mut self,
        job: usize,
        epochs_ago: u64,
        handoff: Handoff,
    ) -> Result<(), Violation> {
        let mark = match handoff {
            Handoff::CallbackSent => tried(CALLBACK, Delivery::Sent),
            Handoff::CallbackFailed => tried(CALLBACK, Delivery::Failed(Failure::NotTaken)),
            Handoff::DeadLetterSent => Mark::DeadLetterSent,
        };
        let epoch = self.watch.epoch(job).saturating_sub(epochs_ago);
        self.ledger.mark_epoch(self.jobs[job].key(), epoch, mark).await;
        self.watch.check(self.ledger, Did::Marked { job, is_stale: epochs_ago > 0 }).await
    }

    async fn decide(&mut self, job: usize, verdict: Verdict) -> Result<(), Violation> {
        let decision = match verdict {
            Verdict::Replay { other_payload } => {
                self.as_asked(job, other_payload, false).replay(self.watch.epoch(job))
            }
            Verdict::Fail => Decision::Fail(numbered(self.next_number())),
            Verdict::Succeed => Decision::Succeed(self.next_number().into()),
        };
        let key = self.jobs[job].key();
        let is_refused = self.ledger.decide(key, decision, UnixMs(self.now_ms)).await.is_err();
        self.watch.check(self.ledger, Did::Decided { job, is_refused }).await
    }

    /// Once every lease is over, nobody is told to wait.
    async fn assert_nothing_is_stuck(self) -> Result<(), Violation> {
        let much_later = UnixMs(self.now_ms + 24 * 3_600_000);
        for job in &self.jobs {
            let answer = self.ledger.claim(job.claim_at(much_later)).await;
            if let Claim::Busy { until } = answer {
                return Err(Violation::new("nothing is stuck", format!("busy until {until:?}")));
            }
        }
        Ok(())
    }
}
