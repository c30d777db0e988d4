//! `mcp-batch run`: the same outcomes each time, each job paid once, whatever kills it.

use std::{collections::BTreeMap, fs};

use mcp_batch_testkit::{Behaviour, FakeLlm};
use serde_json::{Value, json};

use crate::helpers::{Folder, fixture, json_lines, summarize};

/// What `jobs.expected.jsonl` says of a line, taken from its result.
fn as_expected(result: &Value, expected: &Value) -> Value {
    let mut told = json!({"line": result["line"]});
    for name in ["id", "status"] {
        if let Some(value) = result.get(name) {
            told[name] = value.clone();
        }
    }
    if expected.get("result").is_some() {
        told["result"] = result["result"].clone();
    }
    if let Some(error) = result.get("error") {
        told["error"] = json!({"class": error["class"], "code": error["code"]});
        if let Some(field) = error.get("field") {
            told["error"]["field"] = field.clone();
        }
    }
    told
}

fn assert_as_expected(results: &[Value], expected: &[Value]) {
    assert_eq!(results.len(), expected.len());
    for (result, expected) in results.iter().zip(expected) {
        assert_eq!(&as_expected(result, expected), expected);
        if expected["status"] == "succeeded" {
            assert!(result["result"].as_str().is_some_and(|text| !text.is_empty()), "{result}");
        }
    }
}

fn expected_outcomes() -> Vec<Value> {
    json_lines(&fs::read_to_string(fixture("jobs.expected.jsonl")).expect("the fixture"))
}

#[tokio::test]
async fn the_fixtures_end_as_written_down_and_a_second_run_calls_nothing() {
    let folder = Folder::new();
    let expected = expected_outcomes();

    let first = folder.run(fixture("jobs.jsonl")).summary().await;
    assert_as_expected(&folder.results(), &expected);
    assert_eq!(first["exit"], 1);
    assert_eq!(
        (&first["items"], &first["succeeded"], &first["failed"], &first["duplicates"]),
        (&json!(246), &json!(234), &json!(11), &json!(1))
    );
    assert_eq!((&first["tool_calls"], &first["already_done"]), (&json!(234), &json!(0)));

    let second = folder.run(fixture("jobs.jsonl")).finish().await;
    assert_as_expected(&folder.results(), &expected);
    assert_eq!(second.code, Some(1));
    assert!(second.stdout.contains("0 tool calls, 234 already done"), "{}", second.stdout);
}

#[tokio::test]
async fn an_array_ends_as_the_same_jobs_in_lines_do() {
    let text = fs::read_to_string(fixture("jobs.jsonl")).expect("the fixture");
    // In an array, what is no JSON could not be told apart from its neighbours.
    let lines = text.lines().filter(|line| serde_json::from_str::<Value>(line).is_ok());
    let some: Vec<&str> = lines.step_by(5).collect();
    let (in_lines, in_array) = (Folder::new(), Folder::new());

    let lines = in_lines.write("jobs.jsonl", some.join("\n"));
    let array = in_array.write("jobs.json", format!("[{}]", some.join(",\n")));
    let by_lines = in_lines.run(lines).summary().await;
    let by_array = in_array.run(array).summary().await;

    let told = |folder: &Folder| -> Vec<Value> {
        folder.results().iter().map(|line| as_expected(line, &json!({"result": 0}))).collect()
    };
    assert_eq!(told(&in_lines), told(&in_array));
    assert_eq!(by_lines["items"], some.len());
    assert_eq!(by_lines["succeeded"], by_array["succeeded"]);
}

#[tokio::test]
async fn standard_input_and_output_stand_in_for_files() {
    let folder = Folder::new();
    let job = summarize("a", "The ferry runs every hour. In winter it runs every two hours.");

    let ended =
        folder.run("-").stdin(job.to_string()).args(["--out", "-", "--json"]).finish().await;

    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let results = json_lines(&ended.stdout);
    assert_eq!((results.len(), &results[0]["status"]), (1, &json!("succeeded")));
    let summary = ended.stderr.lines().last().expect("a summary beside the results");
    let summary: Value = serde_json::from_str(summary).expect("one JSON object");
    assert_eq!((&summary["succeeded"], &summary["results"]), (&json!(1), &json!("-")));
}

#[tokio::test]
async fn a_summary_in_json_is_the_whole_of_standard_output() {
    let folder = Folder::new();
    let mut job = summarize("a", "One. Two.");
    job["metadata"] = json!({"row": 17});

    let summary = folder.run(folder.jobs(&[job.clone(), job])).summary().await;

    assert_eq!(summary["exit"], 0);
    assert_eq!((&summary["items"], &summary["duplicates"]), (&json!(2), &json!(1)));
    assert_eq!((&summary["waiting"], &summary["stopped_by"]), (&json!(0), &Value::Null));
    assert_eq!(summary["tools"]["summarize"]["done"], 1);
    assert_eq!(summary["tools"]["summarize"]["cost_usd"], 0.0);
    let results = folder.results();
    assert_eq!(results[0]["metadata"], json!({"row": 17}));
    assert_eq!((&results[1]["status"], &results[1]["of_line"]), (&json!("duplicate"), &json!(1)));
}

#[tokio::test]
async fn what_cannot_be_used_is_named_and_exits_with_2() {
    let folder = Folder::new();
    let jobs = folder.jobs(&[summarize("a", "One.")]);
    folder.write("no.db", "this is not a database, but a text that is long enough to be read");
    folder.write("tools.toml", "[tools.x]\nuser = 3");
    let flags: [[&str; 2]; 16] = [
        ["--concurrency", "0"],
        ["--concurrency", "many"],
        ["--namespace", "a b"],
        ["--max-attempts", "0"],
        ["--max-age-s", "-1"],
        ["--ledger-days", "17"],
        ["--llm-url", "ftp://127.0.0.1"],
        ["--llm-url", "127.0.0.1:4000"],
        ["--llm-timeout-s", "0"],
        ["--llm-timeout-s", "NaN"],
        ["--patience-s", "soon"],
        ["--tools", "no-such.toml"],
        ["--tools", "tools.toml"],
        ["--db", "no.db"],
        ["--db", "no-such-folder/a.db"],
        ["--no-such-flag", "1"],
    ];
    for [flag, value] in flags {
        // After a sound URL, so that the settings of the LLM are looked at.
        let run = folder.run(&jobs).env("MCP_BATCH_LLM_URL", "http://127.0.0.1:9/v1");
        let ended = run.args([&format!("{flag}={value}")]).finish().await;
        assert_eq!(ended.code, Some(2), "{flag} {value}: {ended:?}");
        let is_a_path = ["--tools", "--db"].contains(&flag);
        let named = if is_a_path { value } else { flag };
        assert!(ended.stderr.contains(named), "{flag} {value}: {}", ended.stderr);
    }
    for path in ["no-such-file.jsonl", "."] {
        let ended = folder.run(path).finish().await;
        assert_eq!(ended.code, Some(2));
        assert!(ended.stderr.contains(&format!("error: {path}: cannot be read")));
    }
}

#[tokio::test]
async fn a_bad_variable_is_named_as_such_and_a_secret_is_not_repeated() {
    let folder = Folder::new();
    let jobs = folder.jobs(&[summarize("a", "One.")]);
    let variables = [
        ("MCP_BATCH_CONCURRENCY", "10001"),
        ("MCP_BATCH_LLM_URL", "nowhere"),
        ("MCP_BATCH_LLM_API_KEY", "sk-geheim\u{e9}"),
        ("MCP_BATCH_CALLBACK_SECRETS", "whsec_geheim"),
        ("MCP_BATCH_CALLBACK_HEADER", "geheim"),
    ];
    for (name, value) in variables {
        let run = folder.run(&jobs).env("MCP_BATCH_LLM_URL", "http://127.0.0.1:9/v1");
        let ended = run.env(name, value).finish().await;
        assert_eq!(ended.code, Some(2), "{name}: {ended:?}");
        assert!(ended.stderr.contains(&format!("error: {name}: expected ")), "{}", ended.stderr);
        assert!(!ended.stderr.contains("geheim"), "{}", ended.stderr);
    }
}

#[tokio::test]
async fn after_two_kills_the_third_run_does_just_what_is_left() {
    let llm = FakeLlm::start().await;
    llm.script("slow", [Behaviour::Hold]);
    let folder = Folder::new();
    let quick = (0..3).map(|n| summarize(&format!("quick-{n}"), "A quick one."));
    let slow = (0..7).map(|n| summarize(&format!("slow-{n}"), "A slow one."));
    let jobs = folder.jobs(&quick.chain(slow).collect::<Vec<_>>());
    let start = || folder.run(&jobs).llm(&llm).args(["--concurrency", "4"]);

    // A permit is held until the outcome is saved: with four calls waiting, the quick ones are.
    let first = start().start();
    llm.wait_for_calls(3 + 4).await;
    first.kill();
    llm.wait_for_clients_left(4).await;

    let second = start().start();
    llm.wait_for_calls(7 + 4).await;
    llm.release(2);
    llm.wait_for_calls(11 + 2).await;
    second.kill();
    llm.wait_for_clients_left(8).await;
    let before = llm.calls_by_id();

    llm.script("slow", []);
    let third = start().summary().await;

    assert_eq!(third["exit"], 0, "{third}");
    assert_eq!((&third["already_done"], &third["tool_calls"]), (&json!(5), &json!(5)));
    let calls = llm.calls_by_id();
    for (id, result) in folder.results_by_id() {
        let (earlier, all) = (before.get(&id).copied().unwrap_or(0), calls[&id]);
        assert_eq!(result["status"], "succeeded");
        assert_eq!(result["attempts"], all, "{id}: each call is an attempt in the ledger");
        match result.get("already_done") {
            Some(_) => assert_eq!(all, earlier, "{id}: a finished job is not called again"),
            None => assert_eq!(all, earlier + 1, "{id}: a job left over is called once more"),
        }
    }
    assert_eq!(llm.calls(), 18);
}

#[tokio::test]
async fn a_signal_lets_running_jobs_end_and_begins_no_more() {
    let llm = FakeLlm::builder().default_behaviour(Behaviour::Hold).start().await;
    let folder = Folder::new();
    let jobs: Vec<Value> = (0..6).map(|n| summarize(&format!("job-{n}"), "One.")).collect();
    let jobs = folder.jobs(&jobs);

    let running = folder.run(&jobs).llm(&llm).args(["--concurrency", "2"]).start();
    llm.wait_for_calls(2).await;
    running.interrupt();
    running.wait_until_it_says("finishing the running jobs").await;
    llm.release(2);
    let ended = running.finish().await;

    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert_eq!(statuses(&folder), BTreeMap::from([("succeeded", 2), ("waiting", 4)]));
    assert_eq!((llm.calls(), llm.clients_left()), (2, 0));
    assert!(ended.stdout.contains("4 jobs wait; the same command goes on with them."));

    llm.set_default(Behaviour::Echo);
    let next = folder.run(&jobs).llm(&llm).summary().await;
    assert_eq!((&next["exit"], &next["tool_calls"]), (&json!(0), &json!(4)));
}

#[tokio::test]
async fn a_second_signal_interrupts_what_runs_and_counts_its_cost_as_unknown() {
    let llm = FakeLlm::builder().default_behaviour(Behaviour::Hang).start().await;
    let folder = Folder::new();
    let jobs = folder.jobs(&[summarize("a", "One."), summarize("b", "Two.")]);

    let running = folder.run(&jobs).llm(&llm).start();
    llm.wait_for_calls(2).await;
    running.interrupt();
    running.wait_until_it_says("finishing the running jobs").await;
    running.interrupt();
    let ended = running.finish().await;

    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert_eq!(statuses(&folder), BTreeMap::from([("waiting", 2)]));
    assert_eq!(folder.results()[0]["error"]["class"], "interrupted");
    llm.wait_for_clients_left(2).await;

    llm.set_default(Behaviour::Echo);
    let next = folder.run(&jobs).llm(&llm).summary().await;
    assert_eq!((&next["exit"], &next["tool_calls"]), (&json!(0), &json!(2)));
    let result = &folder.results()[0];
    assert_eq!((&result["attempts"], &result["usage"]["unpriced_calls"]), (&json!(2), &json!(2)));
}

fn statuses(folder: &Folder) -> BTreeMap<&'static str, usize> {
    let mut counts = BTreeMap::new();
    for result in folder.results() {
        let names = ["succeeded", "failed", "waiting", "duplicate"];
        let name = names.into_iter().find(|name| result["status"] == *name);
        *counts.entry(name.expect("a known status")).or_default() += 1;
    }
    counts
}

#[tokio::test]
async fn an_offline_outcome_is_replaced_by_an_llms_and_not_the_other_way_round() {
    let llm = FakeLlm::builder().default_behaviour(Behaviour::answer("An LLM's.")).start().await;
    let folder = Folder::new();
    let jobs = folder.jobs(&[summarize("a", "One. Two. Three. Four.")]);

    let offline = folder.run(&jobs).summary().await;
    assert_eq!((&offline["exit"], &offline["tool_calls"]), (&json!(0), &json!(1)));
    assert_eq!(folder.results()[0]["usage"]["model"], "offline-extractive");

    let asked = folder.run(&jobs).llm(&llm).summary().await;
    assert_eq!((&asked["tool_calls"], llm.calls()), (&json!(1), 1));
    assert_eq!(folder.results()[0]["result"], "An LLM's.");

    for args in [[].as_slice(), &["--offline"]] {
        let mut run = folder.run(&jobs);
        for arg in args {
            run = run.env("MCP_BATCH_LLM_URL", &llm.url()).args([*arg]);
        }
        let again = run.summary().await;
        assert_eq!((&again["tool_calls"], &again["already_done"]), (&json!(0), &json!(1)));
        assert_eq!(folder.results()[0]["result"], "An LLM's.");
    }
    assert_eq!(llm.calls(), 1);
}

#[tokio::test]
async fn failed_jobs_are_run_again_only_when_asked() {
    let llm = FakeLlm::start().await;
    llm.script("bad", [Behaviour::status(400), Behaviour::answer("Now it is good.")]);
    let folder = Folder::new();
    let jobs = folder.jobs(&[summarize("good", "A good one."), summarize("bad", "A bad one.")]);

    let first = folder.run(&jobs).llm(&llm).summary().await;
    assert_eq!((&first["exit"], &first["failed"], llm.calls()), (&json!(1), &json!(1), 2));

    let second = folder.run(&jobs).llm(&llm).summary().await;
    assert_eq!((&second["exit"], &second["tool_calls"]), (&json!(1), &json!(0)));
    assert_eq!(folder.results()[1]["error"]["code"], "http_400");

    let third = folder.run(&jobs).llm(&llm).args(["--retry-failed"]).summary().await;
    assert_eq!((&third["exit"], &third["tool_calls"], llm.calls()), (&json!(0), &json!(1), 3));
    assert_eq!(folder.results()[1]["result"], "Now it is good.");
}

#[tokio::test]
async fn two_runs_at_once_on_one_ledger_pay_each_job_once() {
    let llm = FakeLlm::builder().default_behaviour(Behaviour::Hold).start().await;
    let folder = Folder::new();
    let jobs: Vec<Value> = (0..12).map(|n| summarize(&format!("job-{n}"), "One.")).collect();
    let jobs = folder.jobs(&jobs);
    // A short timeout makes for short leases: each run waits for those of the other.
    let start = |out| {
        let run = folder.run(&jobs).llm(&llm).args(["--concurrency", "4", "--llm-timeout-s", "4"]);
        run.args(["--out", out, "--json"]).start()
    };

    let one = start("one.jsonl");
    llm.wait_for_calls(4).await;
    let two = start("two.jsonl");
    llm.wait_for_calls(8).await;
    llm.release(12);

    for running in [one, two] {
        let ended = running.finish().await;
        assert_eq!(ended.code, Some(0), "{ended:?}");
        let summary: Value = serde_json::from_str(&ended.stdout).expect("a summary");
        assert_eq!(summary["succeeded"], 12);
    }
    assert_eq!(llm.calls_by_id().len(), 12);
    assert!(llm.calls_by_id().values().all(|calls| *calls == 1), "{:?}", llm.calls_by_id());
}
