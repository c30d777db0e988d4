//! Receivers that refuse, fail, hang or say something of their own: what it means for the callback,
//! over many tries and redeliveries.

use std::time::Duration;

use mcp_batch::{
    batch::{Order, Stop},
    clock::Deadline,
    lease::{CallbackSlot, CallbackState, Decision, Ledger, Repeat, WhyDead},
    queue::Message,
    resend::{Resent, resend},
    sweep::sweep,
    webhook::{CourierSettings, Schedule},
};
use mcp_batch_testkit::{Receiver, Reply};

use super::{
    plan,
    rig::{LONG, Rig, allowing_loopback, job, with_callback},
};

const RUNNING: &str = r#"{"code":409,"message":"The execution \"41\" is running already."}"#;
const FINISHED: &str = r#"{"code":409,"message":"The execution \"41 has finished already."}"#;

/// One message, redelivered as often as it comes back.
struct Redelivered {
    rig: Rig,
    receiver: Receiver,
    message: Vec<Message>,
}

impl Redelivered {
    async fn new(rig: Rig) -> Self {
        let receiver = Receiver::start().await;
        let job = with_callback(job("a", "answer"), &receiver.url("/webhook-waiting/41"));
        let message = rig.messages(&[job]).await;
        Self { rig, receiver, message }
    }

    /// Whether the message is finished that comes back when the next try is due.
    async fn again(&self, reply: Reply) -> bool {
        let due_s = self.rig.due_after("a").await.as_secs();
        self.rig.let_pass(due_s.cast_signed() + 1);
        self.at_once(reply).await
    }

    /// The same if it comes back at once.
    async fn at_once(&self, reply: Reply) -> bool {
        self.receiver.set_default(reply);
        self.rig.work_off(self.message.clone(), LONG).await.returned.is_empty()
    }

    async fn slot(&self) -> CallbackSlot {
        let record = self.rig.record("a").await.expect("a record");
        record.callback.expect("a callback")
    }

    async fn assert_ended(&self, state: CallbackState, tries: usize) {
        assert_eq!(self.slot().await.state, state);
        assert_eq!((self.receiver.count(), self.receiver.distinct_ids()), (tries, 1));
        assert_eq!(self.rig.calls(), 1, "the tool is called once");
    }
}

/// Pauses of which every one is waited for in place.
fn quick() -> Rig {
    Rig::with(4, plan(60_000, Repeat::Safe), |policy| {
        policy.callbacks.backoff.base = Duration::from_millis(5);
    })
}

fn said(status: u16, text: &'static str) -> Reply {
    Reply::status(status).body(text)
}

#[tokio::test]
async fn an_execution_that_does_not_wait_yet_is_asked_until_it_does() {
    let callback = Redelivered::new(Rig::new(4)).await;
    for _ in 0..3 {
        assert!(!callback.again(said(409, RUNNING)).await);
    }
    assert!(callback.again(said(200, r#"{"message":"Workflow was started"}"#)).await);
    callback.assert_ended(CallbackState::Sent, 4).await;
}

#[tokio::test]
async fn an_execution_that_finished_without_us_is_gone() {
    let callback = Redelivered::new(Rig::new(4)).await;
    assert!(!callback.again(said(409, RUNNING)).await);
    assert!(!callback.again(Reply::status(404)).await);
    assert!(callback.again(said(409, FINISHED)).await);
    callback.assert_ended(CallbackState::Dead(WhyDead::ReceiverGone), 3).await;
}

#[tokio::test]
async fn an_execution_that_an_earlier_try_may_have_woken_was_told() {
    for doubtful in [Reply::drop_connection(), Reply::status(500)] {
        let callback = Redelivered::new(Rig::new(4)).await;
        assert!(!callback.again(doubtful).await);
        assert!(!callback.again(said(409, RUNNING)).await, "by now it is another delivery's");
        assert!(callback.again(said(409, FINISHED)).await);
        callback.assert_ended(CallbackState::Sent, 3).await;
    }
}

#[tokio::test]
async fn a_try_that_ran_out_of_time_may_have_got_through() {
    let courier = CourierSettings { timeout: Duration::from_millis(200), ..allowing_loopback() };
    let callback =
        Redelivered::new(Rig::sending(4, plan(60_000, Repeat::Safe), courier, |_| {})).await;
    assert!(!callback.again(Reply::hang()).await);
    assert!(callback.slot().await.may_have_arrived);
    assert!(callback.again(said(409, FINISHED)).await);
    callback.assert_ended(CallbackState::Sent, 2).await;
}

#[tokio::test]
async fn a_wrong_token_is_final_at_once() {
    let callback = Redelivered::new(Rig::new(4)).await;
    assert!(callback.again(said(401, r#"{"code":401,"message":"Invalid token"}"#)).await);
    callback.assert_ended(CallbackState::Dead(WhyDead::Refused), 1).await;
}

#[tokio::test]
async fn other_refusals_are_believed_after_a_few_tries() {
    for status in [301, 400, 401, 403, 409, 413, 422] {
        let callback = Redelivered::new(quick()).await;
        let reply = Reply::status(status).header("location", &callback.receiver.url("/elsewhere"));
        assert!(callback.again(reply).await);
        callback.assert_ended(CallbackState::Dead(WhyDead::Refused), 5).await;
        let deliveries = callback.receiver.deliveries();
        assert!(deliveries.iter().all(|delivery| delivery.path() == "/webhook-waiting/41"));
    }
}

#[tokio::test]
async fn not_found_is_believed_later_than_other_refusals() {
    let callback = Redelivered::new(quick()).await;
    callback.receiver.respond_with(vec![Reply::status(404); 9]);
    assert!(callback.again(Reply::status(200)).await);
    callback.assert_ended(CallbackState::Sent, 10).await;

    let callback = Redelivered::new(quick()).await;
    assert!(!callback.again(Reply::status(404)).await, "n8n may be starting, for minutes");
    let tries = callback.receiver.count();
    assert!(tries > 10, "{tries}");
    callback.rig.let_pass(240);
    assert!(callback.again(Reply::status(404)).await);
    callback.assert_ended(CallbackState::Dead(WhyDead::ReceiverGone), tries + 1).await;
}

#[tokio::test]
async fn a_few_quick_tries_need_no_redelivery_and_each_has_a_timestamp_of_its_own() {
    let callback = Redelivered::new(quick()).await;
    callback.receiver.respond_with([
        Reply::status(503),
        Reply::drop_connection(),
        Reply::status(429),
        Reply::status(408),
    ]);
    assert!(callback.again(Reply::status(204)).await);
    callback.assert_ended(CallbackState::Sent, 5).await;
    assert_eq!(callback.rig.returned().len(), 0);
}

#[tokio::test]
async fn what_the_receiver_asks_for_puts_off_the_message_and_others_of_its_url() {
    let callback = Redelivered::new(quick()).await;
    assert!(!callback.again(Reply::status(429).header("retry-after", "40")).await);
    assert!(!callback.at_once(Reply::status(204)).await, "it is not due");
    for returned in callback.rig.returned() {
        assert_eq!(returned.code, "callback");
        assert!(returned.after >= Duration::from_secs(39), "{returned:?}");
    }
    assert_eq!(callback.slot().await.failures, 1, "what was not tried is not counted");

    let ask = |id: &str, path| [with_callback(job(id, "answer"), &callback.receiver.url(path))];
    assert_eq!(callback.rig.process(&ask("b", "/webhook-waiting/41")).await.returned.len(), 1);
    let returned = callback.rig.returned().remove(2);
    assert_eq!((&*returned.code, callback.receiver.count()), ("callback_host", 1));
    assert!(returned.after > Duration::from_secs(20), "{returned:?}");

    // The others of its host wait for a moment only.
    assert_eq!(callback.rig.process(&ask("c", "/elsewhere")).await.returned.len(), 1);
    let returned = callback.rig.returned().remove(3);
    assert_eq!((&*returned.code, callback.receiver.count()), ("callback_host", 1));
    assert!(returned.after <= Duration::from_secs(10), "{returned:?}");
}

/// A worker dies in the middle of a try, which woke the execution.
async fn cut_off(answered_before: Option<Reply>) -> Redelivered {
    let callback = Redelivered::new(Rig::new(4)).await;
    if let Some(reply) = answered_before {
        assert!(!callback.again(reply).await);
    }
    let tries = callback.receiver.count();
    let due_s = callback.rig.due_after("a").await.as_secs();
    callback.rig.let_pass(due_s.cast_signed() + 1);
    callback.receiver.set_default(Reply::hang());
    let stop = Stop::default();
    let working = callback.rig.start_with(callback.message.clone(), Order::Any, &stop);
    callback.receiver.wait_for(tries + 1).await;
    working.abort();
    callback.receiver.wait_for_clients_left(1).await;
    callback.receiver.set_default(said(409, FINISHED));
    callback
}

#[tokio::test]
async fn an_execution_that_a_try_may_have_woken_whose_worker_was_killed_was_told() {
    for receive_count in [1, 2] {
        let mut callback = cut_off(None).await;
        callback.message[0].receive_count = receive_count;
        assert!(callback.again(said(409, FINISHED)).await);
        callback.assert_ended(CallbackState::Sent, 2).await;
    }
    let callback = cut_off(None).await;
    callback.rig.let_pass(2 * 3_600 + 60);
    let swept = sweep(&callback.rig.worker.shared(), Deadline::after(LONG)).await;
    assert_eq!(swept.expect("an answer").callbacks_sent, 1, "by the sweep");

    // What is in doubt stays so over a try that failed.
    let callback = cut_off(None).await;
    assert!(!callback.again(said(409, RUNNING)).await);
    assert!(callback.again(said(409, FINISHED)).await);
    callback.assert_ended(CallbackState::Sent, 3).await;
}

#[tokio::test]
async fn of_several_messages_of_one_job_one_is_at_its_callback() {
    let callback = Redelivered::new(Rig::new(4)).await;
    assert!(!callback.again(Reply::status(503)).await);
    let due_s = callback.rig.due_after("a").await.as_secs();
    callback.rig.let_pass(due_s.cast_signed() + 1);
    callback.receiver.set_default(Reply::status(204).after(Duration::from_millis(500)));
    let job = with_callback(job("a", "answer"), &callback.receiver.url("/webhook-waiting/41"));

    let messages = callback.rig.messages(&vec![job; 4]).await;
    let answer = callback.rig.work_off(messages.clone(), LONG).await;
    assert_eq!((answer.finished.len(), answer.returned.len()), (2, 2), "one waits for the first");
    let mut left = messages;
    left.retain(|message| answer.returned.contains(&message.id));
    assert_eq!(callback.rig.work_off(left, LONG).await.finished.len(), 2);

    callback.assert_ended(CallbackState::Sent, 2).await;
}

#[tokio::test]
async fn an_answer_is_not_read_to_its_end() {
    for reply in [Reply::status(200).huge_body(1 << 30), Reply::status(200).trickle()] {
        let callback = Redelivered::new(Rig::new(4)).await;
        assert!(callback.again(reply).await);
        callback.assert_ended(CallbackState::Sent, 1).await;
    }
    let callback = Redelivered::new(Rig::new(4)).await;
    assert!(!callback.again(Reply::status(503).huge_body(1 << 30)).await);
}

#[tokio::test]
async fn a_callback_is_tried_for_days_and_then_given_up() {
    let callback = Redelivered::new(Rig::new(4)).await;
    callback.rig.let_pass(10 * 86_400);
    assert!(!callback.again(Reply::status(503)).await, "a backlog is no reason to give up");
    callback.rig.let_pass(259_190);
    assert!(!callback.again(Reply::status(503)).await, "it has failed for less than three days");
    callback.rig.let_pass(20);
    assert!(callback.again(Reply::status(503)).await);
    callback.assert_ended(CallbackState::Dead(WhyDead::Exhausted), 3).await;
}

#[tokio::test]
async fn a_failing_receiver_is_left_alone_for_a_moment_and_hinders_nobody() {
    let rig = Rig::new(64);
    let (failing, well) = (Receiver::start().await, Receiver::start().await);
    failing.set_default(Reply::status(500));
    let ask = |receiver: &Receiver, host: &str, count: usize| -> Vec<_> {
        let job = |n| with_callback(job(&format!("{host}-{n}"), "answer"), &receiver.url("/"));
        (0..count).map(job).collect()
    };
    let mut jobs = ask(&failing, "failing", 100);
    jobs.extend(ask(&well, "well", 50));

    let answer = rig.process(&jobs).await;

    assert_eq!((answer.finished.len(), well.count()), (50, 50));
    let tries = failing.count();
    assert!((10..=14).contains(&tries), "{tries} tries: ten, and what was on its way by then");
    let left_alone =
        rig.returned().iter().filter(|returned| returned.code == "callback_host").count();
    assert_eq!(left_alone, 100 - tries, "all others were put off, uncounted");
}

#[tokio::test]
async fn a_dead_callback_is_sent_again_when_a_person_asks_for_it() {
    let callback = Redelivered::new(Rig::new(4)).await;
    assert!(callback.again(Reply::status(410)).await);
    let environment = callback.rig.worker.environment();
    let key = callback.rig.record("a").await.expect("a record").key;
    let again = || resend(environment.post(), key, Deadline::after(LONG));

    callback.receiver.set_default(Reply::status(503));
    assert_eq!(again().await.expect("an answer"), Resent::Tried(CallbackState::Pending));
    callback.receiver.set_default(Reply::status(204));
    assert_eq!(again().await.expect("an answer"), Resent::Tried(CallbackState::Sent));

    callback.assert_ended(CallbackState::Sent, 3).await;
    let deliveries = callback.receiver.deliveries();
    assert!(deliveries.iter().all(|delivery| delivery.body() == deliveries[0].body()));
    let now = environment.clock.now();
    let _ = environment.ledger.decide(key, Decision::Resend, now).await.expect("an answer");
    assert!(callback.again(Reply::status(204)).await, "or by its message");
    callback.assert_ended(CallbackState::Sent, 4).await;
}

#[tokio::test]
async fn a_callback_that_a_person_has_sent_again_has_all_its_time_anew() {
    let callback = Redelivered::new(Rig::new(4)).await;
    assert!(callback.again(Reply::status(410)).await);
    let environment = callback.rig.worker.environment();
    let key = callback.rig.record("a").await.expect("a record").key;
    callback.rig.let_pass(30 * 86_400);
    callback.receiver.set_default(Reply::status(503));
    let again = resend(environment.post(), key, Deadline::after(LONG)).await;
    assert_eq!(again.expect("an answer"), Resent::Tried(CallbackState::Pending));

    for hours in [24, 24, 20] {
        callback.rig.let_pass(hours * 3_600);
        let swept = sweep(&callback.rig.worker.shared(), Deadline::after(LONG)).await;
        assert_eq!(swept.expect("an answer").callbacks_failed, 1, "by the sweep");
    }
    callback.rig.let_pass(5 * 3_600);
    let swept = sweep(&callback.rig.worker.shared(), Deadline::after(LONG)).await;
    assert_eq!(swept.expect("an answer").callbacks_dead, 1);

    callback.assert_ended(CallbackState::Dead(WhyDead::Exhausted), 6).await;
}

#[tokio::test]
async fn a_callback_is_sent_again_in_the_words_of_its_first_success() {
    let (rig, receiver) = (Rig::new(4), Receiver::start().await);
    let mut job = with_callback(job("a", "answer"), &receiver.url("/"));
    job["metadata"] = serde_json::json!({"row": 17, "name": "Zoë"});
    assert_eq!(rig.process(&[job]).await.finished.len(), 1);
    let environment = rig.worker.environment();
    let key = rig.record("a").await.expect("a record").key;

    let again = resend(environment.post(), key, Deadline::after(LONG)).await;

    assert_eq!(again.expect("an answer"), Resent::Tried(CallbackState::Sent));
    let deliveries = receiver.deliveries();
    assert_eq!((deliveries.len(), receiver.distinct_ids()), (2, 1));
    assert_eq!(deliveries[0].body(), deliveries[1].body());
    assert_eq!(deliveries[1].json()["data"]["metadata"]["row"], 17);
}

#[test]
fn the_schedule_is_that_of_the_documentation() {
    let schedule = Schedule::default();
    let (base, cap) = (schedule.backoff.base.as_secs(), schedule.backoff.cap.as_secs());
    assert_eq!((base, cap, schedule.max_age.as_secs()), (1, 3600, 259_200));
}
