//! Who gets the right to run a job.

use mcp_batch::{
    clock::UnixMs,
    lease::{Claim, ClaimRequest, DeadLetterState, Repeat, State, Usage},
};
use tokio::task::JoinSet;

use crate::lease_helpers::{
    LEASE_S, START, Store, TestJob, after_s, completed, expiry, failed, interrupted, released,
};

pub(super) async fn a_new_job_is_owned_by_the_one_who_asks_first<S: Store>(store: S) {
    let worker = store.worker();
    let job = TestJob::new("a");
    assert_eq!(worker.look(job.key()).await, None);
    let request = job.claim();

    let lease = worker.own(request.clone()).await;

    assert_eq!((lease.key, lease.token), (job.key(), request.token));
    assert_eq!((lease.epoch, lease.attempts), (1, 1));
    assert_eq!((lease.ends, lease.usage), (after_s(LEASE_S), Usage::free()));
    let record = worker.record(&job).await;
    assert_eq!(record.state, State::Running { lease_ends: after_s(LEASE_S), alone: false });
    assert_eq!((record.job_id.as_str(), record.tool.as_str()), ("a", "summarize"));
    assert_eq!(record.payload_hash, Some(request.payload_hash));
    assert_eq!((record.claimed, record.first_seen, record.expires), (START, START, expiry()));
    assert_eq!((record.callback, record.dead_letter), (None, DeadLetterState::None));
}

pub(super) async fn a_claim_whose_answer_was_lost_is_still_owned_and_counted_once<S: Store>(
    store: S,
) {
    let worker = store.worker();
    let job = TestJob::new("a");
    let request = job.claim();

    let first = worker.own(request.clone()).await;
    let record = worker.record(&job).await;
    let second = worker.own(request).await;

    assert_eq!(first, second);
    assert_eq!(worker.record(&job).await, record);
}

pub(super) async fn a_lost_answer_is_found_even_after_the_lease_is_over<S: Store>(store: S) {
    let worker = store.worker();
    let request = TestJob::new("a").claim();
    let first = worker.own(request.clone()).await;

    let mut late = request;
    late.now = after_s(LEASE_S + 1);

    assert_eq!(worker.own(late).await, first);
}

pub(super) async fn a_job_with_a_live_lease_is_busy_until_that_ends<S: Store>(store: S) {
    let (owner, other) = (store.worker(), store.worker());
    let job = TestJob::new("a");
    let lease = owner.own(job.claim()).await;
    let record = owner.record(&job).await;

    for moment in [START, after_s(1), UnixMs(lease.ends.0 - 1)] {
        let answer = other.claim(job.claim_at(moment)).await;
        assert!(matches!(answer, Claim::Busy { until } if until == lease.ends), "{answer:?}");
    }

    assert_eq!(other.record(&job).await, record);
}

pub(super) async fn a_lease_shorter_than_a_second_ends_at_its_millisecond<S: Store>(store: S) {
    let (owner, other) = (store.worker(), store.worker());
    for ends_ms in [1, 250, 999, 1_001] {
        let job = TestJob::new(&format!("a-{ends_ms}"));
        let ends = UnixMs(START.0 + ends_ms);
        owner.own(ClaimRequest { lease_ends: ends, ..job.claim() }).await;

        let answer = other.claim(job.claim_at(UnixMs(ends.0 - 1))).await;
        assert!(matches!(answer, Claim::Busy { until } if until == ends), "{answer:?}");
        assert_eq!(other.own(job.claim_at(ends)).await.epoch, 2, "{ends_ms}");
    }
}

pub(super) async fn two_tools_on_one_store_share_no_outcome<S: Store>(store: S) {
    let worker = store.worker();
    let (a, b) = (TestJob::new("a"), TestJob::new("b").tool("classify"));
    for (job, result) in [(&a, "a summary"), (&b, "a class")] {
        let lease = worker.own(job.claim()).await;
        worker.save(&lease, completed(result), START).await;
    }

    let of = async |job: &TestJob| worker.record(job).await.state;
    assert_eq!(of(&a).await, State::Done("a summary".into()));
    assert_eq!(of(&b).await, State::Done("a class".into()));
    // The same input, under the other's id.
    let answer = worker.claim(TestJob::new("a").tool("classify").claim()).await;
    assert!(matches!(answer, Claim::Conflict(_)), "{answer:?}");
    assert_eq!(of(&a).await, State::Done("a summary".into()));
}

pub(super) async fn the_same_id_in_another_namespace_is_another_job<S: Store>(store: S) {
    let worker = store.worker();
    let (ours, theirs) = (TestJob::new("a"), TestJob::new("a").namespace("theirs").text("Two."));

    let first = worker.own(ours.claim()).await;
    worker.save(&first, completed("ours"), START).await;
    let second = worker.own(theirs.claim()).await;

    assert_eq!((second.epoch, second.attempts), (1, 1));
    assert_eq!(worker.record(&ours).await.state, State::Done("ours".into()));
}

pub(super) async fn of_eight_claimants_exactly_one_owns_each_job<S: Store>(store: S) {
    let jobs: Vec<_> = (0..20).map(|n| TestJob::new(&format!("job-{n}"))).collect();
    let mut claimants = JoinSet::new();
    // Two processes, four tasks in each.
    for worker in [store.worker(), store.worker()] {
        for _ in 0..4 {
            let (worker, jobs) = (worker.clone(), jobs.clone());
            claimants.spawn(async move {
                let mut answers = Vec::new();
                for job in jobs {
                    answers.push((job.key(), worker.claim(job.claim()).await));
                }
                answers
            });
        }
    }

    let answers: Vec<_> = claimants.join_all().await.into_iter().flatten().collect();

    assert_eq!(answers.len(), 8 * 20);
    for job in jobs {
        let of_job = || answers.iter().filter(|(key, _)| *key == job.key()).map(|(_, claim)| claim);
        let owned = of_job().filter(|claim| matches!(claim, Claim::Owned(_))).count();
        let busy = of_job().filter(|claim| matches!(claim, Claim::Busy { .. })).count();
        assert_eq!((owned, busy), (1, 7));
    }
}

pub(super) async fn another_payload_under_the_same_id_runs_nothing_and_changes_nothing<S: Store>(
    store: S,
) {
    let worker = store.worker();
    for (id, settlement) in [
        ("running", None),
        ("retry", Some(released("once"))),
        ("done", Some(completed("yes"))),
        ("failed", Some(failed("no"))),
        ("held", Some(interrupted(Repeat::Never))),
    ] {
        let job = TestJob::new(id);
        let lease = worker.own(job.claim()).await;
        if let Some(settlement) = settlement {
            worker.save(&lease, settlement, START).await;
        }
        let record = worker.record(&job).await;
        assert_eq!(record.state.name(), id);

        let other = job.clone().text("Two.").callback("https://other.example.com/");
        // The lease of the running one is over by then: even that is no reason to take over.
        let answer = worker.claim(other.claim_at(after_s(LEASE_S + 1))).await;

        assert!(matches!(&answer, Claim::Conflict(old) if **old == record), "{id}: {answer:?}");
        assert_eq!(worker.record(&job).await, record, "{id}");
    }
}

pub(super) async fn records_are_read_in_the_order_asked_for<S: Store>(store: S) {
    let worker = store.worker();
    let [a, b, unknown] = ["a", "b", "unknown"].map(TestJob::new);
    worker.own(a.claim()).await;
    worker.own(b.claim()).await;

    let keys = [&b, &unknown, &a, &b].map(TestJob::key).to_vec();
    let found = worker.read(keys).await;

    let ids: Vec<_> =
        found.iter().map(|found| found.as_ref().map(|record| record.job_id.as_str())).collect();
    assert_eq!(ids, [Some("b"), None, Some("a"), Some("b")]);
    assert_eq!(worker.read(Vec::new()).await, []);
}
