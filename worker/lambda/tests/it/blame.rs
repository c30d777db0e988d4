//! A job that kills its process each time it runs.

use std::time::Duration;

use mcp_batch::lease::State;
use mcp_batch_testkit::{Behaviour, FakeLlm, RuntimeApi};

use crate::rig::{Rig, Setup, job, text_of, work_off};

const KILLER: &str = "killer";

const NEIGHBOURS: [&str; 9] = ["n1", "n2", "n3", "n4", "n5", "n6", "n7", "n8", "n9"];

/// One attempt is all that each job has: a neighbour that lost it would be given up.
///
/// The ledger says `attempts: 1` of all ten, since an attempt counts only if its process died while
/// it ran alone: nobody can be blamed for the death of the first process, in which ten jobs ran.
#[tokio::test]
async fn a_job_that_kills_its_process_is_given_up_and_its_neighbours_lose_no_attempt() {
    let setup = Setup::default().timeout(Duration::from_secs(6));
    let Some(mut rig) = setup.env("MCP_BATCH_MAX_ATTEMPTS", "1").start().await else { return };
    rig.llm.set_default(Behaviour::Hold);
    rig.aws.send([KILLER].into_iter().chain(NEIGHBOURS).map(job)).await;
    let Rig { source, lambda, llm, .. } = &mut rig;
    tokio::select! {
        _ = work_off(source, lambda) => {}
        () = kill_for(llm, lambda) => {}
    }

    for id in NEIGHBOURS {
        let record = rig.aws.record(id).await.expect("the ledger knows the job");
        assert!(matches!(record.state, State::Done(_)), "{record:?}");
        // The call that the first process's death cut off, and their own.
        assert_eq!((record.attempts, rig.llm.calls_containing(&text_of(id))), (1, 2), "{id}");
    }
    let killer = rig.aws.record(KILLER).await.expect("the ledger knows the job");
    assert!(matches!(killer.state, State::Failed(_)), "{killer:?}");
    // In the crowd, and alone.
    assert_eq!((killer.attempts, rig.llm.calls_containing(&text_of(KILLER))), (1, 2));
    assert_eq!(rig.lambda.starts(), 3);

    let letters = rig.aws.take_dead_letters().await;
    assert_eq!(letters.len(), 1, "{letters:?}");
    let is = |name, value| assert_eq!(letters[0].attribute(name), value, "{letters:?}");
    is("job_id", KILLER);
    is("error_class", "exhausted");
    is("error_code", "lease_over");
    is("attempts", "1");
}

/// The first process dies with all ten jobs under way; each later one when it runs the killer.
async fn kill_for(llm: &FakeLlm, lambda: &RuntimeApi) {
    llm.wait_for_calls(1 + NEIGHBOURS.len()).await;
    llm.script(text_of(KILLER), [Behaviour::Hold]);
    llm.set_default(Behaviour::Echo);
    for runs in 2.. {
        lambda.kill().await;
        killer_runs(llm, runs).await;
    }
}

async fn killer_runs(llm: &FakeLlm, runs: usize) {
    while llm.calls_containing(&text_of(KILLER)) < runs {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
