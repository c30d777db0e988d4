//! Callbacks from outside: secrets that are made and refused, hosts that are not listed, another try.

use mcp_batch_testkit::{FakeLlm, Receiver, Reply};
use serde_json::{Value, json};

use crate::helpers::{Folder, Run, json_lines, summarize};

/// With callbacks to receivers on this machine.
fn listed(run: Run<'_>) -> Run<'_> {
    run.env("MCP_BATCH_CALLBACK_HOSTS", "127.0.0.1")
}

fn with_callback(id: &str, url: &str) -> Value {
    let mut job = summarize(id, "One. Two.");
    job["callback"] = url.into();
    job
}

#[tokio::test]
async fn a_new_secret_is_told_for_libraries_and_as_text_and_signs() {
    let (folder, receiver) = (Folder::new(), Receiver::start().await);
    let made = folder.command("secret").args(["new"]).finish().await;
    let other = folder.command("secret").args(["new", "--json"]).finish().await;

    let secret = made.stdout.strip_suffix('\n').expect("one line");
    assert_eq!((made.code, secret.lines().count()), (Some(0), 1));
    let other: Value = serde_json::from_str(&other.stdout).expect("one JSON object");
    for (secret, text) in [
        (secret, made.stderr.trim().rsplit(' ').next().expect("the text")),
        (other["secret"].as_str().expect("a secret"), other["text"].as_str().expect("a text")),
    ] {
        let encoded = secret.strip_prefix("whsec_").expect("its prefix");
        let bytes = base64::Engine::decode(&base64::prelude::BASE64_STANDARD, encoded);
        assert_eq!(bytes.expect("base64"), text.as_bytes());
        assert!(text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_graphic()), "{text}");
    }
    assert_ne!(other["secret"], secret);

    let run = folder.run(folder.jobs(&[with_callback("a", &receiver.url("/"))]));
    let run = run.env("MCP_BATCH_CALLBACK_SECRETS", secret);
    let ended = run.env("MCP_BATCH_CALLBACK_HOSTS", "127.0.0.1").finish().await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(!ended.stderr.contains("unsigned"), "{}", ended.stderr);
    let delivery = receiver.deliveries().remove(0);
    let webhook = standardwebhooks::Webhook::new(secret).expect("a sound secret");
    webhook.verify(delivery.body(), delivery.headers()).expect("a sound signature");
}

#[tokio::test]
async fn an_empty_or_short_secret_is_refused_at_the_start() {
    let folder = Folder::new();
    let jobs = folder.jobs(&[summarize("a", "One.")]);
    let sound = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    for (secrets, found) in [
        ("whsec_".to_owned(), "found 0 bytes"),
        ("whsec_MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM=".to_owned(), "found 23 bytes"),
        (format!("{sound} whsec_"), "found 0 bytes"),
        ("   ".to_owned(), "found nothing but spaces"),
        ("geheim!".to_owned(), "found something else"),
    ] {
        let ended = folder.run(&jobs).env("MCP_BATCH_CALLBACK_SECRETS", &secrets).finish().await;
        assert_eq!(ended.code, Some(2), "{secrets}: {ended:?}");
        assert!(ended.stderr.contains(found), "{}", ended.stderr);
        assert!(!ended.stderr.contains("geheim"), "{}", ended.stderr);
    }
    assert!(!folder.path("results.jsonl").exists());
}

#[tokio::test]
async fn unsigned_callbacks_are_warned_about_once() {
    let (folder, receiver) = (Folder::new(), Receiver::start().await);
    let jobs: Vec<_> = (0..20).map(|n| with_callback(&n.to_string(), &receiver.url("/"))).collect();
    let run = folder.run(folder.jobs(&jobs)).env("MCP_BATCH_CALLBACK_HOSTS", "127.0.0.1");
    let ended = run.finish().await;
    assert_eq!((ended.code, receiver.count()), (Some(0), 20), "{ended:?}");
    assert_eq!(ended.stderr.matches("unsigned").count(), 1, "{}", ended.stderr);
    let silent = folder.run(folder.jobs(&[summarize("silent", "One.")])).finish().await;
    assert!(!silent.stderr.contains("unsigned"), "{}", silent.stderr);
}

#[tokio::test]
async fn a_host_that_is_not_listed_is_refused_before_the_tool_is_paid() {
    let (folder, llm, receiver) = (Folder::new(), FakeLlm::start().await, Receiver::start().await);
    let url = receiver.url("/webhook-waiting/1?signature=geheim");
    let mut member = summarize("member", "One.");
    member["batch"] = json!({"id": "b", "index": 0, "callback": url});
    let jobs = folder.jobs(&[with_callback("a", &url), member]);

    let ended = folder.run(&jobs).llm(&llm).finish().await;

    assert_eq!((ended.code, llm.calls(), receiver.connections()), (Some(1), 0, 0));
    for (result, field) in folder.results().iter().zip(["callback", "batch.callback"]) {
        let error = &result["error"];
        assert_eq!(
            (&error["class"], &error["code"], &error["field"]),
            (&json!("permanent"), &json!("callback_refused"), &json!(field))
        );
    }
    assert!(!ended.stderr.contains("geheim"), "{}", ended.stderr);

    let address = url.strip_prefix("http://").and_then(|url| url.split('/').next());
    let jobs = folder.jobs(&[with_callback("a", &url)]);
    let listed = folder.run(&jobs).llm(&llm).env("MCP_BATCH_CALLBACK_HOSTS", address.expect("one"));
    assert_eq!(listed.summary().await["succeeded"], 1);
    assert_eq!((llm.calls(), receiver.count() >= 1), (1, true));
}

#[tokio::test]
async fn a_list_of_hosts_that_cannot_be_read_ends_the_start() {
    let folder = Folder::new();
    let jobs = folder.jobs(&[summarize("a", "One.")]);
    for list in ["http://n8n.example.com", "*", "n8n.example.com:0", "a b/c"] {
        let ended = folder.run(&jobs).env("MCP_BATCH_CALLBACK_HOSTS", list).finish().await;
        assert_eq!(ended.code, Some(2), "{list}: {ended:?}");
        let told = "error: MCP_BATCH_CALLBACK_HOSTS: expected hosts separated by spaces";
        assert!(ended.stderr.contains(told), "{}", ended.stderr);
    }
}

#[tokio::test]
async fn a_callback_that_was_given_up_is_told_of_and_can_be_sent_again() {
    let (folder, receiver) = (Folder::new(), Receiver::start().await);
    receiver.set_default(Reply::status(410));
    let jobs = folder.jobs(&[with_callback("a", &receiver.url("/"))]);

    let ended = listed(folder.run(&jobs)).finish().await;
    assert_eq!(ended.code, Some(0), "its outcome stands: {ended:?}");
    assert!(ended.stdout.contains("1 callback was given up; `mcp-batch"), "{}", ended.stdout);
    let result = folder.results().remove(0);
    assert_eq!(
        (&result["status"], &result["callback"]),
        (&json!("succeeded"), &json!("receiver_gone"))
    );

    let resend = || listed(folder.command("callbacks").args(["resend", "a", "nobody"]));
    let gone = resend().finish().await;
    let told = "a: receiver_gone\nnobody: not sent: the ledger knows no such job\n";
    assert_eq!((gone.code, gone.stdout.as_str()), (Some(1), told));
    receiver.set_default(Reply::status(204));
    let sent = listed(folder.command("callbacks").args(["resend", "a"])).finish().await;
    assert_eq!((sent.code, sent.stdout.as_str()), (Some(0), "a: sent\n"), "{sent:?}");

    let deliveries = receiver.deliveries();
    assert_eq!((deliveries.len(), receiver.distinct_ids()), (3, 1));
    assert!(deliveries.iter().all(|delivery| delivery.body() == deliveries[0].body()));
    let nowhere = folder.command("callbacks").args(["resend", "a", "--db", "no.db"]).finish().await;
    assert_eq!(nowhere.code, Some(2));
    assert!(nowhere.stderr.contains("no.db: there is no ledger"), "{}", nowhere.stderr);
    assert!(!folder.path("no.db").exists());
}

#[tokio::test]
async fn what_was_given_up_is_listed_and_sent_again_all_at_once() {
    let (folder, receiver) = (Folder::new(), Receiver::start().await);
    receiver.set_default(Reply::status(410));
    let mut member = summarize("member", "One.");
    let batch = json!({"id": "b", "index": 0, "size": 1, "callback": receiver.url("/b")});
    (member["batch"], member["metadata"]) = (batch, json!({"row": 1}));
    let mut own = with_callback("own", &receiver.url("/own"));
    own["metadata"] = json!({"row": 2});
    let jobs = folder.jobs(&[own, member, with_callback("other", &receiver.url("/other"))]);
    listed(folder.run(&jobs)).finish().await;

    let list = || folder.command("callbacks").args(["list", "--json"]).finish();
    let listed_now = |text: &str| -> Vec<(Value, Value)> {
        let lines = json_lines(text).into_iter();
        let mut all: Vec<_> =
            lines.map(|line| (line["kind"].clone(), line["id"].clone())).collect();
        all.sort_by_key(|(_, id)| id.to_string());
        all
    };
    let all = [("batch", "b"), ("job", "other"), ("job", "own")];
    let all = all.map(|(kind, id)| (json!(kind), json!(id))).to_vec();
    let told = list().await.stdout;
    assert_eq!(listed_now(&told), all, "{told}");
    assert!(told.lines().all(|line| line.contains("receiver_gone")), "{told}");

    receiver.set_default(Reply::status(204));
    let sent = listed(folder.command("callbacks").args(["resend", "--all-dead"])).finish().await;
    assert_eq!((sent.code, sent.stdout.matches(": sent\n").count()), (Some(0), 3), "{sent:?}");
    assert_eq!(list().await.stdout, "");
    let deliveries = receiver.deliveries();
    assert_eq!((deliveries.len(), receiver.distinct_ids()), (6, 3), "each told twice");
    for delivery in &deliveries {
        let first = deliveries.iter().find(|one| one.path() == delivery.path()).expect("one");
        assert_eq!(delivery.body(), first.body(), "in the same words");
    }

    let again = folder.command("callbacks").args(["resend", "own", "--batch", "b", "--batch", "x"]);
    let again = listed(again).finish().await;
    let told = "own: sent\nbatch b: sent\nbatch x: not sent: no such batch is over\n";
    assert_eq!((again.code, again.stdout.as_str()), (Some(1), told));
}

#[tokio::test]
async fn a_run_that_ends_while_a_receiver_is_down_leaves_the_callback_to_the_next() {
    let (folder, receiver) = (Folder::new(), Receiver::start().await);
    receiver.set_default(Reply::status(503));
    let jobs = folder.jobs(&[with_callback("a", &receiver.url("/"))]);

    let running = listed(folder.run(&jobs)).start();
    receiver.wait_for(1).await;
    running.interrupt();
    assert_eq!(running.finish().await.code, Some(1));
    let result = folder.results().remove(0);
    assert_eq!((&result["status"], &result["callback"]), (&json!("succeeded"), &json!("pending")));

    receiver.set_default(Reply::status(204));
    let summary = listed(folder.run(&jobs)).summary().await;
    assert_eq!((&summary["exit"], &summary["already_done"]), (&json!(0), &json!(1)));
    assert_eq!((&summary["tool_calls"], receiver.distinct_ids()), (&json!(0), 1));
}
