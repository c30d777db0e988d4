//! What a sweep and people have to look at, and what a record keeps for those who tell it later.

use std::time::Duration;

use mcp_batch::fan_in::member_data;
use mcp_batch::lease::{
    Attention, Claim, Decision, Delivery, Failure, Ledger, MESSAGE_IS_GONE_AFTER, Mark, Record,
    Repeat, WhyDead,
};
use mcp_batch::webhook::Event;
use serde_json::{Value, json};

use crate::lease_helpers::{
    START, Store, TestJob, Worker, after_s, completed, error, failed, interrupted, released, tried,
};

const URL: &str = "https://n8n.example.com/webhook-waiting/1";

const FAILED: Delivery = Delivery::Failed(Failure::NotTaken);

const DEAD: Delivery = Delivery::Dead(WhyDead::Exhausted);

/// The helpers mark a second after the start.
const GONE_S: i64 = 1 + 7_200;

const EXPIRY_S: i64 = 24 * 3600;

async fn complete<L: Ledger>(worker: &Worker<L>, job: &TestJob) -> Record {
    let lease = worker.own(job.claim()).await;
    worker.save(&lease, completed("yes"), START).await
}

fn told(delivery: Delivery) -> Mark {
    tried(URL, delivery)
}

/// What is found in the end: an index may come late.
async fn assert_found<L: Ledger>(worker: &Worker<L>, what: Attention, at_s: i64, ids: &[&str]) {
    assert_eq!(MESSAGE_IS_GONE_AFTER, Duration::from_hours(2));
    assert_eq!(worker.attention(what, after_s(at_s)).await, ids, "{what:?} after {at_s} s");
}

pub(super) async fn a_held_job_is_found_until_a_person_decides<S: Store>(store: S) {
    let worker = store.worker();
    let job = TestJob::new("a").never_repeated();
    let lease = worker.own(job.claim()).await;
    assert_found(&worker, Attention::Held, 0, &[]).await;
    worker.save(&lease, interrupted(Repeat::Never), START).await;
    assert_found(&worker, Attention::Held, 0, &["a"]).await;
    assert_found(&worker, Attention::Held, -1, &[]).await;

    worker.decide(job.key(), Decision::Succeed("yes".into()), START).await.expect("it is held");

    assert_found(&worker, Attention::Held, 9, &[]).await;
}

pub(super) async fn the_callback_of_what_a_person_decided_is_found_though_nobody_told_it<
    S: Store,
>(
    store: S,
) {
    let worker = store.worker();
    for (id, decision) in
        [("a", Decision::Succeed("yes".into())), ("b", Decision::Fail(error("no")))]
    {
        let job = TestJob::new(id).callback(URL).never_repeated();
        let lease = worker.own(job.claim()).await;
        worker.save(&lease, interrupted(Repeat::Never), START).await;
        worker.decide(job.key(), decision, after_s(1)).await.expect("it is held");
    }

    assert_found(&worker, Attention::Callback, GONE_S - 1, &[]).await;
    assert_found(&worker, Attention::Callback, GONE_S, &["a", "b"]).await;
}

pub(super) async fn a_deferred_callback_is_found_once_its_message_must_be_gone<S: Store>(store: S) {
    let worker = store.worker();
    let record = complete(&worker, &TestJob::new("a").callback(URL)).await;
    assert_found(&worker, Attention::Callback, GONE_S - 2, &[]).await;

    for _ in 0..2 {
        worker.mark(&record, told(FAILED)).await;
        assert_found(&worker, Attention::Callback, GONE_S - 1, &[]).await;
        assert_found(&worker, Attention::Callback, GONE_S, &["a"]).await;
    }
    worker.mark(&record, told(Delivery::Sent)).await;

    assert_found(&worker, Attention::Callback, EXPIRY_S, &[]).await;
    assert_found(&worker, Attention::DeadCallback, EXPIRY_S, &[]).await;
}

pub(super) async fn a_callback_that_was_given_up_is_found_until_somebody_takes_it<S: Store>(
    store: S,
) {
    let worker = store.worker();
    let first = complete(&worker, &TestJob::new("a").callback(URL)).await;
    let second = complete(&worker, &TestJob::new("b").callback(URL)).await;
    worker.mark(&first, told(DEAD)).await;
    worker.mark(&second, told(FAILED)).await;
    worker.mark(&second, told(DEAD)).await;
    let mut found = worker.attention(Attention::DeadCallback, after_s(9)).await;
    found.sort();
    assert_eq!(found, ["a", "b"]);

    worker.mark(&first, told(Delivery::Sent)).await;

    assert_found(&worker, Attention::DeadCallback, 9, &["b"]).await;
    assert_found(&worker, Attention::Callback, EXPIRY_S, &[]).await;
}

pub(super) async fn a_batch_is_found_when_it_expires_or_its_deliverer_is_lost<S: Store>(store: S) {
    let worker = store.worker();
    complete(&worker, &TestJob::new("a").member_of("batch", 0, 1)).await;
    worker.own(TestJob::new("b").member_of("open", 0, 1).claim()).await;
    assert_found(&worker, Attention::Batch, EXPIRY_S - 1, &[]).await;
    let mut found = worker.attention(Attention::Batch, after_s(EXPIRY_S)).await;
    found.sort();
    assert_eq!(found, ["batch", "open"]);

    worker.take_batch("batch", START, after_s(60)).await.expect("it is complete");
    assert_found(&worker, Attention::Batch, 60 + 59, &[]).await;
    assert_found(&worker, Attention::Batch, 60 + 60, &["batch"]).await;
    // Marked after a second; the next try is due after thirty.
    worker.mark_batch("batch", FAILED).await;
    assert_found(&worker, Attention::Batch, 1 + 30 + 59, &[]).await;
    assert_found(&worker, Attention::Batch, 1 + 30 + 60, &["batch"]).await;
    worker.mark_batch("batch", DEAD).await;

    assert_found(&worker, Attention::Batch, EXPIRY_S - 1, &[]).await;
    assert_found(&worker, Attention::DeadBatchCallback, EXPIRY_S, &["batch"]).await;
    worker.mark_batch("batch", Delivery::Sent).await;
    assert_found(&worker, Attention::DeadBatchCallback, EXPIRY_S, &[]).await;
}

pub(super) async fn a_batch_closed_when_all_had_ended_is_found_at_once<S: Store>(store: S) {
    let worker = store.worker();
    complete(&worker, &TestJob::new("a").member("batch", 0)).await;
    assert_found(&worker, Attention::Batch, 9, &[]).await;
    worker.close_batch("batch", 1, START).await.expect("it fits");
    assert_found(&worker, Attention::Batch, 9, &["batch"]).await;
}

pub(super) async fn a_batch_completed_by_a_rejection_is_found_at_once<S: Store>(store: S) {
    let worker = store.worker();
    complete(&worker, &TestJob::new("a").member_of("batch", 0, 2)).await;
    assert_found(&worker, Attention::Batch, 9, &[]).await;
    worker.reject(&TestJob::new("b").member_of("batch", 1, 2), "no", START).await;
    assert_found(&worker, Attention::Batch, 9, &["batch"]).await;
}

pub(super) async fn a_job_in_a_batch_keeps_what_its_caller_gets_back<S: Store>(store: S) {
    let worker = store.worker();
    let metadata = json!({"row": 7, "name": "Zoë"});
    let job = TestJob::new("a").metadata(metadata.clone());
    let alone = complete(&worker, &job).await;
    assert_eq!(alone.metadata, None, "its message has it");

    // It had ended before it came to a batch.
    worker.claim(job.clone().member_of("batch", 0, 2).claim()).await;
    assert_eq!(worker.record(&job).await.metadata, Some(metadata.clone()));
    let other = TestJob::new("b").metadata(json!(["x"])).member_of("batch", 1, 2);
    complete(&worker, &other).await;

    let members = worker.counted("batch").await;
    let told: Vec<_> = members.iter().map(mcp_batch::fan_in::member_data).collect();
    assert_eq!((&told[0]["metadata"], &told[1]["metadata"]), (&metadata, &json!(["x"])));
}

pub(super) async fn a_callback_that_nobody_came_to_is_found_once_its_message_must_be_gone<
    S: Store,
>(
    store: S,
) {
    let worker = store.worker();
    let job = TestJob::new("a").callback(URL);
    complete(&worker, &job).await;
    // Its worker died before the first try; the message came once more, and that worker died too.
    let mut again = job.claim_at(after_s(10));
    again.redelivered = true;
    for _ in 0..2 {
        assert!(matches!(worker.claim(again.clone()).await, Claim::Finished(_)));
        assert_found(&worker, Attention::Callback, 10 + 7_199, &[]).await;
        assert_found(&worker, Attention::Callback, 10 + 7_200, &["a"]).await;
    }
}

pub(super) async fn a_job_with_a_callback_is_told_from_its_record_alone<S: Store>(store: S) {
    let worker = store.worker();
    let metadata = json!({"row": 7});
    let job = TestJob::new("a").callback(URL).metadata(metadata.clone());
    let record = complete(&worker, &job).await;
    let first = Event::of_job(&record).expect("an outcome");

    // A message of the same job with something else to hand through.
    worker.claim(job.clone().metadata(json!("other")).claim()).await;

    let kept = worker.record(&job).await;
    assert_eq!(kept.metadata, Some(metadata));
    let later = Event::of_job(&kept).expect("an outcome");
    assert_eq!((&later.id, &later.body), (&first.id, &first.body));
}

pub(super) async fn a_callback_that_comes_later_is_told_what_came_with_it<S: Store>(store: S) {
    let worker = store.worker();
    let job = TestJob::new("a").metadata(json!("nobody asks for it"));
    assert_eq!(complete(&worker, &job).await.metadata, None);
    worker.claim(job.clone().callback(URL).metadata(json!({"row": 8})).claim()).await;
    assert_eq!(worker.record(&job).await.metadata, Some(json!({"row": 8})));
}

/// What the batch's callback would say of its members.
async fn told_of<L: Ledger>(worker: &Worker<L>, batch: &str) -> Vec<Value> {
    let members = worker.counted(batch).await;
    members.into_iter().map(|member| member_data(&member.as_counted())).collect()
}

pub(super) async fn a_batch_tells_each_job_as_it_was_counted_whatever_was_decided_since<
    S: Store,
>(
    store: S,
) {
    let worker = store.worker();
    let jobs = ["failed", "held", "cancelled", "done"].map(TestJob::new);
    for (index, job) in (0..).zip(&jobs) {
        let job = job.clone().metadata(json!({"row": index})).member_of("batch", index, 4);
        let lease = worker.own(job.claim()).await;
        match index {
            0 => drop(worker.save(&lease, failed("no"), START).await),
            1 => drop(worker.save(&lease, interrupted(Repeat::Never), START).await),
            2 => {
                worker.save(&lease, released("once"), START).await;
                worker.cancel(job.claim()).await.expect("it waits");
            }
            _ => drop(worker.save(&lease, completed("yes"), START).await),
        }
    }
    let first = told_of(&worker, "batch").await;
    let statuses: Vec<_> = first.iter().map(|told| told["status"].clone()).collect();
    assert_eq!(statuses, ["failed", "held", "cancelled", "succeeded"]);

    for job in [&jobs[0], &jobs[2]] {
        worker.decide(job.key(), job.replay(1), after_s(1)).await.expect("it is over");
        assert_eq!(told_of(&worker, "batch").await, first, "it waits");
        let lease = worker.own(job.claim_at(after_s(2))).await;
        assert_eq!(told_of(&worker, "batch").await, first, "it runs");
        worker.save(&lease, completed("late"), after_s(3)).await;
    }
    let decision = Decision::Succeed("by hand".into());
    worker.decide(jobs[1].key(), decision, after_s(1)).await.expect("it is held");

    assert_eq!(told_of(&worker, "batch").await, first);
    // Another batch counts what they have come to by now, and tells that for ever.
    for (index, job) in (0..).zip(&jobs) {
        worker.claim(job.clone().member_of("later", index, 4).claim_at(after_s(4))).await;
    }
    let later = told_of(&worker, "later").await;
    assert!(later.iter().all(|told| told["status"] == "succeeded"), "{later:?}");
    assert_eq!(told_of(&worker, "batch").await, first);
    let live: Vec<_> = worker.counted("batch").await.iter().map(member_data).collect();
    assert_eq!(live, later, "who asks is told how it stands");
}

pub(super) async fn what_was_told_of_a_job_stays_whatever_comes_with_a_later_message<S: Store>(
    store: S,
) {
    let worker = store.worker();
    let later = json!({"row": 7});
    // Counted in the transaction of its end, or with its place after it had ended alone.
    let (member, alone) = (TestJob::new("member"), TestJob::new("alone"));
    complete(&worker, &member.clone().member_of("batch", 0, 2)).await;
    complete(&worker, &alone).await;
    worker.claim(alone.clone().member_of("batch", 1, 2).claim()).await;
    let first = told_of(&worker, "batch").await;
    assert_eq!(first.len(), 2);
    for (index, job) in [(0, &member), (1, &alone)] {
        let job = job.clone().metadata(later.clone());
        worker.claim(job.clone().member_of("batch", index, 2).claim()).await;
        worker.claim(job.clone().member_of("other", index, 2).claim()).await;
        worker.claim(job.callback(URL).claim()).await;
        assert_eq!(told_of(&worker, "batch").await, first);
    }
    assert!(worker.batch("other").await.is_complete());

    let job = TestJob::new("called");
    let record = complete(&worker, &job.clone().callback(URL)).await;
    let told = Event::of_job(&record).expect("an outcome");
    let url = "https://n8n.example.com/webhook/other";
    worker.claim(job.clone().metadata(later.clone()).callback(url).claim()).await;
    worker.claim(job.clone().metadata(later.clone()).member_of("third", 0, 1).claim()).await;
    let again = Event::of_job(&worker.record(&job).await).expect("an outcome");
    assert_eq!((&again.id, &again.body), (&told.id, &told.body));

    // A run that nobody asked for by a batch or a callback keeps what another message brought.
    let job = TestJob::new("released");
    let lease = worker.own(job.clone().metadata(later.clone()).member("fourth", 0).claim()).await;
    worker.save(&lease, released("once"), START).await;
    complete(&worker, &job).await;
    assert_eq!(told_of(&worker, "fourth").await[0]["metadata"], later);
}
