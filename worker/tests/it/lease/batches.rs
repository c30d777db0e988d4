//! Batches: who joins, and who is counted.

use std::time::Duration;

use mcp_batch::{
    clock::UnixMs,
    error::ErrorClass,
    fan_in::Member,
    lease::{Claim, Decision, Ledger, Repeat},
};
use serde_json::json;

use crate::lease_helpers::{
    BATCH_URL, LEASE_S, MAX_ATTEMPTS, START, Store, TestJob, Worker, after_s, callback, completed,
    error, failed, interrupted, released,
};

async fn complete<L: Ledger>(worker: &Worker<L>, job: &TestJob) {
    let lease = worker.own(job.claim()).await;
    worker.save(&lease, completed("yes"), START).await;
}

/// The claim is refused for its place, and neither job nor batch is changed by it.
async fn assert_misplaced<L: Ledger>(worker: &Worker<L>, job: &TestJob, batch: &str, field: &str) {
    let before = (worker.look(job.key()).await, worker.look_at_batch(batch).await);
    let answer = worker.claim(job.claim()).await;
    let Claim::Misplaced(why) = answer else { panic!("{answer:?}") };
    assert_eq!((why.class, why.field.as_deref()), (ErrorClass::Invalid, Some(field)));
    let after = (worker.look(job.key()).await, worker.look_at_batch(batch).await);
    assert_eq!(before, after);
}

fn job_id(member: &Member) -> &str {
    member.record().expect("a job").job_id.as_str()
}

pub(super) async fn every_end_is_counted_once<S: Store>(store: S) {
    let worker = store.worker();
    let ends = [
        Some(completed("yes")),
        Some(failed("no")),
        Some(interrupted(Repeat::Never)),
        None, // cancelled
    ];
    let size = ends.len() as u64;
    for (end, index) in ends.into_iter().zip(0..) {
        let job = TestJob::new(&format!("job-{index}")).member_of("batch", index, size);
        let lease = worker.own(job.claim()).await;
        assert_eq!(worker.batch("batch").await.counted, index, "not before it has ended");
        if let Some(settlement) = end {
            worker.save(&lease, settlement, START).await;
        } else {
            worker.save(&lease, released("once"), START).await;
            worker.cancel(job.claim()).await.expect("it waits");
        }
        let batch = worker.batch("batch").await;
        assert_eq!((batch.counted, batch.is_complete()), (index + 1, index + 1 == size));
    }
    let members = worker.members("batch", 0, 10).await;
    let states: Vec<_> =
        members.iter().map(|member| member.record().map(|record| record.state.name())).collect();
    assert_eq!(states, ["done", "failed", "held", "cancelled"].map(Some));
}

pub(super) async fn what_has_not_ended_is_not_counted<S: Store>(store: S) {
    let worker = store.worker();
    let job = TestJob::new("a").member_of("batch", 0, 1);
    let lease = worker.own(job.claim()).await;
    worker.save(&lease, released("once"), START).await;
    let lease = worker.own(job.claim()).await;
    worker.save(&lease, interrupted(Repeat::Safe), START).await;
    worker.own(job.claim()).await;

    assert_eq!(worker.batch("batch").await.counted, 0);
    assert_eq!(worker.counted("batch").await, []);
    assert_eq!(worker.members("batch", 0, 10).await.len(), 1, "it is a member all the same");
}

pub(super) async fn a_duplicate_delivery_is_not_counted_again<S: Store>(store: S) {
    let worker = store.worker();
    for (index, settlement) in
        [completed("yes"), failed("no"), interrupted(Repeat::Never)].into_iter().enumerate()
    {
        let index = index as u64;
        let job = TestJob::new(&format!("job-{index}")).member_of("batch", index, 9);
        let lease = worker.own(job.claim()).await;
        worker.save(&lease, settlement, START).await;
        for _ in 0..3 {
            let answer = worker.claim(job.claim()).await;
            assert!(matches!(answer, Claim::Finished(_) | Claim::Held(_)), "{answer:?}");
        }
        assert_eq!(worker.batch("batch").await.counted, index + 1);
    }
}

pub(super) async fn a_settlement_whose_answer_was_lost_is_not_counted_again<S: Store>(store: S) {
    let worker = store.worker();
    let job = TestJob::new("a").member_of("batch", 0, 2);
    let claim = job.claim();
    worker.own(claim.clone()).await;
    let lease = worker.own(claim).await;
    for _ in 0..3 {
        worker.save(&lease, completed("yes"), START).await;
    }
    assert_eq!(worker.batch("batch").await.counted, 1);
}

pub(super) async fn a_replayed_job_is_not_counted_again<S: Store>(store: S) {
    let worker = store.worker();
    let job = TestJob::new("a").member_of("batch", 0, 2);
    let lease = worker.own(job.claim()).await;
    worker.save(&lease, failed("no"), START).await;
    worker.decide(job.key(), job.replay(lease.epoch), START).await.expect("it failed");
    assert_eq!(worker.batch("batch").await.counted, 1, "it was counted when it failed");

    complete(&worker, &job).await;

    assert_eq!(worker.batch("batch").await.counted, 1);
    let members = worker.members("batch", 0, 10).await;
    assert_eq!(
        members[0].record().map(|record| record.state.name()),
        Some("done"),
        "its latest outcome is told"
    );
}

pub(super) async fn a_finished_job_is_counted_once_in_a_new_batch<S: Store>(store: S) {
    let worker = store.worker();
    let job = TestJob::new("a");
    complete(&worker, &job.clone().member_of("first", 0, 1)).await;

    for _ in 0..2 {
        let answer = worker.claim(job.clone().member_of("second", 4, 5).claim()).await;
        assert!(matches!(answer, Claim::Finished(_)), "{answer:?}");
        assert_eq!(worker.batch("first").await.counted, 1);
        assert_eq!(worker.batch("second").await.counted, 1);
    }

    assert_eq!(worker.members("second", 0, 10).await[0].index, 4);
}

pub(super) async fn a_job_cancelled_before_it_was_seen_is_counted_when_its_message_comes<
    S: Store,
>(
    store: S,
) {
    let worker = store.worker();
    let job = TestJob::new("a").member_of("batch", 0, 1);
    worker.cancel(job.claim()).await.expect("nobody knows it");

    for _ in 0..2 {
        let answer = worker.claim(job.claim()).await;
        assert!(matches!(answer, Claim::Cancelled(_)), "{answer:?}");
        assert!(worker.batch("batch").await.is_complete());
    }
}

pub(super) async fn a_job_that_fails_for_spent_attempts_is_counted<S: Store>(store: S) {
    let worker = store.worker();
    let job = TestJob::new("a").member_of("batch", 0, 2);
    for _ in 0..MAX_ATTEMPTS {
        let lease = worker.own(job.claim()).await;
        worker.save(&lease, released("again"), START).await;
    }
    worker.claim(job.claim()).await;
    assert_eq!(worker.batch("batch").await.counted, 1);

    // One that is held because its worker was lost is counted just the same.
    let job = TestJob::new("b").member_of("batch", 1, 2).never_repeated();
    worker.own(job.claim()).await;
    worker.claim(job.claim_at(after_s(LEASE_S))).await;
    assert!(worker.batch("batch").await.is_complete());
}

pub(super) async fn a_person_who_decides_about_a_held_job_does_not_count_it_again<S: Store>(
    store: S,
) {
    let worker = store.worker();
    for (index, decision) in
        [Decision::Succeed("yes".into()), Decision::Fail(error("no"))].into_iter().enumerate()
    {
        let index = index as u64;
        let job = TestJob::new(&format!("job-{index}")).member_of("batch", index, 9);
        let lease = worker.own(job.claim()).await;
        worker.save(&lease, interrupted(Repeat::Never), START).await;
        assert_eq!(worker.batch("batch").await.counted, index + 1);
        worker.decide(job.key(), decision, START).await.expect("it is held");
        assert_eq!(worker.batch("batch").await.counted, index + 1);
    }
}

pub(super) async fn a_place_that_is_taken_is_refused_and_nothing_changes<S: Store>(store: S) {
    let worker = store.worker();
    worker.own(TestJob::new("a").member_of("batch", 0, 2).claim()).await;

    let other = TestJob::new("b").member_of("batch", 0, 2);
    assert_misplaced(&worker, &other, "batch", "batch.index").await;

    worker.own(TestJob::new("b").member_of("batch", 1, 2).claim()).await;
}

pub(super) async fn a_place_beyond_the_size_is_refused<S: Store>(store: S) {
    let worker = store.worker();
    worker.own(TestJob::new("a").member_of("batch", 0, 2).claim()).await;

    let beyond = TestJob::new("b").member("batch", 2);
    assert_misplaced(&worker, &beyond, "batch", "batch.index").await;

    worker.own(TestJob::new("b").member("batch", 1).claim()).await;
}

pub(super) async fn a_size_below_a_taken_place_is_refused<S: Store>(store: S) {
    let worker = store.worker();
    worker.own(TestJob::new("a").member("batch", 7).claim()).await;

    let too_small = TestJob::new("b").member_of("batch", 0, 7);
    assert_misplaced(&worker, &too_small, "batch", "batch.size").await;

    worker.own(TestJob::new("b").member_of("batch", 0, 8).claim()).await;
}

pub(super) async fn a_size_that_changes_is_refused<S: Store>(store: S) {
    let worker = store.worker();
    worker.own(TestJob::new("a").member_of("batch", 0, 2).claim()).await;

    for size in [3, 4] {
        let other = TestJob::new("b").member_of("batch", 1, size);
        assert_misplaced(&worker, &other, "batch", "batch.size").await;
    }

    assert_eq!(worker.batch("batch").await.size, Some(2));
}

pub(super) async fn a_size_may_come_with_a_later_job<S: Store>(store: S) {
    let worker = store.worker();
    complete(&worker, &TestJob::new("a").member("batch", 0)).await;
    let batch = worker.batch("batch").await;
    assert_eq!((batch.size, batch.is_complete()), (None, false));

    complete(&worker, &TestJob::new("b").member_of("batch", 2, 3)).await;
    complete(&worker, &TestJob::new("c").member("batch", 1)).await;

    let batch = worker.batch("batch").await;
    assert_eq!((batch.size, batch.counted, batch.is_complete()), (Some(3), 3, true));
}

pub(super) async fn a_conflict_joins_no_batch<S: Store>(store: S) {
    let worker = store.worker();
    complete(&worker, &TestJob::new("a")).await;

    let answer = worker.claim(TestJob::new("a").text("Two.").member("batch", 0).claim()).await;

    assert!(matches!(answer, Claim::Conflict(_)), "{answer:?}");
    assert_eq!(worker.look_at_batch("batch").await, None);
    worker.own(TestJob::new("b").member("batch", 0).claim()).await;
}

pub(super) async fn a_job_with_two_places_is_counted_in_both<S: Store>(store: S) {
    let worker = store.worker();
    complete(&worker, &TestJob::new("a").member_of("batch", 0, 2)).await;

    // The same job twice in one batch: without a place for each the batch would never end.
    worker.claim(TestJob::new("a").member_of("batch", 1, 2).claim()).await;

    let members = worker.members("batch", 0, 10).await;
    let places: Vec<_> = members.iter().map(|member| (member.index, job_id(member))).collect();
    assert_eq!(places, [(0, "a"), (1, "a")]);
    assert!(worker.batch("batch").await.is_complete());
}

pub(super) async fn members_come_in_the_order_of_their_index_and_in_pages<S: Store>(store: S) {
    let worker = store.worker();
    for index in [40, 3, 0, 300, 7] {
        complete(&worker, &TestJob::new(&format!("job-{index}")).member("batch", index)).await;
    }
    worker.own(TestJob::new("running").member("batch", 5).claim()).await;
    complete(&worker, &TestJob::new("elsewhere").member("other", 6)).await;

    let indices = async |from, limit| {
        let members = worker.members("batch", from, limit).await;
        members.into_iter().map(|member| member.index).collect::<Vec<_>>()
    };
    assert_eq!(indices(0, 3).await, [0, 3, 5]);
    assert_eq!(indices(8, 3).await, [40, 300]);
    assert_eq!(indices(40, 1).await, [40]);
    assert!(indices(301, 3).await.is_empty());
    assert_eq!(indices(0, 100).await, [0, 3, 5, 7, 40, 300]);
    assert_eq!(worker.counted("batch").await.len(), 5, "one of them runs");
    assert_eq!(worker.members("unknown", 0, 100).await, []);
}

pub(super) async fn a_batch_closes_when_its_first_job_says_or_after_a_day<S: Store>(store: S) {
    let worker = store.worker();
    worker.own(TestJob::new("a").member("batch", 0).claim()).await;
    let batch = worker.batch("batch").await;
    assert_eq!((batch.opened, batch.expires), (START, START.plus(Duration::from_hours(24))));
    assert_eq!(batch.callback.callback, callback(BATCH_URL));

    let place = json!({"id": "dated", "index": 0, "callback": BATCH_URL,
        "expires_at": "2027-01-15T08:00:01Z"});
    worker.own(TestJob::new("b").membership(place).claim()).await;
    worker.own(TestJob::new("c").member("dated", 1).claim()).await;
    assert_eq!(worker.batch("dated").await.expires, UnixMs(1_800_000_001_000));
}
