//! A process that is killed at each step of a job's life, from its message's first receive to its
//! deletion. Lambda then delivers the message again, to a new process.
//!
//! No job is lost. A tool is called a second time only by a process that cannot know whether the
//! first call was answered, and never if it must not be repeated. A callback is told at least once,
//! always in the same words; a dead letter is sent once too often at most.

mod moment;

use mcp_batch::lease::{CallbackState, DeadLetterState, Record, State};
use mcp_batch_testkit::Behaviour;
use serde_json::Value;
use tempfile::TempDir;
use tokio::task::{JoinSet, LocalSet};

use self::moment::{
    Moment::{self, After, Before, BeforeDeletion, InCall, InCallback},
    Request,
};
use crate::rig::{Letter, Rig, Setup};

const CLAIM: Request = ("dynamodb", 1);
const SAVE: Request = ("dynamodb", 2);
const MARK: Request = ("dynamodb", 3);
const BURY: Request = ("sqs", 1);
const MARK_BURIED: Request = ("dynamodb", 3);
const MARK_TOLD: Request = ("dynamodb", 4);

/// What is to be seen in the end.
#[derive(Clone, Copy, Debug)]
struct Case {
    dies: Moment,
    calls: usize,
    told: usize,
    letters: usize,
}

const fn case(dies: Moment, calls: usize, told: usize) -> Case {
    Case { dies, calls, told, letters: 0 }
}

const fn with_letters(letters: usize, case: Case) -> Case {
    Case { letters, ..case }
}

const SUCCEEDS: [Case; 9] = [
    case(Before(CLAIM), 1, 1),
    case(After(CLAIM), 1, 1),
    case(InCall, 2, 1),
    case(Before(SAVE), 2, 1),
    case(After(SAVE), 1, 1),
    case(InCallback, 1, 2),
    case(Before(MARK), 1, 2),
    case(After(MARK), 1, 1),
    case(BeforeDeletion, 1, 1),
];

const FAILS: [Case; 13] = [
    with_letters(1, case(Before(CLAIM), 1, 1)),
    with_letters(1, case(After(CLAIM), 1, 1)),
    with_letters(1, case(InCall, 2, 1)),
    with_letters(1, case(Before(SAVE), 2, 1)),
    with_letters(1, case(After(SAVE), 1, 1)),
    with_letters(1, case(Before(BURY), 1, 1)),
    with_letters(2, case(After(BURY), 1, 1)),
    with_letters(2, case(Before(MARK_BURIED), 1, 1)),
    with_letters(1, case(After(MARK_BURIED), 1, 1)),
    with_letters(1, case(InCallback, 1, 2)),
    with_letters(1, case(Before(MARK_TOLD), 1, 2)),
    with_letters(1, case(After(MARK_TOLD), 1, 1)),
    with_letters(1, case(BeforeDeletion, 1, 1)),
];

/// Where it was perhaps called once it is not called again: nobody is told, a person decides.
const MUST_NOT_BE_REPEATED: [Case; 9] = [
    case(Before(CLAIM), 1, 1),
    case(After(CLAIM), 0, 0),
    case(InCall, 1, 0),
    case(Before(SAVE), 1, 0),
    case(After(SAVE), 1, 1),
    case(InCallback, 1, 2),
    case(Before(MARK), 1, 2),
    case(After(MARK), 1, 1),
    case(BeforeDeletion, 1, 1),
];

/// The default catalog's tool, but for its `retry`.
const CATALOG: &str = r#"
model = "any"

[tools.summarize]
description = "Must not be called twice."
user = "{{ text }}"
retry = "never"
input_schema.type = "object"
"#;

#[tokio::test]
async fn a_job_that_succeeds_survives_a_crash_at_any_step() {
    at_once(SUCCEEDS, |case| async move {
        let Some((rig, record)) = run(Setup::default(), case, Behaviour::Echo).await else {
            return;
        };
        assert!(matches!(record.state, State::Done(_)), "{case:?}: {record:?}");
        assert_eq!(told(&record), Some(CallbackState::Sent), "{case:?}");
        assert_seen(&rig, case).await;
    })
    .await;
}

#[tokio::test]
async fn a_job_that_fails_survives_a_crash_at_any_step() {
    at_once(FAILS, |case| async move {
        let failure = Behaviour::context_too_long();
        let Some((rig, record)) = run(Setup::default(), case, failure).await else { return };
        assert!(matches!(record.state, State::Failed(_)), "{case:?}: {record:?}");
        assert_eq!(told(&record), Some(CallbackState::Sent), "{case:?}");
        assert_eq!(record.dead_letter, DeadLetterState::Sent, "{case:?}");
        assert_seen(&rig, case).await;
    })
    .await;
}

#[tokio::test]
async fn a_tool_that_must_not_be_repeated_is_called_once_at_most_whenever_its_process_dies() {
    at_once(MUST_NOT_BE_REPEATED, |case| async move {
        let directory = TempDir::new().expect("a directory");
        let catalog = directory.path().join("tools.toml");
        std::fs::write(&catalog, CATALOG).expect("a catalog");
        let setup = Setup::default().env("MCP_BATCH_TOOLS", catalog.to_str().expect("a path"));
        let Some((rig, record)) = run(setup, case, Behaviour::Echo).await else { return };
        match case.told {
            0 => assert!(matches!(record.state, State::Held(_)), "{case:?}: {record:?}"),
            _ => assert!(matches!(record.state, State::Done(_)), "{case:?}: {record:?}"),
        }
        assert_seen(&rig, case).await;
    })
    .await;
}

/// A process for each case, all at once: most of their time goes by until leases end.
async fn at_once<F: Future<Output = ()> + 'static>(
    cases: impl IntoIterator<Item = Case>,
    check: impl Fn(Case) -> F,
) {
    let all = async {
        let mut running = JoinSet::new();
        for case in cases {
            running.spawn_local(Box::pin(check(case)));
        }
        while let Some(ended) = running.join_next().await {
            ended.expect("every case holds");
        }
    };
    LocalSet::new().run_until(all).await;
}

/// The job `a`, whose process dies once, to its end.
async fn run(setup: Setup, case: Case, answer: Behaviour) -> Option<(Rig, Record)> {
    let mut rig = setup.start().await?;
    rig.aws.send([rig.job_with_callback("a")]).await;
    case.dies.kill(&mut rig, answer).await;
    rig.work_off().await;
    assert_eq!(rig.lambda.starts(), 2, "{case:?}: {}", rig.lambda.logs());
    let record = rig.aws.record("a").await.expect("the ledger knows the job");
    Some((rig, record))
}

fn told(record: &Record) -> Option<CallbackState> {
    record.callback.as_ref().map(|slot| slot.state)
}

async fn assert_seen(rig: &Rig, case: Case) {
    let letters = rig.aws.take_dead_letters().await;
    let seen = (rig.llm.calls(), rig.receiver.count(), letters.len());
    let logs = rig.lambda.logs();
    assert_eq!(seen, (case.calls, case.told, case.letters), "{case:?}: {logs}");
    rig.assert_told_alike();
    for letter in &letters {
        assert_is_of(letter, &rig.job_with_callback("a"));
    }
}

fn assert_is_of(letter: &Letter, job: &Value) {
    assert_eq!(letter.body, job.to_string());
    assert_eq!((letter.attribute("job_id"), letter.attribute("attempts")), ("a", "1"));
    assert_eq!(letter.attribute("error_class"), "permanent");
}
