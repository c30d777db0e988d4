//! Every command of `docs/api.md`, typed as it stands there.

use std::{fs, process::Command};

use mcp_batch_testkit::Behaviour;
use serde_json::json;

use super::held;
use crate::helpers::fixture;

/// What each of them is answered, in their order.
const ANSWERS: [(&str, u16); 16] = [
    ("/v1/jobs -H", 202),
    ("/v1/jobs -H", 202),
    ("/v1/jobs/ferry-1", 200),
    ("/v1/batches/order-17", 200),
    ("/v1/batches/order-17/results", 200),
    ("/v1/jobs -H", 202),
    ("/v1/batches/order-18/close", 200),
    ("-X DELETE", 200),
    ("-X DELETE", 200),
    ("/v1/tools", 200),
    ("/v1/tools/summarize", 200),
    ("/v1/call", 200),
    ("/v1/held", 200),
    ("/v1/held/mail-3/retry", 202),
    ("/v1/held/mail-4/fail", 200),
    ("/v1/held/mail-5/succeed", 200),
];

/// The commands of the page that begin with `curl`, each with the lines it goes on with.
fn commands() -> Vec<String> {
    let page = fs::read_to_string(fixture("../docs/api.md")).expect("the page");
    let blocks = page.split("```sh\n").skip(1).filter_map(|rest| rest.split("```").next());
    let curls = blocks.filter_map(|block| block.strip_prefix("curl "));
    curls.flat_map(|block| block.trim_end().split("\ncurl ")).map(str::to_owned).collect()
}

#[tokio::test]
async fn every_command_of_the_page_is_answered_as_it_says() {
    let hosts = ("MCP_BATCH_CALLBACK_HOSTS", "127.0.0.1 n8n.example.com");
    let serve = held::with_held_by(&["mail-3", "mail-4", "mail-5"], "triage", &[hosts]).await;
    serve.llm.set_default(Behaviour::Echo);
    let callback = "https://n8n.example.com/webhook-waiting/42";
    let jobs = json!([{"tool": "triage", "input": {"text": "One."}}]);
    let batch = json!({"id": "order-19", "size": null, "callback": callback});
    serve.post("/v1/jobs", &json!({"batch": batch, "jobs": jobs})).await.expect(202);
    serve.until_ended("order-19", 1).await;

    let commands = commands();
    assert_eq!(commands.len(), ANSWERS.len(), "{commands:#?}");
    for (command, (part, status)) in commands.iter().zip(ANSWERS) {
        assert!(command.contains(part), "{command}");
        if part.contains("ferry-1") {
            serve.until("ferry-1", "succeeded").await;
            serve.until_ended("order-17", 3).await;
        }
        if part.contains("order-18") {
            serve.until_ended("order-18", 2).await;
        }
        let typed = format!("curl -sS -w '\\n%{{http_code}}' {command}");
        let typed = typed.replace("http://127.0.0.1:8080", &serve.base);
        let output = Command::new("sh").args(["-c", &typed]).output().expect("a shell");
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        let code = told.lines().last().unwrap_or_default().to_owned();
        assert_eq!(code, status.to_string(), "{command}: {told}");
    }
}
