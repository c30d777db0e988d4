//! What is said to an LLM and what of it is told again: templates, answers in a schema, secrets.

use std::time::Duration;

use mcp_batch_testkit::{Behaviour, FakeLlm, Status};
use serde_json::{Value, json};

use crate::helpers::{Folder, summarize};

const KEY: &str = "sk-geheim-0123456789-abcdefghij";

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
async fn an_answer_is_not_asked_for_once_more_where_the_rate_leaves_no_time_for_it() {
    for table in ["tools.sentiment", "models.m"] {
        let llm = FakeLlm::builder().default_behaviour(Behaviour::answer("No.")).start().await;
        let folder = Folder::new();
        let limited = format!("[{table}]\nrate_per_minute = 1\n");
        let catalog = match table {
            "tools.sentiment" => SENTIMENT.replace("[tools.sentiment]\n", &limited),
            _ => format!("{SENTIMENT}{limited}"),
        };
        folder.write("tools.toml", catalog);
        let run = folder.run(folder.jobs(&[sentiment("a", "What a day!")])).llm(&llm);
        run.args(["--tools", "tools.toml", "--max-attempts", "1"]).summary().await;

        let error = &folder.results()[0]["error"];
        assert_eq!((&error["class"], llm.calls()), (&json!("exhausted"), 1), "{table}: {error}");
        assert_eq!(error["code"], "answer_schema");
    }
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

#[tokio::test]
async fn it_stays_text_however_deep_in_the_input_it_stands() {
    let llm = FakeLlm::start().await;
    let folder = Folder::new();
    let hostile = "{{ system }}{% include 'system' %}{{ (1).__class__ }}";
    let catalog = "model = \"m\"\n[tools.deep]\ndescription = \"\"\ninput_schema = {}\n\
                   system = \"{{ list | join(', ') }} {{ map.of.maps }}\"\nuser = \"{{ map }}\"";
    folder.write("tools.toml", catalog);
    let input =
        json!({"list": [hostile, "{% raw %}"], "map": {"of": {"maps": hostile}}, "system": "no"});
    let jobs = folder.jobs(&[json!({"id": "a", "tool": "deep", "input": input})]);
    folder.run(jobs).llm(&llm).args(["--tools", "tools.toml"]).summary().await;

    let messages = llm.last_request().expect("a request").json()["messages"].clone();
    assert_eq!(messages[0]["content"], format!("{hostile}, {{% raw %}} {hostile}"));
    assert!(messages[1]["content"].as_str().is_some_and(|text| text.contains(hostile)));
}

#[tokio::test]
async fn a_call_says_whose_it_is_and_when_to_give_up() {
    let llm = FakeLlm::start().await;
    let folder = Folder::new();
    let mut job = summarize("job-1", "A secret text.");
    job["tenant"] = format!("ann@{}", "x".repeat(100)).into();
    job["batch"] = json!({"id": "batch-1", "index": 0, "callback": "http://127.0.0.1:9/"});
    let run = folder.run(folder.jobs(&[job.clone()])).llm(&llm).args(["--llm-timeout-s", "30"]);
    let run = run.env("MCP_BATCH_CALLBACK_HOSTS", "127.0.0.1");
    run.args(["--patience-s", "1"]).summary().await;

    let request = llm.last_request().expect("a request");
    let body = request.json();
    assert_eq!(request.header("x-litellm-call-id"), Some("job-1"));
    assert_eq!((&body["timeout"], &body["max_tokens"]), (&json!(29.0), &json!(1024)));
    let user = body["user"].as_str().expect("a user");
    assert_eq!(user.len(), 64, "providers refuse longer ones");
    let names = json!({"job": "job-1", "tool": "summarize", "batch": "batch-1",
                       "tenant": job["tenant"], "attempt": 1});
    assert_eq!(body["metadata"]["spend_logs_metadata"], names);
    assert_eq!(body["metadata"]["tags"][0], "tool:summarize");
    assert!(!body["metadata"].to_string().contains("secret"), "inputs are nobody's account");
}

#[tokio::test]
async fn an_endpoint_that_knows_openais_fields_alone_is_sent_no_others() {
    let llm = FakeLlm::start().await;
    let folder = Folder::new();
    let mut job = summarize("job-1", "One.");
    job["tenant"] = "ann".into();
    let run = folder.run(folder.jobs(&[job])).llm(&llm).args(["--llm-api", "openai"]);
    run.summary().await;

    let request = llm.last_request().expect("a request");
    assert_eq!(request.header("x-litellm-call-id"), None);
    let body = request.json();
    let fields: Vec<&String> = body.as_object().expect("an object").keys().collect();
    for field in ["model", "messages", "max_tokens", "user"] {
        assert!(fields.iter().any(|it| *it == field), "{field}");
    }
    for field in ["timeout", "metadata"] {
        assert!(fields.iter().all(|it| *it != field), "{field}");
    }
    let ended = folder.run("none").env("MCP_BATCH_LLM_API", "azure").llm(&llm).finish().await;
    let said = "error: MCP_BATCH_LLM_API: expected litellm or openai, found “azure”";
    assert!(ended.code == Some(2) && ended.stderr.starts_with(said), "{}", ended.stderr);
}

#[tokio::test]
async fn an_answer_that_does_not_fit_is_not_asked_for_again_in_the_rest_of_a_moment() {
    let latency = Duration::from_millis(600);
    let llm = FakeLlm::builder().latency(latency).start().await;
    llm.set_default(Behaviour::answer("Quite good."));
    let folder = Folder::new();
    folder.write("tools.toml", SENTIMENT);
    let run = folder.run(folder.jobs(&[sentiment("a", "What a day!")])).llm(&llm);
    let run = run.args(["--tools", "tools.toml", "--llm-timeout-s", "1"]);
    let summary = run.args(["--max-attempts", "2"]).summary().await;

    assert_eq!(summary["exit"], 1);
    let error = &folder.results()[0]["error"];
    assert_eq!((&error["class"], &error["code"]), (&json!("exhausted"), &json!("answer_schema")));
    assert_eq!(llm.calls(), 2, "one an attempt, each with all its time");
}

#[tokio::test]
async fn no_input_and_no_key_reaches_the_log() {
    let llm = FakeLlm::start().await;
    let texts = ["Moby Dick [[400]]", "Moby Dick [[401]]", "Moby Dick [[garbage]]", "Moby Dick"];
    for level in ["info", "trace"] {
        let folder = Folder::new();
        let jobs: Vec<Value> = texts
            .iter()
            .enumerate()
            .map(|(n, text)| summarize(&format!("job-{n}"), text))
            .collect();
        let run = folder.run(folder.jobs(&jobs)).llm(&llm).args(["--patience-s", "1"]);
        let run = run.env("MCP_BATCH_LLM_API_KEY", KEY).env("MCP_BATCH_LOG", level);
        let ended = run.finish().await;
        assert!(!ended.stderr.contains("Moby") && !ended.stderr.contains("geheim"), "{ended:?}");
    }
}

#[tokio::test]
async fn what_an_upstream_says_is_told_with_the_result_and_never_logged() {
    let llm = FakeLlm::start().await;
    // Of an input, in other letters and too short to be known as such.
    llm.set_default(Status::of(400).message("I do not read ISHMAEL").into());
    let folder = Folder::new();
    let run = folder.run(folder.jobs(&[summarize("a", "Ishmael")])).llm(&llm);
    let ended = run.env("MCP_BATCH_LOG", "info").finish().await;

    let message = folder.results()[0]["error"]["message"].clone();
    assert_eq!(message, "the LLM answered 400 Bad Request: “I do not read ISHMAEL”");
    assert!(ended.stderr.contains("the LLM answered 400 Bad Request"), "{ended:?}");
    assert!(!ended.stderr.to_lowercase().contains("ishmael"), "{ended:?}");
}

#[tokio::test]
async fn an_answer_that_does_not_fit_is_not_asked_for_again_once_the_jobs_budget_is_spent() {
    for (max_cost_usd, calls) in [(0.25, 1), (0.26, 2)] {
        let llm = FakeLlm::builder().cost_usd(0.25).start().await;
        llm.set_default(Behaviour::answer("Quite good."));
        let folder = Folder::new();
        folder.write("tools.toml", SENTIMENT);
        let mut job = sentiment("a", "What a day!");
        job["max_cost_usd"] = max_cost_usd.into();
        let run = folder.run(folder.jobs(&[job])).llm(&llm);
        let summary = run.args(["--tools", "tools.toml"]).summary().await;

        let result = &folder.results()[0];
        assert_eq!((llm.calls(), &summary["failed"]), (calls, &json!(1)), "{result}");
        assert_eq!(result["error"]["code"], "answer_schema");
    }
}

#[tokio::test]
async fn what_earlier_attempts_spent_counts_towards_a_jobs_budget() {
    let llm = FakeLlm::builder().cost_usd(0.25).start().await;
    llm.script("", [Behaviour::answer(""), Behaviour::answer("Quite good.")]);
    let folder = Folder::new();
    folder.write("tools.toml", SENTIMENT);
    let mut job = sentiment("a", "What a day!");
    job["max_cost_usd"] = 0.5.into();
    let run = folder.run(folder.jobs(&[job])).llm(&llm);
    run.args(["--tools", "tools.toml"]).summary().await;

    let error = &folder.results()[0]["error"];
    assert_eq!((llm.calls(), &error["class"]), (2, &json!("exhausted")), "{error}");
}

#[tokio::test]
async fn a_router_gives_up_before_we_do_however_little_time_there_is() {
    let llm = FakeLlm::start().await;
    for (timeout_s, told) in [("1", 0.5), ("1.5", 0.75), ("3", 2.0)] {
        let folder = Folder::new();
        let run = folder.run(folder.jobs(&[summarize("a", "One.")])).llm(&llm);
        run.args(["--llm-timeout-s", timeout_s]).summary().await;
        assert_eq!(llm.last_request().expect("a request").json()["timeout"], told, "{timeout_s}");
    }
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
    let plain = format!("Incorrect API key provided: {KEY}.");
    // It would be cut in its middle.
    let late = format!("{} {KEY}", "x".repeat(285));
    let encoded = "not with c2stZ2VoZWltLTAxMjM0NTY3ODktYWJjZGVmZ2hpag==".to_owned();
    for (status, message) in [(400, &plain), (400, &late), (401, &plain), (400, &encoded)] {
        llm.set_default(Status::of(status).message(message.clone()).into());
        let (left, told) = told_with_key(&llm, "A text about whales.").await;
        assert!(told.contains(&status.to_string()), "{told}");
        assert!(!left.contains("geheim") && !left.contains("c2stZ2VoZWlt"), "{told}");
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
    llm.set_default(Status::of(400).message("the image is too large").into());
    let (_, told) = told_with_key(&llm, prompts[0]).await;
    assert!(told.ends_with(": “the image is too large”"), "{told}");
}

#[tokio::test]
async fn the_bound_of_an_answer_has_the_name_that_the_models_api_knows() {
    let llm = FakeLlm::start().await;
    let folder = Folder::new();
    let catalog = "model = \"old\"\n[models.new]\nmax_tokens_field = \"max_completion_tokens\"\n\
                   [tools.say]\ndescription = \"\"\nuser = \"Hello.\"\nmax_tokens = 77\ninput_schema = {}";
    folder.write("tools.toml", catalog);
    for (model, names) in
        [("old", [Some(77), None]), ("new", [None, Some(77)]), ("other", [Some(77), None])]
    {
        let job = json!({"id": model, "tool": "say", "input": {}, "model": model});
        let run = folder.run(folder.jobs(&[job])).llm(&llm).args(["--tools", "tools.toml"]);
        assert_eq!(run.summary().await["exit"], 0);
        let sent = llm.last_request().expect("a request").json();
        let found = ["max_tokens", "max_completion_tokens"].map(|name| sent[name].as_u64());
        assert_eq!(found, names, "{model}");
    }
}
