//! Jobs that end alone in their batch: their end and their count are two writes, and whatever comes
//! between them, each is counted once.

use std::{
    slice,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Duration,
};

use mcp_batch::{
    fan_in::{Member, MemberKind},
    lease::{Claim, ClaimRequest, Delivery, Failure, Lease, Ledger, Settled, State},
};
use mcp_batch_testkit::{AwsCall, AwsProxy, Fault, Rule};
use tokio::task::JoinSet;

use super::DynamoStore;
use crate::lease_helpers::{START, Store, TestJob, Worker, after_s, completed, failed, tried};

const CALLBACK: &str = "https://n8n.example.com/";

/// When a batch is closed whose jobs do not say.
const CLOSING_S: i64 = 24 * 3600;

/// So many are told to their items at once.
const TOLD_AT_ONCE: u64 = 16;

/// What no client asks for again.
const DENIED: Fault = Fault::Refused(400, "AccessDeniedException");

fn job(index: u64, size: u64) -> TestJob {
    TestJob::new(&format!("job-{index}")).member_of("batch", index, size)
}

fn come_back(job: &TestJob) -> ClaimRequest {
    let mut request = job.claim();
    request.redelivered = true;
    request
}

/// The write that makes a job's state its last one.
fn is_end(call: &AwsCall) -> bool {
    call.operation == "PutItem" && call.body["Item"]["places"].to_string().contains('?')
}

/// The write that counts it.
fn is_count(call: &AwsCall) -> bool {
    call.operation == "UpdateItem"
        && call.body["UpdateExpression"].as_str().is_some_and(|update| update.contains("alone"))
}

async fn end<L: Ledger>(worker: &Worker<L>, job: &TestJob) {
    let lease = worker.own(job.claim()).await;
    worker.save(&lease, completed("yes"), START).await;
}

/// Whether it is left to the batch's item to say that the job is counted.
async fn is_pending(store: &DynamoStore, job: &TestJob) -> bool {
    let item = store.item(job).await;
    let places = item["places"].as_ss().expect("a set of places");
    places.iter().any(|place| place.contains('?'))
}

async fn assert_counted<L: Ledger>(worker: &Worker<L>, jobs: u64) {
    assert_eq!(worker.batch("batch").await.counted, jobs);
    let indexes: Vec<_> = worker.counted("batch").await.iter().map(|it| it.index).collect();
    assert_eq!(indexes, (0..jobs).collect::<Vec<_>>());
}

/// A job that its worker ended and did not count before it died.
async fn left_between(store: &DynamoStore, job: &TestJob) -> Lease {
    let (proxy, dying) = store.behind_proxy().await;
    let lease = dying.own(job.claim()).await;
    proxy.rule(Rule::before("UpdateItem").when(is_count).fail(DENIED));
    let settled = dying.ledger().settle(&lease, completed("yes"), START).await;
    settled.expect_err("it is not told that the job is counted");
    assert!(is_pending(store, job).await);
    lease
}

#[tokio::test]
async fn whoever_meets_a_job_between_its_end_and_its_count_counts_it() {
    let Some(store) = DynamoStore::open().await else { return };
    for by in ["its message", "a message without the batch", "its worker", "a cancel", "a mark"] {
        let batch = by.replace(' ', "-");
        let plain = TestJob::new(&batch).callback(CALLBACK);
        let job = plain.clone().member_of(&batch, 0, 1);
        let lease = left_between(&store, &job).await;
        let worker = store.worker();
        assert_eq!(worker.batch(&batch).await.counted, 0, "{by}");
        assert_eq!(worker.record(&job).await.state, State::Done("yes".into()), "{by}");

        // Each comes twice.
        for _ in 0..2 {
            match by {
                "its message" | "a message without the batch" => {
                    let request = if by == "its message" { &job } else { &plain };
                    let claim = worker.claim(come_back(request)).await;
                    assert!(matches!(claim, Claim::Finished(_)), "{by}: {claim:?}");
                }
                "its worker" => {
                    let settled = worker.settle(&lease, completed("yes"), START).await;
                    assert!(matches!(settled, Settled::Saved(_)), "{by}: {settled:?}");
                }
                "a cancel" => {
                    worker.cancel(job.claim()).await.expect_err("it is done");
                }
                _ => {
                    let failed = Delivery::Failed(Failure::NotTaken);
                    worker.mark_epoch(job.key(), 1, tried(CALLBACK, failed)).await;
                }
            }
        }

        let told = worker.batch(&batch).await;
        assert!(told.counted == 1 && told.is_complete(), "{by}: {told:?}");
        assert_eq!(worker.counted(&batch).await.len(), 1, "{by}");
        assert!(!is_pending(&store, &job).await, "{by}");
    }
}

#[tokio::test]
async fn of_two_who_meet_it_at_once_both_find_it_counted_once() {
    let Some(store) = DynamoStore::open().await else { return };
    let job = job(0, 2);
    left_between(&store, &job).await;
    let (one, other) = (store.worker(), store.worker());

    let claims = tokio::join!(one.claim(come_back(&job)), other.claim(come_back(&job)));

    assert!(matches!(claims, (Claim::Finished(_), Claim::Finished(_))), "{claims:?}");
    assert_counted(&one, 1).await;
}

#[tokio::test]
async fn a_lost_answer_of_either_write_counts_once() {
    let Some(store) = DynamoStore::open().await else { return };
    let (proxy, worker) = store.behind_proxy().await;
    let end_lost = proxy.rule(Rule::after("PutItem").when(is_end).nth(1).lose());
    let count_lost = proxy.rule(Rule::after("UpdateItem").when(is_count).nth(2).lose());
    for index in 0..2 {
        end(&worker, &job(index, 2)).await;
    }
    assert_eq!((end_lost.hits(), count_lost.hits()), (1, 1));
    assert_counted(&worker, 2).await;
    assert!(worker.batch("batch").await.is_complete());
}

#[tokio::test]
async fn those_counted_alone_are_told_to_their_items_many_at_once_whoever_ended_them() {
    let Some(store) = DynamoStore::open().await else { return };
    let size = TOLD_AT_ONCE + 1;
    for index in 0..size {
        assert_counted_by_another(&store, index, size).await;
        let is_left = is_pending(&store, &job(0, size)).await;
        assert_eq!(is_left, index < TOLD_AT_ONCE, "after job {index}");
    }
    for index in 0..TOLD_AT_ONCE {
        assert!(!is_pending(&store, &job(index, size)).await, "job {index}");
    }
    assert!(store.worker().batch("batch").await.is_complete());
}

/// The next job, by a process of its own.
async fn assert_counted_by_another(store: &DynamoStore, index: u64, size: u64) {
    let worker = store.worker();
    end(&worker, &job(index, size)).await;
    assert_counted(&worker, index + 1).await;
}

/// The set in the batch's item does not grow for ever.
#[tokio::test]
async fn once_too_many_could_not_be_told_the_next_is_counted_in_a_transaction() {
    let Some(store) = DynamoStore::open().await else { return };
    let (proxy, worker) = store.behind_proxy().await;
    let is_told = |call: &AwsCall| call.body["UpdateExpression"].to_string().contains("SET places");
    let in_the_way = Fault::Refused(400, "TransactionConflictException");
    proxy.rule(Rule::before("UpdateItem").when(is_told).fail(in_the_way));
    let most = 2 * TOLD_AT_ONCE;
    for index in 0..most + 2 {
        end(&worker, &job(index, most + 3)).await;
    }
    assert_eq!(proxy.count("TransactWriteItems"), 2);
    assert_counted(&worker, most + 2).await;

    proxy.clear_rules();
    end(&worker, &job(most + 2, most + 3)).await;

    assert_eq!(proxy.count("TransactWriteItems"), 2);
    assert_counted(&worker, most + 3).await;
    assert!(!is_pending(&store, &job(0, most + 3)).await);
}

/// A client gave a request up and sent it anew; what it gave up arrives after all.
#[tokio::test]
async fn a_count_that_arrives_once_more_in_the_end_counts_nothing() {
    let Some(store) = DynamoStore::open().await else { return };
    let (proxy, worker) = store.behind_proxy().await;
    let jobs = TOLD_AT_ONCE + 4;
    for index in 0..jobs {
        end(&worker, &job(index, jobs + 1)).await;
    }

    let arrived = send_all_again(&store, slice::from_ref(&proxy)).await;

    assert_eq!(arrived, jobs);
    assert_counted(&worker, jobs).await;
}

/// How many counts were sent again.
async fn send_all_again(store: &DynamoStore, proxies: &[AwsProxy]) -> u64 {
    let counts: Vec<_> = proxies.iter().flat_map(AwsProxy::calls).filter(is_count).collect();
    store.send_again(&counts).await;
    counts.len() as u64
}

#[tokio::test]
async fn a_slow_worker_whose_job_was_counted_and_told_meanwhile_does_not_count_it_again() {
    let Some(store) = DynamoStore::open().await else { return };
    let (proxy, slow) = store.behind_proxy().await;
    let size = TOLD_AT_ONCE + 2;
    let first = job(0, size);
    let lease = slow.own(first.claim()).await;
    let watch = proxy.rule(Rule::before("UpdateItem").when(is_count).nth(1).hold());
    let settling = tokio::spawn(async move { slow.settle(&lease, completed("yes"), START).await });
    watch.wait_for_hits(1).await;

    let worker = store.worker();
    let claim = worker.claim(come_back(&first)).await;
    assert!(matches!(claim, Claim::Finished(_)), "{claim:?}");
    for index in 1..=TOLD_AT_ONCE {
        end(&worker, &job(index, size)).await;
    }
    watch.release(1);

    let settled = settling.await.expect("it ends");
    assert!(matches!(settled, Settled::Saved(_)), "{settled:?}");
    assert_counted(&worker, TOLD_AT_ONCE + 1).await;
}

#[tokio::test]
async fn what_has_ended_is_counted_before_its_batch_is_closed_for_its_time() {
    let Some(store) = DynamoStore::open().await else { return };
    left_between(&store, &job(0, 2)).await;
    let worker = store.worker();

    let closed = worker.take_batch("batch", after_s(CLOSING_S), after_s(CLOSING_S + 60)).await;

    let closed = closed.expect("its time has come");
    assert_eq!((closed.counted, closed.expired), (1, Some(after_s(CLOSING_S))));
    assert_counted(&worker, 1).await;
}

/// Nothing is counted in a batch that was told of; the outcome stands.
#[tokio::test]
async fn a_job_whose_batch_is_closed_just_before_its_end_is_written_is_not_counted() {
    let Some(store) = DynamoStore::open().await else { return };
    let (proxy, slow) = store.behind_proxy().await;
    let late = job(0, 2);
    let lease = slow.own(late.claim()).await;
    let watch = proxy.rule(Rule::before("PutItem").when(is_end).nth(1).hold());
    let settling = tokio::spawn(async move { slow.save(&lease, failed("no"), START).await });
    watch.wait_for_hits(1).await;

    let worker = store.worker();
    let closed = worker.take_batch("batch", after_s(CLOSING_S), after_s(CLOSING_S + 60)).await;
    assert_eq!(closed.expect("its time has come").counted, 0);
    watch.release(1);
    let record = settling.await.expect("it ends");

    assert_counted(&worker, 0).await;
    let replayed = worker.decide(late.key(), late.replay(record.epoch), START).await;
    replayed.expect("it failed");
    end(&worker, &late).await;
    assert_counted(&worker, 0).await;
}

#[tokio::test]
async fn a_size_that_is_said_between_end_and_count_completes_the_batch_with_the_count() {
    let Some(store) = DynamoStore::open().await else { return };
    let (proxy, slow) = store.behind_proxy().await;
    let lease = slow.own(TestJob::new("job-0").member("batch", 0).claim()).await;
    let watch = proxy.rule(Rule::before("UpdateItem").when(is_count).nth(1).hold());
    let settling = tokio::spawn(async move { slow.save(&lease, completed("yes"), START).await });
    watch.wait_for_hits(1).await;
    let worker = store.worker();
    let closed = worker.close_batch("batch", 1, START).await.expect("it fits");
    assert!(!closed.is_complete());

    watch.release(1);

    settling.await.expect("it ends");
    assert!(worker.batch("batch").await.is_complete());
    assert_counted(&worker, 1).await;
}

#[tokio::test]
async fn a_job_that_is_replayed_before_its_item_says_so_stays_counted_with_the_end_it_had() {
    let Some(store) = DynamoStore::open().await else { return };
    let worker = store.worker();
    let replayed = job(0, 2);
    let lease = worker.own(replayed.claim()).await;
    let record = worker.save(&lease, failed("no"), START).await;
    assert!(is_pending(&store, &replayed).await);

    let decision = replayed.replay(record.epoch);
    worker.decide(replayed.key(), decision, START).await.expect("it failed");
    assert_counted(&worker, 1).await;
    end(&worker, &replayed).await;

    assert_counted(&worker, 1).await;
    let [member]: [Member; 1] = worker.counted("batch").await.try_into().expect("one");
    let MemberKind::Job(record) = member.as_counted().kind else { panic!("it is a job") };
    assert!(matches!(record.state, State::Failed(_)), "{:?}", record.state);
}

/// Its first end is being counted by one worker, when a person has it run again, and another worker asks
/// for the same place.
#[tokio::test]
async fn a_job_that_is_replayed_while_it_is_counted_in_a_new_batch_is_counted_there_once() {
    let Some(store) = DynamoStore::open().await else { return };
    let worker = store.worker();
    worker.own(job(1, 2).claim()).await;
    let lease = worker.own(TestJob::new("job-0").claim()).await;
    let failure = worker.save(&lease, failed("no"), START).await;
    let ((one, counting), (two, joining)) =
        (store.behind_proxy().await, store.behind_proxy().await);
    let count = one.rule(Rule::before("TransactWriteItems").nth(1).hold());
    let counted = tokio::spawn(async move { counting.claim(job(0, 2).claim()).await });
    count.wait_for_hits(1).await;
    let decision = job(0, 2).replay(failure.epoch);
    worker.decide(job(0, 2).key(), decision, START).await.expect("it failed");
    let place = two.rule(Rule::before("UpdateItem").nth(1).hold());
    let joined = tokio::spawn(async move {
        let lease = joining.own(job(0, 2).claim()).await;
        joining.save(&lease, completed("yes"), START).await;
    });
    place.wait_for_hits(1).await;

    count.release(1);
    counted.await.expect("it is counted");
    place.release(1);
    joined.await.expect("it ends");

    assert_counted(&worker, 1).await;
}

/// Worker processes, and jobs that each ends one after the other.
const PROCESSES: u64 = 3;
const JOBS_EACH: u64 = 14;

#[tokio::test]
async fn whatever_fails_gets_lost_and_comes_late_each_job_is_counted_once() {
    let Some(store) = DynamoStore::open().await else { return };
    let jobs = PROCESSES * JOBS_EACH;
    let (mut proxies, mut processes, mut meddlers) = (Vec::new(), JoinSet::new(), JoinSet::new());
    let is_over = Arc::new(AtomicBool::new(false));
    for process in 0..PROCESSES {
        let (proxy, ledger) = store.ledger_behind_proxy().await;
        proxy.rule(Rule::before("dynamodb").share(0.1, process).fail(Fault::Internal));
        proxy.rule(Rule::after("dynamodb").share(0.1, 100 + process).lose());
        // The client gives these up for good: the worker dies.
        let dies = |call: &AwsCall| is_count(call) || is_end(call);
        proxy.rule(Rule::after("dynamodb").when(dies).share(0.3, 200 + process).fail(DENIED));
        // Time for others to come between.
        let pause = Duration::from_millis(60);
        proxy.rule(Rule::before("UpdateItem").when(is_count).share(0.5, process).delay(pause));
        proxies.push(proxy);
        let ledger = Arc::new(ledger);
        processes.spawn(async move {
            for index in (process..jobs).step_by(usize::try_from(PROCESSES).expect("few")) {
                end_in_the_end(&*ledger, &job(index, jobs)).await;
            }
        });
        let (meddler, is_over) = (store.worker(), Arc::clone(&is_over));
        meddlers.spawn(async move {
            while !is_over.load(SeqCst) {
                meddle(&meddler, &job(fastrand::u64(0..jobs), jobs)).await;
            }
        });
    }
    processes.join_all().await;
    is_over.store(true, SeqCst);
    meddlers.join_all().await;

    let worker = store.worker();
    assert_counted(&worker, jobs).await;
    assert!(worker.batch("batch").await.is_complete());
    send_all_again(&store, &proxies).await;
    assert_counted(&worker, jobs).await;
}

/// A message that comes back for a job that has ended, perhaps between its end and its count.
async fn meddle<L: Ledger>(worker: &Worker<L>, job: &TestJob) {
    if worker.look(job.key()).await.is_some_and(|record| record.is_final()) {
        let claim = worker.claim(come_back(job)).await;
        assert!(matches!(claim, Claim::Finished(_)), "{claim:?}");
    }
}

/// A message that comes back until its job is finished.
async fn end_in_the_end<L: Ledger>(ledger: &L, job: &TestJob) {
    let mut request = job.claim();
    loop {
        match ledger.claim(request.clone()).await {
            Ok(Claim::Owned(lease)) => {
                if ledger.settle(&lease, completed("yes"), START).await.is_ok() {
                    return;
                }
            }
            Ok(Claim::Finished(_)) => return,
            Ok(other) => panic!("{other:?}"),
            Err(_) => {}
        }
        request.redelivered = true;
    }
}
