//! Batches that learn their size late, while something else happens to them.

use mcp_batch::{
    fan_in::CloseRefusal,
    lease::{Attention, Claim},
};
use mcp_batch_testkit::Rule;

use super::DynamoStore;
use crate::lease_helpers::{START, Store, TestJob, after_s, completed};

/// When a batch is closed whose jobs do not say.
const CLOSING_S: i64 = 24 * 3600;

/// The count that comes between the look at the batch and the write of its size.
#[tokio::test]
async fn whoever_says_the_size_is_told_that_the_last_count_came_meanwhile() {
    let Some(store) = DynamoStore::open().await else { return };
    let (proxy, closing) = store.behind_proxy().await;
    let worker = store.worker();
    let lease = worker.own(TestJob::new("job-0").member("batch", 0).claim()).await;
    let watch = proxy.rule(Rule::before("UpdateItem").nth(1).hold());
    let closed = tokio::spawn(async move { closing.close_batch("batch", 1, START).await });
    watch.wait_for_hits(1).await;

    worker.save(&lease, completed("yes"), START).await;
    watch.release(1);

    let closed = closed.await.expect("it ends").expect("it fits");
    assert!(closed.is_complete(), "{closed:?}");
    let due = worker.attention(Attention::Batch, START).await;
    assert_eq!(due, ["batch"], "should whoever closes it die now, the sweep tells it");
}

/// Of the size that a joining job brings, and the end of the batch's time, one comes first.
#[tokio::test]
async fn a_batch_that_is_closed_for_its_time_learns_no_size_from_a_job_that_joins_just_then() {
    let Some(store) = DynamoStore::open().await else { return };
    let (proxy, joining) = store.behind_proxy().await;
    let worker = store.worker();
    let lease = worker.own(TestJob::new("job-0").member("batch", 0).claim()).await;
    worker.save(&lease, completed("yes"), START).await;
    let watch = proxy.rule(Rule::before("UpdateItem").nth(1).hold());
    let second = TestJob::new("job-1").member_of("batch", 1, 2);
    let request = second.claim_at(after_s(CLOSING_S - 1));
    let claim = tokio::spawn(async move { joining.claim(request).await });
    watch.wait_for_hits(1).await;

    let closed = worker.take_batch("batch", after_s(CLOSING_S), after_s(CLOSING_S + 60)).await;
    watch.release(1);

    let closed = closed.expect("its time has come");
    assert_eq!((closed.size, closed.counted), (None, 1));
    let claim = claim.await.expect("it ends");
    let Claim::Misplaced(error) = claim else { panic!("{claim:?}") };
    assert_eq!(&*error.code, "batch_expired");
    let batch = worker.batch("batch").await;
    assert_eq!((batch.size, batch.expired), (None, closed.expired));
    assert_eq!(worker.counted("batch").await.len(), 1);
}

/// A place beyond the size that is being said, taken and counted after the places were looked at.
#[tokio::test]
async fn a_size_is_refused_when_a_job_beyond_it_is_counted_just_before_it_is_written() {
    let Some(store) = DynamoStore::open().await else { return };
    let (proxy, closing) = store.behind_proxy().await;
    let worker = store.worker();
    let first = worker.own(TestJob::new("job-0").member("batch", 0).claim()).await;
    worker.save(&first, completed("yes"), START).await;
    let watch = proxy.rule(Rule::before("UpdateItem").nth(1).hold());
    let closed = tokio::spawn(async move { closing.close_batch("batch", 2, START).await });
    watch.wait_for_hits(1).await;

    let beyond = worker.own(TestJob::new("job-3").member("batch", 3).claim()).await;
    worker.save(&beyond, completed("yes"), START).await;
    watch.release(1);

    let refusal = closed.await.expect("it ends").expect_err("it has an index 3");
    assert!(matches!(refusal, CloseRefusal::Misfit(_)), "{refusal:?}");
    assert_eq!(worker.batch("batch").await.size, None);
    assert_eq!(worker.counted("batch").await.len(), 2);
}

#[tokio::test]
async fn a_size_that_a_job_brought_meanwhile_is_not_overwritten_by_whoever_closes_the_batch() {
    let Some(store) = DynamoStore::open().await else { return };
    let (proxy, closing) = store.behind_proxy().await;
    let worker = store.worker();
    worker.own(TestJob::new("job-0").member("batch", 0).claim()).await;
    let watch = proxy.rule(Rule::before("UpdateItem").nth(1).hold());
    let closed = tokio::spawn(async move { closing.close_batch("batch", 7, START).await });
    watch.wait_for_hits(1).await;

    worker.own(TestJob::new("job-1").member_of("batch", 1, 5).claim()).await;
    watch.release(1);

    let refusal = closed.await.expect("it ends").expect_err("it has 5 by now");
    assert!(matches!(refusal, CloseRefusal::Misfit(_)), "{refusal:?}");
    assert_eq!(worker.batch("batch").await.size, Some(5));
}
