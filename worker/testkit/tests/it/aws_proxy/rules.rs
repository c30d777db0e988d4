//! What the proxy is told to do.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use mcp_batch_testkit::{AwsCall, AwsProxy, Fault, MiniStack, Rule};
use serde_json::{Value, json};

use super::Rig;
use crate::aws::{ask_dynamo, sqs};

impl Rig {
    fn try_put(&self, pk: &str) -> Option<(u16, Value)> {
        let put = self.put(&json!({"pk": {"S": pk}}));
        let answer = ask_dynamo(&self.proxy.endpoint(), "PutItem", &put)?;
        Some((answer.status, answer.json()))
    }

    fn has(&self, pk: &str) -> bool {
        self.dynamo("GetItem", &self.keyed(pk)).get("Item").is_some()
    }

    fn last(&self) -> AwsCall {
        self.proxy.calls().pop().expect("a call")
    }
}

#[tokio::test]
async fn a_call_is_known_by_its_service_operation_and_key() {
    let Some(rig) = Rig::start().await else { return };
    rig.try_put("job#1");
    let call = rig.last();
    assert_eq!((call.service.as_str(), call.operation.as_str()), ("dynamodb", "PutItem"));
    assert_eq!(call.keys, ["job#1"]);
    assert_eq!((call.carried_out, call.answered), (Some(200), Some(200)));
    assert_eq!(rig.proxy.count("dynamodb"), 1);
    assert_eq!(rig.proxy.tally()["PutItem"], 1);
}

#[tokio::test]
async fn a_failed_request_is_not_carried_out() {
    let Some(rig) = Rig::start().await else { return };
    rig.proxy.rule(Rule::before("PutItem").first(1).fail(Fault::Throttled));
    let (status, error) = rig.try_put("a").expect("an answer");
    assert_eq!(status, 400);
    assert_eq!(error["__type"], "com.amazonaws.dynamodb.v20120810#ThrottlingException");
    assert_eq!((rig.last().carried_out, rig.last().answered), (None, Some(400)));
    assert_eq!(rig.proxy.units().write, 0);
    assert!(!rig.has("a"));

    assert_eq!(rig.try_put("a").expect("an answer").0, 200);
    assert!(rig.has("a"));
}

#[tokio::test]
async fn a_lost_answer_leaves_what_was_written() {
    let Some(rig) = Rig::start().await else { return };
    rig.proxy.rule(Rule::after("PutItem").nth(2).lose());
    assert!(rig.try_put("a").is_some());
    assert!(rig.try_put("b").is_none());
    assert_eq!((rig.last().carried_out, rig.last().answered), (Some(200), None));
    assert!(rig.has("b"));
    assert!(rig.try_put("c").is_some());
}

#[tokio::test]
async fn a_deed_is_done_and_the_request_lost_before_it_is_carried_out() {
    let Some(rig) = Rig::start().await else { return };
    let kills = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&kills);
    let kill = move || {
        counted.fetch_add(1, SeqCst);
    };
    let of_b = |call: &AwsCall| call.keys == ["b"];
    rig.proxy.rule(Rule::before("PutItem").when(of_b).run(kill).lose());
    assert!(rig.try_put("a").is_some());
    assert!(rig.try_put("b").is_none());
    assert_eq!(kills.load(SeqCst), 1);
    assert!(!rig.has("b"));
}

#[tokio::test]
async fn a_held_request_waits_for_its_release() {
    let Some(rig) = Rig::start().await else { return };
    let watch = rig.proxy.rule(Rule::before("PutItem").hold());
    let (endpoint, put) = (rig.proxy.endpoint(), rig.put(&json!({"pk": {"S": "a"}})));
    let putting = tokio::task::spawn_blocking(move || ask_dynamo(&endpoint, "PutItem", &put));
    watch.wait_for_hits(1).await;
    assert!(!rig.has("a"));
    watch.release(1);
    assert_eq!(putting.await.expect("it asks").expect("an answer").status, 200);
    assert!(rig.has("a"));
}

#[tokio::test]
async fn a_share_of_requests_fails_and_the_same_for_the_same_seed() {
    let Some(rig) = Rig::start().await else { return };
    let failures = || {
        rig.proxy.clear_rules();
        rig.proxy.rule(Rule::before("dynamodb").share(0.3, 5).fail(Fault::Internal));
        let put = || rig.try_put("a").expect("an answer").0;
        (0..40).map(|_| put()).collect::<Vec<_>>()
    };
    let first = failures();
    let failed = first.iter().filter(|status| **status == 500).count();
    assert!((4..20).contains(&failed), "{failed} of 40");
    assert_eq!(failures(), first);
}

#[tokio::test]
async fn entries_of_a_batch_to_sqs_fail_one_by_one() {
    let Some(aws) = MiniStack::start().await else { return };
    let proxy = AwsProxy::start(aws.endpoint()).await;
    let queue = MiniStack::unique("entries");
    let queue = &sqs(aws.endpoint(), "CreateQueue", &json!({"QueueName": queue}))["QueueUrl"];
    let entries = (0..10).map(|id| json!({"Id": id.to_string(), "MessageBody": "a job"}));
    let send = json!({"QueueUrl": queue, "Entries": entries.collect::<Value>()});

    proxy.rule(Rule::before("SendMessageBatch").first(1).fail_entries(0.3, 1));
    let answer = sqs(&proxy.endpoint(), "SendMessageBatch", &send);
    let successes = answer["Successful"].as_array().expect("successes").len();
    let failed = answer["Failed"].as_array().expect("failures");
    assert!(successes > 0 && !failed.is_empty());
    assert_eq!(successes + failed.len(), 10);
    assert_eq!(failed[0]["Code"], "InternalError");

    let names = json!(["ApproximateNumberOfMessages"]);
    let question = json!({"QueueUrl": queue, "AttributeNames": names});
    let known = sqs(aws.endpoint(), "GetQueueAttributes", &question);
    assert_eq!(known["Attributes"]["ApproximateNumberOfMessages"], successes.to_string());

    proxy.rule(Rule::before("SendMessageBatch").fail_entries(1.0, 1));
    let answer = sqs(&proxy.endpoint(), "SendMessageBatch", &send);
    assert_eq!(answer["Failed"].as_array().map(Vec::len), Some(10));
    assert_eq!(answer["Successful"], json!([]));
}
