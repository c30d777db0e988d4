//! How a run ends, and that it ends once.

use mcp_batch::{
    clock::UnixMs,
    error::{ErrorClass, JobError},
    lease::{
        Attempt, CallbackSlot, Claim, DeadLetterState, Lease, Outcome, OwnerToken, Repeat,
        Settlement, State, Usage,
    },
};
use serde_json::{Value, json};

use crate::lease_helpers::{
    LEASE_S, START, Store, TestJob, after_s, callback, completed, error, every_settlement, failed,
    failed_uncalled, interrupted, released, released_uncounted, usage,
};

const CALLBACK: &str = "https://n8n.example.com/webhook/1?q=ä&x=%00";

pub(super) async fn a_result_is_stored_with_what_is_owed_for_it<S: Store>(store: S) {
    let (worker, other) = (store.worker(), store.worker());
    let job = TestJob::new("a").callback(CALLBACK);
    let lease = worker.own(job.claim()).await;

    let record = worker.save(&lease, completed("A summary."), after_s(3)).await;

    assert_eq!(record.state, State::Done("A summary.".into()));
    assert_eq!(record.callback, Some(CallbackSlot::pending(callback(CALLBACK))));
    assert_eq!(record.dead_letter, DeadLetterState::None);
    assert_eq!((record.claimed, record.settled), (START, after_s(3)));
    assert_eq!((record.epoch, record.attempts, &record.usage), (1, 1, &usage()));
    assert_eq!(other.record(&job).await, record, "every worker sees it");
}

pub(super) async fn a_failure_is_stored_with_its_dead_letter_pending<S: Store>(store: S) {
    let worker = store.worker();
    let job = TestJob::new("a").callback(CALLBACK);
    let lease = worker.own(job.claim()).await;
    let error = JobError::new(ErrorClass::Permanent, "filtered", "refused").at("input.text");

    let failure = Settlement::Fail(error.clone(), usage(), Attempt::Counted);
    let record = worker.save(&lease, failure, after_s(3)).await;

    assert_eq!(record.state, State::Failed(error));
    assert_eq!(record.dead_letter, DeadLetterState::Pending);
    assert_eq!(record.callback, Some(CallbackSlot::pending(callback(CALLBACK))));
    assert_eq!(worker.record(&job).await, record);
}

pub(super) async fn a_released_job_is_free_at_once_under_a_new_epoch<S: Store>(store: S) {
    let (first, second) = (store.worker(), store.worker());
    let job = TestJob::new("a");
    let lease = first.own(job.claim()).await;

    let record = first.save(&lease, released("busy"), after_s(1)).await;
    assert_eq!(record.state, State::Retry(Some(error("busy"))));
    assert_eq!(first.record(&job).await, record);
    let next = second.own(job.claim_at(after_s(1))).await;

    assert_eq!((next.epoch, next.attempts, next.usage), (2, 2, usage()));
}

pub(super) async fn a_release_that_is_the_upstreams_fault_counts_no_attempt<S: Store>(store: S) {
    let worker = store.worker();
    let job = TestJob::new("a");
    for epoch in 1..=5 {
        let lease = worker.own(job.claim()).await;
        assert_eq!((lease.epoch, lease.attempts), (epoch, 1));
        let record = worker.save(&lease, released_uncounted("throttled"), START).await;
        assert_eq!(record.attempts, 0);
    }
}

pub(super) async fn a_job_that_fails_without_a_call_keeps_the_attempts_it_had<S: Store>(store: S) {
    let worker = store.worker();
    let (fresh, tried) = (TestJob::new("fresh"), TestJob::new("tried"));
    let lease = worker.own(tried.claim()).await;
    worker.save(&lease, released("again"), START).await;
    for (job, attempts) in [(&fresh, 0), (&tried, 1)] {
        let lease = worker.own(job.claim()).await;
        let record = worker.save(&lease, failed_uncalled("misfit"), START).await;
        assert_eq!((record.attempts, &record.usage), (attempts, &lease.usage));
        assert_eq!(worker.record(job).await, record);
    }
}

pub(super) async fn an_interrupted_job_is_free_again<S: Store>(store: S) {
    let worker = store.worker();
    let job = TestJob::new("a");
    let lease = worker.own(job.claim()).await;

    let record = worker.save(&lease, interrupted(Repeat::Safe), START).await;

    assert_eq!(record.state, State::Retry(Some(error("stopped"))));
    assert_eq!((record.attempts, record.usage.unpriced_calls), (1, 1));
    assert_eq!(worker.own(job.claim()).await.epoch, 2);
}

pub(super) async fn an_interrupted_job_that_must_not_be_repeated_is_held<S: Store>(store: S) {
    let worker = store.worker();
    let job = TestJob::new("a").never_repeated().callback(CALLBACK);
    let lease = worker.own(job.claim()).await;

    let record = worker.save(&lease, interrupted(Repeat::Never), START).await;

    assert_eq!(record.state, State::Held(error("stopped")));
    let again = worker.claim(job.claim_at(after_s(LEASE_S + 1))).await;
    assert!(matches!(&again, Claim::Held(held) if **held == record), "{again:?}");
    assert_eq!(worker.record(&job).await, record);
}

pub(super) async fn a_settlement_whose_answer_was_lost_is_saved_and_counted_once<S: Store>(
    store: S,
) {
    let worker = store.worker();
    for (n, settlement) in every_settlement().into_iter().enumerate() {
        let job = TestJob::new(&format!("job-{n}")).callback(CALLBACK);
        let lease = worker.own(job.claim()).await;

        let first = worker.save(&lease, settlement.clone(), after_s(1)).await;
        let second = worker.save(&lease, settlement, after_s(2)).await;

        assert_eq!(first, second);
        assert_eq!(worker.record(&job).await, first);
    }
}

pub(super) async fn a_result_after_the_lease_is_saved_while_nobody_took_over<S: Store>(store: S) {
    let worker = store.worker();
    for (n, settlement) in every_settlement().into_iter().enumerate() {
        let lease = worker.own(TestJob::new(&format!("job-{n}")).claim()).await;
        worker.save(&lease, settlement, after_s(LEASE_S * 1000)).await;
    }
}

pub(super) async fn a_settlement_of_another_token_or_epoch_or_job_is_fenced<S: Store>(store: S) {
    let worker = store.worker();
    let lease = worker.own(TestJob::new("a").claim()).await;

    for stranger in [
        Lease { token: OwnerToken::fresh(), ..lease.clone() },
        Lease { epoch: 0, ..lease.clone() },
        Lease { epoch: 2, ..lease.clone() },
        Lease { key: TestJob::new("unknown").key(), ..lease.clone() },
    ] {
        for settlement in every_settlement() {
            worker.assert_fenced(&stranger, settlement, after_s(1)).await;
        }
    }
    worker.save(&lease, completed("mine"), after_s(1)).await;
}

pub(super) async fn a_second_settlement_of_another_kind_is_fenced<S: Store>(store: S) {
    let worker = store.worker();
    let lease = worker.own(TestJob::new("a").claim()).await;
    worker.save(&lease, completed("first"), START).await;
    for settlement in [failed("second"), released("second"), interrupted(Repeat::Never)] {
        worker.assert_fenced(&lease, settlement, START).await;
    }

    let lease = worker.own(TestJob::new("b").claim()).await;
    worker.save(&lease, failed("first"), START).await;
    for settlement in [completed("second"), released("second"), interrupted(Repeat::Safe)] {
        worker.assert_fenced(&lease, settlement, START).await;
    }
}

pub(super) async fn what_all_attempts_used_adds_up<S: Store>(store: S) {
    let worker = store.worker();
    let job = TestJob::new("a");
    let first = worker.own(job.claim()).await;
    worker.save(&first, released("once"), START).await;
    let second = worker.own(job.claim()).await;
    worker.save(&second, interrupted(Repeat::Safe), START).await;
    let third = worker.own(job.claim()).await;
    assert_eq!(third.usage.unpriced_calls, 1);

    let big = Usage {
        input_tokens: 1 << 40,
        output_tokens: 1 << 41,
        cost_usd: Some(0.1),
        unpriced_calls: 0,
        model: Some("large \u{0} ü".to_owned()),
        ..Usage::free()
    };
    let outcome = Outcome { result: Value::Null, usage: big, offline: false };
    let record = worker.save(&third, Settlement::Complete(outcome), START).await;

    let expected = Usage {
        input_tokens: 10 + (1 << 40),
        output_tokens: 5 + (1 << 41),
        cost_usd: Some(0.35),
        unpriced_calls: 1,
        model: Some("large \u{0} ü".to_owned()),
        ..Usage::free()
    };
    assert_eq!((&record.usage, record.attempts), (&expected, 3));
    assert_eq!(worker.record(&job).await.usage, expected);
}

pub(super) async fn a_result_of_a_mebibyte_survives<S: Store>(store: S) {
    assert_survives(&store, Value::from("ä🦀x\n".repeat(128 * 1024))).await;
}

pub(super) async fn odd_text_survives<S: Store>(store: S) {
    let texts = [
        "",
        "\u{0}",
        "a\u{0}b",
        "\u{feff}bom",
        "\u{2028}\u{2029}\u{85}",
        "'; DROP TABLE jobs; --",
        "e\u{301}\u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467}",
        "\u{202e}right to left",
        "\u{10ffff}\u{fffd}\u{7f}\u{1b}[31m",
        "\\u0000 \" \\",
        "null",
    ];
    for text in texts {
        assert_survives(&store, Value::from(text)).await;
    }
    assert_survives(&store, json!({"": texts, "\u{0}": {"z": 1, "a": [[], {}, null, true]}})).await;

    let worker = store.worker();
    for text in texts {
        let job = TestJob::new("failed").callback(CALLBACK);
        let lease = worker.own(job.claim()).await;
        let odd = JobError::new(ErrorClass::Transient, text.to_owned(), text).at(text);
        let release = Settlement::Release(odd.clone(), usage(), Attempt::NotCounted);
        worker.save(&lease, release, START).await;
        assert_eq!(worker.record(&job).await.state, State::Retry(Some(odd)));
    }
}

pub(super) async fn numbers_survive_to_the_last_digit<S: Store>(store: S) {
    let floats = (1..200).map(|n| (0.1 * f64::from(n)).sin()).collect::<Vec<_>>();
    let edges = json!([
        i64::MIN,
        u64::MAX,
        1e300,
        f64::MIN_POSITIVE,
        f64::MAX,
        -0.0,
        9_007_199_254_740_993_u64
    ]);
    assert_survives(&store, json!([floats, edges])).await;
}

/// A result comes back from the ledger as it went in: to its owner, whose answer was lost, and to
/// everybody else.
async fn assert_survives<S: Store>(store: &S, result: Value) {
    let (worker, other) = (store.worker(), store.worker());
    let job = TestJob::new(&uuid());
    let lease = worker.own(job.claim()).await;
    let record = worker.save(&lease, completed(result.clone()), UnixMs(START.0 + 1)).await;
    let read = other.record(&job).await;
    assert!(read.state == State::Done(result.clone()), "the result came back changed");
    assert!(read == record, "the record came back changed");
    assert!(worker.save(&lease, completed(result), after_s(1)).await == record);
}

fn uuid() -> String {
    let bytes = *OwnerToken::fresh().as_bytes();
    format!("job-{}", u128::from_be_bytes(bytes))
}
