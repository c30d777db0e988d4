//! What is owed for an outcome, and to whom.

use std::time::Duration;

use mcp_batch::lease::{
    CallbackSlot, CallbackState, Claim, DeadLetterState, Decision, Delivery, Failure, Ledger, Mark,
    Record, Refusal, Repeat, State, WhyDead,
};

use crate::lease_helpers::{
    START, Store, TestJob, Worker, after_s, callback, come_upon, completed, error, failed,
    interrupted, released, tried,
};

const OLD: &str = "https://n8n.example.com/webhook-waiting/1";
const NEW: &str = "https://n8n.example.com/webhook-waiting/2";

fn told(url: &str, delivery: Delivery) -> Mark {
    tried(url, delivery)
}

async fn finished<L: Ledger>(worker: &Worker<L>, job: &TestJob) -> Record {
    let lease = worker.own(job.claim()).await;
    worker.save(&lease, completed("yes"), START).await
}

async fn slot<L: Ledger>(worker: &Worker<L>, job: &TestJob) -> CallbackSlot {
    worker.record(job).await.callback.expect("a callback")
}

pub(super) async fn a_callback_that_was_sent_stays_sent<S: Store>(store: S) {
    let worker = store.worker();
    let job = TestJob::new("a").callback(OLD);
    let record = finished(&worker, &job).await;

    worker.mark(&record, told(OLD, Delivery::Sent)).await;
    for late in
        [Delivery::Sent, Delivery::Failed(Failure::NotTaken), Delivery::Dead(WhyDead::Refused)]
    {
        worker.mark(&record, told(OLD, late)).await;
        let slot = slot(&worker, &job).await;
        assert_eq!((slot.state, slot.failures), (CallbackState::Sent, 0), "{late:?}");
    }

    let marked = worker.record(&job).await;
    assert_eq!(Record { callback: record.callback.clone(), ..marked }, record, "nothing else");
}

pub(super) async fn failed_deliveries_of_a_callback_are_counted_until_it_is_dead<S: Store>(
    store: S,
) {
    let worker = store.worker();
    let job = TestJob::new("a").callback(OLD);
    let record = finished(&worker, &job).await;

    for failures in 1..=3 {
        worker.mark(&record, told(OLD, Delivery::Failed(Failure::NotTaken))).await;
        let slot = slot(&worker, &job).await;
        assert_eq!((slot.state, slot.failures), (CallbackState::Pending, failures));
    }
    worker.mark(&record, told(OLD, Delivery::Dead(WhyDead::Refused))).await;
    worker.mark(&record, told(OLD, Delivery::Failed(Failure::NotTaken))).await;

    let slot = slot(&worker, &job).await;
    assert_eq!((slot.state, slot.failures), (CallbackState::Dead(WhyDead::Refused), 4));
}

pub(super) async fn what_failed_tries_tell_of_the_next_one_is_kept<S: Store>(store: S) {
    let worker = store.worker();
    let job = TestJob::new("a").callback(OLD);
    let record = finished(&worker, &job).await;
    for (at_s, failure, refusals, refused_since_s, may_have_arrived) in [
        (1, Failure::Refused, 1, Some(1), false),
        (2, Failure::Refused, 2, Some(1), false),
        (3, Failure::Unknown, 0, None, true),
        (4, Failure::Refused, 1, Some(4), true),
        (5, Failure::NotTaken, 0, None, true),
    ] {
        worker.mark_at(&record, told(OLD, Delivery::Failed(failure)), after_s(at_s)).await;
        let slot = slot(&worker, &job).await;
        assert_eq!((slot.refusals, slot.may_have_arrived), (refusals, may_have_arrived));
        let since = (slot.failing_since, slot.refused_since);
        assert_eq!(since, (Some(after_s(1)), refused_since_s.map(after_s)));
    }
}

pub(super) async fn why_a_callback_is_dead_is_kept<S: Store>(store: S) {
    let worker = store.worker();
    for why in
        [WhyDead::ReceiverGone, WhyDead::Refused, WhyDead::AddressRefused, WhyDead::Exhausted]
    {
        let job = TestJob::new(why.name()).callback(OLD);
        let record = finished(&worker, &job).await;
        worker.mark(&record, told(OLD, Delivery::Dead(why))).await;
        assert_eq!(slot(&worker, &job).await.state, CallbackState::Dead(why));
    }
}

pub(super) async fn a_person_makes_a_callback_due_again<S: Store>(store: S) {
    let worker = store.worker();
    for (id, end) in [
        ("sent", Delivery::Sent),
        ("dead", Delivery::Dead(WhyDead::Refused)),
        ("due", Delivery::Failed(Failure::NotTaken)),
    ] {
        let job = TestJob::new(id).callback(OLD);
        let record = finished(&worker, &job).await;
        worker.mark(&record, told(OLD, Delivery::Failed(Failure::Refused))).await;
        worker.mark(&record, told(OLD, end)).await;

        let due = worker.decide(job.key(), Decision::Resend, START).await.expect("it is finished");

        let expected = CallbackSlot {
            may_have_arrived: end == Delivery::Sent,
            ..CallbackSlot::pending(callback(OLD))
        };
        let deferred = Some(START);
        assert_eq!(due, Record { callback: Some(expected), deferred, ..record.clone() }, "{id}");
        assert_eq!(worker.record(&job).await, due);
        worker.mark(&record, told(OLD, Delivery::Sent)).await;
        assert_eq!(slot(&worker, &job).await.state, CallbackState::Sent);
    }
}

pub(super) async fn only_an_outcome_with_a_callback_is_told_again<S: Store>(store: S) {
    let worker = store.worker();
    let silent = TestJob::new("silent");
    finished(&worker, &silent).await;
    let running = TestJob::new("running").callback(OLD);
    worker.own(running.claim()).await;
    for (job, refusal) in [
        (silent, Refusal::NoCallback),
        (running, Refusal::State("running")),
        (TestJob::new("unknown"), Refusal::Unknown),
    ] {
        let before = worker.look(job.key()).await;
        let decided = worker.decide(job.key(), Decision::Resend, START).await;
        assert_eq!(decided, Err(refusal));
        assert_eq!(worker.look(job.key()).await, before);
    }
}

pub(super) async fn a_dead_letter_is_marked_once_and_only_where_one_is_due<S: Store>(store: S) {
    let worker = store.worker();
    let dead = TestJob::new("dead");
    let lease = worker.own(dead.claim()).await;
    let record = worker.save(&lease, failed("no"), START).await;
    for _ in 0..2 {
        worker.mark(&record, Mark::DeadLetterSent).await;
        let marked = worker.record(&dead).await;
        assert_eq!(marked, Record { dead_letter: DeadLetterState::Sent, ..record.clone() });
    }

    let alive = TestJob::new("alive");
    let record = finished(&worker, &alive).await;
    worker.mark(&record, Mark::DeadLetterSent).await;
    assert_eq!(worker.record(&alive).await, record);
}

pub(super) async fn marks_before_the_outcome_are_ignored<S: Store>(store: S) {
    let worker = store.worker();
    let job = TestJob::new("a").callback(OLD);
    let lease = worker.own(job.claim()).await;
    let running = worker.record(&job).await;
    worker.mark(&running, told(OLD, Delivery::Sent)).await;
    worker.mark(&running, Mark::DeadLetterSent).await;
    assert_eq!(worker.record(&job).await, running);

    let released = worker.save(&lease, released("once"), START).await;
    worker.mark(&released, told(OLD, Delivery::Sent)).await;
    assert_eq!(worker.record(&job).await, released);

    let unknown = TestJob::new("unknown");
    worker.mark_epoch(unknown.key(), 1, told(OLD, Delivery::Sent)).await;
    assert_eq!(worker.look(unknown.key()).await, None);
}

pub(super) async fn marks_of_another_epoch_are_ignored<S: Store>(store: S) {
    let worker = store.worker();
    let job = TestJob::new("a").callback(OLD);
    let lease = worker.own(job.claim()).await;
    let first = worker.save(&lease, failed("no"), START).await;
    worker.decide(job.key(), job.replay(first.epoch), START).await.expect("it failed");
    let lease = worker.own(job.claim()).await;
    let second = worker.save(&lease, failed("again"), START).await;
    assert_eq!(second.state, State::Failed(error("again")));

    for epoch in [0, first.epoch, second.epoch + 1] {
        worker.mark_epoch(job.key(), epoch, told(OLD, Delivery::Sent)).await;
        worker.mark_epoch(job.key(), epoch, Mark::DeadLetterSent).await;
    }

    assert_eq!(worker.record(&job).await, second);
}

pub(super) async fn a_finished_job_runs_nothing_for_a_duplicate<S: Store>(store: S) {
    let worker = store.worker();
    for (id, settlement) in [("done", completed("yes")), ("failed", failed("no"))] {
        let job = TestJob::new(id).callback(OLD);
        let lease = worker.own(job.claim()).await;
        let record = worker.save(&lease, settlement, START).await;

        let answer = worker.claim(job.claim_at(after_s(1))).await;

        let Claim::Finished(same) = answer else { panic!("{answer:?}") };
        let expected = come_upon(record.clone());
        assert_eq!(*same, expected, "whoever ended it may have begun to tell it");
        assert_eq!(worker.record(&job).await, record);
    }
}

pub(super) async fn when_the_next_try_is_due_is_kept_and_what_was_in_doubt_before<S: Store>(
    store: S,
) {
    let worker = store.worker();
    let job = TestJob::new("a").callback(OLD);
    let record = finished(&worker, &job).await;
    for (at_s, doubt, may_have_arrived) in [(1, false, false), (2, true, true), (3, false, true)] {
        let mark = Mark::Callback {
            callback: callback(OLD),
            delivery: Delivery::Failed(Failure::NotTaken),
            again_after: Duration::from_secs(600),
            may_have_arrived: doubt,
        };
        worker.mark_at(&record, mark, after_s(at_s)).await;
        let slot = slot(&worker, &job).await;
        let known = (slot.due, slot.may_have_arrived);
        assert_eq!(known, (Some(after_s(600 + at_s)), may_have_arrived));
        let Claim::Finished(same) = worker.claim(job.claim_at(after_s(at_s))).await else {
            panic!("it is finished")
        };
        assert_eq!(same.callback, Some(slot), "a try that was noted is not in doubt");
    }
}

pub(super) async fn a_finished_job_owes_its_outcome_to_a_new_callback_too<S: Store>(store: S) {
    let worker = store.worker();
    for (id, settlement) in [("done", completed("yes")), ("failed", failed("no"))] {
        let job = TestJob::new(id).callback(OLD);
        let lease = worker.own(job.claim()).await;
        let record = worker.save(&lease, settlement, START).await;
        worker.mark(&record, told(OLD, Delivery::Failed(Failure::NotTaken))).await;
        worker.mark(&record, told(OLD, Delivery::Dead(WhyDead::Refused))).await;

        let again = job.clone().callback(NEW);
        let answer = worker.claim(again.claim_at(after_s(1))).await;

        let Claim::Finished(owed) = answer else { panic!("{answer:?}") };
        let expected = Some(CallbackSlot::pending(callback(NEW)));
        assert_eq!(*owed, Record { callback: expected, ..record }, "nothing else changes");
        assert_eq!(worker.record(&job).await, *owed);
    }
}

pub(super) async fn a_held_job_will_owe_its_outcome_to_its_newest_callback<S: Store>(store: S) {
    let worker = store.worker();
    let job = TestJob::new("a").callback(OLD);
    let lease = worker.own(job.claim()).await;
    worker.save(&lease, interrupted(Repeat::Never), START).await;

    let newest = job.clone().callback(NEW);
    let answer = worker.claim(newest.claim_at(after_s(1))).await;
    assert!(matches!(answer, Claim::Held(_)), "{answer:?}");

    let decided = worker.decide(job.key(), Decision::Succeed("ok".into()), after_s(2)).await;
    let slot = decided.expect("it is held").callback.expect("it is owed");
    assert_eq!(slot, CallbackSlot::pending(callback(NEW)));
}

pub(super) async fn the_old_callbacks_mark_does_not_touch_the_new_callback<S: Store>(store: S) {
    let worker = store.worker();
    let job = TestJob::new("a").callback(OLD);
    let record = finished(&worker, &job).await;
    worker.claim(job.clone().callback(NEW).claim()).await;

    for delivery in
        [Delivery::Sent, Delivery::Failed(Failure::NotTaken), Delivery::Dead(WhyDead::Refused)]
    {
        worker.mark(&record, told(OLD, delivery)).await;
        assert_eq!(slot(&worker, &job).await, CallbackSlot::pending(callback(NEW)));
    }
    worker.mark(&record, told(NEW, Delivery::Sent)).await;

    assert_eq!(slot(&worker, &job).await.state, CallbackState::Sent);
}

pub(super) async fn a_duplicate_without_a_callback_leaves_the_stored_one<S: Store>(store: S) {
    let worker = store.worker();
    let job = TestJob::new("a").callback(OLD);
    let record = finished(&worker, &job).await;

    let answer = worker.claim(TestJob::new("a").claim()).await;

    assert!(matches!(&answer, Claim::Finished(_)), "{answer:?}");
    assert_eq!(worker.record(&job).await, record);
}
