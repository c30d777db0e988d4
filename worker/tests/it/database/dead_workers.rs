//! A worker that died holds nothing any more; one that lives keeps what it has.

use std::{fs, time::Duration};

use mcp_batch::lease::{Claim, Repeat, State};

use super::Bench;
use crate::{
    lease_helpers::{START, TestJob, completed, interrupted},
    queue::store::{QueueStore, SqliteStore, message},
};

#[tokio::test]
async fn a_dead_workers_lease_is_over_for_the_next_that_opens_the_file() {
    let bench = Bench::new();
    let (safe, never) = (TestJob::new("safe"), TestJob::new("never").never_repeated());
    let dead = bench.process();
    dead.ledger.own(safe.claim()).await;
    dead.ledger.own(never.claim()).await;
    drop(dead);

    let next = bench.process();

    let lease = next.ledger.own(safe.claim()).await;
    assert_eq!((lease.epoch, lease.attempts, lease.usage.unpriced_calls), (2, 2, 1));
    let held = next.ledger.claim(never.claim()).await;
    assert!(matches!(held, Claim::Held(_)), "{held:?}");
}

#[tokio::test]
async fn a_dead_workers_lease_is_over_once_another_looks_for_it() {
    let bench = Bench::new();
    let job = TestJob::new("a");
    let (dead, other) = (bench.process(), bench.process());
    let lease = dead.ledger.own(job.claim()).await;
    drop(dead);
    let busy = other.ledger.claim(job.claim()).await;
    assert!(matches!(busy, Claim::Busy { until } if until == lease.ends), "{busy:?}");

    other.database.recover().await.expect("it looks");

    assert_eq!(other.ledger.own(job.claim()).await.epoch, 2);
    other.ledger.assert_fenced(&lease, completed("from the grave"), START).await;
}

#[tokio::test]
async fn a_live_workers_lease_is_left_alone() {
    let bench = Bench::new();
    let job = TestJob::new("a");
    let owner = bench.process();
    let lease = owner.ledger.own(job.claim()).await;

    let other = bench.process();
    other.database.recover().await.expect("it looks");

    let busy = other.ledger.claim(job.claim()).await;
    assert!(matches!(busy, Claim::Busy { until } if until == lease.ends), "{busy:?}");
    owner.ledger.save(&lease, completed("mine"), START).await;
}

#[tokio::test]
async fn a_worker_lives_as_long_as_anything_in_it_does() {
    let bench = Bench::new();
    let job = TestJob::new("a");
    let owner = bench.process();
    owner.ledger.own(job.claim()).await;
    let ledger = owner.ledger.clone();
    drop(owner);

    let other = bench.process();

    let busy = other.ledger.claim(job.claim()).await;
    assert!(matches!(busy, Claim::Busy { .. }), "{busy:?}");
    drop(ledger);
    other.database.recover().await.expect("it looks");
    other.ledger.own(job.claim()).await;
}

#[tokio::test]
async fn what_a_dead_worker_had_settled_stays_settled() {
    let bench = Bench::new();
    let dead = bench.process();
    let jobs = ["done", "held"].map(TestJob::new);
    let how = [completed("yes"), interrupted(Repeat::Never)];
    for (job, how) in jobs.iter().zip(how) {
        let lease = dead.ledger.own(job.claim()).await;
        dead.ledger.save(&lease, how, START).await;
    }
    drop(dead);

    let next = bench.process();

    assert_eq!(next.ledger.record(&jobs[0]).await.state, State::Done("yes".into()));
    assert_eq!(next.ledger.record(&jobs[1]).await.state.name(), "held");
}

#[tokio::test]
async fn what_a_dead_worker_had_received_is_free_at_once_and_what_it_deferred_is_not() {
    let bench = Bench::new();
    let dead = bench.process();
    dead.shared.send(vec![message("received"), message("deferred")]).await;
    for received in dead.shared.receive(10).await {
        if received.body == "deferred" {
            dead.shared.defer(&received.receipt, SqliteStore::HIDDEN).await;
        }
    }
    drop(dead);

    let next = bench.process();

    let received = next.shared.one().await;
    assert_eq!((&received.body[..], received.receive_count), (&b"received"[..], 2));
    next.shared.delete(&[&received.receipt]).await;
    bench.clock.pass(SqliteStore::HIDDEN);
    assert_eq!(next.shared.one().await.body, "deferred");
}

#[tokio::test]
async fn what_a_live_worker_has_received_stays_hidden() {
    let bench = Bench::new();
    let owner = bench.process();
    owner.shared.send(vec![message("a")]).await;
    let received = owner.shared.one().await;

    let other = bench.process();
    other.database.recover().await.expect("it looks");

    other.shared.assert_empty().await;
    owner.shared.delete(&[&received.receipt]).await;
}

#[tokio::test]
async fn a_dead_workers_receipt_does_not_free_what_somebody_else_received() {
    let bench = Bench::new();
    let (dead, owner) = (bench.process(), bench.process());
    dead.shared.send(vec![message("a")]).await;
    dead.shared.one().await;
    bench.clock.pass(SqliteStore::HIDDEN);
    owner.shared.one().await;
    drop(dead);

    owner.database.recover().await.expect("it looks");

    owner.shared.assert_empty().await;
}

#[tokio::test]
async fn a_private_queue_goes_with_its_worker_and_the_shared_one_stays() {
    let bench = Bench::new();
    let (dead, other) = (bench.process(), bench.process());
    for process in [&dead, &other] {
        process.private.send(vec![message("private")]).await;
        process.shared.send(vec![message("shared")]).await;
    }
    assert_eq!(bench.count("messages"), 4);
    drop(dead);

    let next = bench.process();

    next.private.assert_empty().await;
    assert_eq!(next.shared.receive(10).await.len(), 2);
    assert_eq!(bench.count("messages"), 3);
    assert_eq!(other.private.one().await.body, "private", "that of the living is its own");
}

#[tokio::test]
async fn dead_workers_leave_nothing_behind() {
    let bench = Bench::new();
    for _ in 0..3 {
        drop(bench.process());
    }
    let last = bench.process();
    assert_eq!(bench.count("workers"), 1);
    drop(last);

    let left = fs::read_dir(bench.folder.path()).expect("the folder");
    let left: Vec<_> = left.map(|entry| entry.expect("an entry").file_name()).collect();
    assert!(!left.iter().any(|name| name == "mcp-batch.db.workers"), "{left:?}");
}

#[tokio::test]
async fn a_dead_workers_lease_of_the_past_is_not_made_longer() {
    let bench = Bench::new();
    let job = TestJob::new("a");
    let (dead, other) = (bench.process(), bench.process());
    let lease = dead.ledger.own(job.claim()).await;
    drop(dead);
    bench.clock.pass(Duration::from_hours(1));

    other.database.recover().await.expect("it looks");

    let record = other.ledger.record(&job).await;
    assert_eq!(record.state, State::Running { lease_ends: lease.ends, alone: false });
}
