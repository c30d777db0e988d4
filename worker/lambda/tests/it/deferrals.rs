//! A message may be given back as often as it takes: no attempt is lost, nothing becomes a dead
//! letter, and the queue's own redrive policy never gets to see it.

use std::time::Duration;

use mcp_batch_testkit::{Behaviour, EventSource, Mapping, Reply, RuntimeApi};

use crate::{
    event::{Record, event, listed},
    rig::{Rig, Setup, job, text_of},
    timeless::Timeless,
};

/// Of each kind.
const DEFERRALS: usize = 200;

/// Time enough to begin a job, and too little for it.
const LONG: Duration = Duration::from_secs(20);

const SHORT: Duration = Duration::from_secs(3);

/// Longer than any job is held here.
const HOURS: Duration = Duration::from_secs(7_200);

/// What the job's callback told: its one success, by one call that counts.
async fn assert_one_attempt(rig: &Rig) {
    let deliveries = rig.receiver.deliveries();
    let told = deliveries.last().expect("a callback").json();
    assert_eq!((&told["type"], &told["data"]["attempts"]), (&"job.succeeded".into(), &1.into()));
    assert_eq!(rig.receiver.distinct_ids(), 1);
    assert!(rig.aws.take_dead_letters().await.is_empty());
}

/// Defers the one job of `rig` by what goes wrong now, then mends it, and lets it succeed in a new
/// process: the old one knows for how long to leave the upstream alone.
async fn defer_by_the_upstream(rig: &Rig, wrong: Behaviour) {
    rig.llm.set_default(wrong);
    let mut queue = Timeless::new(rig, &[rig.job_with_callback("a")]);
    for _ in 0..DEFERRALS {
        queue.deliver(&rig.lambda, LONG).await;
        assert_eq!(queue.len(), 1);
    }
    rig.llm.set_default(Behaviour::Echo);
    rig.lambda.kill().await;
    assert_eq!(queue.until_empty(&rig.lambda, LONG).await, 1);
    assert_one_attempt(rig).await;
}

/// The same with a new process for each delivery: the LLM is really asked each time, and each refusal
/// is a claim and a release.
async fn refuse_each_delivery(rig: &Rig, wrong: Behaviour) {
    rig.llm.set_default(wrong);
    let mut queue = Timeless::new(rig, &[rig.job_with_callback("a")]);
    for refusals in 1..=DEFERRALS {
        queue.deliver(&rig.lambda, LONG).await;
        assert_eq!((queue.len(), rig.llm.calls()), (1, refusals));
        rig.lambda.kill().await;
    }
    let record = rig.aws.record("a").await.expect("it was claimed");
    assert_eq!((record.state.name(), record.attempts), ("retry", 0));
    assert_eq!(record.epoch, DEFERRALS as u64, "each was a claim");
    rig.llm.set_default(Behaviour::Echo);
    assert_eq!(queue.until_empty(&rig.lambda, LONG).await, 1);
    assert_eq!(rig.llm.calls(), DEFERRALS + 1);
    assert_one_attempt(rig).await;
}

#[tokio::test]
async fn a_job_that_was_refused_200_times_for_the_rate_succeeds_with_its_first_attempt() {
    let Some(rig) = Rig::start().await else { return };
    refuse_each_delivery(&rig, Behaviour::throttled("600")).await;
}

#[tokio::test]
async fn a_job_that_was_refused_200_times_for_the_budget_succeeds_with_its_first_attempt() {
    let Some(rig) = Rig::start().await else { return };
    refuse_each_delivery(&rig, Behaviour::budget_exceeded()).await;
}

#[tokio::test]
async fn a_throttled_job_succeeds_after_200_deferrals() {
    let Some(rig) = Rig::start().await else { return };
    defer_by_the_upstream(&rig, Behaviour::throttled("600")).await;
    assert_eq!(rig.llm.calls(), 2, "while the pause lasts, nobody asks again");
}

#[tokio::test]
async fn a_job_whose_upstream_refuses_us_succeeds_after_200_deferrals() {
    let Some(rig) = Rig::start().await else { return };
    defer_by_the_upstream(&rig, Behaviour::status(401)).await;
}

#[tokio::test]
async fn a_job_whose_budget_is_spent_succeeds_after_200_deferrals() {
    let Some(rig) = Rig::start().await else { return };
    defer_by_the_upstream(&rig, Behaviour::budget_exceeded()).await;
    assert_eq!(rig.llm.calls(), 2, "while the pause lasts, nobody asks again");
}

#[tokio::test]
async fn a_job_that_somebody_else_runs_is_done_after_200_deferrals() {
    let setup = Setup::default().env("MCP_BATCH_LLM_TIMEOUT_S", "3600");
    let Some(rig) = setup.start().await else { return };
    rig.llm.set_default(Behaviour::Hold);
    let (owner, other) = (&rig.lambda, &RuntimeApi::start(rig.function.clone()).await);
    let job = rig.job_with_callback("a");
    let mut copy = Timeless::new(&rig, std::slice::from_ref(&job));

    let first = event(&[Record::new("first", &job)]);
    let work = owner.invoke(&first, HOURS);
    let defer = async {
        rig.llm.wait_for_calls(1).await;
        for _ in 0..DEFERRALS {
            copy.deliver(other, HOURS).await;
            assert_eq!(copy.len(), 1);
        }
        rig.llm.release(1);
    };
    let (answer, ()) = tokio::join!(work, defer);
    assert!(listed(&answer.json()).is_empty());
    assert_eq!(copy.until_empty(other, HOURS).await, 1);
    assert_eq!(rig.llm.calls(), 1);
    assert_one_attempt(&rig).await;
}

#[tokio::test]
async fn a_job_whose_callback_is_refused_200_times_is_told_and_called_once() {
    let Some(rig) = Rig::start().await else { return };
    // Not an answer for which its host would be left alone.
    rig.receiver.respond_with((0..DEFERRALS).map(|_| Reply::status(408)));
    let mut queue = Timeless::new(&rig, &[rig.job_with_callback("a")]);
    let mut deliveries = 0;
    while queue.len() > 0 {
        queue.deliver(&rig.lambda, LONG).await;
        let told = rig.receiver.count();
        // Before its pause is over, nobody tries again.
        queue.deliver(&rig.lambda, LONG).await;
        assert_eq!(rig.receiver.count(), told);
        rig.aws.end_callbacks_pause("a").await;
        deliveries += 1;
    }
    // The first pauses are short, and waited for.
    assert!(deliveries > DEFERRALS - 10, "{deliveries}");
    assert_eq!((rig.llm.calls(), rig.receiver.count()), (1, DEFERRALS + 1));
    assert_one_attempt(&rig).await;
}

#[tokio::test]
async fn a_job_that_200_invocations_had_no_time_for_succeeds_in_the_next() {
    let Some(rig) = Rig::start().await else { return };
    let mut queue = Timeless::new(&rig, &[rig.job_with_callback("a")]);
    for _ in 0..DEFERRALS {
        queue.deliver(&rig.lambda, SHORT).await;
        assert_eq!(queue.len(), 1);
    }
    assert_eq!(rig.llm.calls(), 0);
    assert_eq!(queue.until_empty(&rig.lambda, LONG).await, 1);
    assert_one_attempt(&rig).await;
}

#[tokio::test]
async fn a_job_behind_another_of_its_fifo_group_succeeds_after_200_deferrals() {
    let Some(rig) = Setup::default().fifo().start().await else { return };
    rig.llm.script(text_of("head"), [Behaviour::throttled("600"), Behaviour::Echo]);
    let jobs = [job("head"), rig.job_with_callback("follower")];
    let mut queue = Timeless::new(&rig, &jobs);
    for _ in 0..DEFERRALS {
        queue.deliver(&rig.lambda, LONG).await;
        assert_eq!((queue.len(), rig.llm.calls_containing(&text_of("follower"))), (2, 0));
    }
    rig.lambda.kill().await;
    queue.until_empty(&rig.lambda, LONG).await;
    assert_one_attempt(&rig).await;
}

#[tokio::test]
async fn a_real_queue_never_takes_a_job_for_being_received_more_often_than_it_allows() {
    const MORE_THAN_ALLOWED: usize = 120;
    const QUEUES_OWN: Duration = Duration::from_secs(8);
    let Some(rig) = Rig::start().await else { return };
    rig.aws.send([rig.job_with_callback("a")]).await;

    let mapping = |timeout| Mapping::default().function_timeout(timeout);
    let source = async |timeout| EventSource::create(rig.aws.impatient().await, mapping(timeout));
    let mut too_short = source(SHORT).await.expect("sound");
    too_short.batches(&rig.lambda, MORE_THAN_ALLOWED).await;
    source(QUEUES_OWN).await.expect("sound").until_empty(&rig.lambda).await;
    assert_eq!(rig.llm.calls(), 1);
    assert_one_attempt(&rig).await;
}

#[tokio::test]
async fn a_dead_letter_that_was_put_back_is_still_run_after_it_was_sent_anew() {
    let Some(mut rig) = Rig::start().await else { return };
    rig.llm.script(text_of("a"), [Behaviour::filtered_request(), Behaviour::Echo]);
    rig.aws.send([rig.job_with_callback("a")]).await;
    rig.work_off().await;
    let letters = rig.aws.take_dead_letters().await;

    // Another job closes the upstream, before anybody could ask for the replay.
    rig.llm.script(text_of("b"), [Behaviour::budget_exceeded()]);
    Timeless::new(&rig, &[job("b")]).deliver(&rig.lambda, LONG).await;
    let mut queue = Timeless::of(&rig, &letters);
    for _ in 0..DEFERRALS {
        queue.deliver(&rig.lambda, LONG).await;
        assert_eq!(queue.len(), 1);
    }
    assert!(queue.sent() > 1, "it was sent anew");
    rig.lambda.kill().await;
    queue.until_empty(&rig.lambda, LONG).await;
    assert_eq!(rig.llm.calls_containing(&text_of("a")), 2);
    let told = rig.receiver.deliveries().last().expect("a callback").json();
    assert_eq!(told["type"], "job.succeeded");
}
