//! What is not the job's fault: pauses that an LLM asks for, and refusals of whoever asks. Neither
//! counts an attempt or kills a job.

use std::time::Duration;

use mcp_batch_testkit::{Behaviour, FakeLlm, Status};
use serde_json::{Value, json};

use crate::helpers::{Folder, Run, apart, summarize};

#[tokio::test]
async fn a_pause_that_is_asked_for_is_kept_and_counts_no_attempt() {
    let waits: [(Behaviour, u64); 7] = [
        // A key's own limit in LiteLLM, a deployment's.
        (Status::of(429).header("rate_limit_type", "requests").retry_after("1").into(), 1),
        (Status::of(429).kind("throttling_error").provider_retry_after("1").into(), 1),
        (Behaviour::throttled("1"), 1),
        (Behaviour::throttled_by_provider("1"), 1),
        (Status::of(503).retry_after("1").into(), 1),
        // The longer of two.
        (Status::of(429).retry_after("0").provider_retry_after("1").into(), 1),
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

    assert_eq!((&summary["exit"], &summary["tool_calls"]), (&json!(0), &json!(14)));
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

/// Runs six jobs of one upstream, one at a time, of whose calls the first get `refusals`; gives
/// the summary and the pause before the call after those.
async fn six_jobs(refusals: Vec<Behaviour>) -> (Value, Duration) {
    let llm = FakeLlm::builder().record(true).start().await;
    let refused = refusals.len();
    llm.script("", refusals.into_iter().chain([Behaviour::Echo]));
    let folder = Folder::new();
    let jobs: Vec<Value> = (0..6).map(|n| summarize(&format!("job-{n}"), "One.")).collect();

    let run = folder.run(folder.jobs(&jobs)).llm(&llm).args(["--concurrency", "1"]);
    let summary = run.summary().await;

    let requests = llm.requests();
    assert_eq!(requests.len(), refused + 6);
    (summary, requests[refused].at().duration_since(requests[refused - 1].at()))
}

#[tokio::test]
async fn a_pause_asked_for_by_one_job_is_kept_by_all_of_its_upstream() {
    let (summary, pause) = six_jobs(vec![Behaviour::throttled("1")]).await;
    assert_eq!((&summary["exit"], &summary["succeeded"]), (&json!(0), &json!(6)));
    assert!(pause >= Duration::from_secs(1), "{pause:?}");
}

#[tokio::test]
async fn an_upstream_that_asks_for_no_pause_again_and_again_is_left_alone_all_the_same() {
    for status in [429, 503] {
        let refusal = || Behaviour::from(Status::of(status).retry_after("0"));
        let (summary, pause) = six_jobs(vec![refusal(), refusal(), refusal()]).await;
        assert_eq!((&summary["exit"], &summary["succeeded"]), (&json!(0), &json!(6)));
        assert!(pause >= Duration::from_secs(2), "{status}: {pause:?}");
    }
}

#[tokio::test]
async fn an_upstream_that_only_fails_is_left_alone_for_a_while() {
    let (summary, pause) = six_jobs(vec![Behaviour::status(500); 10]).await;
    assert_eq!((&summary["exit"], &summary["succeeded"]), (&json!(0), &json!(6)));
    assert!(pause >= Duration::from_secs(2), "{pause:?}");
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
        (Status::of(401).kind("auth_error").into(), "api_key"),
        (Status::of(400).kind("no_db_connection").into(), "api_key"),
        (Status::of(404).message("litellm.NotFoundError: model: claude-0").into(), "unknown_model"),
        (Behaviour::model_not_found(), "unknown_model"),
        (Behaviour::status(402), "http_402"),
        (Behaviour::json_of(301, "{}"), "http_301"),
        (Behaviour::not_found(), "http_404"),
        (
            Behaviour::json_of(
                404,
                r#"{"error": {"message": "The model `m` does not exist.", "type": null, "code": "404"}}"#,
            ),
            "http_404",
        ),
        (Behaviour::json_of(405, r#"{"detail": "Method Not Allowed"}"#), "http_405"),
        (Behaviour::json_of(410, ""), "http_410"),
        (
            Status::of(400)
                .message("litellm.BadRequestError: Invalid schema for response_format 'answer'")
                .into(),
            "tool_settings",
        ),
        (
            Behaviour::json_of(
                400,
                r#"{"error": {"message": "no", "param": "max_tokens", "code": "unsupported_parameter"}}"#,
            ),
            "tool_settings",
        ),
        (
            Behaviour::json_of(422, r#"{"detail": [{"loc": ["body", "timeout"], "msg": "no"}]}"#),
            "llm_api",
        ),
    ];
    let jobs: Vec<Value> = (0..8).map(|n| summarize(&format!("job-{n}"), "One.")).collect();
    let mut runs = Vec::new();
    for (fault, code) in faults {
        let llm = FakeLlm::builder().default_behaviour(fault).start().await;
        let folder = Folder::new();
        let running = one_attempt(&folder, &jobs, &llm).args(["--json"]).start();
        runs.push((folder, llm, running, code));
    }
    for (folder, llm, running, code) in runs {
        let ended = running.finish().await;

        let summary: Value = serde_json::from_str(&ended.stdout).expect("a summary");
        assert_eq!((ended.code, &summary["waiting"]), (Some(1), &json!(8)), "{code}");
        assert_eq!(summary["stopped_by"]["code"], code);
        let refused = llm.calls();
        assert!((3..8).contains(&refused), "{code}: about one each time the gate opens: {refused}");
        for result in folder.results() {
            assert_eq!(result["status"], "waiting", "{result}");
            assert_eq!(result["error"]["class"], "configuration");
            assert_eq!(result["error"]["code"], code);
        }

        llm.set_default(Behaviour::Echo);
        let next = one_attempt(&folder, &jobs, &llm).summary().await;
        assert_eq!((&next["exit"], llm.calls()), (&json!(0), refused + 8), "{code}");
        assert!(folder.results().iter().all(|result| result["attempts"] == 1), "none counted");
    }
}

#[tokio::test]
async fn what_is_wrong_with_one_tool_closes_its_model_to_no_other() {
    let llm = FakeLlm::builder().cost_usd(0.001).start().await;
    let message = "Invalid schema for response_format 'answer': no";
    llm.script("Judge", vec![Status::of(400).message(message).into(); 50]);
    let folder = Folder::new();
    let tool = |name: &str| {
        format!("[tools.{name}]\ndescription = \"\"\nuser = \"{name} this\"\ninput_schema = {{}}\n")
    };
    folder.write("tools.toml", format!("model = \"m\"\n{}{}", tool("Judge"), tool("say")));
    let job =
        |tool: &str, n: usize| json!({"id": format!("{tool}-{n}"), "tool": tool, "input": {}});
    // The first ones are refused before any other is begun.
    let mut jobs: Vec<Value> = (0..4).map(|n| job("Judge", n)).collect();
    jobs.extend((0..40).map(|n| job("say", n)));
    let run = folder.run(folder.jobs(&jobs)).llm(&llm);
    let run = run.args(["--tools", "tools.toml", "--concurrency", "1"]);
    let summary = run.args(["--max-attempts", "1"]).summary().await;

    let counts = ["succeeded", "waiting", "failed"].map(|name| summary[name].as_u64());
    assert_eq!(counts, [Some(40), Some(4), Some(0)], "{summary}");
    let results = folder.results_by_id();
    let error = &results["Judge-0"]["error"];
    assert_eq!(
        (&error["class"], &error["code"]),
        (&json!("configuration"), &json!("tool_settings"))
    );
    let told = error["message"].as_str().expect("a message");
    assert!(
        told.contains("Invalid schema") && told.contains("answer_schema in the catalog"),
        "{told}"
    );
    // Who names a model may have named one that does not take it.
    let named = json!({"id": "named", "tool": "Judge", "input": {}, "model": "another"});
    let run = folder.run(folder.jobs(&[named])).llm(&llm).args(["--tools", "tools.toml"]);
    run.summary().await;
    let error = &folder.results_by_id()["named"]["error"];
    assert_eq!((&error["class"], &error["code"]), (&json!("permanent"), &json!("tool_settings")));
}

#[tokio::test]
async fn whoever_has_no_money_left_is_parked_and_seen_to_be() {
    let refusals = [
        (Behaviour::budget_exceeded(), "budget_exceeded"),
        (
            Status::of(429).message("Deployment over budget: crossed budget").into(),
            "budget_exceeded",
        ),
        (
            Behaviour::json_of(
                400,
                r#"{"error": {"message": "Budget has been exceeded! Current cost: 1.01, Max budget: 1.0", "type": null, "param": null, "code": "400"}}"#,
            ),
            "budget_exceeded",
        ),
        (Behaviour::quota_spent(), "quota_exceeded"),
        (Behaviour::low_credit(), "quota_exceeded"),
    ];
    for (refusal, code) in refusals {
        let llm = FakeLlm::builder().default_behaviour(refusal).start().await;
        let folder = Folder::new();
        let jobs = [summarize("a", "One."), summarize("b", "Two.")];
        let running = one_attempt(&folder, &jobs, &llm).args(["--json"]).start();
        llm.wait_for_calls(1).await;
        running.interrupt();
        let ended = running.finish().await;

        let summary: Value = serde_json::from_str(&ended.stdout).expect("a summary");
        assert_eq!((ended.code, &summary["waiting"]), (Some(1), &json!(2)), "{code}");
        assert!(summary["waiting_for"][code].as_u64() >= Some(1), "{summary}");
        assert_eq!(llm.calls(), 1, "the second is not claimed to learn the same");

        llm.set_default(Behaviour::Echo);
        let next = one_attempt(&folder, &jobs, &llm).summary().await;
        assert_eq!((&next["exit"], llm.calls()), (&json!(0), 3), "{code}");
        assert!(folder.results().iter().all(|result| result["attempts"] == 1), "none counted");
    }
}

#[tokio::test]
async fn deployments_that_cool_down_for_ever_are_a_matter_of_configuration() {
    let cooling = Status::of(429).kind("all_deployments_in_cooldown").retry_after("0.05");
    let llm = FakeLlm::builder().default_behaviour(cooling.into()).start().await;
    let folder = Folder::new();

    let run = one_attempt(&folder, &[summarize("a", "One.")], &llm);
    let summary = run.summary().await;

    assert_eq!(summary["stopped_by"]["code"], "all_deployments_in_cooldown", "{summary}");
    assert_eq!(summary["stopped_by"]["class"], "configuration");
    assert!((11..=15).contains(&llm.calls()), "{}", llm.calls());
    assert_eq!(folder.results()[0]["status"], "waiting", "no job is killed for it");
}

fn one_attempt<'a>(folder: &'a Folder, jobs: &[Value], llm: &FakeLlm) -> Run<'a> {
    let run = folder.run(folder.jobs(jobs)).llm(llm);
    run.args(["--max-attempts", "1", "--concurrency", "1"])
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
async fn a_tool_that_needs_an_llm_waits_for_one() {
    let folder = Folder::new();
    let catalog =
        "[tools.sing]\ndescription = \"\"\nuser = \"Sing!\"\ninput_schema = {}\nmodel = \"m\"";
    folder.write("tools.toml", catalog);
    let jobs = folder.jobs(&[json!({"id": "a", "tool": "sing", "input": {}})]);
    let run = || folder.run(&jobs).args(["--tools", "tools.toml"]);

    let offline = run().summary().await;
    assert_eq!((&offline["exit"], &offline["waiting"]), (&json!(1), &json!(1)));
    assert_eq!(folder.results()[0]["error"]["code"], "no_llm");

    let llm = FakeLlm::start().await;
    assert_eq!(run().llm(&llm).summary().await["exit"], 0);
    assert_eq!(folder.results()[0]["attempts"], 1);
}
