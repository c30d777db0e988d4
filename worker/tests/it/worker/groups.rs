//! Queues that keep order within groups, and groups that mean nothing.

use std::{sync::atomic::Ordering::SeqCst, time::Duration};

use mcp_batch::batch::{Order, Stop};

use super::rig::{Rig, job};

#[tokio::test]
async fn groups_run_at_once_and_in_order_inside() {
    let rig = Rig::new(8);
    let jobs = ["north-1", "north-2", "south-1", "north-3", "south-2"];
    let grouped = jobs.map(|id| (&id[..5], job(id, "wait")));
    let messages = rig.grouped(&grouped).await;

    let working = rig.start_with(messages, Order::WithinGroups, &Stop::default());
    rig.wait_until_running(2).await;
    assert_eq!(rig.began().len(), 2, "the others wait for those before them");
    rig.release(5);
    let answer = working.await.expect("it ends");

    assert_eq!((answer.finished.len(), answer.returned.len()), (5, 0));
    assert_eq!(rig.tools().most_running.load(SeqCst), 2);
    for (group, expected) in
        [("north", &["north-1", "north-2", "north-3"][..]), ("south", &["south-1", "south-2"])]
    {
        let mut of_group = rig.began();
        of_group.retain(|id| id.starts_with(group));
        assert_eq!(of_group, expected);
    }
}

#[tokio::test]
async fn after_one_that_comes_back_the_rest_of_its_group_does_and_other_groups_go_on() {
    let rig = Rig::new(8);
    let messages = rig
        .grouped(&[
            ("north", job("north-1", "answer")),
            ("north", job("north-2", "cost")),
            ("south", job("south-1", "answer")),
            ("north", job("north-3", "answer")),
            ("north", job("north-4", "answer")),
            ("south", job("south-2", "answer")),
        ])
        .await;
    let ids: Vec<String> = messages.iter().map(|message| message.id.clone()).collect();

    let answer = rig.work_off_in_order(messages).await;

    let mut returned = answer.returned;
    returned.sort();
    assert_eq!(returned, [&ids[1], &ids[3], &ids[4]].map(Clone::clone));
    assert_eq!(answer.finished.len(), 3);
    for id in ["north-3", "north-4"] {
        assert_eq!(rig.record(id).await, None, "{id} leaves no trace");
    }
    let returns = rig.returned();
    let codes: Vec<&str> = returns.iter().map(|returned| &*returned.code).collect();
    assert_eq!(codes, ["as_told", "fifo_follower", "fifo_follower"]);
    assert!(returns.iter().all(|returned| returned.after == returns[0].after), "{returns:?}");
}

#[tokio::test]
async fn a_job_that_fails_for_good_is_out_of_the_way_of_its_group() {
    let rig = Rig::new(8);
    let messages = rig
        .grouped(&[
            ("north", job("bad", "fail")),
            ("north", serde_json::json!("not a job")),
            ("north", job("good", "answer")),
        ])
        .await;

    let answer = rig.work_off_in_order(messages).await;

    assert_eq!((answer.finished.len(), answer.returned.len()), (3, 0));
    assert_eq!(rig.began(), ["bad", "good"]);
}

#[tokio::test]
async fn groups_of_a_queue_without_order_change_nothing() {
    let rig = Rig::new(8);
    let jobs = ["a", "b", "c"].map(|id| ("tenant", job(id, "wait")));
    let messages = rig.grouped(&jobs).await;

    let working = rig.start_with(messages, Order::Any, &Stop::default());
    rig.wait_until_running(3).await;
    rig.release(3);

    assert_eq!(working.await.expect("it ends").finished.len(), 3);
}

#[tokio::test]
async fn a_drain_gives_back_what_stands_behind_in_a_group() {
    let rig = Rig::new(8);
    let jobs = ["first", "second", "third"].map(|id| ("north", job(id, "wait")));
    let messages = rig.grouped(&jobs).await;
    let ids: Vec<String> = messages.iter().map(|message| message.id.clone()).collect();
    let stop = Stop::default();

    let working = rig.start_with(messages, Order::WithinGroups, &stop);
    rig.wait_until_running(1).await;
    stop.drain();
    rig.release(3);
    let answer = working.await.expect("it ends");

    assert_eq!((answer.finished.len(), answer.returned.as_slice()), (1, &ids[1..]));
    assert_eq!(rig.began(), ["first"]);
    assert!(rig.returned().iter().all(|returned| returned.after == Duration::ZERO));
}
