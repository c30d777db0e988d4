//! What is told of jobs: the end of each once, when it is saved, whatever is still owed by then.

use mcp_batch::{
    lease::{Lost, Repeat, State},
    telemetry::metric::Metric,
};
use mcp_batch_testkit::{Received, Receiver, Reply};
use serde_json::json;

use super::{
    plan,
    rig::{LONG, Rig, job, with_callback},
};

fn ends(rig: &Rig) -> [usize; 4] {
    [Metric::JobsSucceeded, Metric::JobsFailed, Metric::Held, Metric::Duplicates]
        .map(|metric| rig.measured(metric))
}

#[tokio::test]
async fn a_job_whose_receiver_is_down_at_first_is_counted_when_it_ends_and_once() {
    let (rig, receiver) = (Rig::new(4), Receiver::start().await);
    receiver.respond_with([Reply::status(503), Reply::status(503)]);
    let messages = rig.messages(&[with_callback(job("a", "answer"), &receiver.url("/"))]).await;

    assert_eq!(rig.work_off(messages.clone(), LONG).await.returned.len(), 1);
    assert_eq!(ends(&rig), [1, 0, 0, 0], "it has ended, though nobody was told");

    for received in 2..=3 {
        let mut again = messages.clone();
        again[0].receive_count = received;
        rig.let_pass(60);
        rig.work_off(again, LONG).await;
    }
    assert_eq!((receiver.count(), rig.ended(), rig.calls()), (3, 1, 1));
    assert_eq!(ends(&rig), [1, 0, 0, 0], "its message is no duplicate of itself");

    rig.work_off(messages, LONG).await;
    assert_eq!(ends(&rig), [1, 0, 0, 1], "another one is");
}

#[tokio::test]
async fn a_job_for_which_no_call_was_made_is_told_with_no_attempt() {
    let (rig, receiver) = (Rig::new(4), Receiver::start().await);
    let misfit = with_callback(job("misfit", "misfit"), &receiver.url("/"));
    let mut late = with_callback(job("late", "answer"), &receiver.url("/"));
    late["expires_at"] = "2026-01-31T12:00:00Z".into();
    let again = with_callback(job("again", "fail"), &receiver.url("/"));
    assert_eq!(rig.process(&[misfit, late, again]).await.finished.len(), 3);

    for (id, attempts) in [("misfit", 0), ("late", 0), ("again", 1)] {
        let record = rig.record(id).await.expect("it was claimed");
        assert_eq!((record.epoch, record.attempts), (1, attempts), "{id}");
        let told: Vec<_> = receiver.deliveries().iter().map(Received::json).collect();
        let told = told.iter().find(|told| told["data"]["id"] == id).expect("it is told");
        assert_eq!(told["data"]["attempts"], attempts, "{id}");
    }
}

#[tokio::test]
async fn a_message_that_comes_back_for_the_callback_of_its_batch_is_no_duplicate() {
    let (rig, receiver) = (Rig::new(4), Receiver::start().await);
    receiver.respond_with([Reply::status(503)]);
    let mut last = job("a", "answer");
    last["batch"] = json!({"id": "b", "index": 0, "size": 1, "callback": receiver.url("/")});
    let mut messages = rig.messages(&[last]).await;
    assert_eq!(rig.work_off(messages.clone(), LONG).await.returned.len(), 1);
    messages[0].receive_count = 2;
    rig.let_pass(60);
    assert_eq!(rig.work_off(messages, LONG).await.finished.len(), 1);
    assert_eq!((receiver.count(), ends(&rig)), (2, [1, 0, 0, 0]));
}

#[tokio::test]
async fn a_job_whose_dead_letter_is_put_off_is_counted_once_as_failed() {
    let rig = Rig::new(4);
    rig.worker.environment().queue.put_out_of_reach(true);
    let messages = rig.messages(&[job("a", "fail")]).await;
    assert_eq!(rig.work_off(messages.clone(), LONG).await.returned.len(), 1);
    assert_eq!(ends(&rig), [0, 1, 0, 0]);

    rig.worker.environment().queue.put_out_of_reach(false);
    let mut again = messages;
    again[0].receive_count = 2;
    assert_eq!(rig.work_off(again, LONG).await.finished.len(), 1);
    assert_eq!(ends(&rig), [0, 1, 0, 0]);
    assert_eq!(rig.measured(Metric::DeadLetters), 1);
}

#[tokio::test]
async fn a_dead_letter_that_cannot_be_sent_holds_up_neither_callback() {
    let (rig, receiver) = (Rig::new(4), Receiver::start().await);
    rig.worker.environment().queue.put_out_of_reach(true);
    let mut failing = with_callback(job("a", "fail"), &receiver.url("/own"));
    failing["batch"] = json!({"id": "b", "index": 0, "size": 1, "callback": receiver.url("/b")});
    let messages = rig.messages(&[failing]).await;

    assert_eq!(rig.work_off(messages.clone(), LONG).await.returned.len(), 1);

    let mut told: Vec<_> = receiver.deliveries().iter().map(|it| it.path().to_owned()).collect();
    told.sort_unstable();
    assert_eq!(told, ["/b", "/own"]);
    let codes: Vec<_> = rig.returned().into_iter().map(|returned| returned.code).collect();
    assert_eq!(codes, ["dead_letter"]);

    rig.worker.environment().queue.put_out_of_reach(false);
    let mut again = messages;
    again[0].receive_count = 2;
    assert_eq!(rig.work_off(again, LONG).await.finished.len(), 1);
    assert_eq!((receiver.count(), rig.worker.environment().queue.letters()), (2, 1));
}

#[tokio::test]
async fn a_job_that_its_claim_ends_is_counted_as_any_other() {
    let rig = Rig::with(4, plan(60_000, Repeat::Safe), |policy| policy.max_attempts = 1);
    rig.lose(&job("spent", "answer"), Lost::TakeOver).await;
    // Taken over once, and lost while it ran alone: the attempt that it had is spent.
    rig.lose(&job("spent", "answer"), Lost::RunAlone).await;
    assert_eq!(rig.process(&[job("spent", "answer")]).await.finished.len(), 1);
    let record = rig.record("spent").await.expect("a record");
    assert!(matches!(record.state, State::Failed(_)), "{record:?}");
    assert_eq!((rig.calls(), ends(&rig)), (0, [0, 1, 0, 0]));

    let rig = Rig::with(4, plan(60_000, Repeat::Never), |_| {});
    rig.lose(&job("unsure", "answer"), Lost::TakeOver).await;
    assert_eq!(rig.process(&[job("unsure", "answer")]).await.finished.len(), 1);
    assert_eq!((rig.calls(), ends(&rig)), (0, [0, 0, 1, 0]));
    assert_eq!(rig.measured(Metric::LeaseTakeovers), 1);
}
