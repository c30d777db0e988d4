//! Batches that are closed: by their size, by their time, or because nobody wants them any more.

use std::time::Duration;

use mcp_batch::{
    clock::UnixMs,
    error::JobError,
    fan_in::{CancelRefusal, CloseRefusal},
    lease::{CallbackSlot, Claim, DeadLetterState, Delivery, Ledger, Mark, State, Usage},
};
use serde_json::json;

use crate::lease_helpers::{
    BATCH_URL, START, Store, TestJob, Worker, after_s, callback, come_upon, completed, error,
    failed, released, tried,
};

/// A day: when a batch is closed that says nothing else.
const EXPIRY_S: i64 = 24 * 3600;

const DAY_S: i64 = 86_400;

async fn complete<L: Ledger>(worker: &Worker<L>, job: &TestJob) {
    let lease = worker.own(job.claim()).await;
    worker.save(&lease, completed("yes"), START).await;
}

async fn misplaced<L: Ledger>(worker: &Worker<L>, job: &TestJob, at_s: i64) -> JobError {
    let before = worker.look(job.key()).await;
    match worker.claim(job.claim_at(after_s(at_s))).await {
        Claim::Misplaced(error) => {
            assert_eq!(worker.look(job.key()).await, before);
            error
        }
        other => panic!("{other:?}"),
    }
}

pub(super) async fn a_batch_learns_its_size_by_being_closed<S: Store>(store: S) {
    let worker = store.worker();
    complete(&worker, &TestJob::new("a").member("batch", 0)).await;
    let running = worker.own(TestJob::new("b").member("batch", 1).claim()).await;

    for _ in 0..2 {
        let closed = worker.close_batch("batch", 3, START).await.expect("it fits");
        assert_eq!((closed.size, closed.counted), (Some(3), 1));
    }
    worker.save(&running, completed("yes"), START).await;
    let error = misplaced(&worker, &TestJob::new("d").member("batch", 3), 0).await;
    assert_eq!(error.field.as_deref(), Some("batch.index"));
    complete(&worker, &TestJob::new("c").member("batch", 2)).await;

    assert!(worker.batch("batch").await.is_complete());
}

pub(super) async fn a_batch_of_which_all_have_ended_is_complete_by_being_closed<S: Store>(
    store: S,
) {
    let worker = store.worker();
    for index in 0..3 {
        let job = TestJob::new(&format!("job-{index}")).member("batch", index);
        complete(&worker, &job).await;
    }
    assert_eq!(worker.take_batch("batch", START, after_s(60)).await, None);

    let closed = worker.close_batch("batch", 3, START).await.expect("it fits");

    assert!(closed.is_complete());
    assert!(worker.take_batch("batch", START, after_s(60)).await.is_some());
}

pub(super) async fn a_batch_is_not_closed_with_a_size_that_does_not_fit<S: Store>(store: S) {
    let worker = store.worker();
    let refused = worker.close_batch("unknown", 1, START).await;
    assert_eq!(refused, Err(CloseRefusal::Unknown));

    complete(&worker, &TestJob::new("a").member("batch", 41)).await;
    let refused = worker.close_batch("batch", 41, START).await.expect_err("41 is taken");
    assert!(refused.to_string().contains("size: expected more than the index 41"), "{refused}");

    worker.close_batch("batch", 42, START).await.expect("it fits");
    let refused = worker.close_batch("batch", 43, START).await.expect_err("it has one");
    assert!(refused.to_string().contains("size: expected 42, as before, found 43"), "{refused}");
    assert_eq!(worker.batch("batch").await.size, Some(42));
}

pub(super) async fn a_size_that_comes_when_its_time_is_over_changes_nothing<S: Store>(store: S) {
    let worker = store.worker();
    complete(&worker, &TestJob::new("a").member("batch", 0)).await;

    let again = TestJob::new("a").member_of("batch", 0, 5);
    let answer = worker.claim(again.claim_at(after_s(EXPIRY_S))).await;

    assert!(matches!(answer, Claim::Finished(_)), "{answer:?}");
    assert_eq!(worker.batch("batch").await.size, None);
}

pub(super) async fn a_batch_past_its_time_is_closed_with_what_there_is<S: Store>(store: S) {
    let worker = store.worker();
    complete(&worker, &TestJob::new("a").member_of("batch", 0, 3)).await;
    worker.own(TestJob::new("b").member_of("batch", 1, 3).claim()).await;
    let just_before = after_s(EXPIRY_S - 1);
    assert_eq!(worker.take_batch("batch", just_before, after_s(EXPIRY_S + 60)).await, None);
    assert_eq!(worker.batch("batch").await.expired, None);

    let expiry = after_s(EXPIRY_S);
    let taken = worker.take_batch("batch", expiry, after_s(EXPIRY_S + 60)).await;

    let taken = taken.expect("its time has come");
    assert_eq!((taken.counted, taken.size, taken.expired), (1, Some(3), Some(expiry)));
    assert_eq!(worker.batch("batch").await, taken);
    assert_eq!(worker.take_batch("batch", expiry, after_s(EXPIRY_S + 60)).await, None);
}

pub(super) async fn a_late_job_is_refused_and_counts_nothing<S: Store>(store: S) {
    let worker = store.worker();
    let early = TestJob::new("a").member_of("batch", 0, 3);
    complete(&worker, &early).await;
    let late = TestJob::new("b").member_of("batch", 1, 3);

    let error = misplaced(&worker, &late, EXPIRY_S).await;
    assert_eq!((&*error.code, error.field.as_deref()), ("batch_expired", Some("batch")));
    worker.take_batch("batch", after_s(EXPIRY_S), after_s(EXPIRY_S)).await.expect("it is due");
    assert_eq!(misplaced(&worker, &late, 0).await.code, "batch_expired");

    worker.reject(&late, "late", after_s(EXPIRY_S)).await;
    assert_eq!((worker.batch("batch").await.counted, worker.counted("batch").await.len()), (1, 1));
    let again = worker.claim(early.claim_at(after_s(EXPIRY_S))).await;
    assert!(matches!(again, Claim::Finished(_)), "it was in time: {again:?}");

    // One that was in time and names a size only now.
    complete(&worker, &TestJob::new("c").member("unsized", 0)).await;
    worker.take_batch("unsized", after_s(EXPIRY_S), after_s(EXPIRY_S)).await.expect("it is due");
    let sized = TestJob::new("c").member_of("unsized", 0, 3);
    let again = worker.claim(sized.claim_at(after_s(EXPIRY_S))).await;
    assert!(matches!(again, Claim::Finished(_)), "{again:?}");
    assert_eq!(worker.batch("unsized").await.size, None, "it was told without one");
}

pub(super) async fn a_job_that_ends_after_its_batch_was_closed_is_not_counted_in_it<S: Store>(
    store: S,
) {
    let worker = store.worker();
    let ends = [completed("late"), failed("late")];
    let size = ends.len() as u64;
    let mut leases = Vec::new();
    for (index, end) in (0..).zip(ends) {
        let job = TestJob::new(&format!("job-{index}")).member_of("batch", index, size);
        leases.push((worker.own(job.claim()).await, end));
    }
    let closed = worker.take_batch("batch", after_s(EXPIRY_S), after_s(EXPIRY_S)).await;
    assert_eq!(closed.expect("it is due").counted, 0);

    for (lease, end) in leases {
        let record = worker.save(&lease, end, START).await;
        assert!(record.is_final());
        assert_eq!(worker.look(lease.key).await, Some(record));
    }

    assert_eq!(worker.batch("batch").await.counted, 0);
    assert_eq!(worker.counted("batch").await, []);
    assert_eq!(worker.members("batch", 0, 9).await.len(), 2, "they are told as uncounted");
}

pub(super) async fn another_callback_is_another_batchs<S: Store>(store: S) {
    let worker = store.worker();
    let member = |id: &str, index: u64, url: &str| {
        let place = json!({"id": "batch", "index": index, "size": 2, "callback": url});
        TestJob::new(id).membership(place)
    };
    complete(&worker, &member("a", 0, BATCH_URL)).await;

    // An execution that is run again: a new resume URL, the same ids.
    let other = "https://n8n.example.com/webhook-waiting/other?signature=0123";
    for job in [member("a", 0, other), member("b", 1, other)] {
        let error = misplaced(&worker, &job, 0).await;
        assert_eq!(error.field.as_deref(), Some("batch.callback"));
        assert!(!error.message.contains("signature"), "{error}");
        worker.reject(&job, "misplaced", START).await;
    }

    assert_eq!(worker.batch("batch").await.counted, 1, "its place is not theirs to fill");
    complete(&worker, &member("b", 1, BATCH_URL)).await;
}

pub(super) async fn what_has_not_started_of_a_cancelled_batch_is_cancelled<S: Store>(store: S) {
    let worker = store.worker();
    assert_eq!(worker.cancel_batch("batch").await, Err(CancelRefusal::Unknown));
    let done = TestJob::new("done").member_of("batch", 0, 4);
    complete(&worker, &done).await;
    let running = worker.own(TestJob::new("running").member_of("batch", 1, 4).claim()).await;
    let waiting = TestJob::new("waiting").member_of("batch", 2, 4);
    let lease = worker.own(waiting.claim()).await;
    worker.save(&lease, released("once"), START).await;

    assert!(worker.cancel_batch("batch").await.expect("a batch").is_cancelled);

    for job in [&waiting, &TestJob::new("new").member_of("batch", 3, 4)] {
        for _ in 0..2 {
            let claim = worker.claim(job.claim()).await;
            assert!(matches!(claim, Claim::Cancelled(_)), "{claim:?}");
        }
        assert_eq!(worker.record(job).await.state, State::Cancelled);
    }
    assert_eq!(worker.batch("batch").await.counted, 3);
    let record = worker.save(&running, completed("yes"), START).await;
    assert!(matches!(record.state, State::Done(_)), "what began goes on");
    assert!(matches!(worker.claim(done.claim()).await, Claim::Finished(_)));
    assert!(worker.batch("batch").await.is_complete());
}

pub(super) async fn a_batch_that_is_over_is_not_cancelled<S: Store>(store: S) {
    let worker = store.worker();
    complete(&worker, &TestJob::new("a").member_of("complete", 0, 1)).await;
    complete(&worker, &TestJob::new("b").member_of("expired", 0, 2)).await;
    worker.take_batch("expired", after_s(EXPIRY_S), after_s(EXPIRY_S)).await.expect("it is due");
    for id in ["complete", "expired"] {
        let before = worker.batch(id).await;
        let refused = worker.cancel_batch(id).await;
        assert_eq!(refused, Err(CancelRefusal::Over(Box::new(before.clone()))), "{id}");
        assert_eq!(worker.batch(id).await, before, "{id}");
    }
}

pub(super) async fn a_rejected_job_is_counted_once_at_its_place<S: Store>(store: S) {
    let worker = store.worker();
    let bad = TestJob::new("bad").member_of("batch", 1, 2).metadata(json!({"row": 1}));
    for _ in 0..3 {
        worker.reject(&bad, "no_such_tool", START).await;
        assert_eq!(worker.batch("batch").await.counted, 1);
    }
    assert_eq!(worker.look(bad.key()).await, None, "its id is free");
    let place = misplaced(&worker, &TestJob::new("other").member_of("batch", 1, 2), 0).await;
    assert_eq!(place.field.as_deref(), Some("batch.index"));
    complete(&worker, &TestJob::new("good").member_of("batch", 0, 2)).await;

    assert!(worker.batch("batch").await.is_complete());
    let members = worker.counted("batch").await;
    let told = members.iter().map(mcp_batch::fan_in::member_data).collect::<Vec<_>>();
    assert_eq!((&told[0]["status"], &told[1]["status"]), (&json!("succeeded"), &json!("rejected")));
    assert_eq!(told[1]["error"]["code"], "no_such_tool");
    assert_eq!((&told[1]["id"], &told[1]["metadata"]), (&json!("bad"), &json!({"row": 1})));
}

pub(super) async fn a_rejected_job_without_a_place_is_not_counted<S: Store>(store: S) {
    let worker = store.worker();
    let holder = TestJob::new("a").member_of("batch", 0, 2);
    worker.own(holder.claim()).await;

    worker.reject(&TestJob::new("b").member_of("batch", 0, 2), "twice", START).await;
    worker.reject(&TestJob::new("c").member("batch", 2), "beyond", START).await;
    assert_eq!(worker.batch("batch").await.counted, 0);

    // Its size is wrong, its place is its own.
    worker.reject(&TestJob::new("d").member_of("batch", 1, 9), "size", START).await;
    let batch = worker.batch("batch").await;
    assert_eq!((batch.counted, batch.size), (1, Some(2)));
}

pub(super) async fn a_batch_may_wait_for_its_size_as_long_as_it_is_open<S: Store>(store: S) {
    let worker = store.worker();
    for index in [0, 170, 999] {
        let job = TestJob::new(&format!("job-{index}")).member("batch", index);
        complete(&worker, &job).await;
    }
    assert!(worker.close_batch("batch", 999, START).await.is_err());
    worker.close_batch("batch", 1_000, START).await.expect("it fits");
    let late = worker.take_batch("batch", START.plus(Duration::from_hours(24)), START).await;
    assert_eq!(late.expect("it is over").counted, 3);
}

pub(super) async fn a_batch_that_would_be_open_too_long_is_refused<S: Store>(store: S) {
    let worker = store.worker();
    let job = |days: i64, extra_s: i64| {
        let expires_at = after_s(days * DAY_S + extra_s).rfc3339();
        let place =
            json!({"id": "batch", "index": 0, "callback": BATCH_URL, "expires_at": expires_at});
        TestJob::new("a").membership(place)
    };
    let answer = worker.claim(job(14, 1).claim()).await;
    let Claim::Misplaced(why) = answer else { panic!("{answer:?}") };
    assert_eq!((&*why.code, why.field.as_deref()), ("invalid_field", Some("batch.expires_at")));
    assert!(why.message.contains("at most 14 days ahead"), "{}", why.message);
    assert_eq!(worker.look_at_batch("batch").await, None);
    // It is counted as rejected, in a batch that ends all the same.
    worker.reject(&job(4_000, 0), "no", START).await;
    assert_eq!(worker.batch("batch").await.expires, after_s(14 * DAY_S));

    let place = json!({"id": "other", "index": 0, "callback": BATCH_URL,
                       "expires_at": after_s(14 * DAY_S).rfc3339()});
    worker.own(TestJob::new("b").membership(place).claim()).await;
    assert_eq!(worker.batch("other").await.expires, after_s(14 * DAY_S));
}

pub(super) async fn a_finished_job_that_joins_a_batch_is_kept_as_long_as_that_may_need_it<
    S: Store,
>(
    store: S,
) {
    let worker = store.worker();
    let job = TestJob::new("a");
    let lease = worker.own(job.claim()).await;
    let record = worker.save(&lease, completed("yes"), START).await;
    let late = UnixMs(record.expires.0 - 60_000);

    let claim = worker.claim(job.clone().member_of("batch", 0, 2).claim_at(late)).await;

    assert!(matches!(claim, Claim::Finished(_)), "{claim:?}");
    let kept = worker.record(&job).await.expires;
    assert!(kept >= late.plus(Duration::from_hours(30 * 24)), "{}", kept.rfc3339());
    assert_eq!(worker.counted("batch").await.len(), 1);
}

pub(super) async fn a_refused_message_is_stored_once_with_its_callback_owed<S: Store>(store: S) {
    let worker = store.worker();
    let url = "https://n8n.example.com/webhook/1";
    let job = TestJob::new("a").callback(url).metadata(json!({"row": 1}));
    let record = worker.refuse(job.claim(), error("first")).await;
    assert!(matches!(&record.state, State::Failed(error) if error.code == "first"), "{record:?}");
    assert_eq!((record.attempts, record.dead_letter), (0, DeadLetterState::Pending));
    assert_eq!(record.callback, Some(CallbackSlot::pending(callback(url))));
    assert_eq!(
        (record.usage.clone(), record.metadata.clone()),
        (Usage::free(), Some(json!({"row": 1})))
    );
    assert_eq!(worker.record(&job).await, record);

    for redelivered in [false, true] {
        let mut again = job.claim_at(after_s(5));
        again.redelivered = redelivered;
        let stands = come_upon(record.clone());
        assert_eq!(worker.refuse(again, error("second")).await, stands, "the first one stands");
    }
    worker.mark(&record, tried(url, Delivery::Sent)).await;
    worker.mark(&record, Mark::DeadLetterSent).await;
    let again = worker.refuse(job.claim_at(record.expires), error("later")).await;
    assert_eq!(again.epoch, 2, "its record had expired");
}
