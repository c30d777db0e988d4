//! What time does to records, and what an offline outcome is worth.

use mcp_batch::{
    clock::UnixMs,
    lease::{Claim, Delivery, Mark, Repeat, State, Usage},
};

use crate::lease_helpers::{
    RECORD_LIVES, START, Store, TestJob, after_s, completed, completed_offline, expiry, failed,
    interrupted, released, tried, usage,
};

const CALLBACK: &str = "https://n8n.example.com/";

pub(super) async fn an_expired_record_that_is_still_there_is_claimed_anew_under_a_higher_epoch<
    S: Store,
>(
    store: S,
) {
    let worker = store.worker();
    for (n, settlement) in
        [Some(completed("old")), Some(released("old")), None].into_iter().enumerate()
    {
        let job = TestJob::new(&format!("job-{n}"));
        let old = worker.own(job.claim()).await;
        if let Some(settlement) = settlement {
            worker.save(&old, settlement, START).await;
        }

        // After so long even the payload may be another one.
        let new = worker.own(job.clone().text("Two.").claim_at(expiry())).await;

        assert_eq!((new.epoch, new.attempts, &new.usage), (2, 1, &Usage::free()));
        worker.assert_fenced(&old, completed("very late"), expiry()).await;
        let record = worker.save(&new, completed("new"), expiry()).await;
        assert_eq!((record.state, record.usage), (State::Done("new".into()), usage()));
        assert_eq!(record.expires, expiry().plus(RECORD_LIVES));
    }
}

pub(super) async fn a_record_lives_to_its_last_millisecond<S: Store>(store: S) {
    let worker = store.worker();
    let job = TestJob::new("a");
    let lease = worker.own(job.claim()).await;
    worker.save(&lease, completed("old"), START).await;

    let answer = worker.claim(job.claim_at(UnixMs(expiry().0 - 1))).await;
    assert!(matches!(answer, Claim::Finished(_)), "{answer:?}");

    assert_eq!(worker.own(job.claim_at(expiry())).await.epoch, 2);
}

pub(super) async fn a_held_job_does_not_expire<S: Store>(store: S) {
    let worker = store.worker();
    let job = TestJob::new("a").never_repeated();
    let lease = worker.own(job.claim()).await;
    let held = worker.save(&lease, interrupted(Repeat::Never), START).await;

    let much_later = expiry().plus(RECORD_LIVES * 10);
    let answer = worker.claim(job.claim_at(much_later)).await;

    assert!(matches!(&answer, Claim::Held(record) if **record == held), "{answer:?}");
}

pub(super) async fn a_job_with_a_pending_hand_off_does_not_expire<S: Store>(store: S) {
    let worker = store.worker();
    let with_callback = TestJob::new("a").callback(CALLBACK);
    let sent = tried(CALLBACK, Delivery::Sent);
    for (job, settlement, mark) in [
        (with_callback, completed("old"), sent),
        (TestJob::new("b"), failed("old"), Mark::DeadLetterSent),
    ] {
        let lease = worker.own(job.claim()).await;
        let record = worker.save(&lease, settlement, START).await;
        let answer = worker.claim(job.claim_at(expiry())).await;
        assert!(matches!(answer, Claim::Finished(_)), "{answer:?}");

        worker.mark(&record, mark).await;

        assert_eq!(worker.own(job.claim_at(expiry())).await.epoch, 2);
    }
}

pub(super) async fn a_job_that_is_running_does_not_expire<S: Store>(store: S) {
    let (owner, other) = (store.worker(), store.worker());
    let job = TestJob::new("a");
    let mut long = job.claim();
    long.lease_ends = expiry().plus(RECORD_LIVES);
    let lease = owner.own(long).await;

    let answer = other.claim(job.claim_at(expiry())).await;

    assert!(matches!(answer, Claim::Busy { .. }), "{answer:?}");
    owner.save(&lease, completed("at last"), expiry()).await;
}

pub(super) async fn an_expired_record_can_be_cancelled_like_an_unknown_job<S: Store>(store: S) {
    let worker = store.worker();
    let job = TestJob::new("a");
    let lease = worker.own(job.claim()).await;
    worker.save(&lease, completed("old"), START).await;

    let cancelled = worker.cancel(job.claim_at(expiry())).await.expect("nothing stands any more");

    assert_eq!((&cancelled.state, cancelled.epoch), (&State::Cancelled, 1));
    assert_eq!((cancelled.attempts, cancelled.usage), (0, Usage::free()));
    let answer = worker.claim(job.claim_at(expiry())).await;
    assert!(matches!(answer, Claim::Cancelled(_)), "{answer:?}");
}

pub(super) async fn an_offline_outcome_is_run_again_once_there_is_an_llm<S: Store>(store: S) {
    let worker = store.worker();
    let job = TestJob::new("a");
    let lease = worker.own(job.claim()).await;
    let record = worker.save(&lease, completed_offline("a try"), START).await;
    assert!(record.offline);

    let answer = worker.claim(job.claim_at(after_s(1))).await;
    assert!(matches!(answer, Claim::Finished(_)), "without an LLM it counts: {answer:?}");
    let with_llm = job.superseding_offline();
    let lease = worker.own(with_llm.claim_at(after_s(2))).await;
    assert_eq!((lease.epoch, lease.attempts), (2, 1));
    let record = worker.save(&lease, completed("for good"), after_s(3)).await;

    assert!(!record.offline);
    let answer = worker.claim(with_llm.claim_at(after_s(4))).await;
    assert!(matches!(answer, Claim::Finished(_)), "{answer:?}");
    assert_eq!(worker.record(&with_llm).await.state, State::Done("for good".into()));
}

pub(super) async fn an_offline_outcome_is_not_run_again_under_another_payload<S: Store>(store: S) {
    let worker = store.worker();
    let job = TestJob::new("a");
    let lease = worker.own(job.claim()).await;
    let record = worker.save(&lease, completed_offline("a try"), START).await;

    let other = job.clone().superseding_offline().text("Two.");
    let answer = worker.claim(other.claim_at(after_s(1))).await;

    assert!(matches!(answer, Claim::Conflict(_)), "{answer:?}");
    assert_eq!(worker.record(&job).await, record);
}
