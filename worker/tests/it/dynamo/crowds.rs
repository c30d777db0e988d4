//! Batches whose jobs come and end all at once: their transactions meet on the batch's item.

use mcp_batch::lease::{Claim, Settled};
use serde_json::json;
use tokio::task::JoinSet;

use super::DynamoStore;
use crate::lease_helpers::{BATCH_URL, START, Store, TestJob, completed};

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
