//! What can happen next.

use proptest::{collection::vec, prelude::*};

/// Workers that share the ledger.
pub(super) const WORKERS: usize = 4;

/// Jobs they share.
pub(super) const JOBS: usize = 3;

/// One thing that happens. Numbers that choose are taken modulo what there is to choose from.
#[derive(Clone, Debug)]
pub(super) enum Step {
    /// A worker asks for a job.
    Claim { worker: usize, job: usize, other_payload: bool, has_llm: bool, answer: Answer },
    /// A worker ends a run that it believes to own.
    Settle { worker: usize, run: usize, end: End, answer: Answer },
    /// A request whose answer was lost is sent again.
    Repeat { worker: usize, request: usize },
    /// What became of a hand-off is noted, perhaps that of an earlier epoch.
    Mark { job: usize, epochs_ago: u64, handoff: Handoff },
    /// Somebody cancels a job.
    Cancel { job: usize },
    /// A person decides about a job.
    Decide { job: usize, verdict: Verdict },
    /// A worker forgets everything.
    Crash { worker: usize },
    /// A worker's clock is set, so far from the true time.
    SetClock { worker: usize, share: i64 },
    /// Time passes.
    Pass { ms: i64 },
}

/// Whether the worker hears what the ledger says.
#[derive(Clone, Copy, Debug)]
pub(super) enum Answer {
    Heard,
    Lost,
}

/// How a run ends.
#[derive(Clone, Copy, Debug)]
pub(super) enum End {
    Complete { offline: bool },
    Fail,
    Release { counted: bool },
    Interrupt,
}

/// A hand-off that ended.
#[derive(Clone, Copy, Debug)]
pub(super) enum Handoff {
    CallbackSent,
    CallbackFailed,
    DeadLetterSent,
}

/// What a person wants.
#[derive(Clone, Copy, Debug)]
pub(super) enum Verdict {
    Replay { other_payload: bool },
    Fail,
    Succeed,
}

/// Any order of steps.
pub(super) fn steps() -> impl Strategy<Value = Vec<Step>> {
    vec(step(), 1..80)
}

fn step() -> impl Strategy<Value = Step> {
    let worker = || 0..WORKERS;
    let job = || 0..JOBS;
    let rarely = || prop::bool::weighted(0.1);
    prop_oneof![
        8 => (worker(), job(), rarely(), any::<bool>(), answer()).prop_map(
            |(worker, job, other_payload, has_llm, answer)| Step::Claim {
                worker, job, other_payload, has_llm, answer,
            }
        ),
        8 => (worker(), any::<usize>(), end(), answer())
            .prop_map(|(worker, run, end, answer)| Step::Settle { worker, run, end, answer }),
        4 => (worker(), any::<usize>())
            .prop_map(|(worker, request)| Step::Repeat { worker, request }),
        2 => (job(), 0..3_u64, handoff())
            .prop_map(|(job, epochs_ago, handoff)| Step::Mark { job, epochs_ago, handoff }),
        1 => job().prop_map(|job| Step::Cancel { job }),
        2 => (job(), verdict()).prop_map(|(job, verdict)| Step::Decide { job, verdict }),
        1 => worker().prop_map(|worker| Step::Crash { worker }),
        1 => (worker(), -100..=100_i64)
            .prop_map(|(worker, share)| Step::SetClock { worker, share }),
        8 => pause().prop_map(|ms| Step::Pass { ms }),
    ]
}

fn answer() -> impl Strategy<Value = Answer> {
    prop_oneof![2 => Just(Answer::Heard), 1 => Just(Answer::Lost)]
}

fn end() -> impl Strategy<Value = End> {
    prop_oneof![
        any::<bool>().prop_map(|offline| End::Complete { offline }),
        Just(End::Fail),
        any::<bool>().prop_map(|counted| End::Release { counted }),
        Just(End::Interrupt),
    ]
}

fn handoff() -> impl Strategy<Value = Handoff> {
    prop_oneof![
        Just(Handoff::CallbackSent),
        Just(Handoff::CallbackFailed),
        Just(Handoff::DeadLetterSent),
    ]
}

fn verdict() -> impl Strategy<Value = Verdict> {
    prop_oneof![
        3 => prop::bool::weighted(0.1)
            .prop_map(|other_payload| Verdict::Replay { other_payload }),
        1 => Just(Verdict::Fail),
        1 => Just(Verdict::Succeed),
    ]
}

/// Moments, the better part of a lease, a lease and more, and once in a while a record's life.
fn pause() -> impl Strategy<Value = i64> {
    prop_oneof![
        20 => 1..1000_i64,
        30 => 1000..12_000_i64,
        20 => 12_000..20_000_i64,
        1 => Just(46 * 86_400_000_i64),
    ]
}
