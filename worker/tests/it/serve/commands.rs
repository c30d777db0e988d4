//! The commands that ask after jobs say the same of a server as of its file.

use mcp_batch_testkit::{Behaviour, Receiver};
use serde_json::json;

use super::rig::{Serve, nameless};
use crate::helpers::{Ended, Folder, Run, closed_port, json_lines, summarize};

impl Serve {
    /// `mcp-batch COMMAND` that asks the file.
    fn of_file(&self, command: &str) -> Run<'_> {
        self.folder.command(command).args(["--db", "mcp-batch.db"])
    }

    /// `mcp-batch COMMAND` that asks the server.
    fn of_server(&self, command: &str) -> Run<'_> {
        self.folder.command(command).args(["--api", &self.base])
    }

    /// What both say, which is the same.
    async fn both<const N: usize>(&self, command: &str, args: [&str; N]) -> Ended {
        let server = self.of_server(command).args(args).finish().await;
        let file = self.of_file(command).args(args).finish().await;
        assert_eq!(server.code, file.code, "{}", server.stderr);
        let differs = server.stdout.lines().zip(file.stdout.lines()).find(|(a, b)| a != b);
        assert!(server.stdout == file.stdout, "{differs:.999?}");
        file
    }
}

#[tokio::test]
async fn status_batch_and_results_say_the_same_of_a_server_as_of_its_file() {
    let (serve, receiver) = (Serve::start().await, Receiver::start().await);
    serve.llm.set_default(Behaviour::answer("r".repeat(700_000)));
    let mut jobs: Vec<_> = (0..7).map(|n| nameless(&format!("Text {n}."))).collect();
    jobs[3]["metadata"] = json!({"row": 3});
    jobs[4] = json!({"tool": "sumarize", "input": {}});
    let request = json!({"batch": {"id": "b", "callback": receiver.url("/")}, "jobs": jobs});
    serve.post("/v1/jobs", &request).await.expect(202);
    serve.llm.set_default(Behaviour::answer("x".repeat(2_500_000)));
    serve.post("/v1/jobs", &summarize("a", "One.")).await.expect(202);
    serve.until("a", "succeeded").await;
    receiver.wait_for(1).await;

    let status = serve.both("status", ["a", "--json"]).await;
    assert_eq!(json_lines(&status.stdout)[0]["state"], "succeeded");
    let status = serve.both("status", ["a", "none"]).await;
    assert_eq!(
        (status.code, status.stderr.contains("none: there is no such job")),
        (Some(1), true)
    );
    assert!(status.stdout.contains("state             succeeded"), "{}", status.stdout);

    let batch = serve.both("batch", ["b", "--watch", "--json"]).await;
    let batch = &json_lines(&batch.stdout)[0];
    assert_eq!((&batch["state"], &batch["callback"]), (&json!("complete"), &json!("sent")));
    for command in ["batch", "results"] {
        let unknown = serve.both(command, ["none"]).await;
        assert_eq!((unknown.code, &*unknown.stdout), (Some(1), ""), "{unknown:?}");
        assert!(unknown.stderr.contains("batch none: the ledger knows none"), "{unknown:?}");
    }

    let results = serve.both("results", ["b"]).await;
    let results = json_lines(&results.stdout);
    let told: Vec<_> = results.iter().map(|it| (it["index"].as_u64(), &it["status"])).collect();
    let expected = |n| (Some(n), json!(if n == 4 { "rejected" } else { "succeeded" }));
    let expected: Vec<_> = (0..7).map(expected).collect();
    assert_eq!(told, expected.iter().map(|(n, status)| (*n, status)).collect::<Vec<_>>());
    assert_eq!(results[3]["metadata"], json!({"row": 3}));
    assert_eq!(json_lines(&serve.both("results", ["b", "--from", "5"]).await.stdout).len(), 2);
}

#[tokio::test]
async fn results_too_large_for_a_page_are_fetched_one_by_one() {
    let (serve, receiver) = (Serve::start().await, Receiver::start().await);
    serve.llm.set_default(Behaviour::answer("x".repeat(2_500_000)));
    let jobs = [nameless("One."), nameless("Two.")];
    let request = json!({"batch": {"id": "b", "callback": receiver.url("/")}, "jobs": jobs});
    serve.post("/v1/jobs", &request).await.expect(202);
    serve.until_ended("b", 2).await;

    let page = serve.get("/v1/batches/b/results").await.expect(200);
    assert_eq!(page["results"][0]["result_omitted"], true);
    let written = serve.of_server("results").args(["b", "--out", "all.jsonl", "--json"]).finish();
    let written = written.await;
    assert_eq!(written.code, Some(0), "{}", written.stderr);
    assert_eq!(json_lines(&written.stdout)[0]["written"], 2);
    let from_server = std::fs::read_to_string(serve.folder.path("all.jsonl")).expect("a file");
    assert!(serve.of_file("results").args(["b"]).finish().await.stdout == from_server);
    assert!(!serve.folder.path("all.jsonl.partial").exists());
}

#[tokio::test]
async fn jobs_and_batches_are_cancelled_in_a_file_and_by_a_server() {
    let serve = Serve::with(&[("MCP_BATCH_CONCURRENCY", "1")]).await;
    let receiver = Receiver::start().await;
    serve.llm.set_default(Behaviour::Hold);
    serve.post("/v1/jobs", &summarize("running", "One.")).await.expect(202);
    serve.llm.wait_for_calls(1).await;
    let jobs: Vec<_> = (0..3).map(|n| nameless(&format!("Text {n}."))).collect();
    let batch = json!({"id": "b", "size": 3, "callback": receiver.url("/")});
    serve.post("/v1/jobs", &json!({"batch": batch, "jobs": jobs})).await.expect(202);

    for run in [serve.of_file("cancel"), serve.of_server("cancel")] {
        let ended = run.args(["running", "unheard-of"]).finish().await;
        assert_eq!(ended.code, Some(1), "{}", ended.stderr);
        assert!(ended.stdout.contains("running: running; it had begun"), "{}", ended.stdout);
        assert!(ended.stdout.contains("unheard-of: not known yet"), "{}", ended.stdout);
    }
    for run in [serve.of_file("cancel"), serve.of_server("cancel")] {
        let unknown = run.args(["--batch", "none", "--json"]).finish().await;
        assert_eq!(unknown.code, Some(1), "{}", unknown.stderr);
        assert_eq!(json_lines(&unknown.stdout)[0]["cancelled"], false);
    }
    serve.llm.release(1);
    serve.until("running", "succeeded").await;
}

#[tokio::test]
async fn a_batch_that_is_over_is_not_cancelled() {
    let (serve, receiver) = (Serve::start().await, Receiver::start().await);
    let batch = json!({"id": "b", "callback": receiver.url("/")});
    let jobs = [nameless("One.")];
    serve.post("/v1/jobs", &json!({"batch": batch, "jobs": jobs})).await.expect(202);
    serve.until_ended("b", 1).await;

    assert_eq!(serve.delete("/v1/batches/b").await.problem(409), "batch_state");
    for run in [serve.of_file("cancel"), serve.of_server("cancel")] {
        let refused = run.args(["--batch", "b"]).finish().await;
        assert_eq!(refused.code, Some(1), "{}", refused.stderr);
        assert!(refused.stdout.contains("batch b: complete; it had begun"), "{}", refused.stdout);
    }
    assert_eq!(serve.get("/v1/batches/b").await.expect(200)["cancelled"], false);
}

#[tokio::test]
async fn a_server_that_is_not_there_or_refuses_is_named() {
    let keys = ("MCP_BATCH_API_KEYS", "ops:default:read:a-key-of-16-characters");
    let serve = Serve::with(&[keys]).await;
    let ask = || serve.of_server("status").args(["a"]);
    let without = ask().finish().await;
    assert_eq!(without.code, Some(2));
    assert!(without.stderr.contains("unauthorized"), "{}", without.stderr);
    let with = ask().env("MCP_BATCH_API_KEY", "a-key-of-16-characters").finish().await;
    assert_eq!((with.code, with.stderr.as_str()), (Some(1), "a: there is no such job\n"));
    let file = serve.folder.write("key", "a-key-of-16-characters\n");
    let with = ask().args(["--api-key-file", file.to_str().expect("text")]).finish().await;
    assert_eq!(with.code, Some(1), "{}", with.stderr);

    let foreign = serve.folder.command("status").args(["a", "--api", &receiver_of_nothing().await]);
    let foreign = foreign.finish().await;
    assert!(foreign.stderr.contains("is --api its address?"), "{}", foreign.stderr);
    let both = serve.of_server("status").args(["a", "--db", "x.db"]).finish().await;
    assert_eq!(both.code, Some(2));
    assert!(both.stderr.contains("--api cannot be used with --db"), "{}", both.stderr);
}

#[tokio::test]
async fn a_server_that_does_not_run_is_given_up_soon_and_what_is_waited_for_is_said() {
    let (folder, nobody) = (Folder::new(), closed_port());
    folder.jobs(&[summarize("a", "One.")]);
    for command in [["status", "a"], ["enqueue", "jobs.jsonl"]] {
        let run = folder.command(command[0]).args([command[1], "--api", &nobody]);
        let ended = run.finish().await;
        assert_eq!((ended.code, &*ended.stdout), (Some(2), ""), "{ended:?}");
        let said: Vec<&str> = ended.stderr.lines().collect();
        assert_eq!(said.len(), 2, "{said:?}");
        assert!(said[0].contains("it is asked again for up to 3 s"), "{said:?}");
        let why = "the server cannot be reached";
        assert!(said[1].starts_with("error: ") && said[1].contains(why), "{said:?}");
        assert!(said[1].contains(&nobody) && said[1].contains("(--api)"), "{said:?}");
    }
    assert!(!folder.path("jobs.jsonl.journal").exists());
    let ended = folder.command("status").args(["a", "--api", "notaurl"]).finish().await;
    assert_eq!(ended.code, Some(2));
    assert!(ended.stderr.starts_with("error: --api: expected an http"), "{}", ended.stderr);
}

/// A server that is none of ours: it answers with no document.
async fn receiver_of_nothing() -> String {
    let receiver = Receiver::start().await;
    let url = receiver.url("");
    // It goes on for as long as the test.
    std::mem::forget(receiver);
    url
}
