//! Workers that claim, settle, crash, lose answers and have clocks of their own, in any order: what
//! must hold whatever they do. Each step is one transition of the ledger, which is atomic, so every
//! order of whole steps is every order there is.

mod broken;
mod step;
mod watch;
mod world;

use std::sync::atomic::{AtomicU64, Ordering};

use mcp_batch::{lease::Ledger, local::SqliteLedger};
use mcp_batch_testkit::Rule;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};
use tokio::runtime::Runtime;

use self::{
    broken::{ForgetsTokens, IgnoresLeases, RunsAgain, Unfenced},
    step::{Step, steps},
    world::{Clocks, World},
};
use crate::{
    dynamo::DynamoStore,
    lease_helpers::{START, Store, Worker, folder_in_memory, open_database},
};

/// Plays on the embedded ledger, or what `ledger` makes of it.
fn play<L: Ledger>(
    runner: TestRunner,
    clocks: Clocks,
    ledger: impl FnOnce(SqliteLedger) -> L,
) -> Result<(), TestError<Vec<Step>>> {
    let folder = folder_in_memory();
    let database = open_database(&folder.path().join("mcp-batch.db"), START);
    let worker = Worker::new(ledger(SqliteLedger::new(database)));
    play_on(runner, clocks, &runtime(), &worker)
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

/// Plays as many cases as `runner` wants on one ledger, each with jobs of its own.
fn play_on<L: Ledger>(
    mut runner: TestRunner,
    clocks: Clocks,
    runtime: &Runtime,
    worker: &Worker<L>,
) -> Result<(), TestError<Vec<Step>>> {
    let case = AtomicU64::new(0);
    runner.run(&steps(), |steps| {
        let case = case.fetch_add(1, Ordering::Relaxed);
        let played = runtime.block_on(World::new(worker, case, clocks).play(&steps));
        played.map_err(|violation| TestCaseError::fail(violation.to_string()))
    })
}

fn config(cases: u32) -> Config {
    Config { cases, failure_persistence: None, ..Config::default() }
}

fn assert_holds(clocks: Clocks) {
    if let Err(error) = play(TestRunner::new(config(500)), clocks, |ledger| ledger) {
        panic!("{error}");
    }
}

/// The same steps each time: that a broken ledger is caught depends on no luck.
fn assert_breaks<L: Ledger>(rule: &str, ledger: impl FnOnce(SqliteLedger) -> L) {
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let config = Config { max_shrink_iters: 0, ..config(300) };
    let played = play(TestRunner::new_with_rng(config, rng), Clocks::Close, ledger);
    match played {
        Err(TestError::Fail(reason, _)) => {
            assert!(reason.message().starts_with(rule), "another rule was broken: {reason}");
        }
        other => panic!("the broken ledger was not caught: {other:?}"),
    }
}

#[test]
fn every_rule_holds_in_any_order_of_steps() {
    assert_holds(Clocks::Close);
}

#[test]
fn all_but_the_time_of_calls_holds_even_by_clocks_that_jump_for_hours() {
    assert_holds(Clocks::Wild);
}

/// Each step is a request or two over the loopback, so there are fewer cases.
#[test]
fn every_rule_holds_on_dynamodb_as_well() {
    let runtime = runtime();
    for clocks in [Clocks::Close, Clocks::Wild] {
        let Some(store) = runtime.block_on(DynamoStore::open()) else { return };
        let played = play_on(TestRunner::new(config(20)), clocks, &runtime, &store.worker());
        if let Err(error) = played {
            panic!("{error}");
        }
    }
}

/// The client sends such a request again by itself: what it did must not be done, or told, twice.
#[test]
fn every_rule_holds_on_dynamodb_when_one_in_twenty_answers_is_lost() {
    let runtime = runtime();
    let Some(store) = runtime.block_on(DynamoStore::open()) else { return };
    let (proxy, worker) = runtime.block_on(store.behind_proxy());
    proxy.rule(Rule::after("dynamodb").share(0.05, 1).lose());
    if let Err(error) = play_on(TestRunner::new(config(8)), Clocks::Close, &runtime, &worker) {
        panic!("{error}");
    }
}

#[test]
fn a_ledger_without_fences_is_caught() {
    assert_breaks(watch::SETTLED_ONCE, Unfenced);
}

#[test]
fn a_ledger_that_ignores_leases_is_caught() {
    assert_breaks(watch::ONE_OWNER, IgnoresLeases);
}

#[test]
fn a_ledger_that_does_not_know_its_tokens_is_caught() {
    assert_breaks(watch::LOST_ANSWER, ForgetsTokens);
}

#[test]
fn a_ledger_that_runs_finished_jobs_again_is_caught() {
    assert_breaks(watch::RESULT_STANDS, RunsAgain);
}
