//! Whole jobs through `mcp-batch run`: what is retried, held, given back, and what is not.

use std::time::Instant;

use mcp_batch_testkit::{FakeMcp, ModernMcp, wait_until};
use serde_json::{Value, json};

use super::rig::toml;
use crate::helpers::{Folder, Run};

fn job(id: &str, tool: &str) -> Value {
    json!({"id": id, "tool": format!("s/{tool}"), "input": {"text": id}})
}

fn run<'a>(folder: &'a Folder, url: &str, rest: &str, jobs: &[Value]) -> Run<'a> {
    folder.write("tools.toml", toml(url, rest));
    folder.run(folder.jobs(jobs)).args(["--tools", "tools.toml"])
}

#[tokio::test]
async fn jobs_of_a_server_run_beside_each_other_and_end_as_the_table_says() {
    let server = FakeMcp::start().await;
    let folder = Folder::new();
    let jobs = [
        job("fine", "echo"),
        job("tools-own-error", "is_error"),
        job("refused", "rpc_32602"),
        job("too-much", "huge"),
        job("unknown", "no_such"),
        job("second-time", "once_html"),
    ];
    let summary = run(&folder, &server.url(), "", &jobs).summary().await;
    assert_eq!(summary["exit"], 1, "{summary}");
    let results = folder.results_by_id();
    assert_eq!(results["fine"]["result"], super::rig::text("fine"));
    assert_eq!(results["tools-own-error"]["result"]["isError"], true);
    assert_eq!(results["refused"]["error"]["code"], "invalid_params");
    assert_eq!(results["too-much"]["error"]["code"], "result_too_large");
    assert_eq!(results["unknown"]["error"]["code"], "unknown_tool");
    assert_eq!(results["second-time"]["result"], super::rig::text("second-time"));
    assert_eq!(results["second-time"]["attempts"], 2);
    assert_eq!(server.count("initialize"), 1);
}

#[tokio::test]
async fn a_tool_that_must_not_be_repeated_is_held_when_nobody_saw_its_end() {
    let server = FakeMcp::start().await;
    let folder = Folder::new();
    let tools = ["reset", "cut", "status_500", "rpc_32603", "hang", "html"];
    let jobs: Vec<Value> = tools.iter().map(|tool| job(tool, tool)).collect();
    let rest = "retry = \"never\"\ntimeout_s = 0.5";
    let summary = run(&folder, &server.url(), rest, &jobs).summary().await;
    assert_eq!(summary["exit"], 1, "{summary}");
    let results = folder.results_by_id();
    for tool in tools {
        assert_eq!(results[tool]["status"], "held", "{}", results[tool]);
        assert_eq!(server.calls(tool), 1, "{tool} is called once");
    }
    // What was refused before it began may be tried again.
    let jobs = [job("again", "status_429")];
    let running = run(&folder, &server.url(), rest, &jobs).start();
    wait_until("it is called again", || server.calls("status_429") >= 2).await;
    running.kill();
}

#[tokio::test]
async fn a_tool_that_must_not_be_repeated_is_held_when_its_run_is_stopped_or_killed() {
    let server = FakeMcp::start().await;
    let folder = Folder::new();
    let jobs = [job("stopped", "hang"), job("safe", "hold")];
    let rest = "[servers.s.tools.hang]\nretry = \"never\"";
    let running = run(&folder, &server.url(), rest, &jobs).start();
    wait_until("both run", || server.calls("hang") + server.calls("hold") == 2).await;
    running.interrupt();
    running.wait_until_it_says("finishing the running jobs").await;
    running.interrupt();
    let ended = running.finish().await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let results = folder.results_by_id();
    assert_eq!(
        (&results["stopped"]["status"], &results["safe"]["status"]),
        (&json!("held"), &json!("waiting")),
        "{results:?}"
    );
    wait_until("both calls are given up", || server.clients_left() >= 2).await;

    let jobs = [job("killed", "hang")];
    let running = run(&folder, &server.url(), rest, &jobs).start();
    wait_until("it runs", || server.calls("hang") == 2).await;
    running.kill();
    let ended = run(&folder, &server.url(), rest, &jobs).finish().await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert_eq!(folder.results_by_id()["killed"]["status"], "held");
    assert_eq!(server.calls("hang"), 2, "neither is called again");
    let held = folder.command("held").args(["list", "--json"]).finish().await;
    let held: Value = serde_json::from_str(&held.stdout).expect("one JSON object");
    let held = held["jobs"].as_array().expect("jobs").iter().map(|job| job["id"].clone());
    assert_eq!(held.collect::<Vec<_>>(), ["stopped", "killed"]);
}

#[tokio::test]
async fn a_server_that_is_down_kills_no_job_and_counts_no_attempt() {
    let mut server = ModernMcp::start().await;
    let url = server.url();
    server.stop().await;
    let folder = Folder::new();
    let jobs: Vec<Value> = (0..20).map(|n| job(&format!("job-{n}"), "echo")).collect();
    let running = run(&folder, &url, "", &jobs).args(["--max-attempts", "1", "--json"]).start();
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    server.restart().await;
    let ended = running.finish().await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let results = folder.results();
    assert!(results.iter().all(|result| result["attempts"] == 1), "{results:?}");
    assert_eq!(server.calls(), 20);
}

#[tokio::test]
async fn a_server_that_is_silent_does_not_hold_up_the_jobs_of_the_others() {
    let silent = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    let port = silent.local_addr().expect("its address").port();
    let server = FakeMcp::start().await;
    let folder = Folder::new();
    let other = |n: usize| json!({"id": format!("silent-{n}"), "tool": "silent/echo", "input": {}});
    let jobs: Vec<Value> =
        (0..40).map(other).chain((0..20).map(|n| job(&format!("job-{n}"), "echo"))).collect();
    let rest =
        format!("[servers.silent]\nurl = \"http://127.0.0.1:{port}/\"\nconnect_timeout_s = 600");
    let running = run(&folder, &server.url(), &rest, &jobs).args(["--concurrency", "4"]).start();
    wait_until("the others are done", || server.calls("echo") == 20).await;
    running.kill();
}

#[tokio::test]
async fn a_tool_of_a_server_keeps_to_limits_of_its_own() {
    let server = FakeMcp::start().await;
    let folder = Folder::new();
    let jobs: Vec<Value> =
        (0..12).map(|n| job(&format!("job-{n}"), if n < 8 { "hold" } else { "echo" })).collect();
    let rest = "[servers.s.tools.hold]\nconcurrency = 2";
    let running = run(&folder, &server.url(), rest, &jobs).start();
    wait_until("all others are done", || server.calls("echo") == 4).await;
    for calls in 2..=8 {
        wait_until("the next is called", || server.calls("hold") == calls).await;
        server.release(1);
    }
    server.release(1);
    let ended = running.finish().await;
    assert_eq!((ended.code, server.calls("hold")), (Some(0), 8), "{}", ended.stderr);
}

#[tokio::test]
async fn no_input_and_no_secret_of_a_servers_jobs_reaches_the_log() {
    let server = FakeMcp::start().await;
    server.require_token("geheimes-zeichen");
    let tools = ["echo", "quotes", "status_500", "rpc_32602", "is_error", "html", "cut", "no_such"];
    let jobs: Vec<Value> = tools
        .iter()
        .map(|tool| json!({"id": tool, "tool": format!("s/{tool}"), "input": {"text": "Moby Dick swims"}}))
        .collect();
    let rest = "bearer = \"secret:TOKEN\"\nheaders = { X-Key = \"secret:KEY\" }";
    for (token, level) in
        [("geheimes-zeichen", "info"), ("geheimes-zeichen", "trace"), ("geheim-und-falsch", "info")]
    {
        let folder = Folder::new();
        let run = run(&folder, &server.url(), rest, &jobs).env("MCP_BATCH_LOG", level);
        let run = run.env("TOKEN", token).env("KEY", "auch geheim");
        let ended = run.args(["--patience-s", "1", "--max-attempts", "1"]).finish().await;
        assert!(!ended.stderr.contains("Moby") && !ended.stderr.contains("geheim"), "{level}");
        let is_refused = token == "geheim-und-falsch";
        let is_told = ended.stderr.contains("no connection to a server");
        assert_eq!(is_told, is_refused, "{level}");
    }
}

#[tokio::test]
async fn a_thousand_jobs_share_one_connection_set_and_survive_a_restart_in_the_middle() {
    restart_in_the_middle(ModernMcp::start().await).await;
}

#[tokio::test]
async fn a_thousand_jobs_share_one_session_and_survive_its_loss_in_the_middle() {
    let sessions = restart_in_the_middle(ModernMcp::start_with_sessions().await).await;
    // One before and one after, the questions for the revision, and perhaps a try on the way.
    assert!(sessions <= 6, "{sessions}");
}

/// A thousand jobs at a concurrency of 64.
async fn restart_in_the_middle(mut server: ModernMcp) -> usize {
    const CONCURRENCY: usize = 64;
    let folder = Folder::new();
    let jobs: Vec<Value> = (0..1000)
        .map(|n| {
            let id = format!("job-{n}");
            json!({"id": id, "tool": "s/slow", "input": {"text": id, "ms": 50}})
        })
        .collect();
    let concurrency = CONCURRENCY.to_string();
    let running = run(&folder, &server.url(), "", &jobs)
        .args(["--concurrency", &concurrency, "--max-attempts", "5", "--json"])
        .start();
    wait_until("a part of them has run", || server.calls() > 300).await;
    let before = server.connections();
    server.restart().await;
    let restarted = Instant::now();
    for calls in (400..=1000).step_by(50) {
        wait_until("the others run", || server.calls() >= calls).await;
    }
    let ended = running.finish().await;
    assert_eq!(ended.code, Some(0), "{}{}", ended.stdout, ended.stderr);
    let results = folder.results();
    assert_eq!(results.len(), 1000);
    for result in &results {
        assert_eq!(result["result"]["content"][0]["text"], result["id"], "{result}");
    }
    // Not one a call: as many as calls at once, before and after, and some for streams that were left
    // before their end.
    let after = server.connections() - before;
    assert!(before <= 2 * CONCURRENCY && after <= 2 * CONCURRENCY, "{before} and {after}");
    // Those that ran in the moment of the restart were called again, and nothing else.
    assert!(server.calls() <= 1000 + 2 * CONCURRENCY, "{}", server.calls());
    // Read again as it grows old, not with each job.
    let lists = server.lists();
    assert!(lists as u64 <= 2 + restarted.elapsed().as_secs() / 5, "{lists}");
    server.sessions()
}

#[tokio::test]
async fn the_senders_span_is_handed_on_in_the_calls_meta() {
    let server = FakeMcp::start().await;
    let folder = Folder::new();
    let span = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let mut traced = job("traced", "echo");
    traced["traceparent"] = span.into();
    let summary = run(&folder, &server.url(), "", &[traced]).summary().await;
    assert_eq!(summary["exit"], 0, "{summary}");
    let called = server.requests("tools/call").remove(0).json();
    assert_eq!(called["params"]["_meta"]["traceparent"], span);
}
