//! `mcp-batch run`: what goes in, what comes out, and what cannot be used.

use std::fs;

use mcp_batch_testkit::{Receiver, Reply};
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
async fn a_job_that_stands_there_with_another_callback_or_batch_is_told_and_counted_there_too() {
    let (folder, receiver) = (Folder::new(), Receiver::start().await);
    let with = |callback: Option<&str>, batch: Option<&str>, index: u64| {
        let mut job = summarize("a", "One. Two.");
        if let Some(path) = callback {
            job["callback"] = receiver.url(path).into();
        }
        if let Some(batch) = batch {
            let callback = receiver.url(&format!("/{batch}"));
            let place = json!({"id": batch, "index": index, "size": 2, "callback": callback});
            job["batch"] = place;
        }
        job
    };
    let mut other = summarize("b", "Three.");
    other["batch"] = with(None, Some("two"), 1)["batch"].clone();
    let jobs = [
        with(None, Some("one"), 0),
        with(None, Some("one"), 1),
        with(None, Some("two"), 0),
        with(Some("/own"), None, 0),
        with(None, Some("two"), 0),
        other,
    ];

    let run = folder.run(folder.jobs(&jobs)).env("MCP_BATCH_CALLBACK_HOSTS", "127.0.0.1");
    let summary = run.summary().await;

    assert_eq!((&summary["exit"], &summary["duplicates"]), (&json!(0), &json!(1)), "{summary}");
    assert_eq!((&summary["succeeded"], &summary["tool_calls"]), (&json!(5), &json!(2)));
    assert_eq!(summary["waiting"], 0);
    let results = folder.results();
    let statuses: Vec<_> = results.iter().map(|line| line["status"].clone()).collect();
    let mut expected = vec![json!("succeeded"); 6];
    expected[4] = json!("duplicate");
    assert_eq!(statuses, expected);
    assert_eq!(results[4]["of_line"], 3);
    let deliveries = receiver.deliveries();
    let mut paths: Vec<_> = deliveries.iter().map(|one| one.path().to_owned()).collect();
    paths.sort();
    assert_eq!(paths, ["/one", "/own", "/two"]);
    for told in deliveries.iter().filter(|one| one.path() != "/own") {
        let data = &told.json()["data"];
        assert_eq!((&data["succeeded"], &data["rejected"]), (&json!(2), &json!(0)));
    }
}

#[tokio::test]
async fn a_callback_is_delivered_and_signed_before_the_run_ends() {
    let (folder, receiver) = (Folder::new(), Receiver::start().await);
    receiver.respond_with([Reply::status(503)]);
    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let mut job = summarize("a", "One. Two.");
    job["callback"] = receiver.url("/done").into();

    let run = folder.run(folder.jobs(&[job])).env("MCP_BATCH_CALLBACK_SECRETS", secret);
    let run = run.env("MCP_BATCH_CALLBACK_HOSTS", "127.0.0.1");
    let summary = run.env("MCP_BATCH_CALLBACK_HEADER", "X-Who: mcp").summary().await;

    assert_eq!((&summary["exit"], &summary["tool_calls"]), (&json!(0), &json!(1)));
    // That the callback took two tries makes it no work of an earlier run.
    assert_eq!(
        (&summary["already_done"], &summary["tools"]["summarize"]["done"]),
        (&json!(0), &json!(1))
    );
    assert_eq!(folder.results()[0].get("already_done"), None);
    let deliveries = receiver.deliveries();
    assert_eq!((deliveries.len(), receiver.distinct_ids()), (2, 1));
    for delivery in deliveries {
        assert_eq!(delivery.header("x-who"), Some("mcp"));
        assert_eq!(delivery.json()["data"]["result"], "One. Two.");
        let webhook = standardwebhooks::Webhook::new(secret).expect("a sound secret");
        webhook.verify(delivery.body(), delivery.headers()).expect("a sound signature");
    }
}

#[tokio::test]
async fn what_cannot_be_used_is_named_and_exits_with_2() {
    let folder = Folder::new();
    let jobs = folder.jobs(&[summarize("a", "One.")]);
    folder.write("no.db", "this is not a database, but a text that is long enough to be read");
    folder.write("tools.toml", "[tools.x]\nuser = 3");
    let flags: [[&str; 2]; 17] = [
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
        ["--out", "no-such-folder/results.jsonl"],
        ["--no-such-flag", "1"],
    ];
    for [flag, value] in flags {
        // After a sound URL, so that the settings of the LLM are looked at.
        let run = folder.run(&jobs).env("MCP_BATCH_LLM_URL", "http://127.0.0.1:9/v1");
        let ended = run.args([&format!("{flag}={value}")]).finish().await;
        assert_eq!(ended.code, Some(2), "{flag} {value}: {ended:?}");
        let is_a_path = ["--tools", "--db", "--out"].contains(&flag);
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
