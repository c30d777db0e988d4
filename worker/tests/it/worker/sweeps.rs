//! What the sweep looks after that no message does any more, and bad jobs that count in their batch.

use std::time::Duration;

use mcp_batch::{
    clock::Deadline,
    lease::{Attention, CallbackState, Claim, Ledger, Lost, Outcome, Repeat, Settlement, Usage},
    queue::Queue,
    sweep::{Swept, sweep},
};
use mcp_batch_testkit::{Receiver, Reply};
use serde_json::{Value, json};

use super::{
    plan,
    rig::{LONG, Rig, job, with_callback},
};

const HOUR_S: i64 = 3_600;

fn member(id: &str, index: u64, size: u64, receiver: &Receiver) -> Value {
    let mut job = job(id, "answer");
    let callback = receiver.url("/batch");
    job["batch"] = json!({"id": "b", "index": index, "size": size, "callback": callback});
    job["metadata"] = json!({"row": index});
    job
}

async fn pass(rig: &Rig) -> Swept {
    let swept = sweep(&rig.worker.shared(), Deadline::after(LONG)).await;
    swept.expect("the ledger answers")
}

#[tokio::test]
async fn a_batch_whose_jobs_never_all_came_is_told_with_what_is_missing() {
    let (rig, receiver) = (Rig::new(4), Receiver::start().await);
    let early = [member("a", 0, 4, &receiver), member("c", 2, 4, &receiver)];
    let finished = rig.process(&early).await.finished;
    rig.worker.environment().queue.delete(finished).await.expect("deleted");
    assert_eq!(pass(&rig).await, Swept::default());
    assert_eq!(receiver.count(), 0);

    receiver.respond_with([Reply::status(503)]);
    rig.let_pass(24 * HOUR_S);
    let swept = pass(&rig).await;

    assert_eq!(swept, Swept { batches_expired: 1, callbacks_failed: 1, ..Swept::default() });
    assert_eq!(pass(&rig).await, Swept::default(), "not at once");
    rig.let_pass(300);
    let swept = pass(&rig).await;
    assert_eq!(swept, Swept { callbacks_sent: 1, ..Swept::default() }, "by the schedule");
    let told = receiver.deliveries()[0].json();
    let data = &told["data"];
    assert_eq!(told["type"], "batch.completed");
    assert_eq!((&data["is_complete"], &data["missing"]), (&false.into(), &2.into()));
    assert_eq!((&data["succeeded"], &data["missing_indexes"]), (&2.into(), &json!([1, 3])));
    assert_eq!(data["results"][1]["metadata"], json!({"row": 2}));
    assert_eq!(pass(&rig).await, Swept::default(), "once");

    // A late job is refused, told so, and counts nothing.
    let late = with_callback(member("b", 1, 4, &receiver), &receiver.url("/own"));
    assert_eq!(rig.process(&[late]).await.finished.len(), 1);
    let told = receiver.deliveries()[2].json();
    assert_eq!(
        (&told["type"], &told["data"]["error"]["code"]),
        (&json!("job.failed"), &json!("batch_expired"))
    );
    assert_eq!((receiver.count(), rig.calls()), (3, 2));
}

#[tokio::test]
async fn a_callback_whose_message_is_gone_is_sent_again_in_the_same_words() {
    let rig = Rig::with(4, plan(1, Repeat::Safe), |_| {});
    let receiver = Receiver::start().await;
    receiver.set_default(Reply::status(503));
    let mut job = with_callback(job("a", "answer"), &receiver.url("/own"));
    job["metadata"] = json!({"row": 1});
    let messages = rig.messages(&[job]).await;
    assert_eq!(rig.work_off(messages, Duration::from_secs(5)).await.returned.len(), 1);
    rig.let_pass(2 * HOUR_S - 60);
    assert_eq!(pass(&rig).await, Swept::default(), "its message may come back yet");

    rig.let_pass(60);
    assert_eq!(pass(&rig).await, Swept { callbacks_failed: 1, ..Swept::default() });
    assert_eq!(pass(&rig).await, Swept::default(), "not at once");
    receiver.set_default(Reply::status(204));
    rig.let_pass(2 * HOUR_S);
    assert_eq!(pass(&rig).await, Swept { callbacks_sent: 1, ..Swept::default() });

    let deliveries = receiver.deliveries();
    assert_eq!((receiver.distinct_ids(), rig.calls()), (1, 1));
    assert!(deliveries.iter().all(|one| one.body() == deliveries[0].body()));
    let told = deliveries.last().expect("it was told");
    assert_eq!(told.json()["data"]["metadata"], json!({"row": 1}));
    let slot = rig.record("a").await.expect("a record").callback.expect("a callback");
    assert_eq!(slot.state, CallbackState::Sent);
}

#[tokio::test]
async fn a_callback_that_was_never_tried_is_told_once_its_message_must_be_gone() {
    let (rig, receiver) = (Rig::new(4), Receiver::start().await);
    // The worker dies between the outcome and the first try, and the queue loses the message.
    let rejected = with_callback(job("a", "answer"), &receiver.url("/"));
    let Claim::Owned(lease) = rig.lose(&rejected, Lost::TakeOver).await else {
        panic!("it is new")
    };
    let environment = rig.worker.environment();
    let outcome = Outcome { result: "yes".into(), usage: Usage::free(), offline: false };
    let now = environment.clock.now();
    environment.ledger.settle(&lease, Settlement::Complete(outcome), now).await.expect("saved");

    rig.let_pass(2 * HOUR_S - 60);
    assert_eq!(pass(&rig).await, Swept::default(), "its message may come yet");
    rig.let_pass(61);
    assert_eq!(pass(&rig).await, Swept { callbacks_sent: 1, ..Swept::default() });
    assert_eq!(receiver.count(), 1);
}

#[tokio::test]
async fn a_batch_whose_deliverer_is_lost_with_its_message_is_told() {
    let (rig, receiver) = (Rig::new(4), Receiver::start().await);
    receiver.respond_with([Reply::status(503)]);
    assert_eq!(rig.process(&[member("a", 0, 1, &receiver)]).await.returned.len(), 1);

    rig.let_pass(3 * HOUR_S);
    assert_eq!(pass(&rig).await, Swept { callbacks_sent: 1, ..Swept::default() });

    let deliveries = receiver.deliveries();
    assert_eq!((receiver.count(), receiver.distinct_ids()), (2, 1));
    assert_eq!(deliveries[0].body(), deliveries[1].body());
}

#[tokio::test]
async fn what_is_given_up_is_counted_and_what_is_held_is_listed_for_people() {
    let never = plan(60_000, Repeat::Never);
    let rig = Rig::with(4, never, |_| {});
    let receiver = Receiver::start().await;
    receiver.respond_with([Reply::status(410)]);
    rig.process(&[with_callback(job("dead", "answer"), &receiver.url("/"))]).await;
    rig.process(&[job("held", "panic")]).await;

    let swept = pass(&rig).await;

    let [held] = &swept.held_jobs[..] else { panic!("{swept:?}") };
    assert_eq!((&*held.namespace, &*held.id, &*held.tool), ("default", "held", "scripted"));
    let settled = rig.record("held").await.expect("a record").settled;
    assert_eq!(held.held_since, settled.rfc3339());
    let held_jobs = swept.held_jobs.clone();
    assert_eq!(swept, Swept { held: 1, held_jobs, dead: 1, ..Swept::default() });
    assert!(swept.is_idle());
    let ledger = &rig.worker.environment().ledger;
    let now = rig.worker.environment().clock.now();
    let dead = ledger.attention(Attention::DeadCallback, now, 10).await.expect("an answer");
    assert_eq!(dead.len(), 1);
}

#[tokio::test]
async fn a_batch_with_bad_jobs_is_complete_and_says_which() {
    let (rig, receiver) = (Rig::new(4), Receiver::start().await);
    let mut unreadable = member("bad id!", 1, 4, &receiver);
    unreadable["typo"] = true.into();
    let mut wrong_place = member("place", 2, 4, &receiver);
    wrong_place["batch"]["size"] = "four".into();
    let mut conflict = member("a", 3, 4, &receiver);
    conflict["input"] = json!({"do": "something else"});
    assert_eq!(rig.process(&[member("a", 0, 4, &receiver)]).await.finished.len(), 1);

    let answer = rig.process(&[unreadable.clone(), wrong_place, conflict]).await;

    assert_eq!(answer.finished.len(), 3, "{:?}", rig.returned());
    assert_eq!((receiver.count(), rig.calls()), (1, 1));
    let data = &receiver.deliveries()[0].json()["data"];
    assert_eq!((&data["succeeded"], &data["rejected"]), (&1.into(), &3.into()));
    assert_eq!(data["errors"], json!({"invalid": 3}));
    let codes: Vec<_> = (1..4).map(|at| data["results"][at]["error"]["code"].clone()).collect();
    assert_eq!(codes[2], "id_conflict");
    assert_eq!(data["results"][1]["metadata"], json!({"row": 1}));
    assert_eq!(data["results"][2]["id"], "place");

    // Delivered again, it is neither counted nor told again.
    assert_eq!(rig.process(&[unreadable]).await.finished.len(), 1);
    assert_eq!(receiver.count(), 1);
}

#[tokio::test]
async fn a_job_that_by_its_own_size_has_no_place_takes_none_from_the_others() {
    let (rig, receiver) = (Rig::new(4), Receiver::start().await);
    for (index, size) in [(2, json!(2)), (7, json!(2)), (0, json!(0))] {
        let mut lost = with_callback(member("z", 0, 2, &receiver), &receiver.url("/own"));
        (lost["batch"]["index"], lost["batch"]["size"]) = (json!(index), size);
        assert_eq!(rig.process(&[lost]).await.finished.len(), 1);
        let told = receiver.deliveries().pop().expect("it is told").json();
        assert_eq!(told["data"]["error"]["code"], "invalid_field", "{told}");
    }

    let jobs = [member("a", 0, 2, &receiver), member("b", 1, 2, &receiver)];
    assert_eq!(rig.process(&jobs).await.finished.len(), 2);

    let told = receiver.deliveries().pop().expect("it is told").json();
    let data = &told["data"];
    assert_eq!((&told["type"], &data["size"]), (&json!("batch.completed"), &json!(2)));
    assert_eq!((&data["succeeded"], &data["rejected"]), (&json!(2), &json!(0)));
}

#[tokio::test]
async fn a_rejected_job_that_completes_its_batch_comes_back_until_that_is_told() {
    let (rig, receiver) = (Rig::new(4), Receiver::start().await);
    receiver.respond_with([Reply::status(503)]);
    let mut bad = member("bad", 0, 1, &receiver);
    bad["typo"] = true.into();
    assert_eq!(rig.process(&[bad.clone()]).await.returned.len(), 1);
    assert_eq!(rig.worker.environment().queue.letters(), 0, "it is not buried twice");
    rig.let_pass(60);

    assert_eq!(rig.process(&[bad]).await.finished.len(), 1);

    assert_eq!((receiver.count(), receiver.distinct_ids()), (2, 1));
    assert_eq!(rig.worker.environment().queue.letters(), 1);
    assert_eq!(receiver.deliveries()[1].json()["data"]["rejected"], 1);
}

#[tokio::test]
async fn a_replayed_job_of_a_batch_that_was_told_changes_nothing_there() {
    let (rig, receiver) = (Rig::new(4), Receiver::start().await);
    let mut failing = member("a", 0, 1, &receiver);
    failing["input"] = json!({"do": "fail"});
    rig.process(&[failing.clone()]).await;
    assert_eq!(receiver.count(), 1);

    let epoch = rig.record("a").await.expect("a record").epoch;
    let mut messages = rig.messages(&[failing]).await;
    messages[0].replay_of = Some(epoch);
    assert_eq!(rig.work_off(messages, Duration::from_mins(2)).await.finished.len(), 1);

    assert_eq!((receiver.count(), rig.calls()), (1, 2));
}

#[tokio::test]
async fn finished_jobs_complete_a_new_batch_without_a_call() {
    let (rig, receiver) = (Rig::new(16), Receiver::start().await);
    let jobs: Vec<_> =
        (0..500).map(|index| member(&format!("job-{index}"), index, 500, &receiver)).collect();
    rig.process(&jobs).await;
    assert_eq!((receiver.count(), rig.calls()), (1, 500));

    let again = jobs.into_iter().map(|mut job| {
        job["batch"]["id"] = "again".into();
        job["batch"]["callback"] = receiver.url("/again").into();
        job
    });
    rig.process(&again.collect::<Vec<_>>()).await;

    assert_eq!((receiver.count(), rig.calls()), (2, 500));
    let told: Vec<_> = receiver.deliveries().iter().map(|one| one.json()["data"].clone()).collect();
    assert_eq!(told[1]["id"], "again");
    assert_eq!(told[0]["results"], told[1]["results"]);
}
