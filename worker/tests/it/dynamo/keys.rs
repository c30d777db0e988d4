//! Under which keys things lie in the table, and in which units its times are.

use aws_sdk_dynamodb::types::AttributeValue;
use mcp_batch::{
    job::{BodyHash, Namespace, PayloadHash, RequestKey},
    lease::Ledger,
};

use super::DynamoStore;
use crate::{
    lease_helpers::{LEASE_S, START, Store, TestJob, after_s, expiry},
    stored_keys::{BATCH, BODY, JOB, PAYLOAD, REQUEST},
};

/// A digest that is stored as bytes.
fn hex(value: &AttributeValue) -> String {
    let bytes = value.as_b().expect("bytes").as_ref();
    PayloadHash::from_bytes(bytes.try_into().expect("32 bytes")).to_string()
}

#[tokio::test]
async fn jobs_batches_and_requests_lie_in_the_table_under_the_keys_that_they_always_had() {
    let Some(store) = DynamoStore::open().await else { return };
    let worker = store.worker();
    worker.own(TestJob::new("order-1").member_of("nightly-1", 0, 1).claim()).await;
    let request = RequestKey::of(&Namespace::default(), "nightly-1");
    let noted =
        worker.ledger().note_request(request, BodyHash::of("/v1/jobs", b"one"), START, after_s(60));
    noted.await.expect("the ledger answers");

    let job = store.item_at(&format!("job#{JOB}")).await;
    assert_eq!(hex(&job["payload_hash"]), PAYLOAD);
    store.item_at(&format!("batch#{BATCH}")).await;
    store.item_at(&format!("page#{BATCH}#0")).await;
    let request = store.item_at(&format!("request#{REQUEST}")).await;
    assert_eq!(hex(&request["body_hash"]), BODY);
}

/// The table's TTL takes seconds, a lease is shorter than one may be.
#[tokio::test]
async fn a_lease_is_kept_in_milliseconds_and_the_life_of_an_item_in_seconds() {
    let Some(store) = DynamoStore::open().await else { return };
    let job = TestJob::new("order-1");
    store.worker().own(job.claim()).await;
    let item = store.item(&job).await;
    let number = |name: &str| item[name].as_n().expect("a number").clone();
    assert_eq!(number("lease_ends_ms"), (START.0 + LEASE_S * 1_000).to_string());
    assert_eq!(number("claimed_ms"), START.0.to_string());
    assert_eq!(number("record_expires_s"), expiry().seconds().to_string());
}
