//! An index that comes late, drops rows or is not there at all.

use mcp_batch::lease::{Attention, Decision, Ledger, Repeat};
use mcp_batch_testkit::{Fault, Rule};

use super::DynamoStore;
use crate::lease_helpers::{
    START, Store, TestJob, Worker, after_s, completed, failed, interrupted,
};

#[tokio::test]
async fn a_batchs_members_are_exactly_the_counted_ones_whatever_an_index_says() {
    let Some(store) = DynamoStore::open().await else { return };
    let (proxy, worker) = store.behind_proxy().await;
    proxy.rule(Rule::after("Query").leave_out(0.5, 7));
    for index in 0..60 {
        let job = TestJob::new(&format!("job-{index}")).member_of("batch", index, 61);
        let lease = worker.own(job.claim()).await;
        let end = if index % 2 == 0 { completed("yes") } else { failed("no") };
        worker.save(&lease, end, START).await;
    }
    worker.own(TestJob::new("running").member_of("batch", 60, 61).claim()).await;
    proxy.forget();

    let counted = worker.counted("batch").await;

    let indices: Vec<_> = counted.iter().map(|member| member.index).collect();
    assert_eq!(indices, (0..60).collect::<Vec<_>>());
    assert_eq!(worker.batch("batch").await.counted, 60);
    assert_eq!((proxy.count("Query"), proxy.count("Scan")), (0, 0), "no index is asked");
    let reads = proxy.calls();
    let consistent =
        |body: &serde_json::Value| body.to_string().contains("\"ConsistentRead\":true");
    assert!(reads.iter().all(|call| consistent(&call.body)), "{:?}", proxy.tally());
}

/// Holds jobs until each shard of the index has some.
async fn hold<L: Ledger>(worker: &Worker<L>, jobs: usize) -> Vec<String> {
    let mut ids = Vec::new();
    for n in 0..jobs {
        let id = format!("held-{n:02}");
        let lease = worker.own(TestJob::new(&id).never_repeated().claim()).await;
        worker.save(&lease, interrupted(Repeat::Never), START).await;
        ids.push(id);
    }
    ids
}

#[tokio::test]
async fn what_an_index_drops_is_found_another_time_and_nothing_else_is_told() {
    let Some(store) = DynamoStore::open().await else { return };
    let (proxy, worker) = store.behind_proxy().await;
    let ids = hold(&worker, 40).await;
    proxy.rule(Rule::after("Query").leave_out(0.5, 7));

    let mut found = worker.attention(Attention::Held, after_s(1)).await;
    assert!(!found.is_empty() && found.len() < ids.len(), "{}", found.len());
    assert!(found.iter().all(|id| ids.contains(id)));
    proxy.clear_rules();
    found = worker.attention(Attention::Held, after_s(1)).await;
    found.sort();

    assert_eq!(found, ids);
    assert_eq!(proxy.count("Scan"), 0);
}

/// The index still has what the item has not any more.
#[tokio::test]
async fn what_only_a_late_index_names_is_not_believed() {
    let Some(store) = DynamoStore::open().await else { return };
    let (proxy, worker) = store.behind_proxy().await;
    hold(&worker, 1).await;
    let decided = TestJob::new("held-00");
    let other = store.worker();
    let watch = proxy.rule(Rule::before("BatchGetItem").first(1).hold());

    let finding = tokio::spawn({
        let worker = worker.clone();
        async move { worker.attention(Attention::Held, after_s(1)).await }
    });
    watch.wait_for_hits(1).await;
    let decision = Decision::Succeed("yes".into());
    other.decide(decided.key(), decision, START).await.expect("it is held");
    watch.release(1);

    assert_eq!(finding.await.expect("it ends"), Vec::<String>::new());
}

#[tokio::test]
async fn a_table_without_the_index_works_and_the_sweep_says_what_is_missing() {
    let Some(store) = DynamoStore::open().await else { return };
    let (proxy, ledger) = store.ledger_behind_proxy().await;
    // In the words of AWS, whose message names no index that a test could inject.
    proxy.rule(Rule::before("Query").fail(Fault::Refused(400, "ValidationException")));
    let worker = Worker::new(ledger);
    let lease = worker.own(TestJob::new("a").member_of("batch", 0, 1).claim()).await;
    worker.save(&lease, completed("yes"), START).await;
    assert!(worker.batch("batch").await.is_complete());

    let error = worker.ledger().attention(Attention::Held, START, 10).await.expect_err("no index");

    assert!(error.to_string().contains("“attention”"), "{error}");
    assert!(error.to_string().contains("docs/aws.md"), "{error}");
}

/// Of a job that has its place and is not claimed yet, since its worker died between the two, nothing
/// can be told.
#[tokio::test]
async fn a_member_that_is_not_there_yet_hides_none_behind_it() {
    let Some(store) = DynamoStore::open().await else { return };
    let worker = store.worker();
    for index in 0..4 {
        let job = TestJob::new(&format!("job-{index}")).member("batch", index);
        worker.own(job.claim()).await;
    }
    store.delete_item(&TestJob::new("job-0")).await;

    let members = worker.members("batch", 0, 2).await;

    let indices: Vec<_> = members.into_iter().map(|member| member.index).collect();
    assert_eq!(indices, [1, 2]);
}
