//! Outcomes on their way to their callbacks: stored first, signed, and never paid for again.

use std::time::Duration;

use mcp_batch::{
    batch::{BatchAnswer, Stop},
    lease::{CallbackState, State, WhyDead},
};
use mcp_batch_testkit::{Received, Receiver, Reply};
use serde_json::{Value, json};

use super::rig::{LONG, Rig, SECRET, job, with_callback};

fn id_of(delivery: &Received) -> &str {
    delivery.header("webhook-id").expect("an id")
}

fn assert_signed(delivery: &Received) {
    let webhook = standardwebhooks::Webhook::new(SECRET).expect("a sound secret");
    webhook.verify(delivery.body(), delivery.headers()).expect("a sound signature");
    assert_eq!(delivery.method(), "POST");
    assert_eq!(delivery.header("content-type"), Some("application/json"));
    assert!(!id_of(delivery).contains('.'));
}

fn counts(answer: &BatchAnswer) -> (usize, usize) {
    (answer.finished.len(), answer.returned.len())
}

async fn callback_state(rig: &Rig, id: &str) -> Option<CallbackState> {
    Some(rig.record(id).await?.callback?.state)
}

#[tokio::test]
async fn an_outcome_is_told_in_the_shape_of_standard_webhooks() {
    let (rig, receiver) = (Rig::new(4), Receiver::start().await);
    let mut good = with_callback(job("good.one", "answer"), &receiver.url("/good?a=b"));
    good["metadata"] = json!({"row": 17, "a": null});
    let bad = with_callback(job("bad", "fail"), &receiver.url("/bad"));

    let answer = rig.process(&[good, bad]).await;

    assert_eq!((counts(&answer), receiver.count()), ((2, 0), 2));
    let deliveries = receiver.deliveries();
    deliveries.iter().for_each(assert_signed);
    let told = |path: &str| -> Value {
        deliveries.iter().find(|delivery| delivery.path() == path).expect("a delivery").json()
    };
    let (good, bad) = (told("/good"), told("/bad"));
    assert_eq!(good["type"], "job.succeeded");
    let data = &good["data"];
    assert_eq!((&data["id"], &data["tool"]), (&json!("good.one"), &json!("scripted")));
    assert_eq!(
        (&data["result"], &data["metadata"]),
        (&json!({"did": "answer"}), &json!({"row": 17, "a": null}))
    );
    assert_eq!((&data["usage"]["cost_usd"], &data["attempts"]), (&json!(0.5), &json!(1)));
    assert_eq!((&bad["type"], bad["data"].get("result")), (&json!("job.failed"), None));
    let error = &bad["data"]["error"];
    assert_eq!(
        (&error["class"], &error["code"], &error["retryable"]),
        (&json!("permanent"), &json!("as_told"), &json!(false))
    );
}

#[tokio::test]
async fn an_outcome_is_stored_before_it_is_sent_and_survives_a_crash_in_between() {
    let (rig, receiver) = (Rig::new(4), Receiver::start().await);
    receiver.set_default(Reply::hang());
    let jobs = [with_callback(job("a", "answer"), &receiver.url("/"))];

    let working = rig.start(&jobs, &Stop::default()).await;
    receiver.wait_for(1).await;
    let record = rig.record("a").await.expect("a record");
    assert!(matches!(record.state, State::Done(_)), "{record:?}");
    assert_eq!(callback_state(&rig, "a").await, Some(CallbackState::Pending));
    working.abort();
    receiver.wait_for_clients_left(1).await;

    receiver.set_default(Reply::status(200));
    assert_eq!(counts(&rig.process(&jobs).await), (1, 0));

    let deliveries = receiver.deliveries();
    assert_eq!((deliveries.len(), receiver.distinct_ids(), rig.calls()), (2, 1, 1));
    assert_eq!(deliveries[0].body(), deliveries[1].body());
    assert_eq!(callback_state(&rig, "a").await, Some(CallbackState::Sent));
}

#[tokio::test]
async fn a_receiver_that_fails_gets_the_same_event_again_and_nothing_is_paid_again() {
    let (rig, receiver) = (Rig::new(4), Receiver::start().await);
    receiver.respond_with([
        Reply::status(500),
        Reply::drop_connection(),
        Reply::status(404),
        Reply::redirect(302, &receiver.url("/elsewhere")),
    ]);
    let jobs = [with_callback(job("a", "answer"), &receiver.url("/here"))];

    for _ in 0..4 {
        assert_eq!(counts(&rig.process(&jobs).await), (0, 1));
        assert_eq!(callback_state(&rig, "a").await, Some(CallbackState::Pending));
        rig.let_pass(41);
    }
    assert_eq!(counts(&rig.process(&jobs).await), (1, 0));

    let deliveries = receiver.deliveries();
    assert_eq!((deliveries.len(), receiver.distinct_ids(), rig.calls()), (5, 1, 1));
    for delivery in &deliveries {
        assert_signed(delivery);
        assert_eq!(delivery.path(), "/here", "redirects are not followed");
        assert_eq!(delivery.body(), deliveries[0].body());
    }
    assert!(rig.returned().iter().all(|returned| returned.code == "callback"));
    assert_eq!(callback_state(&rig, "a").await, Some(CallbackState::Sent));
}

#[tokio::test]
async fn a_receiver_that_is_gone_is_told_once() {
    let (rig, receiver) = (Rig::new(4), Receiver::start().await);
    receiver.set_default(Reply::status(410));
    let jobs = [with_callback(job("a", "answer"), &receiver.url("/"))];

    for _ in 0..2 {
        assert_eq!(counts(&rig.process(&jobs).await), (1, 0));
        assert_eq!(
            callback_state(&rig, "a").await,
            Some(CallbackState::Dead(WhyDead::ReceiverGone))
        );
    }
    assert_eq!((receiver.count(), rig.calls()), (1, 1));
}

#[tokio::test]
async fn a_receiver_that_keeps_failing_is_given_up_and_the_outcome_stays() {
    let plan = super::plan(60_000, mcp_batch::lease::Repeat::Safe);
    let rig = Rig::with(4, plan, |policy| policy.callbacks.max_age = Duration::from_secs(10));
    let receiver = Receiver::start().await;
    receiver.set_default(Reply::status(503));
    let jobs = [with_callback(job("a", "answer"), &receiver.url("/"))];
    let message = rig.messages(&jobs).await;

    assert_eq!(counts(&rig.work_off(message.clone(), LONG).await), (0, 1));
    rig.let_pass(20);
    assert_eq!(counts(&rig.work_off(message, LONG).await), (1, 0));
    assert_eq!(counts(&rig.process(&jobs).await), (1, 0));

    assert_eq!((receiver.count(), rig.calls()), (2, 1));
    let exhausted = CallbackState::Dead(WhyDead::Exhausted);
    assert_eq!(callback_state(&rig, "a").await, Some(exhausted));
    let record = rig.record("a").await.expect("a record");
    assert!(matches!(record.state, State::Done(_)));
}

#[tokio::test]
async fn a_finished_job_that_comes_with_another_callback_is_told_there_and_not_run() {
    let (rig, receiver) = (Rig::new(4), Receiver::start().await);
    let ask = |path: &str| [with_callback(job("a", "answer"), &receiver.url(path))];

    for path in ["/one", "/one", "/two", "/two"] {
        assert_eq!(counts(&rig.process(&ask(path)).await), (1, 0));
    }
    // Without a callback there is nobody to tell.
    assert_eq!(counts(&rig.process(&[job("a", "answer")]).await), (1, 0));

    let deliveries = receiver.deliveries();
    let paths: Vec<_> = deliveries.iter().map(Received::path).collect();
    assert_eq!((paths, rig.calls()), (vec!["/one", "/two"], 1));
    assert_eq!(id_of(&deliveries[0]), id_of(&deliveries[1]), "it is one outcome");
    assert_eq!(deliveries[0].body(), deliveries[1].body());
}

#[tokio::test]
async fn a_job_that_cannot_be_read_or_has_anothers_id_is_told_so() {
    let (rig, receiver) = (Rig::new(4), Receiver::start().await);
    let first = job("a", "answer");
    let other = with_callback(job("a", "something else"), &receiver.url("/conflict"));
    let mut broken = with_callback(job("b", "answer"), &receiver.url("/broken"));
    broken["inputs"] = json!({});

    assert_eq!(counts(&rig.process(&[first]).await), (1, 0));
    assert_eq!(counts(&rig.process(&[other, broken]).await), (2, 0));

    let deliveries = receiver.deliveries();
    assert_eq!((deliveries.len(), receiver.distinct_ids(), rig.calls()), (2, 2, 1));
    for delivery in &deliveries {
        assert_signed(delivery);
        let (told, is_conflict) = (delivery.json(), delivery.path() == "/conflict");
        assert_eq!(told["type"], "job.failed");
        assert_eq!(told["data"]["id"], if is_conflict { "a" } else { "b" });
        let code = if is_conflict { "id_conflict" } else { "unknown_field" };
        assert_eq!(
            (&told["data"]["error"]["class"], &told["data"]["error"]["code"]),
            (&json!("invalid"), &json!(code))
        );
    }
    let record = rig.record("a").await.expect("a record");
    assert_eq!(record.state, State::Done(json!({"did": "answer"})), "the first outcome stands");
}

/// A call that is over at once, and 1 s to save what became of everything.
fn hasty() -> Rig {
    let plan = super::plan(1, mcp_batch::lease::Repeat::Safe);
    Rig::with(4, plan, |policy| policy.settle_margin = Duration::from_secs(1))
}

#[tokio::test]
async fn a_delivery_that_the_deadline_cuts_off_counts_as_failed() {
    let (rig, receiver) = (hasty(), Receiver::start().await);
    receiver.set_default(Reply::hang());
    let messages = rig.messages(&[with_callback(job("a", "answer"), &receiver.url("/"))]).await;

    let answer = rig.work_off(messages, Duration::from_secs(4)).await;

    assert_eq!((counts(&answer), receiver.count()), ((0, 1), 1));
    let returned = rig.returned();
    assert_eq!((returned.len(), &*returned[0].code), (1, "callback"));
    let slot = rig.record("a").await.and_then(|record| record.callback).expect("a callback");
    assert_eq!((slot.state, slot.failures), (CallbackState::Pending, 1));
}

#[tokio::test]
async fn a_delivery_without_time_is_not_tried_and_not_counted() {
    let (rig, receiver) = (hasty(), Receiver::start().await);
    let jobs = [with_callback(job("a", "answer"), &receiver.url("/"))];
    let messages = rig.messages(&jobs).await;

    let answer = rig.work_off(messages, Duration::from_millis(1900)).await;

    assert_eq!((counts(&answer), receiver.count()), ((0, 1), 0));
    let returned = rig.returned().remove(0);
    assert_eq!(returned.code, "callback_time");
    assert!(returned.after <= Duration::from_secs(5), "{returned:?}");
    let slot = rig.record("a").await.and_then(|record| record.callback).expect("a callback");
    assert_eq!((slot.state, slot.failures), (CallbackState::Pending, 0));
    assert_eq!((counts(&rig.process(&jobs).await), receiver.count()), ((1, 0), 1));
}

#[tokio::test]
async fn a_result_that_finds_no_place_at_first_is_saved_and_paid_once() {
    let rig = Rig::new(4);
    rig.worker.environment().ledger.keep_no_results(2);
    assert_eq!(counts(&rig.process(&[job("a", "answer")]).await), (1, 0));
    let record = rig.record("a").await.expect("a record");
    assert!(matches!(record.state, State::Done(_)), "{record:?}");
    assert_eq!((rig.calls(), record.attempts), (1, 1));
}

#[tokio::test]
async fn a_result_that_finds_no_place_while_there_is_time_fails_its_job_and_keeps_the_cost() {
    let (rig, receiver) = (hasty(), Receiver::start().await);
    rig.worker.environment().ledger.keep_no_results(usize::MAX);
    let messages = rig.messages(&[with_callback(job("a", "answer"), &receiver.url("/"))]).await;

    let answer = rig.work_off(messages.clone(), Duration::from_secs(4)).await;

    assert_eq!((counts(&answer), rig.calls()), ((0, 1), 1), "its callback is for the next time");
    let record = rig.record("a").await.expect("a record");
    assert!(matches!(&record.state, State::Failed(error) if error.code == "result_not_stored"));
    assert_eq!(record.usage.cost_usd, Some(0.5));
    assert_eq!(counts(&rig.work_off(messages, LONG).await), (1, 0));
    assert_eq!(rig.calls(), 1);
    assert_eq!(receiver.deliveries()[0].json()["data"]["error"]["code"], "result_not_stored");
}
