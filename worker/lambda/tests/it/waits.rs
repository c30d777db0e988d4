//! For how long a message is given back, and by which means.

use std::time::Duration;

use mcp_batch_testkit::{Behaviour, Fault, Rule, Source as _, wait_until};
use serde_json::Value;

use crate::{
    event::{Record, event, listed},
    rig::{Rig, Setup, job},
    wire::{hidden_s, sent_to},
};

/// What came of one message whose job the LLM met with `behaviour`.
struct Wait {
    record: Record,
    is_listed: bool,
    /// For how long it was hidden.
    hidden_s: Option<u64>,
    sent_anew: Vec<Value>,
}

async fn wait(rig: &Rig, behaviour: Behaviour) -> Wait {
    rig.llm.set_default(behaviour);
    let record = Record::new("a", &job("a")).in_group("tenant");
    let record = Record { arn: Some(rig.source.queue().arn().to_owned()), ..record };
    let event = event(std::slice::from_ref(&record));
    let answer = rig.lambda.invoke(&event, Duration::from_secs(20)).await.json();
    let calls = rig.proxy.calls();
    Wait {
        record,
        is_listed: listed(&answer) == ["a"],
        hidden_s: hidden_s(&calls).remove("receipt-a"),
        sent_anew: sent_to(rig.aws.queue_url(), &calls).cloned().collect(),
    }
}

#[tokio::test]
async fn a_throttled_message_is_hidden_for_as_long_as_the_upstream_asked() {
    let Some(rig) = Rig::start().await else { return };
    let wait = wait(&rig, Behaviour::throttled("30")).await;
    assert!(wait.is_listed && wait.sent_anew.is_empty());
    assert!(matches!(wait.hidden_s, Some(30..=31)), "{:?}", wait.hidden_s);
}

#[tokio::test]
async fn for_longer_it_is_sent_anew_as_it_was_with_a_delay_and_deleted() {
    let Some(rig) = Rig::start().await else { return };
    let wait = wait(&rig, Behaviour::throttled("300")).await;
    assert!(!wait.is_listed && wait.hidden_s.is_none());
    let [anew] = &wait.sent_anew[..] else { unreachable!("{:?}", wait.sent_anew) };
    assert_eq!(anew["MessageBody"], wait.record.body);
    assert_eq!(anew["MessageGroupId"], "tenant", "a fair share goes with it");
    assert!(matches!(anew["DelaySeconds"].as_u64(), Some(300..=301)), "{anew}");
    let first_seen = &anew["MessageAttributes"]["first_seen"]["StringValue"];
    let record = rig.aws.record("a").await.expect("it was claimed");
    assert_eq!(*first_seen, record.first_seen.rfc3339());
}

#[tokio::test]
async fn a_fifo_message_is_never_sent_anew() {
    let Some(rig) = Setup::default().fifo().start().await else { return };
    let wait = wait(&rig, Behaviour::throttled("300")).await;
    assert!(wait.is_listed && wait.sent_anew.is_empty(), "it would lose its place");
    assert!(matches!(wait.hidden_s, Some(300..=301)), "{:?}", wait.hidden_s);
}

#[tokio::test]
async fn what_cannot_be_sent_anew_is_hidden() {
    let Some(rig) = Rig::start().await else { return };
    rig.proxy.rule(Rule::before("SendMessageBatch").fail(Fault::Refused(403, "AccessDenied")));
    let wait = wait(&rig, Behaviour::throttled("300")).await;
    assert!(wait.is_listed);
    assert!(matches!(wait.hidden_s, Some(300..=301)), "{:?}", wait.hidden_s);
}

#[tokio::test]
async fn what_cannot_be_hidden_comes_back_by_the_queues_own_timeout_and_the_log_says_so() {
    let Some(rig) = Rig::start().await else { return };
    let refused = Fault::Refused(403, "AccessDenied");
    rig.proxy.rule(Rule::before("ChangeMessageVisibilityBatch").fail(refused));
    let wait = wait(&rig, Behaviour::throttled("30")).await;
    assert!(wait.is_listed && wait.sent_anew.is_empty());
    let says = |words| rig.lambda.logs().contains(words);
    wait_until("the log says so", || says("AccessDenied") && says("visibility timeout")).await;
}

#[tokio::test]
async fn a_job_that_failed_twice_waits_for_four_seconds_at_most() {
    let Some(rig) = Rig::start().await else { return };
    let wait = wait(&rig, Behaviour::status(500)).await;
    assert!(wait.is_listed);
    assert!(matches!(wait.hidden_s, Some(0..=4)), "{:?}", wait.hidden_s);
    assert_eq!(rig.llm.calls(), 2, "the second try follows at once");
}
