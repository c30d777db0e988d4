//! What DynamoDB may delete by itself, and when: what is owed to a or waits for a person,
//! has no number in the TTL attribute; what only owes a dead letter has a later one.

use aws_sdk_dynamodb::types::AttributeValue;
use mcp_batch::lease::{DeadLetterState, Decision, Delivery, Failure, Mark, Repeat, WhyDead};

use super::DynamoStore;
use crate::lease_helpers::{
    RECORD_LIVES, START, Store, TestJob, completed, expiry, failed, interrupted, tried,
};

const CALLBACK: &str = "https://n8n.example.com/";

/// When the item may be deleted, in seconds.
async fn ttl(store: &DynamoStore, job: &TestJob) -> Option<i64> {
    match store.item(job).await.get("record_expires_s")? {
        AttributeValue::N(seconds) => Some(seconds.parse().expect("whole seconds")),
        _ => None,
    }
}

async fn assert_expires_in_time(store: &DynamoStore, job: &TestJob) {
    assert_eq!(ttl(store, job).await, Some(expiry().seconds()));
}

#[tokio::test]
async fn a_job_that_owes_nothing_expires_from_its_claim_on() {
    let Some(store) = DynamoStore::open().await else { return };
    let worker = store.worker();
    let job = TestJob::new("a");
    let lease = worker.own(job.claim()).await;
    assert_expires_in_time(&store, &job).await;
    worker.save(&lease, completed("yes"), START).await;
    assert_expires_in_time(&store, &job).await;
}

#[tokio::test]
async fn a_callbacks_end_lets_the_item_expire() {
    let Some(store) = DynamoStore::open().await else { return };
    let worker = store.worker();
    for (id, end) in [("sent", Delivery::Sent), ("dead", Delivery::Dead(WhyDead::Refused))] {
        let job = TestJob::new(id).callback(CALLBACK);
        let lease = worker.own(job.claim()).await;
        let record = worker.save(&lease, completed("yes"), START).await;
        worker.mark(&record, tried(CALLBACK, Delivery::Failed(Failure::NotTaken))).await;
        assert_eq!(ttl(&store, &job).await, None);

        worker.mark(&record, tried(CALLBACK, end)).await;

        assert_expires_in_time(&store, &job).await;
    }
}

#[tokio::test]
async fn of_two_debts_the_last_one_lets_the_item_expire() {
    let Some(store) = DynamoStore::open().await else { return };
    let worker = store.worker();
    let told = tried(CALLBACK, Delivery::Sent);
    let letters_end = Some(expiry().plus(RECORD_LIVES).seconds());
    for (id, first, last, between) in [
        ("letter-last", told.clone(), Mark::DeadLetterSent, letters_end),
        ("callback-last", Mark::DeadLetterSent, told, None),
    ] {
        let job = TestJob::new(id).callback(CALLBACK);
        let lease = worker.own(job.claim()).await;
        let record = worker.save(&lease, failed("no"), START).await;

        assert_eq!(ttl(&store, &job).await, None);

        worker.mark(&record, first).await;
        assert_eq!(ttl(&store, &job).await, between);
        worker.mark(&record, last).await;

        assert_expires_in_time(&store, &job).await;
    }
}

/// Without a queue for dead letters nobody ever tells that one was sent.
#[tokio::test]
async fn a_dead_letter_that_stays_owed_keeps_its_item_for_a_second_life_only() {
    let Some(store) = DynamoStore::open().await else { return };
    let worker = store.worker();
    let job = TestJob::new("a");
    let lease = worker.own(job.claim()).await;
    let record = worker.save(&lease, failed("no"), START).await;
    assert_eq!(ttl(&store, &job).await, Some(expiry().plus(RECORD_LIVES).seconds()));
    assert_eq!(worker.record(&job).await.dead_letter, DeadLetterState::Pending);

    worker.mark(&record, Mark::DeadLetterSent).await;

    assert_expires_in_time(&store, &job).await;
}

#[tokio::test]
async fn a_held_job_does_not_expire_until_a_person_decided() {
    let Some(store) = DynamoStore::open().await else { return };
    let worker = store.worker();
    let job = TestJob::new("a").never_repeated();
    let lease = worker.own(job.claim()).await;
    worker.save(&lease, interrupted(Repeat::Never), START).await;
    assert_eq!(ttl(&store, &job).await, None);

    let decision = Decision::Succeed("yes".into());
    worker.decide(job.key(), decision, START).await.expect("it is held");

    assert_expires_in_time(&store, &job).await;
}
