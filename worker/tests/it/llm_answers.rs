//! Every way an LLM can answer, or not: what it means for a job, how often the job is called, and
//! what it is said to cost.

use std::time::Duration;

use mcp_batch_testkit::{Behaviour, FakeLlm, Status};
use serde_json::{Value, json};

use crate::helpers::{Folder, apart, closed_port, json_lines, summarize};

const KEY: &str = "sk-geheim-0123456789-abcdefghij";

/// What a bad answer makes of a job: class, code, and how often it is called.
type Verdict = (&'static str, &'static str, usize);

/// Runs a job per row, each with an upstream of its own, whose text asks for the row's answer.
async fn assert_verdicts(llm: &FakeLlm, args: [&str; 2], rows: &[(&str, Verdict)]) -> Vec<Value> {
    let folder = Folder::new();
    let id = |row: usize| format!("row-{row}");
    let jobs: Vec<Value> =
        rows.iter().enumerate().map(|(row, (marker, _))| apart(&id(row), marker)).collect();

    let summary = folder.run(folder.jobs(&jobs)).llm(llm).args(args).summary().await;

    let results = folder.results();
    let calls = llm.calls_by_id();
    for (row, (marker, (class, code, times))) in rows.iter().enumerate() {
        let result = &results[row];
        assert_eq!(result["status"], "failed", "{marker}: {result}");
        let error = &result["error"];
        assert_eq!((&error["class"], &error["code"]), (&json!(class), &json!(code)), "{marker}");
        assert_eq!(result["attempts"], *times, "{marker}: {result}");
        assert_eq!(calls[&id(row)], *times, "{marker}");
        assert_eq!(error["retryable"], *class == "exhausted", "{marker}");
        assert!(error["message"].as_str().is_some_and(|text| text.len() > 10), "{result}");
    }
    assert_eq!((&summary["exit"], &summary["failed"]), (&json!(1), &json!(rows.len())));
    assert_eq!(summary["tool_calls"], rows.iter().map(|(_, (_, _, times))| times).sum::<usize>());
    results
}

#[tokio::test]
async fn what_is_wrong_with_the_job_itself_is_called_once() {
    let llm = FakeLlm::builder().cost_usd(0.001).start().await;
    let rows = [
        ("[[400]]", ("permanent", "http_400", 1)),
        ("[[404]]", ("permanent", "http_404", 1)),
        ("[[413]]", ("permanent", "http_413", 1)),
        ("[[422]]", ("permanent", "http_422", 1)),
        ("[[too-long]]", ("permanent", "http_400", 1)),
        ("[[filter]]", ("permanent", "http_400", 1)),
        // The job named the model itself.
        ("[[model-not-found]]", ("permanent", "unknown_model", 1)),
        ("[[content_filter]]", ("permanent", "content_filter", 1)),
        ("[[huge:9000000]]", ("permanent", "answer_too_large", 1)),
    ];
    let results = assert_verdicts(&llm, ["--patience-s", "60"], &rows).await;

    let usage = |row: usize| &results[row]["usage"];
    assert_eq!((&usage(0)["cost_usd"], &usage(0)["unpriced_calls"]), (&Value::Null, &json!(0)));
    // What the filter withheld is billed all the same, and so is what was too long to be read.
    assert_eq!(usage(7)["cost_usd"], 0.001);
    assert!(usage(7)["input_tokens"].as_u64() > Some(0));
    assert_eq!(usage(8)["cost_usd"], 0.001);
}

#[tokio::test]
async fn what_may_work_the_next_time_is_called_as_often_as_attempts_allow() {
    let llm = FakeLlm::start().await;
    let rows = [
        ("[[408]]", ("exhausted", "timeout", 3)),
        ("[[409]]", ("exhausted", "http_409", 3)),
        ("[[500]]", ("exhausted", "http_500", 3)),
        ("[[html]]", ("exhausted", "http_502", 3)),
        ("[[503]]", ("exhausted", "http_503", 3)),
        ("[[504]]", ("exhausted", "http_504", 3)),
        ("[[529]]", ("exhausted", "http_529", 3)),
        ("[[garbage]]", ("exhausted", "answer_malformed", 3)),
        ("[[half]]", ("exhausted", "connection", 3)),
        ("[[empty]]", ("exhausted", "answer_empty", 3)),
        ("[[drop]]", ("exhausted", "connection", 3)),
    ];
    let results = assert_verdicts(&llm, ["--max-attempts", "3"], &rows).await;

    // Whoever may have been billed without a word is counted so; a plain refusal is free.
    let unpriced = |row: usize| results[row]["usage"]["unpriced_calls"].as_u64();
    assert_eq!([unpriced(0), unpriced(5), unpriced(8), unpriced(10)], [Some(3); 4]);
    assert_eq!([unpriced(2), unpriced(3), unpriced(4)], [Some(0); 3]);
    assert_eq!(results[2]["usage"]["cost_usd"], Value::Null);
}

#[tokio::test]
async fn an_llm_that_does_not_answer_in_time_is_left() {
    let llm = FakeLlm::start().await;
    let rows =
        [("[[hang]]", ("exhausted", "timeout", 3)), ("[[trickle]]", ("exhausted", "timeout", 3))];
    let results = assert_verdicts(&llm, ["--llm-timeout-s", "0.25"], &rows).await;

    assert_eq!(results[0]["usage"]["unpriced_calls"], 3);
    llm.wait_for_clients_left(6).await;
}

#[tokio::test]
async fn a_port_that_refuses_costs_nothing() {
    let folder = Folder::new();
    let run = folder.run(folder.jobs(&[summarize("a", "One.")]));

    let summary = run.env("MCP_BATCH_LLM_URL", &closed_port()).summary().await;

    let result = &folder.results()[0];
    assert_eq!((&summary["exit"], &result["attempts"]), (&json!(1), &json!(3)));
    assert_eq!(
        (&result["error"]["class"], &result["error"]["code"]),
        (&json!("exhausted"), &json!("connect"))
    );
    assert_eq!(
        (&result["usage"]["cost_usd"], &result["usage"]["unpriced_calls"]),
        (&Value::Null, &json!(0))
    );
}

#[tokio::test]
async fn a_long_answer_and_one_that_was_cut_off_are_results() {
    let llm = FakeLlm::start().await;
    let folder = Folder::new();
    let jobs = [apart("long", "[[huge:2000000]]"), apart("cut", "[[length]]")];

    let summary = folder.run(folder.jobs(&jobs)).llm(&llm).summary().await;

    assert_eq!((&summary["exit"], llm.calls()), (&json!(0), 2));
    let long = folder.results()[0]["result"].as_str().map(str::len);
    assert!(long > Some(1_900_000), "{long:?}");
    assert_eq!(folder.results()[1]["result"], "Echo: [[length]]");
}

#[tokio::test]
async fn a_pause_that_is_asked_for_is_kept_and_counts_no_attempt() {
    let waits: [(Behaviour, u64); 4] = [
        (Behaviour::throttled("1"), 1),
        (Behaviour::throttled_by_provider("1"), 1),
        (Status::of(503).retry_after("1").into(), 1),
        // Without a wish, a pause of our own.
        (Behaviour::status(429), 2),
    ];
    let llm = FakeLlm::builder().record(true).start().await;
    let folder = Folder::new();
    let jobs: Vec<Value> =
        (0..waits.len()).map(|n| apart(&format!("job-{n}"), &format!("Text {n}."))).collect();
    for (n, (refusal, _)) in waits.iter().enumerate() {
        llm.script(format!("Text {n}."), [refusal.clone(), Behaviour::answer("Done.")]);
    }

    // One attempt is all they have.
    let run = folder.run(folder.jobs(&jobs)).llm(&llm).args(["--max-attempts", "1"]);
    let summary = run.summary().await;

    assert_eq!((&summary["exit"], &summary["tool_calls"]), (&json!(0), &json!(8)));
    for (n, (result, (_, least_s))) in folder.results().iter().zip(waits).enumerate() {
        assert_eq!((&result["result"], &result["attempts"]), (&json!("Done."), &json!(1)));
        let id = format!("job-{n}");
        let requests = llm.requests();
        let times: Vec<_> = requests
            .iter()
            .filter(|request| request.header("x-litellm-call-id") == Some(&id))
            .map(mcp_batch_testkit::Received::at)
            .collect();
        assert_eq!(times.len(), 2, "{id}");
        assert!(times[1].duration_since(times[0]) >= Duration::from_secs(least_s), "{id}");
    }
}

#[tokio::test]
async fn a_pause_longer_than_the_patience_is_waited_for_to_its_end() {
    let llm = FakeLlm::start().await;
    llm.script("One.", [Behaviour::throttled("3"), Behaviour::Echo]);
    let folder = Folder::new();

    let run = folder.run(folder.jobs(&[summarize("a", "One.")])).llm(&llm);
    let summary = run.args(["--patience-s", "2"]).summary().await;

    assert_eq!((&summary["exit"], llm.calls()), (&json!(0), 2));
}

#[tokio::test]
async fn a_run_that_meets_nothing_but_pauses_ends_when_patience_does() {
    let llm = FakeLlm::builder().default_behaviour(Behaviour::throttled("1")).start().await;
    let folder = Folder::new();

    let run = folder.run(folder.jobs(&[summarize("a", "One.")])).llm(&llm);
    let summary = run.args(["--patience-s", "1"]).summary().await;

    assert_eq!((&summary["exit"], &summary["waiting"]), (&json!(1), &json!(1)));
    let result = &folder.results()[0];
    assert_eq!(
        (&result["status"], &result["error"]["code"]),
        (&json!("waiting"), &json!("http_429"))
    );
}

#[tokio::test]
async fn a_spent_budget_is_waited_for_and_kills_no_job() {
    let llm = FakeLlm::builder().default_behaviour(Behaviour::budget_exceeded()).start().await;
    let folder = Folder::new();
    let jobs = folder.jobs(&[summarize("a", "One.")]);

    let running = folder.run(&jobs).llm(&llm).args(["--max-attempts", "1"]).start();
    llm.wait_for_calls(1).await;
    running.interrupt();
    let ended = running.finish().await;

    let result = &folder.results()[0];
    assert_eq!((ended.code, &result["status"]), (Some(1), &json!("waiting")), "{ended:?}");
    assert_eq!(result["error"]["class"], "throttled");
    assert_eq!(result["error"]["code"], "budget_exceeded");

    llm.set_default(Behaviour::Echo);
    let next = folder.run(&jobs).llm(&llm).args(["--max-attempts", "1"]).summary().await;
    assert_eq!((&next["exit"], llm.calls()), (&json!(0), 2));
    assert_eq!(folder.results()[0]["attempts"], 1);
}

#[tokio::test]
async fn a_fault_of_the_configuration_ends_the_run_and_kills_no_job() {
    let faults = [
        (Behaviour::status(401), "http_401"),
        (Behaviour::status(403), "http_403"),
        (Behaviour::model_not_found(), "unknown_model"),
        (Behaviour::json_of(301, "{}"), "http_301"),
    ];
    for (fault, code) in faults {
        let llm = FakeLlm::builder().default_behaviour(fault).start().await;
        let folder = Folder::new();
        let jobs: Vec<Value> = (0..8).map(|n| summarize(&format!("job-{n}"), "One.")).collect();
        let jobs = folder.jobs(&jobs);
        let run =
            || folder.run(&jobs).llm(&llm).args(["--max-attempts", "1", "--concurrency", "1"]);

        let summary = run().summary().await;

        assert_eq!((&summary["exit"], &summary["waiting"]), (&json!(1), &json!(8)), "{code}");
        assert_eq!(summary["stopped_by"]["code"], code);
        // One each time the gate opens, until it is plain that nothing changes.
        assert_eq!(llm.calls(), 3, "{code}");
        for result in folder.results() {
            assert_eq!(result["status"], "waiting", "{result}");
            assert_eq!(result["error"]["class"], "configuration");
            assert_eq!(result["error"]["code"], code);
        }

        llm.set_default(Behaviour::Echo);
        let next = run().summary().await;
        assert_eq!((&next["exit"], llm.calls()), (&json!(0), 11), "{code}");
        assert!(folder.results().iter().all(|result| result["attempts"] == 1), "none counted");
    }
}

#[tokio::test]
async fn a_fault_of_one_upstreams_configuration_loses_no_call_to_another() {
    let llm = FakeLlm::start().await;
    llm.script("locked", [Behaviour::status(401)]);
    llm.script("slow", [Behaviour::Hold]);
    let folder = Folder::new();
    let jobs = folder.jobs(&[apart("slow", "A slow one."), apart("locked", "A locked one.")]);

    let running = folder.run(&jobs).llm(&llm).start();
    // More refusals than end a run that has nothing else to do.
    llm.wait_for_calls(1 + 4).await;
    llm.release(1);
    running.interrupt();
    let ended = running.finish().await;

    assert_eq!(ended.code, Some(1), "{ended:?}");
    let results = folder.results();
    assert_eq!(
        (&results[0]["status"], &results[1]["status"]),
        (&json!("succeeded"), &json!("waiting"))
    );
    assert_eq!(llm.calls_by_id()["slow"], 1);
}

#[tokio::test]
async fn a_cost_is_what_the_header_says_nothing_for_the_cache_and_else_unknown() {
    let priced = FakeLlm::builder().cost_usd(0.000_007_8).start().await;
    let cached =
        FakeLlm::builder().cost_usd(0.5).answer_header("x-litellm-cache-key", "k").start().await;
    let silent = FakeLlm::start().await;
    let expected =
        [(&priced, json!(0.000_007_8), 0), (&cached, json!(0.0), 0), (&silent, Value::Null, 1)];
    for (llm, cost, unpriced) in expected {
        let folder = Folder::new();
        // The refused try before it is free.
        llm.script("One.", [Behaviour::status(500), Behaviour::Echo]);
        let summary = folder.run(folder.jobs(&[summarize("a", "One.")])).llm(llm).summary().await;

        let usage = &folder.results()[0]["usage"];
        assert_eq!((&usage["cost_usd"], &usage["unpriced_calls"]), (&cost, &json!(unpriced)));
        assert_eq!(
            (&usage["output_tokens"], &folder.results()[0]["attempts"]),
            (&json!(3), &json!(2))
        );
        assert_eq!(summary["tools"]["summarize"]["cost_usd"], cost);
    }
}

/// A catalog with a tool whose answers must fit a schema.
const SENTIMENT: &str = r#"
model = "m"
[tools.sentiment]
description = "Says how a text feels."
system = "Judge this for {{ who }}."
user = "{{ text }}"
[tools.sentiment.input_schema]
type = "object"
required = ["text", "who"]
[tools.sentiment.answer_schema]
type = "object"
required = ["feeling"]
additionalProperties = false
[tools.sentiment.answer_schema.properties.feeling]
enum = ["good", "bad"]
"#;

fn sentiment(id: &str, text: &str) -> Value {
    json!({"id": id, "tool": "sentiment", "input": {"text": text, "who": "Ann {{ 7*7 }}"}})
}

async fn judged(llm: &FakeLlm, text: &str) -> (Value, Value) {
    let folder = Folder::new();
    folder.write("tools.toml", SENTIMENT);
    let run = folder.run(folder.jobs(&[sentiment("a", text)])).llm(llm);
    let summary = run.args(["--tools", "tools.toml"]).summary().await;
    (summary, folder.results().remove(0))
}

#[tokio::test]
async fn an_answer_that_fits_its_schema_is_a_result_as_json() {
    let llm = FakeLlm::builder().cost_usd(0.25).start().await;
    llm.set_default(Behaviour::Json(json!({"feeling": "good"})));

    let (summary, result) = judged(&llm, "What a day!").await;

    assert_eq!((&summary["exit"], llm.calls()), (&json!(0), 1));
    assert_eq!(result["result"], json!({"feeling": "good"}));
    let request = llm.last_request().expect("a request").json();
    assert_eq!(request["response_format"]["json_schema"]["schema"]["required"], json!(["feeling"]));
}

#[tokio::test]
async fn an_answer_that_does_not_fit_is_asked_for_once_more_with_the_reason() {
    let llm = FakeLlm::builder().cost_usd(0.25).start().await;
    let misfits = [
        (Behaviour::answer("Quite good."), "it is not JSON"),
        (Behaviour::Json(json!({"feeling": "mixed"})), "feeling: "),
        (Behaviour::Json(json!({"feeling": "bad", "why": 1})), "why: "),
    ];
    for (misfit, reason) in misfits {
        llm.script("", [misfit, Behaviour::Json(json!({"feeling": "bad"}))]);

        let (summary, result) = judged(&llm, "What a day!").await;

        assert_eq!((&summary["exit"], &result["result"]), (&json!(0), &json!({"feeling": "bad"})));
        assert_eq!((&result["attempts"], &result["usage"]["cost_usd"]), (&json!(1), &json!(0.5)));
        let messages = llm.last_request().expect("a request").json()["messages"].clone();
        let hint = messages[2]["content"].as_str().expect("a hint after the prompt");
        assert!(hint.contains("was refused") && hint.contains(reason), "{hint}");
    }
    assert_eq!(llm.calls(), 6);
}

#[tokio::test]
async fn an_answer_that_never_fits_fails_the_job_and_costs_twice() {
    let llm = FakeLlm::builder().cost_usd(0.25).start().await;
    llm.set_default(Behaviour::answer("The secret is 4711."));

    let (summary, result) = judged(&llm, "What a day!").await;

    assert_eq!((&summary["exit"], llm.calls()), (&json!(1), 2));
    assert_eq!(result["error"]["class"], "permanent");
    assert_eq!(result["error"]["code"], "answer_schema");
    assert!(!result.to_string().contains("4711"), "the answer is not quoted: {result}");
    assert_eq!((&result["attempts"], &result["usage"]["cost_usd"]), (&json!(1), &json!(0.5)));
    assert_eq!(summary["tools"]["sentiment"]["cost_usd"], 0.5);
}

#[tokio::test]
async fn what_looks_like_a_template_in_the_input_stays_text() {
    let llm = FakeLlm::builder()
        .default_behaviour(Behaviour::Json(json!({"feeling": "bad"})))
        .start()
        .await;

    judged(&llm, "{{ 7*7 }} {% for x in y %} {# gone #}").await;

    let messages = llm.last_request().expect("a request").json()["messages"].clone();
    assert_eq!(messages[0]["content"], "Judge this for Ann {{ 7*7 }}.");
    assert_eq!(messages[1]["content"], "{{ 7*7 }} {% for x in y %} {# gone #}");
}

/// What a run with the key in its environment leaves behind, and the error it tells.
async fn told_with_key(llm: &FakeLlm, text: &str) -> (String, String) {
    let folder = Folder::new();
    let run = folder.run(folder.jobs(&[summarize("a", text)])).llm(llm).args(["--patience-s", "1"]);
    let run = run.env("MCP_BATCH_LLM_API_KEY", KEY).env("MCP_BATCH_LOG", "trace");
    run.finish().await;
    let left = String::from_utf8_lossy(&folder.all_bytes()).into_owned();
    (left, folder.results()[0]["error"]["message"].as_str().expect("a message").to_owned())
}

#[tokio::test]
async fn the_key_is_sent_to_the_llm_and_left_nowhere_else() {
    let llm = FakeLlm::start().await;
    let filler = "x".repeat(285);
    let messages = [
        format!("Incorrect API key provided: {KEY}."),
        // It would be cut in its middle.
        format!("{filler} {KEY}"),
    ];
    for status in [400, 401] {
        for message in &messages {
            llm.set_default(Status::of(status).message(message.clone()).into());
            let (left, told) = told_with_key(&llm, "A text about whales.").await;
            assert!(told.contains(&status.to_string()), "{told}");
            assert!(!left.contains("geheim"), "{told}");
        }
    }
    let sent = llm.last_request().expect("a request");
    assert_eq!(sent.header("authorization"), Some(&*format!("Bearer {KEY}")));
}

#[tokio::test]
async fn a_message_that_repeats_the_prompt_is_not_told() {
    let llm = FakeLlm::start().await;
    let prompts = [
        "The patient's name is Ishmael Carpenter-Quohog, born 1819.",
        "A \"note\"\nwith \"many\"\nbreaks: \"Is\"\n\"hma\"\n\"el\" of \"New\"\n\"Bed\"\n\"ford\".",
        "Ishmael: 4711",
    ];
    for prompt in prompts {
        for message in [prompt.to_owned(), format!("Cannot read this: {prompt} (end)")] {
            llm.set_default(Status::of(400).message(message).into());
            let (_, told) = told_with_key(&llm, prompt).await;
            assert!(told.contains("400") && told.contains("left out"), "{told}");
        }
    }
    llm.set_default(Status::of(400).message("max_tokens is too large").into());
    let (_, told) = told_with_key(&llm, prompts[0]).await;
    assert!(told.ends_with("max_tokens is too large"), "{told}");
}

#[tokio::test]
async fn each_result_has_its_line_and_its_metadata_whatever_became_of_it() {
    let llm = FakeLlm::start().await;
    let folder = Folder::new();
    let mut jobs = [apart("good", "One."), apart("bad", "[[400]]")];
    for (row, job) in jobs.iter_mut().enumerate() {
        job["metadata"] = json!({"row": row});
    }

    let run = folder.run(folder.jobs(&jobs)).llm(&llm).args(["--out", "-"]);
    let results = json_lines(&run.finish().await.stdout);

    for (row, result) in results.iter().enumerate() {
        assert_eq!((&result["line"], &result["metadata"]), (&json!(row + 1), &json!({"row": row})));
        assert!(result["finished_at"].as_str() >= result["started_at"].as_str());
    }
}
