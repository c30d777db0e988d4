//! The Runtime API, and the processes it starts.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use mcp_batch_testkit::{Function, Invocation, RuntimeApi, wait_until, wait_until_async};
use serde_json::json;

/// Time enough for any answer here.
const LONG: Duration = Duration::from_secs(60);

/// Time that ends before a function that hangs.
const SHORT: Duration = Duration::from_millis(100);

fn function() -> Function {
    Function::new(env!("CARGO_BIN_EXE_scripted-function"))
}

#[tokio::test]
async fn a_function_gets_its_event_and_its_answer_comes_back() {
    let lambda = RuntimeApi::start(function()).await;
    let event = json!({"Records": [{"body": "ä"}]});
    for _ in 0..3 {
        assert_eq!(lambda.invoke(&event.to_string(), LONG).await.json(), event);
    }
    assert_eq!(lambda.starts(), 1, "the process stays warm");
    assert!(lambda.first_poll().await < LONG);
}

#[tokio::test]
async fn a_function_finds_lambdas_variables_and_limits_and_none_of_the_tests() {
    let function = function().env("MCP_BATCH_TABLE", "jobs").open_files(1_024);
    let lambda = RuntimeApi::start(function).await;
    let ask = async |what: &str, with: &str| {
        lambda.invoke(&json!({"do": what, "with": with}).to_string(), LONG).await.json()
    };
    assert_eq!(ask("variable", "AWS_LAMBDA_RUNTIME_API").await, lambda.address());
    assert_eq!(ask("variable", "AWS_LAMBDA_FUNCTION_NAME").await, "mcp-batch");
    assert_eq!(ask("variable", "MCP_BATCH_TABLE").await, "jobs");
    assert_eq!(ask("variable", "CARGO_MANIFEST_DIR").await, json!(null));
    assert_eq!(ask("open-files", "").await, "1024");

    let arn = ask("head", "lambda-runtime-invoked-function-arn").await;
    assert_eq!(arn, "arn:aws:lambda:us-east-1:000000000000:function:mcp-batch");
    let deadline_ms = ask("head", "lambda-runtime-deadline-ms").await;
    let deadline_ms: u64 = deadline_ms.as_str().and_then(|it| it.parse().ok()).expect("a time");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a time after 1970");
    let left = Duration::from_millis(deadline_ms).saturating_sub(now);
    assert!(!left.is_zero() && left <= LONG, "{left:?}");
}

#[tokio::test]
#[cfg(target_os = "linux")]
async fn a_function_runs_on_the_cpu_it_was_given_and_the_test_does_not() {
    let ask = async |function: Function| {
        let lambda = RuntimeApi::start(function).await;
        lambda.invoke(r#"{"do": "cpus"}"#, LONG).await.json()
    };
    let all = ask(function()).await;
    let first = all.as_str().and_then(|all| all.split(['-', ',']).next()).expect("a CPU");
    let cpu = first.parse().expect("the number of a CPU");
    assert_eq!(ask(function().on_cpu(cpu)).await, first);
    assert_eq!(ask(function()).await, all);
}

#[tokio::test]
async fn an_error_of_the_function_is_told_and_its_process_stays() {
    let lambda = RuntimeApi::start(function()).await;
    let failed = lambda.invoke(r#"{"do": "fail", "with": "no table"}"#, LONG).await;
    let Invocation::Error { kind, message } = failed else { unreachable!("{failed:?}") };
    assert_eq!((&*kind, &*message), ("Told", "no table"));
    lambda.invoke("{}", LONG).await.json();
    assert_eq!(lambda.starts(), 1);
}

#[tokio::test]
async fn a_function_that_times_out_is_killed_and_started_anew() {
    let lambda = RuntimeApi::start(function()).await;
    let over = lambda.invoke(r#"{"do": "hang"}"#, SHORT).await;
    assert!(matches!(over, Invocation::TimedOut), "{over:?}");
    assert_eq!(lambda.invoke("{}", LONG).await.json(), json!({}));
    assert_eq!(lambda.starts(), 2);
}

#[tokio::test]
async fn a_managed_function_has_several_events_at_once_of_which_each_has_its_own_time() {
    let lambda = RuntimeApi::start(function().managed(3)).await;
    wait_until("all workers poll", || lambda.polls() == 3).await;
    let hang = lambda.invoke(r#"{"do": "hang"}"#, SHORT);
    let answer = async {
        wait_until("it hangs", || lambda.logs().contains("hanging")).await;
        lambda.invoke("{}", LONG).await
    };
    let (over, answered) = tokio::join!(hang, answer);
    assert!(matches!(over, Invocation::TimedOut), "{over:?}");
    assert_eq!(answered.json(), json!({}));
    wait_until("the others poll", || lambda.polls() == 2).await;

    let crash = async {
        wait_until("two hang", || lambda.logs().matches("hanging").count() == 2).await;
        lambda.invoke(r#"{"do": "exit"}"#, LONG).await
    };
    let (beside, crashed) = tokio::join!(lambda.invoke(r#"{"do": "hang"}"#, LONG), crash);
    for over in [beside, crashed] {
        assert!(matches!(over, Invocation::Crashed(_)), "a process has one end: {over:?}");
    }
    assert_eq!(lambda.starts(), 1);
    assert_eq!(lambda.invoke("{}", LONG).await.json(), json!({}));
    assert_eq!(lambda.starts(), 2);
}

#[tokio::test]
async fn a_function_whose_process_ends_has_crashed_and_is_started_anew() {
    let lambda = RuntimeApi::start(function()).await;
    let crashed = lambda.invoke(r#"{"do": "exit"}"#, LONG).await;
    let Invocation::Crashed(status) = crashed else { unreachable!("{crashed:?}") };
    assert_eq!(status.code(), Some(9));
    lambda.invoke("{}", LONG).await.json();
    assert_eq!(lambda.starts(), 2);
}

#[tokio::test]
async fn a_function_can_be_killed_in_the_middle_of_an_invocation_and_between_two() {
    let lambda = RuntimeApi::start(function()).await;
    let kill_in_the_middle = async {
        wait_until("it hangs", || lambda.logs().contains("hanging")).await;
        lambda.kill().await;
    };
    let (crashed, ()) = tokio::join!(lambda.invoke(r#"{"do": "hang"}"#, LONG), kill_in_the_middle);
    let Invocation::Crashed(status) = crashed else { unreachable!("{crashed:?}") };
    assert_eq!(status.code(), None, "a signal ended it");

    lambda.invoke("{}", LONG).await.json();
    lambda.wait_until_frozen().await;
    lambda.kill().await;
    lambda.invoke("{}", LONG).await.json();
    assert_eq!(lambda.starts(), 3);
}

#[tokio::test]
async fn a_failed_start_is_an_error_of_the_invocation() {
    let lambda = RuntimeApi::start(function().env("START", "fail")).await;
    let failed = lambda.invoke("{}", LONG).await;
    let Invocation::Error { kind, message } = failed else { unreachable!("{failed:?}") };
    assert_eq!((&*kind, &*message), ("NoSecret", "there is none"));

    let lambda = RuntimeApi::start(function().env("START", "exit")).await;
    let crashed = lambda.invoke("{}", LONG).await;
    assert!(matches!(crashed, Invocation::Crashed(status) if status.code() == Some(7)));
}

#[tokio::test]
async fn a_frozen_process_does_nothing_until_the_next_invocation() {
    let ticks = |lambda: &RuntimeApi| lambda.logs().lines().count();
    let lambda = RuntimeApi::start(function()).await;
    lambda.invoke(r#"{"do": "tick"}"#, LONG).await.json();
    lambda.wait_until_frozen().await;
    // What it wrote may still be in the pipe; then no more comes.
    let mut seen = usize::MAX;
    wait_until("no more ticks come", || std::mem::replace(&mut seen, ticks(&lambda)) == seen).await;

    let awake = RuntimeApi::start(function().without_freezing()).await;
    awake.invoke(r#"{"do": "tick"}"#, LONG).await.json();
    let others = ticks(&awake);
    wait_until("the other ticks on", || ticks(&awake) > others + 100).await;
    assert_eq!(ticks(&lambda), seen);

    // One invocation may be too short for it.
    wait_until_async("it ticks again", async || {
        lambda.invoke("{}", LONG).await.json();
        ticks(&lambda) > seen
    })
    .await;
}

#[tokio::test]
async fn only_a_function_with_an_extension_is_told_that_it_ends() {
    use std::os::unix::process::ExitStatusExt as _;

    for (start, signal) in [("extension", 15), ("", 9)] {
        let lambda = RuntimeApi::start(function().env("START", start)).await;
        lambda.invoke("{}", LONG).await.json();
        lambda.wait_until_frozen().await;
        let status = lambda.shut_down(LONG).await.expect("there is a process");
        assert_eq!(status.signal(), Some(signal), "{start}");
    }
}

#[tokio::test]
async fn what_a_process_takes_can_be_read_while_it_lives() {
    let lambda = RuntimeApi::start(function()).await;
    lambda.invoke("{}", LONG).await.json();
    assert!(lambda.cpu().is_some_and(|cpu| cpu < LONG));
    assert!(lambda.peak_kib().is_some_and(|peak| peak > 100));
    lambda.kill().await;
    assert_eq!((lambda.cpu(), lambda.peak_kib()), (None, None));
}
