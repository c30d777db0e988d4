//! What people may do to a job: cancel it, run it again, decide how it ended.

use mcp_batch::lease::{
    CallbackSlot, Claim, DeadLetterState, Decision, Ledger, Record, Refusal, Repeat, State, Usage,
};

use crate::lease_helpers::{
    MAX_ATTEMPTS, START, Store, TestJob, Worker, after_s, callback, come_upon, completed, error,
    expiry, failed, interrupted, released,
};

const CALLBACK: &str = "https://n8n.example.com/";

/// Brings a new job into the state of that name.
async fn bring_to<L: Ledger>(worker: &Worker<L>, state: &str) -> (TestJob, Record) {
    let job = TestJob::new(state).callback(CALLBACK);
    if state == "cancelled" {
        worker.cancel(job.claim()).await.expect("nobody knows it");
    } else {
        let lease = worker.own(job.claim()).await;
        let settlement = match state {
            "retry" => Some(released("no")),
            "done" => Some(completed("yes")),
            "failed" => Some(failed("no")),
            "held" => Some(interrupted(Repeat::Never)),
            _ => None,
        };
        if let Some(settlement) = settlement {
            worker.save(&lease, settlement, START).await;
        }
    }
    let record = worker.record(&job).await;
    assert_eq!(record.state.name(), state);
    (job, record)
}

pub(super) async fn an_unknown_job_that_is_cancelled_never_runs<S: Store>(store: S) {
    let worker = store.worker();
    let job = TestJob::new("a").callback(CALLBACK);

    let tombstone = worker.cancel(job.claim()).await.expect("nobody knows it");

    assert_eq!(tombstone.state, State::Cancelled);
    assert_eq!((tombstone.epoch, tombstone.attempts), (0, 0));
    assert_eq!((tombstone.payload_hash, tombstone.expires), (None, expiry()));
    assert_eq!(worker.record(&job).await, tombstone);
    for later in [job.claim_at(after_s(1)), job.clone().text("Two.").claim_at(after_s(1))] {
        let answer = worker.claim(later).await;
        assert!(matches!(&answer, Claim::Cancelled(same) if **same == tombstone), "{answer:?}");
    }
    assert_eq!(worker.record(&job).await, tombstone);
}

pub(super) async fn a_job_waiting_for_another_try_can_be_cancelled<S: Store>(store: S) {
    let worker = store.worker();
    let (job, retry) = bring_to(&worker, "retry").await;

    let cancelled = worker.cancel(job.claim_at(after_s(1))).await.expect("it does not run");

    assert_eq!((&cancelled.state, cancelled.settled), (&State::Cancelled, after_s(1)));
    assert_eq!((cancelled.epoch, cancelled.attempts), (retry.epoch, retry.attempts));
    assert_eq!(cancelled.usage, retry.usage, "what it cost is not forgotten");
    assert_eq!(worker.record(&job).await, cancelled);
    let answer = worker.claim(job.claim_at(after_s(2))).await;
    assert!(matches!(answer, Claim::Cancelled(_)), "{answer:?}");
}

pub(super) async fn what_runs_or_has_ended_cannot_be_cancelled<S: Store>(store: S) {
    let worker = store.worker();
    for state in ["running", "done", "failed", "held", "cancelled"] {
        let (job, record) = bring_to(&worker, state).await;
        let refusal = worker.cancel(job.claim_at(after_s(1))).await;
        assert_eq!(refusal, Err(Refusal::State(state)));
        assert_eq!(worker.record(&job).await, record, "{state}");
    }
}

pub(super) async fn a_replayed_job_starts_over_and_keeps_its_epoch<S: Store>(store: S) {
    let worker = store.worker();
    let job = TestJob::new("a");
    for _ in 0..MAX_ATTEMPTS {
        let lease = worker.own(job.claim()).await;
        worker.save(&lease, released("again"), START).await;
    }
    worker.claim(job.claim()).await;
    let dead = worker.record(&job).await;
    assert_eq!(dead.state.name(), "failed");

    let replayed =
        worker.decide(job.key(), job.replay(dead.epoch), after_s(9)).await.expect("it failed");

    assert_eq!(replayed.state, State::Retry(None));
    assert_eq!((replayed.attempts, replayed.epoch), (0, dead.epoch));
    assert_eq!((replayed.dead_letter, replayed.first_seen), (DeadLetterState::None, after_s(9)));
    assert_eq!(replayed.usage, dead.usage, "what it cost is not forgotten");
    assert_eq!(worker.record(&job).await, replayed);
    let lease = worker.own(job.claim_at(after_s(9))).await;
    assert_eq!((lease.epoch, lease.attempts), (dead.epoch + 1, 1));
}

pub(super) async fn of_two_who_replay_one_run_the_slower_does_not_replay_the_next<S: Store>(
    store: S,
) {
    let (quick, slow) = (store.worker(), store.worker());
    let (job, seen) = bring_to(&quick, "failed").await;
    slow.record(&job).await;
    quick.decide(job.key(), job.replay(seen.epoch), after_s(1)).await.expect("it failed");
    let lease = quick.own(job.claim_at(after_s(2))).await;
    let again = quick.save(&lease, failed("again"), after_s(3)).await;

    let late = slow.decide(job.key(), job.replay(seen.epoch), after_s(4)).await;

    assert_eq!(late, Err(Refusal::Epoch(again.epoch)));
    assert_eq!(slow.record(&job).await, again);
}

pub(super) async fn a_replayed_job_may_bring_another_payload<S: Store>(store: S) {
    let worker = store.worker();
    let (job, failed) = bring_to(&worker, "failed").await;
    let better = job.clone().text("Better.");

    worker.decide(job.key(), better.replay(failed.epoch), START).await.expect("it failed");

    let answer = worker.claim(job.claim()).await;
    assert!(matches!(answer, Claim::Conflict(_)), "the old payload is another job: {answer:?}");
    worker.own(better.claim()).await;
}

pub(super) async fn a_cancelled_job_can_be_replayed<S: Store>(store: S) {
    let worker = store.worker();
    let (job, cancelled) = bring_to(&worker, "cancelled").await;

    worker.decide(job.key(), job.replay(cancelled.epoch), START).await.expect("it was cancelled");

    assert_eq!(worker.own(job.claim()).await.epoch, 1);
}

pub(super) async fn only_what_failed_is_held_or_cancelled_can_be_replayed<S: Store>(store: S) {
    let worker = store.worker();
    for state in ["running", "retry", "done"] {
        let (job, record) = bring_to(&worker, state).await;
        let refusal = worker.decide(job.key(), job.replay(record.epoch), after_s(1)).await;
        assert_eq!(refusal, Err(Refusal::State(state)));
        assert_eq!(worker.record(&job).await, record, "{state}");
    }
    for state in ["failed", "held", "cancelled"] {
        let (job, record) = bring_to(&worker, state).await;
        let replay = job.replay(record.epoch);
        let replayed = worker.decide(job.key(), replay, after_s(1)).await;
        assert_eq!(replayed.expect(state).state, State::Retry(None));
    }
}

pub(super) async fn a_held_job_can_be_failed_by_a_person<S: Store>(store: S) {
    let worker = store.worker();
    let (job, held) = bring_to(&worker, "held").await;
    let why = error("a person says so");

    let decided = worker.decide(job.key(), Decision::Fail(why.clone()), after_s(1)).await;

    let record = decided.expect("it is held");
    assert_eq!((&record.state, record.settled), (&State::Failed(why), after_s(1)));
    assert_eq!(record.dead_letter, DeadLetterState::Sent, "nobody has the text of its letter");
    assert_eq!(record.callback, Some(CallbackSlot::pending(callback(CALLBACK))));
    assert_eq!((record.epoch, &record.usage), (held.epoch, &held.usage));
    assert_eq!(worker.record(&job).await, record);
}

pub(super) async fn a_held_job_can_be_given_its_result_by_a_person<S: Store>(store: S) {
    let worker = store.worker();
    let (job, held) = bring_to(&worker, "held").await;

    let decision = Decision::Succeed("what the tool's own log says".into());
    let record = worker.decide(job.key(), decision, after_s(1)).await.expect("it is held");

    assert_eq!(record.state, State::Done("what the tool's own log says".into()));
    assert_eq!(record.dead_letter, DeadLetterState::None);
    assert_eq!(record.callback, Some(CallbackSlot::pending(callback(CALLBACK))));
    assert_eq!((record.epoch, &record.usage), (held.epoch, &Usage::unknown()));
    let answer = worker.claim(job.claim_at(after_s(2))).await;
    let record = come_upon(record);
    assert!(matches!(&answer, Claim::Finished(same) if **same == record), "{answer:?}");
}

pub(super) async fn only_a_held_job_takes_a_persons_outcome<S: Store>(store: S) {
    let worker = store.worker();
    for state in ["running", "retry", "done", "failed", "cancelled"] {
        let (job, record) = bring_to(&worker, state).await;
        for decision in [Decision::Fail(error("no")), Decision::Succeed("yes".into())] {
            let refusal = worker.decide(job.key(), decision, after_s(1)).await;
            assert_eq!(refusal, Err(Refusal::State(state)));
        }
        assert_eq!(worker.record(&job).await, record, "{state}");
    }
}

pub(super) async fn nothing_is_decided_about_an_unknown_job<S: Store>(store: S) {
    let worker = store.worker();
    let job = TestJob::new("unknown");
    for decision in [job.replay(0), Decision::Fail(error("no")), Decision::Succeed("yes".into())] {
        assert_eq!(worker.decide(job.key(), decision, START).await, Err(Refusal::Unknown));
    }
    assert_eq!(worker.look(job.key()).await, None);
}
