//! `mcp-batch poll`: the binary on a queue and a table of MiniStack's.

mod rig;

use std::time::{Duration, Instant};

use mcp_batch::job::{JobKey, Namespace};
use mcp_batch_testkit::{Behaviour, Fault, Reply, Rule};

use self::rig::Rig;

#[tokio::test]
async fn jobs_from_the_queue_are_run_told_and_deleted() {
    let Some(rig) = Rig::new().await else { return };
    let ids: Vec<String> = (0..25).map(|n| format!("job-{n}")).collect();
    rig.send(&ids).await;

    let poll = rig.start().await;
    rig.receiver.wait_for(ids.len()).await;
    rig.until_empty().await;

    assert_eq!(rig.succeeded(), ids.iter().cloned().collect());
    assert_eq!(rig.receiver.distinct_ids(), ids.len());
    assert_eq!(rig.llm.calls(), ids.len());
    poll.terminate();
    assert_eq!(poll.finish().await.code, Some(0));
}

#[tokio::test]
async fn after_sigterm_running_jobs_end_and_nothing_new_begins() {
    let Some(rig) = Rig::new().await else { return };
    rig.llm.set_default(Behaviour::Hold);
    let ids = ["a", "b", "c", "d", "e"].map(str::to_owned);
    rig.send(&ids).await;

    let poll = rig.start_with(&["--concurrency", "2"]).await;
    rig.llm.wait_for_calls(2).await;
    assert_eq!(poll.health().await, 200);
    poll.terminate();
    poll.wait_for_health(503).await;
    rig.llm.release(2);
    let ended = poll.finish().await;

    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert_eq!((rig.llm.calls(), rig.succeeded().len()), (2, 2));
    rig.until_visible(ids.len() - 2).await;
}

#[tokio::test]
async fn a_second_sigterm_gives_running_jobs_back_at_once() {
    let Some(rig) = Rig::new().await else { return };
    rig.llm.set_default(Behaviour::Hang);
    rig.send(&["a".to_owned()]).await;

    let poll = rig.start().await;
    rig.llm.wait_for_calls(1).await;
    poll.terminate();
    poll.wait_for_health(503).await;
    poll.terminate();
    assert_eq!(poll.finish().await.code, Some(0));

    rig.until_visible(1).await;
    rig.llm.set_default(Behaviour::Echo);
    let _poll = rig.start().await;
    rig.receiver.wait_for(1).await;
    assert_eq!(rig.attempts("a"), 2, "the call that was stopped may be billed: it counts");
}

#[tokio::test]
async fn what_is_still_running_when_the_time_to_drain_is_over_is_given_back() {
    let Some(rig) = Rig::new().await else { return };
    rig.llm.set_default(Behaviour::Hang);
    rig.send(&["a".to_owned()]).await;

    let poll = rig.start_with(&["--drain-s", "1"]).await;
    rig.llm.wait_for_calls(1).await;
    let receives = rig.proxy.rule(Rule::after("ReceiveMessage").hold());
    poll.terminate();
    rig.llm.wait_for_clients_left(1).await;
    assert!(receives.hits() <= 1, "nobody waited for the receive that was under way");
    rig.proxy.clear_rules();
    receives.release(1);
    assert_eq!(poll.finish().await.code, Some(0));
    rig.until_visible(1).await;
}

/// How much longer than its time to drain a stopped worker may take, and how much a busy machine adds.
const MARGIN: Duration = Duration::from_secs(5 + 5);

#[tokio::test]
async fn a_ledger_that_refuses_keeps_no_stopped_worker_from_its_end_and_its_job_comes_back() {
    let Some(rig) = Rig::new().await else { return };
    rig.llm.set_default(Behaviour::Hold);
    rig.send(&["a".to_owned()]).await;
    let poll = rig.start_with(&["--drain-s", "1"]).await;
    rig.llm.wait_for_calls(1).await;
    let refused =
        rig.proxy.rule(Rule::before("PutItem").fail(Fault::Refused(400, "AccessDeniedException")));
    rig.llm.release(1);
    refused.wait_for_hits(3).await;

    let began = Instant::now();
    poll.terminate();
    let ended = poll.finish().await;
    assert!(began.elapsed() < Duration::from_secs(1) + MARGIN, "{:?}", began.elapsed());
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(ended.stderr.contains("an outcome could not be saved"), "{}", ended.stderr);
    rig.until_visible(1).await;
}

#[tokio::test]
async fn an_outcome_that_can_be_saved_after_the_signal_is_saved() {
    let Some(rig) = Rig::new().await else { return };
    rig.llm.set_default(Behaviour::Hold);
    rig.send(&["a".to_owned()]).await;
    let poll = rig.start().await;
    rig.llm.wait_for_calls(1).await;
    let refused =
        rig.proxy.rule(Rule::before("PutItem").fail(Fault::Refused(400, "AccessDeniedException")));
    rig.llm.release(1);
    // By now its pauses are so long that the last of them has to be cut short.
    refused.wait_for_hits(6).await;
    poll.terminate();
    poll.wait_for_health(503).await;
    rig.proxy.clear_rules();
    poll.terminate();
    assert_eq!(poll.finish().await.code, Some(0));

    let _next = rig.start().await;
    rig.receiver.wait_for(1).await;
    rig.until_empty().await;
    assert_eq!((rig.llm.calls(), rig.attempts("a")), (1, 1), "it is paid once");
}

#[tokio::test]
async fn a_queue_that_never_answers_keeps_no_stopped_worker_from_its_end() {
    let Some(rig) = Rig::new().await else { return };
    let receives = rig.proxy.rule(Rule::before("ReceiveMessage").hold());
    let poll = rig.start_with(&["--drain-s", "1"]).await;
    receives.wait_for_hits(1).await;
    let began = Instant::now();
    poll.terminate();
    assert_eq!(poll.finish().await.code, Some(0));
    assert!(began.elapsed() < Duration::from_secs(1) + MARGIN, "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_receiver_that_never_answers_keeps_no_stopped_worker_from_its_end() {
    let Some(rig) = Rig::new().await else { return };
    rig.receiver.set_default(Reply::hang());
    rig.send(&["a".to_owned()]).await;
    let poll = rig.start_with(&["--drain-s", "100"]).await;
    rig.receiver.wait_for(1).await;
    poll.terminate();
    poll.wait_for_health(503).await;
    let began = Instant::now();
    poll.terminate();
    assert_eq!(poll.finish().await.code, Some(0));
    assert!(began.elapsed() < MARGIN, "{:?}", began.elapsed());

    rig.until_visible(1).await;
    rig.receiver.set_default(Reply::status(204));
    let _next = rig.start().await;
    rig.receiver.wait_for(2).await;
    rig.until_empty().await;
    assert_eq!(rig.llm.calls(), 1, "only its callback was owed");
}

#[tokio::test]
async fn a_queue_or_a_table_that_does_not_exist_is_told_and_makes_the_worker_unwell() {
    let Some(rig) = Rig::new().await else { return };
    let no_queue = format!("{}-gone", rig.queue_url());
    for (flag, gone, told) in [
        ("--queue-url", &*no_queue, "nothing can be received: expected a queue that exists"),
        ("--table", "no-such-table", "expected a DynamoDB table by the name in MCP_BATCH_TABLE"),
    ] {
        let poll = rig.start_with(&[flag, gone]).await;
        poll.wait_for_health(503).await;
        let log = poll.log();
        let error = log.lines().find(|line| line.contains(told)).expect(&log);
        assert!(error.contains("\"ERROR\""), "{error}");
        poll.terminate();
        assert_eq!(poll.finish().await.code, Some(0));
    }
}

#[tokio::test]
async fn a_job_longer_than_the_visibility_timeout_is_not_run_twice() {
    let Some(rig) = Rig::new().await else { return };
    rig.llm.set_default(Behaviour::Hold);
    let beats = rig.proxy.rule(Rule::before("ChangeMessageVisibilityBatch"));
    rig.send(&["long".to_owned()]).await;

    let first = rig.start().await;
    rig.llm.wait_for_calls(1).await;
    // Were it to come back, it would be this one's.
    let second = rig.start().await;
    // Four beats pass while a message is hidden; by the sixth its lease would be over as well.
    beats.wait_for_hits(6).await;
    rig.llm.release(1);
    rig.receiver.wait_for(1).await;
    rig.until_empty().await;

    assert_eq!((rig.llm.calls(), rig.attempts("long")), (1, 1));
    assert_eq!((first.health().await, second.health().await), (200, 200));
}

#[tokio::test]
async fn a_second_try_within_a_batch_is_claimed_without_a_refused_write() {
    let Some(rig) = Rig::new().await else { return };
    rig.llm.script("One. Two.", [Behaviour::GarbageJson, Behaviour::Echo]);
    rig.send(&["a".to_owned()]).await;

    let _poll = rig.start().await;
    rig.receiver.wait_for(1).await;
    rig.until_empty().await;

    assert_eq!((rig.llm.calls(), rig.attempts("a")), (2, 2));
    let key = JobKey::of(&Namespace::default(), &"a".parse().expect("an id"));
    let reads = rig.proxy.calls().into_iter().filter(|call| call.is("GetItem"));
    let of_job = reads.filter(|call| call.body["Key"]["pk"]["S"] == format!("job#{key}"));
    assert_eq!(of_job.count(), 1, "what is there is read before it is claimed");
}

#[tokio::test]
async fn after_kill_9_another_finishes_the_jobs() {
    let Some(rig) = Rig::new().await else { return };
    rig.llm.set_default(Behaviour::Hold);
    let ids = ["a", "b", "c"].map(str::to_owned);
    rig.send(&ids).await;
    let first = rig.start().await;
    rig.llm.wait_for_calls(ids.len()).await;
    rig.llm.release(1);
    rig.receiver.wait_for(1).await;
    first.kill();
    rig.llm.wait_for_clients_left(2).await;

    rig.llm.set_default(Behaviour::Echo);
    let _second = rig.start().await;
    rig.receiver.wait_for(ids.len()).await;
    rig.until_empty().await;

    assert_eq!(rig.succeeded(), ids.into_iter().collect());
    assert_eq!(rig.llm.calls(), 3 + 2, "the finished job is not called again");
}

#[tokio::test]
async fn what_is_missing_is_said_at_the_start() {
    let Some(rig) = Rig::new().await else { return };
    for (name, told) in [
        ("MCP_BATCH_QUEUE_URL", "MCP_BATCH_QUEUE_URL: expected the URL of an SQS queue"),
        ("MCP_BATCH_TABLE", "MCP_BATCH_TABLE: expected the name of a DynamoDB table"),
        ("MCP_BATCH_LLM_URL", "MCP_BATCH_LLM_URL: expected an http or https URL"),
        ("AWS_REGION", "AWS_REGION: expected the region of the queue and the ledger"),
    ] {
        // There is nobody to ask where this machine is.
        let command = rig.command().env("AWS_EC2_METADATA_DISABLED", "true");
        let ended = command.env("AWS_DEFAULT_REGION", "").env(name, "").finish().await;
        assert_eq!(ended.code, Some(2), "{name}");
        assert!(ended.stderr.contains(told), "{name}: {}", ended.stderr);
    }
}

#[tokio::test]
async fn a_queue_that_is_to_take_its_own_dead_letters_is_refused_at_the_start() {
    let Some(rig) = Rig::new().await else { return };
    for dlq in [rig.queue_url().to_owned(), format!("{}/", rig.queue_url())] {
        let ended = rig.command().args(["--dlq-url", &dlq]).finish().await;
        assert_eq!(ended.code, Some(2), "{dlq}");
        assert!(
            ended.stderr.contains("--dlq-url: expected the URL of a standard queue"),
            "{ended:?}"
        );
        assert!(ended.stderr.contains("found the queue itself"), "{ended:?}");
    }
}
