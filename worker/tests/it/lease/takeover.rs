//! Workers that are lost, paused, or late, and clocks that differ.

use mcp_batch::{
    clock::UnixMs,
    error::ErrorClass,
    lease::{CallbackSlot, Claim, DeadLetterState, Decision, Repeat, State, Usage},
};

use crate::lease_helpers::{
    LEASE_S, MAX_ATTEMPTS, START, Store, TestJob, after_s, callback, come_upon, completed, error,
    every_settlement, failed, interrupted, released, usage,
};

const OVER: UnixMs = UnixMs(START.0 + LEASE_S * 1000);

pub(super) async fn a_lost_workers_job_is_taken_over_and_its_cost_is_unknown<S: Store>(store: S) {
    let (lost, next) = (store.worker(), store.worker());
    let job = TestJob::new("a").callback("https://old.example.com/");
    lost.own(job.claim()).await;

    let redelivered = job.clone().callback("https://new.example.com/");
    let lease = next.own(redelivered.claim_at(OVER)).await;

    assert_eq!((lease.epoch, lease.attempts, &lease.usage), (2, 2, &Usage::unknown()));
    let record = next.save(&lease, completed("yes"), OVER).await;
    assert_eq!(record.usage, Usage { unpriced_calls: 1, ..usage() });
    let latest = CallbackSlot::pending(callback("https://new.example.com/"));
    assert_eq!(record.callback, Some(latest), "the latest message's callback counts");
}

pub(super) async fn a_late_result_does_not_replace_the_new_owners<S: Store>(store: S) {
    let (late, owner) = (store.worker(), store.worker());
    let job = TestJob::new("a");
    let old = late.own(job.claim()).await;
    let new = owner.own(job.claim_at(OVER)).await;

    late.assert_fenced(&old, completed("late"), OVER).await;
    let record = owner.save(&new, completed("the owner's"), OVER).await;
    late.assert_fenced(&old, completed("late"), OVER).await;

    assert_eq!(owner.record(&job).await, record);
    assert_eq!(record.state, State::Done("the owner's".into()));
}

pub(super) async fn a_late_failure_cannot_fail_the_new_owners_job<S: Store>(store: S) {
    let (late, owner) = (store.worker(), store.worker());
    let job = TestJob::new("a");
    let old = late.own(job.claim()).await;
    let new = owner.own(job.claim_at(OVER)).await;

    late.assert_fenced(&old, failed("late"), OVER).await;
    owner.save(&new, failed("the owner's"), OVER).await;
    late.assert_fenced(&old, failed("late"), OVER).await;
}

pub(super) async fn a_late_failure_cannot_release_the_new_owners_lease<S: Store>(store: S) {
    let (late, owner, third) = (store.worker(), store.worker(), store.worker());
    let job = TestJob::new("a");
    let old = late.own(job.claim()).await;
    let new = owner.own(job.claim_at(OVER)).await;

    for settlement in [released("late"), interrupted(Repeat::Safe), interrupted(Repeat::Never)] {
        late.assert_fenced(&old, settlement, OVER).await;
        let answer = third.claim(job.claim_at(OVER)).await;
        assert!(matches!(answer, Claim::Busy { until } if until == new.ends), "{answer:?}");
    }

    owner.save(&new, completed("the owner's"), OVER).await;
}

pub(super) async fn nothing_late_is_saved_after_the_new_owner_released_the_job<S: Store>(store: S) {
    let (late, owner) = (store.worker(), store.worker());
    let job = TestJob::new("a");
    let old = late.own(job.claim()).await;
    let new = owner.own(job.claim_at(OVER)).await;
    owner.save(&new, released("the owner's"), OVER).await;

    for settlement in every_settlement() {
        late.assert_fenced(&old, settlement, OVER).await;
    }
}

pub(super) async fn a_lost_workers_job_that_must_not_be_repeated_is_held<S: Store>(store: S) {
    let (lost, next) = (store.worker(), store.worker());
    let job = TestJob::new("a").never_repeated();
    lost.own(job.claim()).await;

    let answer = next.claim(job.claim_at(OVER)).await;
    let record = next.record(&job).await;

    assert!(matches!(&answer, Claim::Held(held) if **held == record), "{answer:?}");
    let State::Held(why) = &record.state else { panic!("{record:?}") };
    assert_eq!(why.class, ErrorClass::Interrupted);
    assert_eq!((record.epoch, record.attempts, record.settled), (1, 1, OVER));
    assert_eq!(record.usage, Usage::unknown());
    let again = next.claim(job.claim_at(OVER)).await;
    assert!(matches!(&again, Claim::Held(held) if **held == record), "{again:?}");
    assert_eq!(next.record(&job).await, record);
}

pub(super) async fn the_paused_owner_of_a_held_job_cannot_settle_it<S: Store>(store: S) {
    let (paused, other) = (store.worker(), store.worker());
    let job = TestJob::new("a").never_repeated();
    let lease = paused.own(job.claim()).await;
    other.claim(job.claim_at(OVER)).await;

    for settlement in every_settlement() {
        paused.assert_fenced(&lease, settlement, OVER).await;
    }
}

pub(super) async fn the_paused_owner_of_a_held_job_cannot_settle_it_after_a_person_decided<
    S: Store,
>(
    store: S,
) {
    let (paused, other) = (store.worker(), store.worker());
    for (id, state) in [("a", "done"), ("b", "failed"), ("c", "retry")] {
        let job = TestJob::new(id).never_repeated();
        let lease = paused.own(job.claim()).await;
        other.claim(job.claim_at(OVER)).await;
        let decision = match state {
            "done" => Decision::Succeed("a person's".into()),
            "failed" => Decision::Fail(error("a person's")),
            _ => job.replay(lease.epoch),
        };
        let record = other.decide(job.key(), decision, OVER).await.expect("it is held");
        assert_eq!(record.state.name(), state);

        for settlement in every_settlement() {
            paused.assert_fenced(&lease, settlement, OVER).await;
        }
    }
}

pub(super) async fn spent_attempts_fail_the_job_with_its_dead_letter_pending<S: Store>(store: S) {
    let worker = store.worker();
    let job = TestJob::new("a").callback("https://n8n.example.com/");
    for _ in 0..MAX_ATTEMPTS {
        let lease = worker.own(job.claim()).await;
        worker.save(&lease, released("again"), START).await;
    }

    let answer = worker.claim(job.claim_at(after_s(1))).await;
    let record = worker.record(&job).await;

    assert!(matches!(&answer, Claim::Finished(failed) if **failed == record), "{answer:?}");
    let State::Failed(why) = &record.state else { panic!("{record:?}") };
    assert_eq!((why.class, why.code.as_ref()), (ErrorClass::Exhausted, "again"));
    assert_eq!((record.attempts, record.epoch), (MAX_ATTEMPTS, u64::from(MAX_ATTEMPTS)));
    assert_eq!(record.dead_letter, DeadLetterState::Pending);
    assert_eq!(record.callback, Some(CallbackSlot::pending(callback("https://n8n.example.com/"))));
    assert_eq!(record.usage.input_tokens, 10 * u64::from(MAX_ATTEMPTS));
    let again = worker.claim(job.claim_at(after_s(2))).await;
    let record = come_upon(record);
    assert!(matches!(&again, Claim::Finished(failed) if **failed == record), "{again:?}");
}

pub(super) async fn the_last_attempts_lost_worker_leaves_a_failed_job_it_cannot_settle<S: Store>(
    store: S,
) {
    let (lost, other) = (store.worker(), store.worker());
    let job = TestJob::new("a");
    for _ in 1..MAX_ATTEMPTS {
        let lease = lost.own(job.claim()).await;
        lost.save(&lease, released("again"), START).await;
    }
    let lease = lost.own(job.claim()).await;
    let busy = other.claim(job.claim_at(UnixMs(OVER.0 - 1))).await;
    assert!(matches!(busy, Claim::Busy { .. }), "the last attempt has its time: {busy:?}");

    let answer = other.claim(job.claim_at(OVER)).await;

    let Claim::Finished(record) = answer else { panic!("{answer:?}") };
    let State::Failed(why) = &record.state else { panic!("{record:?}") };
    assert_eq!((why.class, why.code.as_ref()), (ErrorClass::Exhausted, "lease_over"));
    assert_eq!((record.attempts, record.usage.unpriced_calls), (MAX_ATTEMPTS, 1));
    assert_eq!(record.dead_letter, DeadLetterState::Pending);
    for settlement in every_settlement() {
        lost.assert_fenced(&lease, settlement, OVER).await;
    }
}

pub(super) async fn a_clock_that_is_ahead_takes_over_early_and_the_owner_is_fenced<S: Store>(
    store: S,
) {
    let (owner, ahead) = (store.worker(), store.worker());
    let job = TestJob::new("a");
    let lease = owner.own(job.claim()).await;

    // 5 s before the end by the owner's clock, its end by the other's.
    let early = UnixMs(OVER.0 - 5000);
    let next = ahead.own(job.claim_at(UnixMs(early.0 + 5000))).await;

    assert_eq!(next.epoch, lease.epoch + 1);
    owner.assert_fenced(&lease, completed("in time by my clock"), early).await;
    ahead.save(&next, completed("the only one"), UnixMs(early.0 + 5000)).await;
}

pub(super) async fn a_clock_that_is_behind_waits_longer<S: Store>(store: S) {
    let (owner, behind) = (store.worker(), store.worker());
    let job = TestJob::new("a");
    let lease = owner.own(job.claim()).await;

    for true_ms in [OVER.0, OVER.0 + 4999] {
        let answer = behind.claim(job.claim_at(UnixMs(true_ms - 5000))).await;
        assert!(matches!(answer, Claim::Busy { .. }), "{answer:?}");
    }
    let next = behind.own(job.claim_at(UnixMs(OVER.0 + 5000 - 5000))).await;

    assert_eq!(next.epoch, lease.epoch + 1);
    assert_eq!(next.ends, UnixMs(OVER.0 + LEASE_S * 1000), "its lease is as long as any");
}

pub(super) async fn two_workers_never_own_a_job_at_once_by_the_claimants_clock<S: Store>(store: S) {
    let workers = [store.worker(), store.worker()];
    for (n, skew_ms) in (-5000..=5000).step_by(1000).enumerate() {
        let job = TestJob::new(&format!("job-{n}"));
        let mut owners = Vec::new();
        let mut true_ms = START.0;
        // Both ask every second of three leases, one of them by a clock that is wrong.
        while true_ms < START.0 + 3 * LEASE_S * 1000 && owners.len() < 3 {
            for (worker, skew_ms) in workers.iter().zip([0, skew_ms]) {
                let now = UnixMs(true_ms + skew_ms);
                match worker.claim(job.claim_at(now)).await {
                    Claim::Owned(lease) => owners.push((now, lease)),
                    Claim::Busy { until } => {
                        assert!(now < until, "nobody is kept out by a lease that is over");
                    }
                    other => panic!("{other:?}"),
                }
            }
            true_ms += 1000;
        }
        assert_eq!(owners.len(), 3, "{skew_ms} ms apart");
        for pair in owners.windows(2) {
            let [(_, earlier), (now, later)] = pair else { continue };
            assert!(earlier.ends <= *now, "{skew_ms} ms apart: taken over before its end");
            assert_eq!(later.epoch, earlier.epoch + 1);
        }
    }
}
