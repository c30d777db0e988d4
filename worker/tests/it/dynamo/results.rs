//! Where results lie, by their size and by how well they compress.

use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use mcp_batch::{
    aws::dynamo::MAX_OBJECT_REQUESTS,
    error::ErrorClass,
    lease::{CallbackState, Claim, DeadLetterState, Settled, State},
};
use mcp_batch_testkit::{Fault, Rule};
use serde_json::Value;
use tokio::task::JoinSet;

use super::DynamoStore;
use crate::lease_helpers::{START, Store, TestJob, completed, failed, usage};

const CALLBACK: &str = "https://n8n.example.com/";

/// A text that no compression brings below so many bytes.
pub(super) fn noise(bytes: usize) -> Value {
    let mut noise = vec![0; bytes];
    fastrand::Rng::with_seed(7).fill(&mut noise);
    STANDARD_NO_PAD.encode(noise).into()
}

async fn finish(store: &DynamoStore, job: &TestJob, result: Value) -> State {
    let worker = store.worker();
    let lease = worker.own(job.claim()).await;
    let saved = worker.save(&lease, completed(result), START).await;
    let read = store.worker().record(job).await;
    assert!(read == saved, "the record came back changed");
    saved.state
}

/// S3's answer to a role that may not write there.
fn denied() -> Fault {
    Fault::Refused(403, "AccessDenied")
}

#[tokio::test]
async fn what_the_bucket_does_not_take_is_kept_in_the_item_if_it_fits() {
    let Some(store) = DynamoStore::open().await else { return };
    let store = store.with_bucket().await;
    let (proxy, worker) = store.behind_proxy().await;
    proxy.rule(Rule::before("s3").fail(denied()));
    let job = TestJob::new("a");
    let lease = worker.own(job.claim()).await;

    worker.save(&lease, completed(noise(20_000)), START).await;

    assert!(worker.record(&job).await.state == State::Done(noise(20_000)));
    assert_eq!(place(&store, &job).await.0, "result_zstd");
}

#[tokio::test]
async fn what_neither_bucket_nor_item_take_changes_nothing_and_may_be_saved_later() {
    let Some(store) = DynamoStore::open().await else { return };
    let store = store.with_bucket().await;
    let (proxy, worker) = store.behind_proxy().await;
    let refusals = proxy.rule(Rule::before("s3").first(2).fail(denied()));
    let job = TestJob::new("a");
    let lease = worker.own(job.claim()).await;
    let running = worker.record(&job).await;
    let large = noise(401 * 1024);

    for _ in 0..2 {
        let answer = worker.settle(&lease, completed(large.clone()), START).await;
        let Settled::Unkept(error) = answer else { panic!("nothing can keep it: {answer:?}") };
        assert_eq!((error.class, &*error.code), (ErrorClass::Permanent, "result_not_stored"));
        assert_eq!(worker.record(&job).await, running);
    }
    assert_eq!(refusals.hits(), 2);

    let saved = worker.save(&lease, completed(large.clone()), START).await;
    assert!(saved.state == State::Done(large));
    assert_eq!(saved.usage, usage());
}

/// A result waits for its turn rather than for a connection of its own.
#[tokio::test]
async fn no_more_results_than_allowed_are_on_their_way_to_the_bucket_at_once() {
    let Some(store) = DynamoStore::open().await else { return };
    let store = store.with_bucket().await;
    let (proxy, worker) = store.behind_proxy().await;
    let watch = proxy.rule(Rule::before("s3").hold());
    let jobs = MAX_OBJECT_REQUESTS + 4;
    let mut settlements = JoinSet::new();
    for n in 0..jobs {
        let lease = worker.own(TestJob::new(&format!("job-{n}")).claim()).await;
        let worker = worker.clone();
        settlements.spawn(async move { worker.save(&lease, completed(noise(9_000)), START).await });
    }

    for hits in 1..=jobs {
        watch.wait_for_hits(hits.max(MAX_OBJECT_REQUESTS)).await;
        let most = hits + MAX_OBJECT_REQUESTS - 1;
        assert!(watch.hits() <= most, "{} were let through", watch.hits());
        watch.release(1);
    }

    let records = settlements.join_all().await;
    assert!(records.iter().all(|record| matches!(record.state, State::Done(_))));
}

/// Which attribute the result lies in, and its bytes.
async fn place(store: &DynamoStore, job: &TestJob) -> (String, usize) {
    let item = store.item(job).await;
    let mut results = item.into_iter().filter(|(name, _)| name.starts_with("result"));
    let (name, value) = results.next().expect("a result");
    assert!(results.next().is_none(), "one place is enough");
    let text = value.as_s().map(String::len);
    let bytes = text.or_else(|_| value.as_b().map(|blob| blob.as_ref().len()));
    (name, bytes.expect("text or bytes"))
}

#[tokio::test]
async fn a_small_result_is_text_that_a_person_can_read() {
    let Some(store) = DynamoStore::open().await else { return };
    let job = TestJob::new("a");
    finish(&store, &job, "short".into()).await;
    assert_eq!(place(&store, &job).await, ("result".to_owned(), 7));
}

#[tokio::test]
async fn a_longer_result_is_compressed_and_the_item_stays_in_one_unit() {
    let Some(store) = DynamoStore::open().await else { return };
    let job = TestJob::new("a").callback(CALLBACK);
    let text = "A sentence like those that a model writes when it is asked to. ".repeat(40);
    finish(&store, &job, text.into()).await;
    let (name, bytes) = place(&store, &job).await;
    assert_eq!(name, "result_zstd");
    assert!(bytes < 200, "{bytes} bytes");
}

#[tokio::test]
async fn what_just_fits_an_item_leaves_room_for_the_longest_callback_and_metadata() {
    let Some(store) = DynamoStore::open().await else { return };
    let job = TestJob::new("a");
    let result = noise(375 * 1024);
    assert!(finish(&store, &job, result.clone()).await == State::Done(result));
    assert_eq!(place(&store, &job).await.0, "result_zstd");

    let longest = format!("https://n8n.example.com/{}", "x".repeat(2024));
    let job = job.callback(&longest).metadata("m".repeat(8_000).into());
    let answer = store.worker().claim(job.claim()).await;

    let Claim::Finished(record) = answer else { panic!("it is done") };
    assert_eq!(record.callback.expect("a callback").state, CallbackState::Pending);
}

#[tokio::test]
async fn without_a_bucket_a_result_that_does_not_fit_fails_the_job_and_keeps_its_cost() {
    let Some(store) = DynamoStore::open().await else { return };
    for kilobytes in [387, 401, 2000] {
        let job = TestJob::new(&format!("job-{kilobytes}")).callback(CALLBACK);
        let State::Failed(error) = finish(&store, &job, noise(kilobytes * 1024)).await else {
            panic!("{kilobytes} KB do not fit")
        };
        assert_eq!((error.class, &*error.code), (ErrorClass::Permanent, "result_too_large"));
        let record = store.worker().record(&job).await;
        assert_eq!((record.usage, record.dead_letter), (usage(), DeadLetterState::Pending));
    }
}

#[tokio::test]
async fn the_ends_a_job_was_brought_back_from_leave_less_room_for_its_result() {
    let Some(store) = DynamoStore::open().await else { return };
    let worker = store.worker();
    let job = TestJob::new("a").callback(CALLBACK).metadata("m".repeat(8_000).into());
    for epoch in 1..=6 {
        let lease = worker.own(job.claim()).await;
        worker.save(&lease, failed("no"), START).await;
        worker.decide(job.key(), job.replay(epoch), START).await.expect("it has failed");
    }

    // Fits, of a job without a past.
    let State::Failed(error) = finish(&store, &job, noise(375 * 1024)).await else {
        panic!("the item would be too large")
    };

    assert_eq!(error.code, "result_too_large");
}

#[tokio::test]
async fn a_settlement_that_became_a_failure_is_the_same_when_it_is_repeated() {
    let Some(store) = DynamoStore::open().await else { return };
    let worker = store.worker();
    let lease = worker.own(TestJob::new("a").claim()).await;
    let first = worker.save(&lease, completed(noise(401 * 1024)), START).await;
    assert_eq!(worker.save(&lease, completed(noise(401 * 1024)), START).await, first);
}

#[tokio::test]
async fn with_a_bucket_large_results_lie_there() {
    let Some(store) = DynamoStore::open().await else { return };
    let store = store.with_bucket().await;
    // A callback's end writes the item once more, so the bucket is cheaper sooner.
    for (id, bytes, has_callback, name) in [
        ("a", 3_000, true, "result_zstd"),
        ("b", 5_000, true, "result_object"),
        ("c", 5_000, false, "result_zstd"),
        ("d", 9_000, false, "result_object"),
        ("e", 401 * 1024, false, "result_object"),
        ("f", 3_000_000, true, "result_object"),
    ] {
        let job = TestJob::new(id);
        let job = if has_callback { job.callback(CALLBACK) } else { job };
        let result = noise(bytes);
        assert!(finish(&store, &job, result.clone()).await == State::Done(result), "{id}");
        assert_eq!(place(&store, &job).await.0, name, "{id}");
    }
}

#[tokio::test]
async fn a_result_is_in_the_bucket_under_its_epoch_before_the_outcome_stands() {
    let Some(store) = DynamoStore::open().await else { return };
    let store = store.with_bucket().await;
    let (proxy, worker) = store.behind_proxy().await;
    let job = TestJob::new("a");
    let lease = worker.own(job.claim()).await;
    worker.save(&lease, completed(noise(20_000)), START).await;

    let operations: Vec<_> = proxy.calls().into_iter().map(|call| call.operation).collect();
    let [claim, put, settle] = operations.as_slice() else { panic!("{operations:?}") };
    assert_eq!([claim, settle], ["PutItem", "PutItem"]);
    let bucket = store.settings.bucket.as_deref().expect("a bucket");
    let start = format!("PUT /{bucket}/results/{}/1-", job.key());
    assert!(put.starts_with(&start) && put.ends_with(".json.zst"), "{put}");
}

#[tokio::test]
async fn a_fenced_owners_object_does_not_replace_the_stored_one() {
    let Some(store) = DynamoStore::open().await else { return };
    let store = store.with_bucket().await;
    let (person, paused) = (store.worker(), store.worker());
    let job = TestJob::new("a").never_repeated();
    let lease = paused.own(job.claim()).await;
    person.claim(job.claim_at(lease.ends)).await;
    let result: Value = noise(20_000);
    let decision = mcp_batch::lease::Decision::Succeed(result.clone());
    person.decide(job.key(), decision, START).await.expect("it is held");

    paused.assert_fenced(&lease, completed(noise(30_000)), START).await;

    assert!(store.worker().record(&job).await.state == State::Done(result));
}
