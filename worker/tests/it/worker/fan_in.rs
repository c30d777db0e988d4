//! The one callback of a batch, whatever becomes of those that deliver it.

use std::time::Duration;

use mcp_batch::{
    batch::Stop,
    clock::Deadline,
    environment::Post,
    fan_in::{BatchKey, FanIn, deliver_if_over},
    job::Namespace,
    lease::{CallbackState, Ledger, Repeat, WhyDead},
};
use mcp_batch_testkit::{Receiver, Reply};
use serde_json::{Value, json};

use super::rig::{Rig, job, with_callback};

fn member(id: &str, index: u64, size: u64, receiver: &Receiver) -> Value {
    let mut job = job(id, "answer");
    let callback = receiver.url("/batch");
    job["batch"] = json!({"id": "b", "index": index, "size": size, "callback": callback});
    job
}

/// The message finds the delivery taken, and comes back when that is over.
async fn assert_comes_back_later(rig: &Rig, jobs: &[Value]) {
    let answer = rig.process(jobs).await;
    assert_eq!((answer.finished.len(), answer.returned.len()), (0, 1), "the callback is owed");
    let returned = rig.returned().pop().expect("it came back");
    assert_eq!(returned.code, "batch_callback");
    assert!(returned.after > Duration::from_secs(5), "{returned:?}");
}

async fn assert_tells(rig: &Rig, jobs: &[Value]) {
    rig.let_pass(30);
    for _ in 0..2 {
        assert_eq!(rig.process(jobs).await.finished.len(), 1);
    }
}

#[tokio::test]
async fn a_batch_whose_members_could_not_be_read_at_first_is_told_all_the_same() {
    let (rig, receiver) = (Rig::new(4), Receiver::start().await);
    let jobs = [member("a", 0, 1, &receiver)];
    rig.worker.environment().ledger.fail_to_read_members(1);

    assert_eq!(rig.process(&jobs).await.returned.len(), 1);
    assert_comes_back_later(&rig, &jobs).await;
    assert_eq!(receiver.count(), 0);
    assert_tells(&rig, &jobs).await;

    assert_eq!((receiver.count(), rig.calls()), (1, 1));
    assert_eq!(receiver.deliveries()[0].json()["type"], "batch.completed");
}

#[tokio::test]
async fn a_batch_whose_deliverer_was_cut_off_is_told_all_the_same() {
    let (rig, receiver) = (Rig::new(4), Receiver::start().await);
    let jobs = [member("a", 0, 1, &receiver)];
    receiver.set_default(Reply::hang());
    let working = rig.start(&jobs, &Stop::default()).await;
    receiver.wait_for(1).await;
    working.abort();
    receiver.wait_for_clients_left(1).await;
    receiver.set_default(Reply::status(204));

    assert_comes_back_later(&rig, &jobs).await;
    assert_tells(&rig, &jobs).await;

    assert_eq!((receiver.count(), receiver.distinct_ids()), (2, 1));
}

/// What n8n says of an execution that was resumed, or ended in another way.
const FINISHED: &str = r#"{"code":409,"message":"The execution \"41 has finished already."}"#;

#[tokio::test]
async fn a_receiver_that_has_gone_on_was_told_by_whoever_was_killed_while_posting() {
    for (is_killed, callback) in [(true, CallbackState::Sent), (false, GONE)] {
        let (rig, receiver) = (Rig::new(4), Receiver::start().await);
        let jobs = [member("a", 0, 1, &receiver)];
        receiver.set_default(Reply::status(409).body(FINISHED));
        if is_killed {
            receiver.respond_with([Reply::hang()]);
            let working = rig.start(&jobs, &Stop::default()).await;
            receiver.wait_for(1).await;
            working.abort();
            receiver.wait_for_clients_left(1).await;
            rig.let_pass(60);
        }

        assert_eq!(rig.process(&jobs).await.finished.len(), 1);

        let key = BatchKey::of(&Namespace::default(), &"b".parse().expect("an id"));
        let ledger = &rig.worker.environment().ledger;
        let batch = ledger.batch(key).await.expect("the ledger answers").expect("a batch");
        assert_eq!(batch.callback.state, callback, "killed before: {is_killed}");
    }
}

const GONE: CallbackState = CallbackState::Dead(WhyDead::ReceiverGone);

#[tokio::test]
async fn a_batch_whose_delivery_the_deadline_cuts_off_is_told_soon_after() {
    let plan = super::plan(1, Repeat::Safe);
    let rig = Rig::with(4, plan, |policy| policy.settle_margin = Duration::from_secs(1));
    let receiver = Receiver::start().await;
    let jobs = [member("a", 0, 1, &receiver)];
    receiver.respond_with([Reply::hang()]);

    let messages = rig.messages(&jobs).await;
    let answer = rig.work_off(messages, Duration::from_millis(1900)).await;
    assert_eq!((answer.returned.len(), receiver.count()), (1, 0), "there is no time for it");
    let messages = rig.messages(&jobs).await;
    let answer = rig.work_off(messages, Duration::from_secs(4)).await;
    assert_eq!((answer.returned.len(), receiver.count()), (1, 1), "it is cut off");
    // Nobody is at it any more: it need not wait for longer than the pause after a try.
    rig.let_pass(20);
    assert_eq!(rig.process(&jobs).await.finished.len(), 1);

    assert_eq!((receiver.count(), receiver.distinct_ids(), rig.calls()), (2, 1, 1));
    let codes: Vec<_> = rig.returned().into_iter().map(|returned| returned.code).collect();
    assert_eq!(codes, ["batch_callback", "batch_callback"]);
}

#[tokio::test]
async fn a_job_that_ends_while_another_delivers_the_batch_is_done() {
    let (rig, receiver) = (Rig::new(4), Receiver::start().await);
    let jobs = [member("a", 0, 2, &receiver), member("b", 1, 2, &receiver)];
    // The first job is still at its own callback when the second completes the batch.
    receiver.respond_with([Reply::status(204).after(Duration::from_millis(300)), Reply::hang()]);
    let first = with_callback(jobs[0].clone(), &receiver.url("/own"));
    let first = rig.start(&[first], &Stop::default()).await;
    receiver.wait_for(1).await;
    let second = rig.start(&jobs[1..], &Stop::default()).await;
    receiver.wait_for(2).await;

    assert_eq!(first.await.expect("it ends").finished.len(), 1);

    assert_eq!(receiver.deliveries()[1].path(), "/batch");
    second.abort();
}

#[tokio::test]
async fn a_batchs_callback_has_quick_tries_and_needs_no_redelivery_for_them() {
    let rig = Rig::with(4, super::plan(60_000, Repeat::Safe), |policy| {
        policy.callbacks.backoff.base = Duration::from_millis(5);
    });
    let receiver = Receiver::start().await;
    receiver.respond_with([Reply::status(503), Reply::drop_connection(), Reply::status(404)]);

    assert_eq!(rig.process(&[member("a", 0, 1, &receiver)]).await.finished.len(), 1);

    assert_eq!((receiver.count(), receiver.distinct_ids(), rig.returned().len()), (4, 1, 0));
}

#[tokio::test]
async fn neither_a_batchs_callback_nor_a_jobs_own_waits_for_the_other_whose_receiver_is_down() {
    for (down, well) in [("/own", "/batch"), ("/batch", "/own")] {
        for spoil in [false, true] {
            let (rig, receiver, ill) =
                (Rig::new(4), Receiver::start().await, Receiver::start().await);
            ill.set_default(Reply::status(503));
            let at = |path: &str| if path == down { ill.url(path) } else { receiver.url(path) };
            let mut job = with_callback(member("a", 0, 1, &receiver), &at("/own"));
            job["batch"]["callback"] = at("/batch").into();
            if spoil {
                job["inputs"] = json!({});
            }

            assert_eq!(rig.process(&[job]).await.returned.len(), 1, "one is owed");

            let told: Vec<_> =
                receiver.deliveries().iter().map(|one| one.path().to_owned()).collect();
            assert_eq!(told, [well], "spoilt: {spoil}");
            assert_eq!(rig.returned().len(), 1);
        }
    }
}

/// Each has a schedule of its own: the message comes back for the one that is due sooner.
#[tokio::test]
async fn what_one_receiver_asked_for_is_not_forgotten_when_the_message_comes_back_for_the_other() {
    for (patient, hasty) in [("/own", "/batch"), ("/batch", "/own")] {
        let (rig, slow, quick) = (Rig::new(4), Receiver::start().await, Receiver::start().await);
        slow.set_default(Reply::status(500).header("retry-after", "600"));
        quick.set_default(Reply::status(500));
        let at = |path: &str| if path == patient { slow.url(path) } else { quick.url(path) };
        let mut job = with_callback(member("a", 0, 1, &quick), &at("/own"));
        job["batch"]["callback"] = at("/batch").into();
        let messages = rig.messages(&[job]).await;
        let again = || rig.work_off(messages.clone(), super::rig::LONG);

        for tries in 1..=3 {
            assert_eq!(again().await.returned.len(), 1);
            assert_eq!((slow.count(), quick.count()), (1, tries), "{patient} waits, not {hasty}");
            let after = rig.returned().pop().expect("it came back").after;
            assert!(after <= Duration::from_secs(81), "{hasty} is due sooner: {after:?}");
            rig.let_pass(81);
        }
        quick.set_default(Reply::status(204));
        slow.set_default(Reply::status(204));
        assert_eq!(again().await.returned.len(), 1);
        let after = rig.returned().pop().expect("it came back").after;
        assert!(after > Duration::from_secs(300), "{patient} is left: {after:?}");
        assert_eq!(again().await.returned.len(), 1, "come back too early");
        assert_eq!((slow.count(), quick.count()), (1, 4));
        rig.let_pass(600);
        assert_eq!(again().await.finished.len(), 1);
        assert_eq!((slow.count(), quick.count()), (2, 4));
    }
}

#[tokio::test]
async fn jobs_that_a_new_batch_counts_at_once_are_done_while_one_of_them_delivers_it() {
    let (rig, receiver) = (Rig::new(64), Receiver::start().await);
    let jobs: Vec<_> =
        (0..40).map(|index| member(&format!("job-{index}"), index, 40, &receiver)).collect();
    assert_eq!(rig.process(&jobs).await.finished.len(), 40);
    receiver.set_default(Reply::status(204).after(Duration::from_secs(3)));
    let again = jobs.into_iter().map(|mut job| {
        job["batch"]["id"] = "again".into();
        job
    });

    let answer = rig.process(&again.collect::<Vec<_>>()).await;

    assert_eq!((answer.finished.len(), answer.returned.len()), (40, 0), "{:?}", rig.returned());
    assert_eq!((receiver.count(), rig.calls()), (2, 40));
}

#[tokio::test]
async fn one_message_answers_for_a_batch_whose_deliverer_was_killed() {
    let (rig, receiver) = (Rig::new(64), Receiver::start().await);
    let jobs: Vec<_> =
        (0..40).map(|index| member(&format!("job-{index}"), index, 40, &receiver)).collect();
    assert_eq!(rig.process(&jobs[..39]).await.finished.len(), 39);
    receiver.set_default(Reply::hang());
    let last = rig.start(&jobs[39..], &Stop::default()).await;
    receiver.wait_for(1).await;
    last.abort();
    receiver.wait_for_clients_left(1).await;
    receiver.set_default(Reply::status(204));
    let other = rig.another_worker();

    let messages = rig.messages(&jobs).await;
    let answer = rig.work_off_by(&other, messages.clone()).await;
    assert_eq!((answer.finished.len(), answer.returned.len()), (39, 1), "{:?}", rig.returned());
    assert_eq!(receiver.count(), 1);

    rig.let_pass(30);
    let mut left = messages;
    left.retain(|message| answer.returned.contains(&message.id));
    assert_eq!(rig.work_off_by(&other, left).await.finished.len(), 1);
    assert_eq!((receiver.count(), receiver.distinct_ids()), (2, 1));
}

#[tokio::test]
async fn a_batch_says_the_same_whatever_becomes_of_the_setting_for_its_body() {
    for (first, second, is_omitted) in [(4_096, 1_048_576, true), (1_048_576, 4_096, false)] {
        let rig = Rig::with(4, super::plan(60_000, Repeat::Safe), |policy| {
            policy.max_batch_body_bytes = first;
        });
        let receiver = Receiver::start().await;
        receiver.set_default(Reply::hang());
        let mut large = member("a", 0, 1, &receiver);
        large["metadata"] = "x".repeat(5_000).into();
        let working = rig.start(&[large], &Stop::default()).await;
        receiver.wait_for(1).await;
        working.abort();
        receiver.wait_for_clients_left(1).await;
        receiver.set_default(Reply::status(204));
        rig.let_pass(30);

        let environment = rig.worker.environment();
        let mut policy = environment.policy.clone();
        policy.max_batch_body_bytes = second;
        let post = Post { policy: &policy, ..environment.post() };
        let key = BatchKey::of(&Namespace::default(), &"b".parse().expect("an id"));
        let told = deliver_if_over(post, key, Deadline::after(super::rig::LONG)).await;

        assert_eq!(told.expect("the ledger answers"), FanIn::Sent);
        let deliveries = receiver.deliveries();
        assert_eq!((deliveries.len(), receiver.distinct_ids()), (2, 1));
        assert_eq!(deliveries[0].body(), deliveries[1].body());
        let omitted = deliveries[0].json()["data"].get("results_omitted").is_some();
        assert_eq!(omitted, is_omitted);
    }
}

#[tokio::test]
async fn a_batchs_callback_that_is_given_up_is_counted_like_a_jobs() {
    let (rig, receiver) = (Rig::new(4), Receiver::start().await);
    receiver.set_default(Reply::status(410));
    assert_eq!(rig.process(&[member("a", 0, 1, &receiver)]).await.finished.len(), 1);
    assert_eq!((receiver.count(), rig.dead_callbacks()), (1, 1));
}

#[tokio::test]
async fn a_batch_that_is_complete_after_a_long_backlog_is_tried_for_as_long_as_any() {
    let (rig, receiver) = (Rig::new(4), Receiver::start().await);
    receiver.set_default(Reply::status(503));
    let jobs = [member("a", 0, 1, &receiver)];
    let messages = rig.messages(&jobs).await;
    rig.let_pass(4 * 86_400);
    let again = || rig.work_off(messages.clone(), super::rig::LONG);
    assert_eq!(again().await.returned.len(), 1, "its message is older than callbacks are tried");
    rig.let_pass(259_150);
    assert_eq!(again().await.returned.len(), 1);
    rig.let_pass(60);
    assert_eq!(again().await.finished.len(), 1);
    assert_eq!((receiver.count(), rig.dead_callbacks()), (3, 1));
}

#[tokio::test]
async fn what_a_batch_says_does_not_change_when_a_job_of_it_is_run_again_between_two_tries() {
    let (rig, receiver) = (Rig::new(4), Receiver::start().await);
    let mut failing = member("a", 0, 2, &receiver);
    failing["input"] = json!({"do": "fail"});
    let jobs = [failing, member("b", 1, 2, &receiver)];
    receiver.set_default(Reply::status(503));
    rig.process(&jobs[..1]).await;
    assert_eq!(rig.process(&jobs[1..]).await.returned.len(), 1);

    let epoch = rig.record("a").await.expect("a record").epoch;
    let mut messages = rig.messages(&jobs[..1]).await;
    messages[0].replay_of = Some(epoch);
    rig.work_off(messages, super::rig::LONG).await;
    assert_eq!((rig.record("a").await.expect("a record").epoch, rig.calls()), (epoch + 1, 3));
    receiver.set_default(Reply::status(204));
    rig.let_pass(60);
    assert_eq!(rig.process(&jobs[1..]).await.finished.len(), 1);

    let deliveries = receiver.deliveries();
    assert!(deliveries.len() >= 2);
    assert_eq!(receiver.distinct_ids(), 1);
    assert!(deliveries.iter().all(|one| one.body() == deliveries[0].body()), "{deliveries:?}");
}

#[tokio::test]
async fn a_batch_that_cannot_be_read_in_time_is_put_off_at_its_deadline() {
    let (rig, receiver) = (Rig::new(4), Receiver::start().await);
    let jobs = [member("a", 0, 1, &receiver)];
    let environment = rig.worker.environment();
    receiver.set_default(Reply::status(503));
    assert_eq!(rig.process(&jobs).await.returned.len(), 1);
    environment.ledger.hang_when_reading_members(true);
    rig.let_pass(20);
    let key = BatchKey::of(&Namespace::default(), &"b".parse().expect("an id"));

    let deadline = Deadline::after(Duration::from_millis(1_300));
    let told = deliver_if_over(environment.post(), key, deadline).await;

    assert!(matches!(told, Ok(FanIn::NoTurn { .. })), "{told:?}");
    assert!(!deadline.time_left().is_zero(), "there is time to give the message back");
    environment.ledger.hang_when_reading_members(false);
    receiver.set_default(Reply::status(204));
    rig.let_pass(60);
    assert_eq!(rig.process(&jobs).await.finished.len(), 1);
    assert_eq!(receiver.count(), 2);
}

#[tokio::test]
async fn a_batch_too_large_to_be_read_within_one_delivery_is_read_on_and_told() {
    let (rig, receiver) = (Rig::new(64), Receiver::start().await);
    let member = |index: u64| {
        let mut job = job(&format!("job-{index}"), "answer");
        job["batch"] = json!({"id": "b", "index": index, "callback": receiver.url("/batch")});
        job
    };
    let jobs: Vec<_> = (0..450).map(member).collect();
    assert_eq!(rig.process(&jobs).await.finished.len(), 450);
    let environment = rig.worker.environment();
    let (ledger, post) = (&environment.ledger, environment.post());
    let key = BatchKey::of(&Namespace::default(), &"b".parse().expect("an id"));
    let closed = ledger.close_batch(key, 450, environment.clock.now()).await;
    closed.expect("the ledger answers").expect("it fits");
    receiver.respond_with([Reply::status(503)]);
    ledger.read_members_within(400);

    // Time for one page of 200, and not for two.
    let mut told = Vec::new();
    while told.len() < 20 && receiver.count() == 0 {
        let deadline = Deadline::after(Duration::from_millis(1_700));
        told.push(deliver_if_over(post, key, deadline).await.expect("the ledger answers"));
    }
    ledger.read_members_within(0);
    rig.let_pass(20);
    let again = deliver_if_over(post, key, Deadline::after(super::rig::LONG)).await;

    let (last, cut_off) = told.split_last().expect("several deliveries");
    assert!(matches!(last, FanIn::NotTaken { .. }), "{told:?}");
    assert!(cut_off.iter().all(|end| *end == FanIn::NoTime), "{told:?}");
    assert!(cut_off.len() >= 4, "{told:?}");
    assert_eq!(again.expect("the ledger answers"), FanIn::Sent);
    let deliveries = receiver.deliveries();
    assert_eq!((deliveries.len(), receiver.distinct_ids()), (2, 1));
    assert_eq!(deliveries[0].body(), deliveries[1].body());
    let data = &deliveries[0].json()["data"];
    assert_eq!((&data["counted"], &data["succeeded"]), (&json!(450), &json!(450)));
    assert_eq!((&data["results_omitted"], data.get("results")), (&json!(true), None));
    let ways = (&data["results_by"], &data["results_path"]);
    assert_eq!(ways, (&json!("mcp-batch results b"), &json!("/v1/batches/b/results")));
}
