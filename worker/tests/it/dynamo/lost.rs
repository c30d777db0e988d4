//! Requests that fail or whose answers are lost, on a real wire.

use std::sync::Arc;

use mcp_batch::lease::{
    CallbackState, Claim, Delivery, Failure, Ledger, LedgerError, Record, Settled, State,
};
use mcp_batch_testkit::{Fault, Rule};
use tokio::task::JoinSet;

use super::DynamoStore;
use crate::lease_helpers::{START, Store, TestJob, after_s, completed, failed, released, tried};

const CALLBACK: &str = "https://n8n.example.com/";

#[tokio::test]
async fn a_claim_whose_answer_was_lost_is_owned_and_counted_once() {
    let Some(store) = DynamoStore::open().await else { return };
    let (proxy, worker) = store.behind_proxy().await;
    proxy.rule(Rule::after("PutItem").nth(1).lose());

    let lease = worker.own(TestJob::new("a").claim()).await;

    assert_eq!((lease.epoch, lease.attempts), (1, 1));
    assert_eq!(proxy.count("PutItem"), 2, "the client sent it again by itself");
}

#[tokio::test]
async fn a_claim_of_a_known_job_whose_answer_was_lost_is_owned_and_counted_once() {
    let Some(store) = DynamoStore::open().await else { return };
    let (proxy, worker) = store.behind_proxy().await;
    let job = TestJob::new("a");
    let lease = worker.own(job.claim()).await;
    worker.save(&lease, released("later"), START).await;
    // The first one is refused, since there is an item.
    proxy.rule(Rule::after("PutItem").nth(2).lose());

    let lease = worker.own(job.claim()).await;

    assert_eq!((lease.epoch, lease.attempts), (2, 2));
}

#[tokio::test]
async fn an_outcome_whose_answer_was_lost_is_saved_once() {
    let Some(store) = DynamoStore::open().await else { return };
    let (proxy, worker) = store.behind_proxy().await;
    for (id, end) in
        [("done", completed("yes")), ("failed", failed("no")), ("retry", released("later"))]
    {
        let job = TestJob::new(id);
        let lease = worker.own(job.claim()).await;
        proxy.rule(Rule::after("PutItem").nth(1).lose());

        let record = worker.save(&lease, end, START).await;

        assert_eq!(record.usage.input_tokens, 10, "counted once");
        assert_eq!(worker.record(&job).await, record);
    }
}

#[tokio::test]
async fn a_mark_whose_answer_was_lost_is_noted_once() {
    let Some(store) = DynamoStore::open().await else { return };
    let (proxy, worker) = store.behind_proxy().await;
    let job = TestJob::new("a").callback(CALLBACK);
    let lease = worker.own(job.claim()).await;
    let record = worker.save(&lease, completed("yes"), START).await;

    proxy.rule(Rule::after("PutItem").nth(1).lose());
    worker.mark(&record, tried(CALLBACK, Delivery::Failed(Failure::NotTaken))).await;
    proxy.rule(Rule::after("UpdateItem").nth(1).lose());
    worker.mark(&record, tried(CALLBACK, Delivery::Sent)).await;

    let slot = worker.record(&job).await.callback.expect("a callback");
    assert_eq!((slot.failures, slot.state), (1, CallbackState::Sent));
}

#[tokio::test]
async fn a_transaction_whose_answer_was_lost_counts_once() {
    let Some(store) = DynamoStore::open().await else { return };
    let (proxy, worker) = store.behind_proxy().await;
    let mut leases = Vec::new();
    for index in 0..2 {
        let job = TestJob::new(&format!("job-{index}")).member_of("batch", index, 2);
        leases.push(worker.own(job.claim()).await);
    }
    let lost = proxy.rule(Rule::after("TransactWriteItems").nth(1).lose());
    let mut ending = JoinSet::new();
    for lease in leases {
        let worker = worker.clone();
        ending.spawn(async move { worker.save(&lease, completed("yes"), START).await });
    }
    ending.join_all().await;
    assert_eq!((lost.hits(), worker.batch("batch").await.counted), (1, 2));

    // Whoever does not hear that the delivery is its own still has it.
    proxy.rule(Rule::after("UpdateItem").nth(1).lose());
    assert!(worker.take_batch("batch", START, after_s(60)).await.is_some());
    proxy.rule(Rule::after("UpdateItem").nth(1).lose());
    worker.mark_batch("batch", Delivery::Failed(Failure::NotTaken)).await;
    assert_eq!(worker.batch("batch").await.callback.failures, 1);
}

#[tokio::test]
async fn a_claim_whose_answer_is_slow_stands_while_others_are_told_to_wait() {
    let Some(store) = DynamoStore::open().await else { return };
    let (proxy, worker) = store.behind_proxy().await;
    let request = TestJob::new("a").claim();
    let watch = proxy.rule(Rule::after("PutItem").nth(1).hold());
    let first = tokio::spawn({
        let (worker, request) = (worker.clone(), request.clone());
        async move { worker.claim(request).await }
    });
    watch.wait_for_hits(1).await;

    // The message is received again before the first answer came; the token is another one.
    let answer = store.worker().claim(TestJob::new("a").claim()).await;
    assert!(matches!(answer, Claim::Busy { .. }), "{answer:?}");

    watch.release(1);
    let answer = first.await.expect("it ends");
    assert!(matches!(answer, Claim::Owned(_)), "{answer:?}");
}

/// A single write that meets a transaction is refused without a word about its condition.
#[tokio::test]
async fn a_write_that_meets_a_transaction_is_decided_anew() {
    let Some(store) = DynamoStore::open().await else { return };
    let (proxy, worker) = store.behind_proxy().await;
    let in_the_way = || Fault::Refused(400, "TransactionConflictException");
    let job = TestJob::new("a").callback(CALLBACK);

    proxy.rule(Rule::before("PutItem").first(2).fail(in_the_way()));
    let lease = worker.own(job.claim()).await;
    proxy.rule(Rule::before("PutItem").first(2).fail(in_the_way()));
    let record = worker.save(&lease, completed("yes"), START).await;
    proxy.rule(Rule::before("UpdateItem").first(1).fail(in_the_way()));
    worker.mark(&record, tried(CALLBACK, Delivery::Sent)).await;

    assert_eq!((lease.epoch, record.usage.input_tokens), (1, 10));
    let slot = worker.record(&job).await.callback.expect("a callback");
    assert_eq!(slot.state, CallbackState::Sent);
}

#[tokio::test]
async fn a_table_that_never_answers_well_is_an_error_and_no_answer() {
    let Some(store) = DynamoStore::open().await else { return };
    let (proxy, ledger) = store.ledger_behind_proxy().await;
    let worker = store.worker();
    let job = TestJob::new("a").callback(CALLBACK);
    let lease = worker.own(job.claim()).await;

    for (fault, code) in [
        (Fault::CapacityExceeded, "ProvisionedThroughputExceededException"),
        (Fault::Throttled, "ThrottlingException"),
        (Fault::Internal, "InternalServerError"),
        (Fault::Refused(400, "AccessDeniedException"), "AccessDeniedException"),
    ] {
        proxy.clear_rules();
        proxy.rule(Rule::before("dynamodb").fail(fault));
        let told = tried(CALLBACK, Delivery::Sent);
        let (claimed, settled, marked, read) = tokio::join!(
            ledger.claim(TestJob::new("b").claim()),
            ledger.settle(&lease, completed("secret text"), START),
            ledger.mark(job.key(), 1, told, START),
            ledger.read(vec![job.key()]),
        );
        assert_told(&claimed.expect_err("no answer"), "PutItem", code);
        assert_told(&settled.expect_err("no answer"), "PutItem", code);
        assert_told(&marked.expect_err("no answer"), "UpdateItem", code);
        assert_told(&read.expect_err("no answer"), "GetItem", code);
    }

    assert!(matches!(worker.record(&job).await.state, State::Running { .. }));
}

/// The error says where and what, and nothing of what lies there.
fn assert_told(error: &LedgerError, operation: &str, code: &str) {
    let text = error.to_string();
    assert!(text.contains(operation) && text.contains(code), "{text}");
    assert!(!text.contains("secret"), "{text}");
}

#[tokio::test]
async fn a_third_of_failures_and_lost_answers_changes_nothing_in_the_end() {
    let Some(store) = DynamoStore::open().await else { return };
    let (proxy, ledger) = store.ledger_behind_proxy().await;
    proxy.rule(Rule::before("dynamodb").share(0.15, 1).fail(Fault::Throttled));
    proxy.rule(Rule::after("dynamodb").share(0.15, 2).lose());

    let ledger = Arc::new(ledger);
    let mut jobs = JoinSet::new();
    for n in 0..40 {
        let ledger = Arc::clone(&ledger);
        jobs.spawn(async move { (n, finish_in_the_end(&*ledger, n).await) });
    }

    for (n, record) in jobs.join_all().await {
        assert_eq!((record.state, record.attempts, record.epoch), (State::Done(n.into()), 1, 1));
        assert_eq!(record.usage.input_tokens, 10, "counted once");
    }
}

/// A worker that asks again with the same token until it is answered.
async fn finish_in_the_end<L: Ledger>(ledger: &L, n: i32) -> Record {
    let request = TestJob::new(&format!("job-{n}")).claim();
    let lease = loop {
        match ledger.claim(request.clone()).await {
            Ok(Claim::Owned(lease)) => break lease,
            Ok(other) => panic!("{other:?}"),
            Err(_) => {}
        }
    };
    loop {
        match ledger.settle(&lease, completed(n), START).await {
            Ok(Settled::Saved(record)) => return *record,
            Ok(other) => panic!("job {n} was its own: {other:?}"),
            Err(_) => {}
        }
    }
}
