//! What has outlived its time goes, so that the file stays bounded; what is owed stays.

use std::time::Duration;

use mcp_batch::{
    error::{ErrorClass, JobError},
    lease::{Delivery, Repeat},
    queue::DeadLetter,
};
use rusqlite::Connection;

use super::{Bench, Process};
use crate::lease_helpers::{START, TestJob, completed, failed, interrupted, released, tried};

const CALLBACK: &str = "https://n8n.example.com/";

/// Longer than anything is kept that may go.
const LONG: Duration = Duration::from_hours(46 * 24);

/// Lets the writer prune as often as it takes; it does so after a write, a little at a time.
async fn prune(bench: &Bench, process: &Process) {
    for _ in 0..20 {
        bench.clock.pass(Duration::from_secs(60));
        process.ledger.read(Vec::new()).await;
    }
    // The answer to a write comes before the pruning that follows it.
    process.ledger.read(Vec::new()).await;
}

fn letter() -> DeadLetter {
    DeadLetter {
        namespace: None,
        body: "{}".into(),
        group: None,
        error: JobError::new(ErrorClass::Permanent, "no", "no"),
        job_id: None,
        tool: None,
        attempts: 1,
        epoch: Some(1),
        first_seen: START,
        trace: None,
        others: Box::default(),
    }
}

#[tokio::test]
async fn what_has_expired_goes_and_what_is_held_or_owed_stays() {
    let bench = Bench::new();
    let process = bench.process();
    let ledger = &process.ledger;
    for n in 0..450 {
        let lease = ledger.own(TestJob::new(&format!("done-{n}")).claim()).await;
        ledger.save(&lease, completed("yes"), START).await;
    }
    let sent = TestJob::new("sent").callback(CALLBACK);
    let lease = ledger.own(sent.claim()).await;
    let record = ledger.save(&lease, completed("yes"), START).await;
    ledger.mark(&record, tried(CALLBACK, Delivery::Sent)).await;
    for (job, how) in [
        (TestJob::new("callback-pending").callback(CALLBACK), completed("yes")),
        (TestJob::new("letter-pending"), failed("no")),
        (TestJob::new("held"), interrupted(Repeat::Never)),
        (TestJob::new("retry").callback(CALLBACK), released("once")),
    ] {
        let lease = ledger.own(job.claim()).await;
        ledger.save(&lease, how, START).await;
    }
    let mut running = TestJob::new("running").claim();
    running.lease_ends = START.plus(LONG * 2);
    ledger.own(running).await;
    ledger.own(TestJob::new("lost").claim()).await;
    for _ in 0..450 {
        process.shared.bury(letter()).await;
    }

    bench.clock.pass(Duration::from_hours(45 * 24 - 1));
    prune(&bench, &process).await;
    assert_eq!(bench.count("jobs"), 450 + 1 + 4 + 2, "nothing goes before its time");
    assert_eq!(bench.count("dead_letters"), 0, "letters are kept for 14 days");
    bench.clock.pass(Duration::from_hours(1));
    prune(&bench, &process).await;

    let connection = Connection::open(bench.path()).expect("the file");
    let mut ids = connection.prepare("SELECT job_id FROM jobs ORDER BY job_id").expect("jobs");
    let ids = ids.query_map((), |row| row.get(0)).expect("rows");
    let left: Vec<String> = ids.collect::<Result<_, _>>().expect("ids");
    assert_eq!(left, ["callback-pending", "held", "letter-pending", "running"]);
}

#[tokio::test]
async fn more_that_is_due_goes_without_waiting_another_minute() {
    let bench = Bench::new();
    let process = bench.process();
    for n in 0..450 {
        let lease = process.ledger.own(TestJob::new(&format!("job-{n}")).claim()).await;
        process.ledger.save(&lease, completed("yes"), START).await;
    }
    bench.clock.pass(LONG);

    // Three writes, 200 jobs at most after each, and one that waits for the last pruning.
    for _ in 0..4 {
        process.ledger.read(Vec::new()).await;
        bench.clock.pass(Duration::from_millis(50));
    }

    assert_eq!(bench.count("jobs"), 0);
}

#[tokio::test]
async fn letters_are_kept_for_fourteen_days() {
    let bench = Bench::new();
    let process = bench.process();
    process.shared.bury(letter()).await;
    bench.clock.pass(Duration::from_hours(14 * 24 - 1));
    prune(&bench, &process).await;
    assert_eq!(bench.count("dead_letters"), 1);

    bench.clock.pass(Duration::from_hours(1));
    prune(&bench, &process).await;

    assert_eq!(bench.count("dead_letters"), 0);
}

#[tokio::test]
async fn a_batch_goes_with_its_last_member() {
    let bench = Bench::new();
    let process = bench.process();
    let ledger = &process.ledger;
    for (batch, last) in [("over", completed("yes")), ("held", interrupted(Repeat::Never))] {
        for (index, how) in [completed("yes"), last].into_iter().enumerate() {
            let job = TestJob::new(&format!("{batch}-{index}")).member(batch, index as u64);
            let lease = ledger.own(job.claim()).await;
            ledger.save(&lease, how, START).await;
        }
        ledger.mark_batch(batch, Delivery::Sent).await;
    }

    bench.clock.pass(Duration::from_hours(48));
    prune(&bench, &process).await;
    assert_eq!((bench.count("batches"), bench.count("batch_members")), (2, 4));
    bench.clock.pass(LONG);
    prune(&bench, &process).await;

    assert_eq!(ledger.look_at_batch("over").await, None);
    assert_eq!(ledger.members("held", 0, 10).await.len(), 1);
    assert_eq!((bench.count("batches"), bench.count("batch_members")), (1, 1));
}

#[tokio::test]
async fn a_batch_that_is_not_told_yet_keeps_its_jobs() {
    let bench = Bench::new();
    let process = bench.process();
    let ledger = &process.ledger;
    for (index, id) in [(0, "a"), (1, "b")] {
        let lease = ledger.own(TestJob::new(id).member_of("batch", index, 2).claim()).await;
        ledger.save(&lease, completed("yes"), START).await;
    }
    ledger.reject(&TestJob::new("bad").member_of("rejected", 0, 1), "no", START).await;
    bench.clock.pass(LONG);
    prune(&bench, &process).await;
    assert_eq!((bench.count("jobs"), bench.count("batch_members")), (2, 3));

    for batch in ["batch", "rejected"] {
        ledger.mark_batch(batch, Delivery::Sent).await;
    }
    bench.clock.pass(LONG);
    prune(&bench, &process).await;

    assert_eq!((bench.count("jobs"), bench.count("batches")), (0, 0));
}

#[tokio::test]
async fn a_job_that_was_pruned_is_a_new_job() {
    let bench = Bench::new();
    let process = bench.process();
    let job = TestJob::new("a").member_of("batch", 0, 1);
    let old = process.ledger.own(job.claim()).await;
    process.ledger.save(&old, completed("old"), START).await;
    process.ledger.mark_batch("batch", Delivery::Sent).await;
    bench.clock.pass(LONG);
    prune(&bench, &process).await;
    assert_eq!(process.ledger.look(job.key()).await, None);

    let new = process.ledger.own(job.claim_at(bench.clock.now())).await;

    assert_eq!((new.epoch, process.ledger.batch("batch").await.counted), (1, 0));
    process.ledger.assert_fenced(&old, completed("very late"), bench.clock.now()).await;
}

fn page_count(bench: &Bench) -> i64 {
    let connection = Connection::open(bench.path()).expect("the file");
    connection.pragma_query_value(None, "page_count", |row| row.get(0)).expect("a count")
}

#[tokio::test]
async fn the_file_stays_as_large_as_what_is_kept() {
    const ROUNDS: usize = 6;
    const RESULTS: usize = 200;
    let bench = Bench::new();
    let process = bench.process();
    let mut pages = Vec::new();
    for round in 0..ROUNDS {
        for n in 0..RESULTS {
            let job = TestJob::new(&format!("job-{round}-{n}"));
            let lease = process.ledger.own(job.claim_at(bench.clock.now())).await;
            process.ledger.save(&lease, completed("x".repeat(10_000)), START).await;
        }
        pages.push(page_count(&bench));
        bench.clock.pass(LONG);
        prune(&bench, &process).await;
    }

    let (first, last) = (pages[0], pages[ROUNDS - 1]);
    assert!(last < first * 2, "the file grows: {pages:?}");
    assert!(
        page_count(&bench) < first / 2,
        "what is free is given back: {pages:?}, {} at last",
        page_count(&bench)
    );
    assert_eq!(bench.count("jobs"), 0);
}
