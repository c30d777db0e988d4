//! Batches whose jobs come and end all at once: their transactions meet on the batch's item.

use std::time::Duration;

use mcp_batch::{
    error::ErrorClass,
    lease::{Claim, Settled},
};
use mcp_batch_testkit::{AwsProxy, Rule, wait_until};
use serde_json::json;
use tokio::task::JoinSet;

use super::DynamoStore;
use crate::lease_helpers::{BATCH_URL, LEASE_S, START, Store, TestJob, after_s, completed};

const JOBS: u64 = 30;

async fn assert_all_are_counted(store: DynamoStore, size: impl Fn(u64) -> Option<u64>) {
    let workers = [store.worker(), store.worker(), store.worker()];
    let mut jobs = JoinSet::new();
    for (index, worker) in (0..JOBS).zip(workers.iter().cycle()) {
        let mut place = json!({"id": "crowd", "index": index, "callback": BATCH_URL});
        if let Some(size) = size(index) {
            place["size"] = size.into();
        }
        let job = TestJob::new(&format!("job-{index}")).membership(place);
        let worker = worker.clone();
        jobs.spawn(async move {
            let Claim::Owned(lease) = worker.claim(job.claim()).await else { return false };
            let settled = worker.settle(&lease, completed(index), START).await;
            matches!(settled, Settled::Saved(_))
        });
    }

    assert!(jobs.join_all().await.into_iter().all(|is_saved| is_saved));

    let batch = workers[0].batch("crowd").await;
    assert_eq!((batch.counted, batch.size), (JOBS, Some(JOBS)));
    let members = workers[1].members("crowd", 0, 100).await;
    let indices: Vec<_> = members.into_iter().map(|member| member.index).collect();
    assert_eq!(indices, (0..JOBS).collect::<Vec<_>>());
}

/// The transaction that ends a job counts it in all its places, and has an end.
#[tokio::test]
async fn a_job_that_asks_for_too_many_places_is_told_so_and_still_ends() {
    let Some(store) = DynamoStore::open().await else { return };
    let worker = store.worker();
    let member = |n: u64| TestJob::new("a").member_of(&format!("batch-{n}"), 0, 1).claim();
    let lease = worker.own(member(0)).await;
    for n in 1..20 {
        let answer = worker.claim(member(n)).await;
        assert!(matches!(answer, Claim::Busy { .. }), "{answer:?}");
    }

    let answer = worker.claim(member(20)).await;

    let Claim::Misplaced(error) = answer else { panic!("{answer:?}") };
    assert_eq!((error.class, &*error.code), (ErrorClass::Invalid, "batch_place"));
    assert!(matches!(worker.claim(member(19)).await, Claim::Busy { .. }), "it has that place");
    worker.save(&lease, completed("yes"), START).await;
    for n in 0..20 {
        assert_eq!(worker.batch(&format!("batch-{n}")).await.counted, 1, "batch {n}");
    }
}

#[tokio::test]
async fn jobs_that_join_a_batch_of_known_size_at_once_are_all_counted() {
    let Some(store) = DynamoStore::open().await else { return };
    assert_all_are_counted(store, |_| Some(JOBS)).await;
}

#[tokio::test]
async fn jobs_of_which_one_brings_the_size_are_all_counted() {
    let Some(store) = DynamoStore::open().await else { return };
    assert_all_are_counted(store, |index| (index == JOBS / 2).then_some(JOBS)).await;
}

#[tokio::test]
async fn a_fenced_job_is_taken_out_of_the_transaction_and_those_beside_it_are_counted() {
    let Some(store) = DynamoStore::open().await else { return };
    let (proxy, worker) = store.behind_proxy().await;
    let job = |index| TestJob::new(&format!("job-{index}")).member_of("batch", index, 5);
    let mut leases = Vec::new();
    for index in 0..5 {
        leases.push(worker.own(job(index).claim()).await);
    }
    let elsewhere = store.worker();
    let new_owner = elsewhere.own(job(2).claim_at(after_s(LEASE_S))).await;
    proxy.forget();

    let mut settling = JoinSet::new();
    for (index, lease) in (0..5).zip(leases) {
        let worker = worker.clone();
        settling.spawn(async move {
            let settled = worker.settle(&lease, completed("yes"), START).await;
            (index, matches!(settled, Settled::Saved(_)))
        });
    }
    let mut saved = settling.join_all().await;

    saved.sort_unstable();
    assert_eq!(saved, [(0, true), (1, true), (2, false), (3, true), (4, true)]);
    let transactions = proxy.tally().get("TransactWriteItems").copied();
    assert_eq!(transactions, Some(2), "all five, and all but the fenced one: {:?}", proxy.tally());
    assert_eq!(worker.batch("batch").await.counted, 4);
    elsewhere.save(&new_owner, completed("mine"), after_s(LEASE_S)).await;
    assert!(worker.batch("batch").await.is_complete());
}

/// Else a process with many jobs would hold them all before the first of them ended.
#[tokio::test]
async fn a_job_that_ends_waits_for_none_of_those_that_begin() {
    const BEGINNING: usize = 30;
    let Some(mut store) = DynamoStore::open().await else { return };
    store.settings.max_requests = 1;
    let (proxy, worker) = store.behind_proxy().await;
    let lease = worker.own(TestJob::new("first").claim()).await;
    proxy.rule(Rule::before("PutItem").delay(Duration::from_millis(20)));
    proxy.forget();
    let mut claims = JoinSet::new();
    for number in 0..BEGINNING {
        let worker = worker.clone();
        let claim = TestJob::new(&format!("job-{number}")).claim();
        claims.spawn(async move { worker.own(claim).await });
    }
    wait_until("the first of them begins", || proxy.count("PutItem") > 0).await;

    worker.save(&lease, completed("yes"), START).await;

    let writes = proxy.count("PutItem");
    assert!(writes < BEGINNING / 2, "it waited for {writes} writes");
    assert_eq!(claims.join_all().await.len(), BEGINNING);
}

/// Worker processes, and jobs that come and end at once in each.
const PROCESSES: u64 = 4;
const AT_ONCE: u64 = 64;

/// What jobs cost that end together in several processes: transactions, and write units.
async fn cost_of_a_crowd(store: &DynamoStore) -> (u64, u64) {
    let mut processes = Vec::new();
    for _ in 0..PROCESSES {
        let (proxy, worker) = store.behind_proxy().await;
        // About what DynamoDB takes.
        proxy.rule(Rule::before("TransactWriteItems").delay(Duration::from_millis(10)));
        processes.push((proxy, worker));
    }
    let size = PROCESSES * AT_ONCE;
    let mut jobs = JoinSet::new();
    for index in 0..size {
        let worker = processes[usize::try_from(index / AT_ONCE).expect("few")].1.clone();
        let job = TestJob::new(&format!("job-{index}")).member_of("crowd", index, size);
        jobs.spawn(async move {
            let lease = worker.own(job.claim()).await;
            worker.save(&lease, completed("yes"), START).await
        });
    }
    jobs.join_all().await;

    assert!(processes[0].1.batch("crowd").await.is_complete());
    let sum = |of: fn(&AwsProxy) -> u64| processes.iter().map(|(proxy, _)| of(proxy)).sum::<u64>();
    let transactions = sum(|proxy| {
        let count = proxy.tally().get("TransactWriteItems").copied().unwrap_or_default();
        u64::try_from(count).expect("few")
    });
    (transactions, sum(|proxy| proxy.units().write))
}

/// What one batch carries: its item takes 1,000 write units a second, and each transaction on it two.
#[tokio::test]
async fn jobs_that_end_together_in_several_processes_need_few_transactions_on_their_batch() {
    let Some(store) = DynamoStore::open().await else { return };
    let (transactions, units) = cost_of_a_crowd(&store).await;
    let size = PROCESSES * AT_ONCE;
    assert!(transactions <= size / 8, "{transactions} transactions for {size} jobs");
    assert!(units <= 4 * size, "{units} write units for {size} jobs");
}

#[tokio::test]
#[ignore = "prints the last line of the table of docs/batches.md; a quiet machine is needed"]
#[expect(clippy::print_stdout, reason = "that is what it is there for")]
async fn what_a_counted_job_costs_in_a_crowd() {
    for _ in 0..3 {
        let Some(store) = DynamoStore::open().await else { return };
        let (transactions, units) = cost_of_a_crowd(&store).await;
        let size = PROCESSES * AT_ONCE;
        let tenths = units * 10 / size;
        println!("| {}.{}, {} jobs a transaction |", tenths / 10, tenths % 10, size / transactions);
    }
}
