//! The one callback of a batch, and who sends it.

use std::time::Duration;

use mcp_batch::{
    clock::UnixMs,
    fan_in::{BatchKey, BatchMark, Reading, Taking},
    job::Namespace,
    lease::{Attention, CallbackState, Delivery, Failure, Ledger, WhyDead},
};
use serde_json::json;
use tokio::task::JoinSet;

use crate::lease_helpers::{START, Store, TestJob, Worker, after_s, completed};

async fn complete<L: Ledger>(worker: &Worker<L>, job: TestJob) {
    let lease = worker.own(job.claim()).await;
    worker.save(&lease, completed("yes"), START).await;
}

/// A complete batch of two.
async fn complete_batch<L: Ledger>(worker: &Worker<L>) {
    complete(worker, TestJob::new("a").member_of("batch", 0, 2)).await;
    complete(worker, TestJob::new("b").member_of("batch", 1, 2)).await;
}

pub(super) async fn a_batch_is_complete_only_when_all_are_counted<S: Store>(store: S) {
    let worker = store.worker();
    complete(&worker, TestJob::new("a").member_of("batch", 0, 2)).await;
    assert_eq!(worker.take_batch("batch", START, after_s(60)).await, None);
    let last = worker.own(TestJob::new("b").member_of("batch", 1, 2).claim()).await;
    assert_eq!(worker.take_batch("batch", START, after_s(60)).await, None);

    worker.save(&last, completed("yes"), START).await;

    let taken = worker.take_batch("batch", START, after_s(60)).await.expect("it is complete");
    assert_eq!((taken.counted, taken.size), (2, Some(2)));
    assert_eq!(taken.callback.state, CallbackState::Pending);
}

pub(super) async fn exactly_one_of_eight_takes_the_delivery<S: Store>(store: S) {
    let workers = [store.worker(), store.worker()];
    complete_batch(&workers[0]).await;
    let mut takers = JoinSet::new();
    for worker in workers.iter().cycle().take(8) {
        let worker = worker.clone();
        takers.spawn(async move { worker.take_batch("batch", START, after_s(60)).await });
    }

    let taken = takers.join_all().await.into_iter().flatten().count();

    assert_eq!(taken, 1);
}

pub(super) async fn a_delivery_may_be_taken_again_after_its_time<S: Store>(store: S) {
    let worker = store.worker();
    complete_batch(&worker).await;
    worker.take_batch("batch", START, after_s(60)).await.expect("it is complete");

    assert_eq!(worker.take_batch("batch", UnixMs(after_s(60).0 - 1), after_s(99)).await, None);
    let again = worker.take_batch("batch", after_s(60), after_s(120)).await;

    assert!(again.is_some(), "the first taker is lost");
    assert_eq!(worker.take_batch("batch", after_s(61), after_s(121)).await, None);
}

pub(super) async fn a_delivery_may_be_taken_again_after_a_failed_try<S: Store>(store: S) {
    let worker = store.worker();
    complete_batch(&worker).await;
    for failures in 0..3 {
        let taken = worker.take_batch("batch", START, after_s(60)).await.expect("it is due");
        assert_eq!(taken.callback.failures, failures);
        worker.mark_batch("batch", Delivery::Failed(Failure::NotTaken)).await;
    }
}

pub(super) async fn a_delivery_that_is_over_is_not_taken_again<S: Store>(store: S) {
    let worker = store.worker();
    for (batch, end, state) in [
        ("sent", Delivery::Sent, CallbackState::Sent),
        ("dead", Delivery::Dead(WhyDead::Refused), CallbackState::Dead(WhyDead::Refused)),
    ] {
        complete(&worker, TestJob::new(&format!("in-{batch}")).member_of(batch, 0, 1)).await;
        worker.take_batch(batch, START, after_s(60)).await.expect("it is complete");

        worker.mark_batch(batch, end).await;
        // The late word of one whose time was over.
        worker.mark_batch(batch, Delivery::Failed(Failure::NotTaken)).await;

        assert_eq!(worker.batch(batch).await.callback.state, state);
        assert_eq!(worker.take_batch(batch, after_s(999), after_s(1059)).await, None);
    }
}

pub(super) async fn a_person_makes_a_batchs_callback_due_again<S: Store>(store: S) {
    let worker = store.worker();
    complete_batch(&worker).await;
    worker.take_batch("batch", START, after_s(60)).await.expect("it is complete");
    worker.mark_batch("batch", Delivery::Dead(WhyDead::Refused)).await;

    let due = worker.renew_batch("batch", after_s(1)).await.expect("it is over");

    assert_eq!((due.callback.state, due.callback.failures), (CallbackState::Pending, 0));
    assert_eq!(worker.batch("batch").await, due);
    assert!(worker.take_batch("batch", after_s(2), after_s(62)).await.is_some());
    worker.mark_batch("batch", Delivery::Sent).await;

    complete(&worker, TestJob::new("alone").member_of("open", 0, 2)).await;
    assert_eq!(worker.renew_batch("open", after_s(1)).await, None, "a job is awaited");
    assert_eq!(worker.renew_batch("unknown", after_s(1)).await, None);
}

pub(super) async fn an_unknown_batch_has_no_delivery<S: Store>(store: S) {
    let worker = store.worker();
    assert_eq!(worker.take_batch("unknown", START, after_s(60)).await, None);
    worker.mark_batch("unknown", Delivery::Sent).await;
    assert_eq!(worker.look_at_batch("unknown").await, None);
}

pub(super) async fn how_far_a_batch_was_read_is_kept_for_who_takes_it_next<S: Store>(store: S) {
    let worker = store.worker();
    complete_batch(&worker).await;
    worker.take_batch("batch", START, after_s(60)).await.expect("it is complete");
    let stored = json!({"next": 1, "members": 1, "statuses": {"succeeded": 1}, "cut_offs": 2});
    let reading: Reading = serde_json::from_value(stored).expect("a reading");

    worker.note_batch("batch", BatchMark::Reading(Box::new(reading.clone())), after_s(5)).await;

    let found = worker.attention(Attention::Batch, after_s(5)).await;
    assert_eq!(found, ["batch"], "the sweep goes on with it");
    let taken = worker.take_batch("batch", after_s(5), after_s(65)).await.expect("nobody is at it");
    assert_eq!(taken.reading, Some(reading.clone()));
    worker.mark_batch("batch", Delivery::Failed(Failure::NotTaken)).await;
    assert_eq!(worker.batch("batch").await.reading, Some(reading));
}

pub(super) async fn who_is_at_a_delivery_holds_it_on<S: Store>(store: S) {
    let worker = store.worker();
    complete_batch(&worker).await;
    worker.take_batch("batch", START, after_s(30)).await.expect("it is complete");
    let at_it = |until, further| BatchMark::StillAtIt { until, further };

    worker.note_batch("batch", at_it(after_s(30), after_s(40)), after_s(10)).await;
    assert_eq!(worker.take_batch("batch", after_s(39), after_s(69)).await, None);
    assert!(worker.attention(Attention::Batch, after_s(99)).await.is_empty());
    assert_eq!(worker.attention(Attention::Batch, after_s(100)).await, ["batch"]);

    // One whose time was over has lost it to the next.
    worker.take_batch("batch", after_s(40), after_s(70)).await.expect("it is free");
    worker.note_batch("batch", at_it(after_s(40), after_s(999)), after_s(45)).await;
    assert_eq!(worker.batch("batch").await.delivery_ends, after_s(70));
    worker.mark_batch("batch", Delivery::Sent).await;
    worker.note_batch("batch", at_it(after_s(70), after_s(999)), after_s(46)).await;
    assert_eq!(worker.batch("batch").await.delivery_ends, UnixMs::default());
}

pub(super) async fn a_batch_keeps_when_its_next_try_is_due_and_how_large_it_may_be<S: Store>(
    store: S,
) {
    let worker = store.worker();
    complete_batch(&worker).await;
    let take = async |now, max_body_bytes| {
        let key = BatchKey::of(&Namespace::default(), &"batch".parse().expect("an id"));
        let taking = Taking { now, until: now.plus(Duration::from_secs(30)), max_body_bytes };
        worker.ledger().take_batch(key, taking).await.expect("an answer").expect("it is owed")
    };
    assert_eq!(take(START, 4_096).await.max_body_bytes, Some(4_096));
    worker.mark_batch_at("batch", Delivery::Failed(Failure::NotTaken), after_s(1)).await;
    assert_eq!(worker.batch("batch").await.callback.due, Some(after_s(31)));

    assert_eq!(take(after_s(31), 99_999).await.max_body_bytes, Some(4_096));
    worker.mark_batch_at("batch", Delivery::Dead(WhyDead::Exhausted), after_s(32)).await;
    let renewed = worker.renew_batch("batch", after_s(33)).await.expect("it is over");
    assert_eq!((renewed.callback.due, renewed.max_body_bytes), (None, Some(4_096)));
    assert_eq!(worker.batch("batch").await, renewed);
}
