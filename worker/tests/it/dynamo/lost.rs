//! Requests that fail or whose answers are lost, on a real wire.

use mcp_batch::lease::{CallbackState, Claim, Delivery, Ledger, LedgerError, Mark, Settled, State};
use mcp_batch_testkit::{Fault, Rule};

use super::DynamoStore;
use crate::lease_helpers::{START, Store, TestJob, after_s, callback, completed, failed, released};

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
    worker.mark(&record, Mark::Callback(callback(CALLBACK), Delivery::Failed)).await;
    proxy.rule(Rule::after("UpdateItem").nth(1).lose());
    worker.mark(&record, Mark::Callback(callback(CALLBACK), Delivery::Sent)).await;

    let slot = worker.record(&job).await.callback.expect("a callback");
    assert_eq!((slot.failures, slot.state), (1, CallbackState::Sent));
}

#[tokio::test]
async fn a_transaction_whose_answer_was_lost_counts_once() {
    let Some(store) = DynamoStore::open().await else { return };
    let (proxy, worker) = store.behind_proxy().await;
    for index in 0..2 {
        proxy.rule(Rule::after("TransactWriteItems").nth(1).lose());
        let job = TestJob::new(&format!("job-{index}")).member_of("batch", index, 2);
        let lease = worker.own(job.claim()).await;
        assert_eq!((lease.epoch, lease.attempts), (1, 1));
        proxy.rule(Rule::after("TransactWriteItems").nth(1).lose());
        worker.save(&lease, completed("yes"), START).await;
    }
    assert_eq!(worker.batch("batch").await.counted, 2);

    // Whoever does not hear that the delivery is its own still has it.
    proxy.rule(Rule::after("UpdateItem").nth(1).lose());
    assert!(worker.take_batch("batch", START, after_s(60)).await.is_some());
    proxy.rule(Rule::after("UpdateItem").nth(1).lose());
    worker.mark_batch("batch", Delivery::Failed).await;
    assert_eq!(worker.batch("batch").await.callback.failures, 1);
}

#[tokio::test]
async fn a_claim_is_owned_even_if_another_process_made_the_lost_one_look_old() {
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
        let claimed = ledger.claim(TestJob::new("b").claim()).await;
        assert_told(&claimed.expect_err("no answer"), "PutItem", code);
        let settled = ledger.settle(&lease, completed("secret text"), START).await;
        assert_told(&settled.expect_err("no answer"), "PutItem", code);
        let told = Mark::Callback(callback(CALLBACK), Delivery::Sent);
        let marked = ledger.mark(job.key(), 1, told, START).await;
        assert_told(&marked.expect_err("no answer"), "UpdateItem", code);
        let read = ledger.read(vec![job.key()]).await;
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

    for n in 0..40 {
        let job = TestJob::new(&format!("job-{n}"));
        let request = job.claim();
        let lease = loop {
            match ledger.claim(request.clone()).await {
                Ok(Claim::Owned(lease)) => break lease,
                Ok(other) => panic!("{other:?}"),
                Err(_) => {}
            }
        };
        let record = loop {
            match ledger.settle(&lease, completed(n), START).await {
                Ok(Settled::Saved(record)) => break record,
                Ok(Settled::Fenced) => panic!("job {n} was its own"),
                Err(_) => {}
            }
        };
        assert_eq!((record.state, record.attempts, record.epoch), (State::Done(n.into()), 1, 1));
        assert_eq!(record.usage.input_tokens, 10, "counted once");
    }
}
