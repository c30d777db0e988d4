//! Every way an LLM can answer, or not: what it means for a job, how often the job is called, and
//! what it is said to cost.

use mcp_batch_testkit::{Behaviour, FakeLlm, Status};
use serde_json::{Value, json};

use crate::helpers::{Folder, apart, closed_port, json_lines, summarize};

/// What a bad answer makes of a job: class, code, and how often it is called.
type Verdict = (&'static str, &'static str, usize);

/// What a job says that would have all jobs of its model wait, were it the upstream's word.
const REPEATED: &str = "write that my credit balance is too low";

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
        ("[[404]]", ("permanent", "unknown_model", 1)),
        ("[[413]]", ("permanent", "http_413", 1)),
        ("[[422]]", ("permanent", "http_422", 1)),
        ("[[too-long]]", ("permanent", "context_too_long", 1)),
        ("[[filter]]", ("permanent", "content_filter", 1)),
        // The job named the model itself.
        ("[[model-not-found]]", ("permanent", "unknown_model", 1)),
        ("[[content_filter]]", ("permanent", "content_filter", 1)),
        ("[[huge:9000000]]", ("permanent", "answer_too_large", 1)),
        ("no answer to this", ("permanent", "refusal", 1)),
        ("thought until the end", ("permanent", "answer_truncated", 1)),
        // The message repeats the job's words, which say nothing of the account.
        (REPEATED, ("permanent", "http_400", 1)),
    ];
    let completion = |message: Value, reason: &str| {
        let body = json!({"choices": [{"message": message, "finish_reason": reason}]});
        Behaviour::json_of(200, body.to_string())
    };
    let refusal = completion(json!({"content": null, "refusal": "I cannot help."}), "stop");
    llm.script("no answer to this", [refusal]);
    llm.script("thought until the end", [completion(json!({"content": "\n"}), "length")]);
    let message = format!("litellm.BadRequestError: {REPEATED}");
    llm.script(REPEATED, [Status::of(400).message(message).into()]);
    let results = assert_verdicts(&llm, ["--patience-s", "60"], &rows).await;

    let usage = |row: usize| &results[row]["usage"];
    assert_eq!((&usage(0)["cost_usd"], &usage(0)["unpriced_calls"]), (&Value::Null, &json!(0)));
    // What the filter withheld is billed all the same, and so is what was too long to be read.
    assert_eq!(usage(7)["cost_usd"], 0.001);
    assert!(usage(7)["input_tokens"].as_u64() > Some(0));
    assert_eq!(usage(8)["cost_usd"], 0.001);
}

#[tokio::test]
async fn an_upstreams_words_are_told_in_whatever_shape_they_come() {
    let llm = FakeLlm::start().await;
    let repeated = "the most private text there is, which nobody must read";
    let plain = Behaviour::raw(418, "text/plain", "no tea");
    let rows = [
        ("a", Behaviour::json_of(418, r#"{"error": "no tea"}"#), ": “no tea”"),
        ("b", Behaviour::json_of(418, r#"{"detail": "no tea"}"#), ": “no tea”"),
        ("c", Behaviour::json_of(418, r#"{"message": "no tea"}"#), ": “no tea”"),
        ("d", plain, ": “no tea”"),
        ("e", Behaviour::json_of(418, format!(r#"{{"error": "{}"}}"#, "x".repeat(9_000))), "xxx"),
        ("f", Behaviour::json_of(418, format!(r#"{{"detail": "{repeated}"}}"#)), "is left out)"),
        ("g", Behaviour::bad_gateway_html(), "502 Bad Gateway"),
    ];
    let folder = Folder::new();
    for (id, behaviour, _) in &rows {
        llm.script(format!("{id}: {repeated}"), vec![behaviour.clone(); 3]);
    }
    let jobs = rows.each_ref().map(|(id, ..)| apart(id, &format!("{id}: {repeated}")));
    let run = folder.run(folder.jobs(&jobs)).llm(&llm).args(["--max-attempts", "1"]);
    run.summary().await;

    for (result, (id, _, told)) in folder.results().iter().zip(&rows) {
        let message = result["error"]["message"].as_str().expect("a message");
        assert!(message.contains(told) && message.len() < 500, "{id}: {message}");
        assert!(!message.contains("private") && !message.contains("html"), "{id}: {message}");
    }
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
        ("in events", ("exhausted", "answer_malformed", 3)),
        ("in Latin-1", ("exhausted", "answer_malformed", 3)),
        ("without choices", ("exhausted", "answer_malformed", 3)),
        ("without a body", ("exhausted", "answer_malformed", 3)),
        ("[[half]]", ("exhausted", "connection", 3)),
        ("[[empty]]", ("exhausted", "answer_empty", 3)),
        ("[[answer: ]]", ("exhausted", "answer_empty", 3)),
        ("[[drop]]", ("exhausted", "connection", 3)),
    ];
    let message = r#"{"choices": [{"message": {"content": "Fine."}}]}"#;
    let events = format!("data: {message}\n\ndata: [DONE]\n\n");
    let latin_1 = message.bytes().map(|byte| if byte == b'F' { 0xe9 } else { byte });
    let latin_1: Vec<u8> = latin_1.collect();
    for (prompt, answer) in [
        ("in events", Behaviour::raw(200, "text/event-stream", events)),
        ("in Latin-1", Behaviour::json_of(200, latin_1)),
        ("without choices", Behaviour::json_of(200, r#"{"choices": null}"#)),
        ("without a body", Behaviour::json_of(200, "")),
    ] {
        llm.script(prompt, vec![answer; 3]);
    }
    let results = assert_verdicts(&llm, ["--max-attempts", "3"], &rows).await;

    // Whoever may have been billed without a word is counted so: behind a 500 or 502 of a router a
    // provider may have answered. A plain refusal is free.
    for (result, (marker, _)) in results.iter().zip(rows) {
        let is_free = ["[[409]]", "[[503]]", "[[529]]"].contains(&marker);
        let unpriced = if is_free { 0 } else { 3 };
        assert_eq!(result["usage"]["unpriced_calls"], unpriced, "{marker}");
        assert_eq!(result["usage"]["cost_usd"], Value::Null, "{marker}");
    }
}

#[tokio::test]
async fn a_tool_that_must_not_be_paid_twice_is_held_where_it_may_have_been_paid_once() {
    let llm = FakeLlm::start().await;
    llm.script("overloaded", [Status::of(500).message("Overloaded").into(), Behaviour::Echo]);
    let folder = Folder::new();
    folder.write(
        "tools.toml",
        "model = \"m\"\n[tools.summarize]\ndescription = \"\"\nuser = \"{{ text }}\"\n\
         input_schema = {}\nretry = \"never\"",
    );
    let cases = [
        ("[[500]]", "held"),
        ("[[html]]", "held"),
        ("[[504]]", "held"),
        ("[[garbage]]", "held"),
        ("[[drop]]", "held"),
        ("[[half]]", "held"),
        // Their end was seen, and nothing was paid.
        ("overloaded", "succeeded"),
        ("[[503]]", "failed"),
    ];
    let jobs = cases.map(|(marker, _)| apart(&marker.replace(['[', ']'], ""), marker));
    let run = folder.run(folder.jobs(&jobs)).llm(&llm);
    run.args(["--tools", "tools.toml"]).summary().await;
    for (result, (marker, status)) in folder.results().iter().zip(cases) {
        assert_eq!(result["status"], status, "{marker}: {result}");
    }
}

#[tokio::test]
async fn an_llm_that_does_not_answer_in_time_is_left() {
    let llm = FakeLlm::start().await;
    let rows = ["[[hang]]", "[[trickle]]", "[[head]]"];
    let rows = rows.map(|marker| (marker, ("exhausted", "timeout", 3)));
    let results = assert_verdicts(&llm, ["--llm-timeout-s", "0.25"], &rows).await;

    assert_eq!(results[0]["usage"]["unpriced_calls"], 3);
    llm.wait_for_clients_left(9).await;
}

#[tokio::test]
async fn an_answer_in_parts_is_the_text_of_those_that_are_text() {
    let parts = json!([
        {"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]},
        {"type": "text", "text": "Fi"},
        {"type": "text", "text": "ne."},
    ]);
    let body = json!({"choices": [{"message": {"content": parts}}]}).to_string();
    let llm = FakeLlm::builder().default_behaviour(Behaviour::json_of(200, body)).start().await;
    let folder = Folder::new();
    let summary = folder.run(folder.jobs(&[summarize("a", "One.")])).llm(&llm).summary().await;
    assert_eq!((&summary["exit"], &folder.results()[0]["result"]), (&json!(0), &json!("Fine.")));
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
    let results = folder.results();
    let long = results[0]["result"].as_str().map(str::len);
    assert!(long > Some(1_900_000), "{long:?}");
    assert_eq!(results[0].get("truncated"), None);
    assert_eq!(results[1]["result"], "Echo: [[length]]");
    assert_eq!(results[1]["truncated"], true, "whoever uses it should know");
    assert_eq!(summary["tools"]["summarize"]["truncated_results"], 1);
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
        llm.script("One.", [Behaviour::status(503), Behaviour::Echo]);
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
