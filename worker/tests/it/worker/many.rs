//! Large batches, and batches of everything.

use std::{collections::BTreeSet, sync::atomic::Ordering::SeqCst, time::Duration};

use mcp_batch::{
    batch::{Order, Stop},
    clock::Deadline,
    lease::Repeat,
    queue::Message,
    tool::CallPlan,
};
use serde_json::{Value, json};

use super::rig::{LONG, Rig, job};

#[tokio::test]
async fn five_thousand_jobs_keep_to_the_bound() {
    let rig = Rig::new(64);
    let jobs: Vec<Value> = (0..5_000).map(|n| job(&format!("job-{n}"), "answer")).collect();

    let answer = rig.process(&jobs).await;

    assert_eq!((answer.finished.len(), answer.returned.len(), rig.calls()), (5_000, 0, 5_000));
    assert!(rig.tools().most_running.load(SeqCst) <= 64);
}

#[tokio::test]
async fn every_message_is_either_finished_or_returned_whatever_becomes_of_it() {
    for order in [Order::Any, Order::WithinGroups] {
        let plan = CallPlan { timeout: Duration::from_millis(50), repeat: Repeat::Safe };
        let rig = Rig::with(4, plan, |policy| policy.max_attempts = 5);
        let groups = ["a", "b", "c", "d", "e"];
        let whats = ["answer", "panic", "fail", "cost", "hang", "not a job", "answer"];
        let each = |n: usize| match whats[n % whats.len()] {
            "not a job" => json!(n),
            what => job(&format!("job-{n}"), what),
        };
        let jobs: Vec<(&str, Value)> = (0..60).map(|n| (groups[n * n % 5], each(n))).collect();
        let messages = rig.grouped(&jobs).await;
        let receipts = |message: &Message| (message.receipt.0.clone(), message.id.clone());
        let all: BTreeSet<(String, String)> = messages.iter().map(receipts).collect();

        let deadline = Deadline::after(LONG);
        let answer = rig.worker.process(messages, order, deadline, &Stop::default()).await;

        let finished: BTreeSet<&str> = answer.finished.iter().map(|it| it.0.as_str()).collect();
        let returned: BTreeSet<&str> = answer.returned.iter().map(String::as_str).collect();
        assert_eq!(finished.len() + returned.len(), 60, "{order:?}");
        assert_eq!(answer.finished.len() + answer.returned.len(), 60, "none twice");
        for (receipt, id) in &all {
            assert_ne!(finished.contains(&**receipt), returned.contains(&**id), "{order:?}");
        }
    }
}
