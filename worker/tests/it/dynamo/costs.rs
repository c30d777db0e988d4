//! Requests and write units, counted on the wire by DynamoDB's rules.

use mcp_batch::lease::{Claim, Delivery, Ledger, Mark, Record};
use mcp_batch_testkit::{AwsProxy, Rule};
use serde_json::json;
use tokio::task::JoinSet;

use super::{DynamoStore, results::noise};
use crate::lease_helpers::{
    START, Store, TestJob, Worker, after_s, completed, expiry, failed, tried,
};

const CALLBACK: &str = "https://n8n.example.com/webhook-waiting/4711?signature=0123456789abcdef";

fn summary() -> serde_json::Value {
    json!({"summary": "A tool was called, it answered at some length, and this is what is left."})
}

async fn finish<L: Ledger>(worker: &Worker<L>, job: &TestJob) -> Record {
    let lease = worker.own(job.claim()).await;
    worker.save(&lease, completed(summary()), START).await
}

fn sent() -> Mark {
    tried(CALLBACK, Delivery::Sent)
}

/// Requests, write units and halves of read units since it was last asked.
fn bill(proxy: &AwsProxy) -> (usize, u64, u64) {
    let (requests, units) = (proxy.count("dynamodb"), proxy.units());
    proxy.forget();
    (requests, units.write, units.read_halves)
}

#[tokio::test]
async fn a_job_with_a_callback_is_three_writes_of_one_unit_each() {
    let Some(store) = DynamoStore::open().await else { return };
    let (proxy, worker) = store.behind_proxy().await;
    let job = TestJob::new("3f2b8c1e-7d4a-4e0b-9a57-1c2d3e4f5a6b").callback(CALLBACK);

    let record = finish(&worker, &job).await;
    worker.mark(&record, sent()).await;

    assert_eq!(bill(&proxy), (3, 3, 0));
}

#[tokio::test]
async fn a_job_without_a_callback_is_two_writes() {
    let Some(store) = DynamoStore::open().await else { return };
    let (proxy, worker) = store.behind_proxy().await;
    finish(&worker, &TestJob::new("a")).await;
    assert_eq!(bill(&proxy), (2, 2, 0));
}

#[tokio::test]
async fn a_failed_job_is_a_claim_a_failure_and_one_write_for_each_hand_off() {
    let Some(store) = DynamoStore::open().await else { return };
    let (proxy, worker) = store.behind_proxy().await;
    let lease = worker.own(TestJob::new("a").callback(CALLBACK).claim()).await;
    let record = worker.save(&lease, failed("no"), START).await;
    worker.mark(&record, sent()).await;
    worker.mark(&record, Mark::DeadLetterSent).await;
    assert_eq!(bill(&proxy), (4, 4, 0));
}

#[tokio::test]
async fn a_duplicate_of_a_job_finished_elsewhere_is_one_request() {
    let Some(store) = DynamoStore::open().await else { return };
    let job = TestJob::new("a").callback(CALLBACK);
    let record = finish(&store.worker(), &job).await;
    store.worker().mark(&record, sent()).await;

    let (proxy, worker) = store.behind_proxy().await;
    assert!(matches!(worker.claim(job.claim()).await, Claim::Finished(_)));
    assert_eq!(bill(&proxy), (1, 1, 0));

    let (proxy, worker) = store.behind_proxy().await;
    let mut redelivered = job.claim();
    redelivered.redelivered = true;
    assert!(matches!(worker.claim(redelivered).await, Claim::Finished(_)));
    assert_eq!(bill(&proxy), (1, 0, 2), "a read is a fifth of the price");
}

#[tokio::test]
async fn a_duplicate_of_a_job_finished_here_is_no_request() {
    let Some(store) = DynamoStore::open().await else { return };
    let (proxy, worker) = store.behind_proxy().await;
    let job = TestJob::new("a").callback(CALLBACK);
    let mut record = finish(&worker, &job).await;
    assert!(matches!(worker.claim(job.claim()).await, Claim::Finished(_)));
    assert_eq!(bill(&proxy).0, 3, "its callback is still owed, perhaps to another one by now");
    worker.mark(&record, sent()).await;
    bill(&proxy);

    let Claim::Finished(duplicate) = worker.claim(job.claim()).await else { panic!("it is done") };

    assert_eq!(bill(&proxy), (0, 0, 0));
    record.callback.as_mut().expect("a callback").note(Delivery::Sent, START);
    assert_eq!(*duplicate, record);
    assert_eq!(store.worker().record(&job).await, record, "as it is stored");
}

#[tokio::test]
async fn a_batch_is_read_once_to_be_closed_and_once_to_be_taken() {
    let Some(store) = DynamoStore::open().await else { return };
    let (proxy, worker) = store.behind_proxy().await;
    finish(&worker, &TestJob::new("a").member("batch", 0)).await;
    bill(&proxy);

    let closed = worker.close_batch("batch", 1, START).await.expect("it fits");
    assert!(closed.is_complete(), "{closed:?}");
    assert_eq!(bill(&proxy).0, 3, "the batch, its pages, and its size");
    assert!(worker.take_batch("batch", START, after_s(60)).await.is_some());
    assert_eq!(bill(&proxy).0, 2, "the batch, and who has it");
}

/// Else a thousand of them could take gigabytes.
#[tokio::test]
async fn a_result_that_is_small_only_where_it_lies_is_not_remembered() {
    let Some(store) = DynamoStore::open().await else { return };
    let store = store.with_bucket().await;
    let (proxy, worker) = store.behind_proxy().await;
    let in_item = "a".repeat(100_000);
    let in_bucket = noise(9_000);
    for (id, result) in [("compressed", in_item.into()), ("object", in_bucket)] {
        let job = TestJob::new(id);
        let lease = worker.own(job.claim()).await;
        worker.save(&lease, completed(result), START).await;
        bill(&proxy);
        for duplicate in 1..=2 {
            assert!(matches!(worker.claim(job.claim()).await, Claim::Finished(_)));
            assert_eq!(bill(&proxy).0, 1, "duplicate {duplicate} of {id} asks the table");
        }
    }
}

#[tokio::test]
async fn what_a_finished_duplicate_may_change_is_asked_of_the_table() {
    let Some(store) = DynamoStore::open().await else { return };
    let (proxy, worker) = store.behind_proxy().await;
    let job = TestJob::new("a");
    finish(&worker, &job).await;
    bill(&proxy);

    worker.claim(job.clone().callback(CALLBACK).claim()).await;
    assert_eq!(bill(&proxy).0, 2, "a new callback is owed the outcome");
    worker.claim(job.clone().text("Another one.").claim()).await;
    assert_eq!(bill(&proxy).0, 1, "another payload");
    worker.claim(job.member_of("batch", 0, 1).claim()).await;
    assert!(bill(&proxy).0 > 0, "a batch");
}

#[tokio::test]
async fn a_failed_job_that_was_replayed_elsewhere_is_run_here() {
    let Some(store) = DynamoStore::open().await else { return };
    let (here, elsewhere) = (store.worker(), store.worker());
    let job = TestJob::new("a");
    let lease = here.own(job.claim()).await;
    let record = here.save(&lease, failed("no"), START).await;
    here.mark(&record, Mark::DeadLetterSent).await;
    assert!(matches!(here.claim(job.claim()).await, Claim::Finished(_)));

    elsewhere.decide(job.key(), job.replay(record.epoch), START).await.expect("it failed");

    assert_eq!(here.own(job.claim()).await.epoch, 2);
}

#[tokio::test]
async fn a_finished_job_is_forgotten_with_its_record() {
    let Some(store) = DynamoStore::open().await else { return };
    let worker = store.worker();
    let job = TestJob::new("a");
    finish(&worker, &job).await;
    assert_eq!(worker.own(job.claim_at(expiry())).await.epoch, 2);
}

/// A claim waits for its turn rather than for a connection of its own.
#[tokio::test]
async fn no_more_requests_than_allowed_are_under_way_at_once() {
    let Some(mut store) = DynamoStore::open().await else { return };
    store.settings.max_requests = 3;
    let (proxy, worker) = store.behind_proxy().await;
    let watch = proxy.rule(Rule::before("PutItem").hold());
    let mut claims = JoinSet::new();
    for n in 0..12 {
        let (worker, request) = (worker.clone(), TestJob::new(&format!("job-{n}")).claim());
        claims.spawn(async move { worker.claim(request).await });
    }

    for hits in 1..=12 {
        watch.wait_for_hits(hits.max(3)).await;
        assert!(watch.hits() <= hits + 2, "{} were let through", watch.hits());
        watch.release(1);
    }

    let owned = claims.join_all().await;
    assert!(owned.iter().all(|claim| matches!(claim, Claim::Owned(_))));
}

/// Jobs of one batch that come and end at once, as those of an event do.
async fn work_off_a_batch(store: &DynamoStore, jobs: u64, at_once: u64) -> (usize, u64, u64) {
    let (proxy, worker) = store.behind_proxy().await;
    for first in (0..jobs).step_by(usize::try_from(at_once).expect("a small number")) {
        let mut running = JoinSet::new();
        for index in first..jobs.min(first + at_once) {
            let job = TestJob::new(&format!("job-{index}")).member_of("batch", index, jobs);
            let worker = worker.clone();
            running.spawn(async move {
                let lease = worker.own(job.claim()).await;
                worker.save(&lease, completed(summary()), START).await
            });
        }
        running.join_all().await;
    }
    let bill = bill(&proxy);
    assert!(worker.batch("batch").await.is_complete());
    bill
}

#[tokio::test]
async fn a_counted_job_is_at_most_five_write_units_at_four_at_once_and_four_at_forty() {
    // The claim, two for the final state in a transaction; place and count are shared.
    let Some(units) = least_units(40, 40).await else { return };
    assert!(units <= 40 * 4, "{units} units for 40 jobs");

    let Some(units) = least_units(40, 4).await else { return };
    assert!(units <= 40 * 5, "{units} units for 40 jobs, 4 at once");
}

/// What ends together shares a transaction, and a busy machine may tear it apart: of three runs, the best.
async fn least_units(jobs: u64, at_once: u64) -> Option<u64> {
    let mut least = None;
    for _ in 0..3 {
        let store = DynamoStore::open().await?;
        let (_, units, _) = work_off_a_batch(&store, jobs, at_once).await;
        least = Some(least.map_or(units, |least: u64| least.min(units)));
    }
    least
}

/// The batch's opening, which its first job pays, is one write and one into the index.
const OPENING: u64 = 2;

#[tokio::test]
async fn two_jobs_that_end_together_are_five_write_units_each() {
    let Some(store) = DynamoStore::open().await else { return };
    let (proxy, worker) = store.behind_proxy().await;
    let mut leases = Vec::new();
    for index in 0..2 {
        let job = TestJob::new(&format!("job-{index}")).member_of("batch", index, 2);
        leases.push(worker.own(job.claim()).await);
    }
    let mut ending = JoinSet::new();
    for lease in leases {
        let worker = worker.clone();
        ending.spawn(async move { worker.save(&lease, completed(summary()), START).await });
    }
    ending.join_all().await;
    assert_eq!(bill(&proxy).1, OPENING + 2 * 5);
    assert!(worker.batch("batch").await.is_complete());
}

#[tokio::test]
async fn a_job_that_is_alone_in_its_batch_pays_for_place_and_count_itself() {
    let Some(store) = DynamoStore::open().await else { return };
    let (_, units, _) = work_off_a_batch(&store, 1, 1).await;
    // Place, claim, final state, count.
    assert_eq!(units, OPENING + 4);
}

#[tokio::test]
async fn jobs_that_come_one_by_one_are_at_most_five_write_units_each() {
    let Some(store) = DynamoStore::open().await else { return };
    let (_, units, _) = work_off_a_batch(&store, 40, 1).await;
    // Twice sixteen were told that they are counted.
    assert_eq!(units, OPENING + 40 * 4 + 2 * 16);
}

#[tokio::test]
async fn no_write_of_a_job_in_a_batch_is_refused() {
    let Some(store) = DynamoStore::open().await else { return };
    let (proxy, worker) = store.behind_proxy().await;
    let job = TestJob::new("a").member_of("batch", 0, 1);
    let lease = worker.own(job.claim()).await;
    worker.save(&lease, completed(summary()), START).await;
    assert!(proxy.calls().iter().all(|call| call.answered == Some(200)), "{:?}", proxy.tally());
    let expected = [("BatchGetItem", 1), ("GetItem", 1), ("PutItem", 3), ("UpdateItem", 2)];
    let expected = expected.map(|(name, count)| (name.to_owned(), count));
    assert_eq!(proxy.tally(), expected.into());
}

#[tokio::test]
#[ignore = "prints the table of docs/batches.md; a quiet machine is needed"]
#[expect(clippy::print_stdout, reason = "that is what it is there for")]
async fn what_a_counted_job_costs_by_how_many_come_at_once() {
    for at_once in [1, 2, 4, 8, 16, 40] {
        let Some(units) = least_units(40, at_once).await else { return };
        let tenths = (units - OPENING) * 10 / 40;
        println!("| {at_once} | {}.{} |", tenths / 10, tenths % 10);
    }
}
