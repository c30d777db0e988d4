//! What a replay keeps of a message, and what SQS makes of it.

use std::{collections::HashMap, time::Duration};

use aws_sdk_sqs::{
    primitives::Blob,
    types::{
        Message, MessageAttributeValue, MessageSystemAttributeName as System,
        MessageSystemAttributeNameForSends, MessageSystemAttributeValue,
    },
};
use mcp_batch::{
    aws::sqs::order_of,
    batch::Order,
    clock::{Clock, UnixMs},
};
use mcp_batch_testkit::{AwsProxy, Rule};
use serde_json::{Value, json};

use super::{
    rig::{Kind, Rig},
    yard::{AwsYard, FileYard, Yard},
};
use crate::helpers::summarize;

const TRACE: &str = "Root=1-5759e988-bd862e3fe1be46a994272793";

/// Sends a message to the dead letters as somebody's redrive policy would.
async fn send(yard: &AwsYard, body: &Value, attributes: &[(&str, MessageAttributeValue)]) {
    let mut request = yard.sqs().send_message().queue_url(&yard.letters_url);
    for (name, value) in attributes {
        request = request.message_attributes(*name, value.clone());
    }
    if order_of(&yard.letters_url) == Order::WithinGroups {
        request = request.message_deduplication_id(body.to_string());
    }
    let trace = MessageSystemAttributeValue::builder().data_type("String");
    let trace = trace.string_value(TRACE).build();
    let name = MessageSystemAttributeNameForSends::AwsTraceHeader;
    let request = request.message_system_attributes(name, trace.expect("an attribute"));
    let request = request.message_group_id("tenant-1").message_body(body.to_string());
    request.send().await.expect("SQS takes it");
}

fn text(kind: &str, value: &str) -> MessageAttributeValue {
    let value = MessageAttributeValue::builder().data_type(kind).string_value(value);
    value.build().expect("an attribute")
}

async fn received(yard: &AwsYard, url: &str) -> Vec<Message> {
    let request = yard.sqs().receive_message().queue_url(url).max_number_of_messages(10);
    let request = request.message_attribute_names("All");
    let request = request.message_system_attribute_names(System::All).visibility_timeout(0);
    request.send().await.expect("SQS answers").messages.unwrap_or_default()
}

#[tokio::test]
async fn a_replay_keeps_group_trace_and_attributes() {
    let Some(yard) = AwsYard::open().await else { return };
    let rig = Rig::new(yard).await;
    let bytes = MessageAttributeValue::builder().data_type("Binary.png");
    let bytes = bytes.binary_value(Blob::new([0, 255, 7])).build().expect("an attribute");
    let own = [
        ("priority", text("Number.int", "7")),
        ("picture", bytes),
        ("tool", text("String", "the producer's own")),
        ("first_seen", text("String", "2020-01-01T00:00:00Z")),
        // What found no place among the ten of its letter.
        ("other_attributes", text("String", r#"{"color": {"type": "String", "text": "red"}}"#)),
    ];
    send(&rig.yard, &summarize("a", "One."), &own).await;

    let proxy = AwsProxy::start(rig.yard.endpoint()).await;
    let ended = rig.apply(&[]).env("AWS_ENDPOINT_URL", &proxy.endpoint()).finish().await;

    assert_eq!(ended.code, Some(0), "{ended:?}");
    let call = proxy.calls().into_iter().find(|call| call.is("SendMessageBatch")).expect("one");
    let trace = &call.body["Entries"][0]["MessageSystemAttributes"]["AWSTraceHeader"];
    assert_eq!(trace["StringValue"], TRACE);
    let mut messages = received(&rig.yard, &rig.yard.queue_url).await;
    assert_eq!((messages.len(), rig.lying().await), (1, 0));
    let message = messages.remove(0);
    let system = message.attributes.expect("system attributes");
    assert_eq!(system[&System::MessageGroupId], "tenant-1");
    let own = own.into_iter().take(3).chain([("color", text("String", "red"))]);
    let expected: HashMap<String, MessageAttributeValue> =
        own.map(|(name, value)| (name.to_owned(), value)).collect();
    assert_eq!(message.message_attributes, Some(expected), "it begins anew");
}

#[tokio::test]
async fn a_fifo_queue_takes_the_same_job_twice_within_five_minutes() {
    let Some(yard) = AwsYard::fifo().await else { return };
    let rig = Rig::new(yard).await;
    for _ in 0..2 {
        send(&rig.yard, &summarize("a", &fastrand::u64(..).to_string()), &[]).await;
        let ended = rig.apply(&[]).finish().await;
        assert_eq!(ended.code, Some(0), "{ended:?}");
    }
    let body = summarize("same", "One.");
    for _ in 0..2 {
        // The dead letters' own deduplication is passed by; the jobs' must be as well.
        let mut request = rig.yard.sqs().send_message().queue_url(&rig.yard.letters_url);
        request = request.message_deduplication_id(fastrand::u64(..).to_string());
        let request = request.message_group_id("tenant-2").message_body(body.to_string());
        request.send().await.expect("SQS takes it");
        assert_eq!(rig.apply(&[]).finish().await.code, Some(0));
    }
    assert_eq!((rig.lying().await, rig.waiting().await), (0, 4));
}

#[tokio::test]
async fn reading_puts_every_letter_back() {
    let Some(yard) = AwsYard::open().await else { return };
    let rig = Rig::new(yard).await;
    rig.fill(&[(Kind::NeverStarted, 35)]).await;
    for _ in 0..3 {
        let listed = rig.dlq(&["list", "--json"]).finish().await;
        let listed: Value = serde_json::from_str(&listed.stdout).expect("one JSON object");
        assert_eq!((&listed["letters"], &listed["hidden"]), (&json!(35), &json!(0)));
    }
    let shown = rig.dlq(&["show", "NeverStarted-3", "nobody", "--json"]).finish().await;
    assert_eq!((shown.code, &*shown.stderr), (Some(1), "nobody: no dead letter\n"));
    let shown: Value = serde_json::from_str(&shown.stdout).expect("one JSON object");
    assert_eq!((&shown["state"], &shown["body"]), (&json!("never_started"), &Value::Null));
    assert_eq!(received(&rig.yard, &rig.yard.letters_url).await.len(), 10, "they can be seen");
}

#[tokio::test]
async fn letters_are_chosen_by_what_they_are() {
    let Some(yard) = FileYard::open().await else { return };
    let rig = Rig::new(yard).await;
    rig.fill(&[(Kind::Permanent, 9), (Kind::Exhausted, 6), (Kind::NeverStarted, 3)]).await;
    for (flags, letters) in [
        (&["--class", "none"][..], 3),
        (&["--class", "none", "--class", "permanent"], 12),
        (&["--tenant", "tenant-0"], 6),
        (&["--tool", "summarize"], 18),
        (&["--tool", "classify"], 0),
        (&["--state", "failed", "--tenant", "tenant-1"], 5),
        (&["--match", "input.text=One. Two.", "--match", "id=Permanent-4"], 1),
        (&["--match", "input.text=Three."], 0),
        (&["--older-than", "1h"], 0),
        (&["--newer-than", "1h"], 18),
    ] {
        assert_eq!(rig.plan(flags).await["letters"], letters, "{flags:?}");
    }
    for wrong in [["--class", "bad"], ["--older-than", "1"], ["--match", "a"], ["--set", "id=b"]] {
        let ended = rig.dlq(&["replay", wrong[0], wrong[1]]).finish().await;
        assert_eq!(ended.code, Some(2), "{wrong:?}: {ended:?}");
    }
}

#[tokio::test]
async fn a_changed_job_is_checked_before_it_is_sent() {
    let Some(yard) = FileYard::open().await else { return };
    let rig = Rig::new(yard).await;
    rig.fill(&[(Kind::Permanent, 2)]).await;
    let catalog = "[tools.summarize]\ndescription = \"x\"\nuser = \"{{ text }}\"\n\
                   [tools.summarize.input_schema]\ntype = \"object\"\nrequired = [\"text\"]\n\
                   properties.text = { type = \"string\" }\nadditionalProperties = false\n";
    let path = rig.yard.folder().write("tools.toml", catalog);
    let path = path.display().to_string();
    for (flags, said) in [
        (&["--set", "callback=ftp://example.com"][..], "callback"),
        (&["--set", "colour=red"], "colour"),
        (&["--set", "input.wrong=1", "--tools", &path], "wrong"),
    ] {
        let plan = rig.plan(flags).await;
        assert_eq!(plan["actions"]["leave"], 2, "{plan}");
        let problem = plan["groups"][0]["problem"].as_str().expect("a problem");
        assert!(problem.contains(said), "{problem}");
    }
    let ended = rig.apply(&["--set", "colour=red"]).finish().await;
    assert_eq!((ended.code, rig.lying().await, rig.waiting().await), (Some(1), 2, 0));
    let plain = rig.dlq(&["replay", "--set", "model=x"]).finish().await;
    assert!(plain.stdout.contains("Nothing was changed: --apply does it."), "{}", plain.stdout);
    assert!(plain.stdout.contains("Changed in each job that is run: model."), "{}", plain.stdout);
    assert_eq!(rig.apply(&["--set", "model=secret"]).finish().await.code, Some(0));
    let audited = rig.audited("replay");
    assert!(audited.iter().all(|line| line["changed"] == json!(["model"])), "{audited:?}");
    assert!(!json!(audited).to_string().contains("secret"), "{audited:?}");
}

#[tokio::test]
async fn a_list_folds_what_looks_alike_and_only_a_replays_plan_says_what_is_left() {
    let Some(yard) = FileYard::open().await else { return };
    let rig = Rig::new(yard).await;
    rig.fill(&[(Kind::Done, 2), (Kind::DoneUntold, 3), (Kind::Unreadable, 2)]).await;
    for (command, rows) in [("list", 1), ("purge", 1), ("replay", 2)] {
        let told = rig.dlq(&[command]).finish().await;
        assert_eq!(told.code, Some(0), "{command}: {told:?}");
        let alike = told.stdout.lines().filter(|line| line.contains(" done ")).count();
        assert_eq!(alike, rows, "{command}: {}", told.stdout);
        let says_what_is_left = told.stdout.contains(" is left: ");
        assert_eq!(says_what_is_left, command == "replay", "{command}: {}", told.stdout);
    }
    let listed = rig.dlq(&["list"]).finish().await.stdout;
    assert!(listed.lines().any(|line| line.contains(" 5 ") && line.contains(" done ")), "{listed}");
}

#[tokio::test]
async fn an_expired_job_is_left_unless_it_is_given_more_time() {
    let Some(yard) = FileYard::open().await else { return };
    let rig = Rig::new(yard).await;
    let mut late = rig.letter(Kind::NeverStarted, 0);
    let mut job = summarize("late", "One.");
    job["expires_at"] = "2020-01-01T00:00:00Z".into();
    late.letter.body = job.to_string().into();
    rig.yard.bury(vec![late]).await;
    let plan = rig.plan(&[]).await;
    assert_eq!((&plan["actions"]["leave"], &plan["actions"]["replay"]), (&json!(1), &json!(0)));
    assert_eq!(plan["groups"][0]["left_because"], "expired", "{plan}");
    let ended = rig.apply(&[]).finish().await;
    let told: Value = serde_json::from_str(&ended.stdout).expect("one JSON object");
    assert_eq!((ended.code, &told["left"]), (Some(1), &json!({"expired": 1})), "{told}");
    let later = UnixMs(Clock::system().now().0 + 3_600_000).rfc3339();
    let plan = rig.plan(&["--set", &format!("expires_at={later}")]).await;
    assert_eq!(plan["actions"]["replay"], 1, "{plan}");
}

#[tokio::test]
async fn a_list_that_is_interrupted_lets_every_letter_be_seen_again_at_once() {
    let Some(yard) = AwsYard::open().await else { return };
    let rig = Rig::new(yard).await;
    rig.fill(&[(Kind::NeverStarted, 35)]).await;
    let proxy = AwsProxy::start(rig.yard.endpoint()).await;
    let received = proxy.rule(Rule::after("ReceiveMessage").first(1).hold());

    let running = rig.dlq(&["list", "--json"]).env("AWS_ENDPOINT_URL", &proxy.endpoint()).start();
    received.wait_for_hits(1).await;
    running.interrupt();
    received.release(1);
    let ended = running.finish().await;

    assert_eq!(ended.code, Some(1), "{ended:?}");
    let told: Value = serde_json::from_str(&ended.stdout).expect("one JSON object");
    assert_eq!(told["is_stopped"], true, "{told}");
    let plan = rig.plan(&[]).await;
    assert_eq!((&plan["letters"], &plan["hidden"]), (&json!(35), &json!(0)), "{plan}");
}

#[tokio::test]
async fn one_journal_is_one_replay_at_a_time() {
    let Some(yard) = FileYard::open().await else { return };
    let rig = Rig::new(yard).await;
    rig.fill(&[(Kind::Permanent, 40)]).await;
    let first = rig.apply(&["--rate", "5"]).start();
    rig.until_journal_has(2).await;
    let second = rig.apply(&["--rate", "5"]).finish().await;
    assert_eq!(second.code, Some(2), "{second:?}");
    assert!(second.stderr.contains("another replay is at work"), "{}", second.stderr);
    first.interrupt();
    let ended = tokio::time::timeout(Duration::from_secs(10), first.finish()).await;
    let ended = ended.expect("it ends at once");
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let told: Value = serde_json::from_str(&ended.stdout).expect("one JSON object");
    assert_eq!(told["stopped_by"], "request");
    let left = rig.lying().await;
    assert!(left > 0 && left < 40, "{left}");
}

#[tokio::test]
async fn letters_that_somebody_else_hides_are_waited_for_until_a_signal_comes() {
    let Some(yard) = AwsYard::open().await else { return };
    let rig = Rig::new(yard).await;
    rig.fill(&[(Kind::NeverStarted, 3)]).await;
    let hidden = rig.yard.sqs().receive_message().queue_url(&rig.yard.letters_url);
    let hidden = hidden.max_number_of_messages(1).visibility_timeout(120).send().await;
    assert_eq!(hidden.expect("SQS answers").messages.unwrap_or_default().len(), 1);

    let running = rig.apply(&["--hide-s", "100"]).start();
    running.wait_until_it_says("waiting up to 101 s").await;
    running.interrupt();
    let ended = running.finish().await;

    assert_eq!(ended.code, Some(1), "{ended:?}");
    let told: Value = serde_json::from_str(&ended.stdout).expect("one JSON object");
    assert_eq!((&told["replayed"], &told["hidden"]), (&json!(2), &json!(1)), "{told}");
    assert_eq!(told["stopped_by"], "request");
    assert!(rig.journal().exists(), "the same command goes on");
}
