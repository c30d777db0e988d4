//! Under which keys things lie in the file.

use mcp_batch::{
    job::{BodyHash, Namespace, RequestKey},
    lease::Ledger,
    webhook::Event,
};
use rusqlite::Connection;

use super::Bench;
use crate::{
    lease_helpers::{START, TestJob, after_s, completed},
    stored_keys::{BATCH, BODY, JOB, PAYLOAD, REQUEST},
};

#[tokio::test]
async fn jobs_batches_and_requests_lie_in_the_file_under_the_keys_that_they_always_had() {
    let bench = Bench::new();
    let process = bench.process();
    let worker = &process.ledger;
    let job = TestJob::new("order-1").callback("https://n8n.example.com/");
    let job = job.member_of("nightly-1", 0, 1);
    let lease = worker.own(job.claim()).await;
    let record = worker.save(&lease, completed("yes"), START).await;
    let request = RequestKey::of(&Namespace::default(), "nightly-1");
    let noted =
        worker.ledger().note_request(request, BodyHash::of("/v1/jobs", b"one"), START, after_s(60));
    noted.await.expect("the ledger answers");

    let file = Connection::open(bench.path()).expect("the file");
    let read = |what: &str| -> String {
        let row = |row: &rusqlite::Row<'_>| row.get(0);
        file.query_row(&format!("SELECT lower(hex({what}"), (), row).expect(what)
    };
    assert_eq!(read("key)) FROM jobs"), JOB);
    assert_eq!(read("payload_hash)) FROM jobs"), PAYLOAD);
    assert_eq!(read("key)) FROM batches"), BATCH);
    assert_eq!(read("batch)) FROM batch_members"), BATCH);
    assert_eq!(read("job)) FROM batch_members"), JOB);
    assert_eq!(read("key)) FROM requests"), REQUEST);
    assert_eq!(read("body)) FROM requests"), BODY);
    let event = Event::of_job(&record).expect("it is done");
    assert_eq!(event.id, "msg_5962eaf6a386886b402f98a27407a18c", "receivers keep it");
}
