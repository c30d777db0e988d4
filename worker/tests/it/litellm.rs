//! The real LiteLLM with the repository's own configuration, in front of providers of ours: what it
//! makes of their answers and failures, and what the worker makes of that. `make e2e` runs these.

mod rig;

use std::time::Duration;

use mcp_batch::error::ErrorClass::{self, Configuration, Permanent, Throttled, Transient};
use mcp_batch_testkit::{Behaviour, LiteLlm, Status, wait_until};
use serde_json::{Value, json};

use self::rig::{CLAUDE, GPT, HAIKU, Rig};

/// A prompt, to which model it goes, and what becomes of it: class, code, the pause that was asked for.
type Row = (&'static str, &'static str, ErrorClass, &'static str, Option<u64>);

#[tokio::test]
#[ignore = "starts the real LiteLLM: make e2e"]
async fn every_failure_is_understood() {
    let Some(rig) = Rig::shared().await else { return };
    let rows: [Row; 27] = [
        (GPT, "[[429:3]]", Throttled, "http_429", Some(3)),
        (HAIKU, "[[429:3]]", Throttled, "http_429", Some(3)),
        (GPT, "[[quota]]", Throttled, "quota_exceeded", Some(900)),
        (HAIKU, "[[low-credit]]", Throttled, "quota_exceeded", Some(900)),
        (GPT, "[[500]]", Transient, "http_500", None),
        (HAIKU, "[[500]]", Transient, "http_500", None),
        (GPT, "[[drop]]", Transient, "http_500", None),
        (GPT, "[[garbage]]", Transient, "http_500", None),
        (GPT, "[[html]]", Transient, "http_502", None),
        (GPT, "[[503]]", Transient, "http_503", None),
        (GPT, "[[503:3]]", Throttled, "http_503", Some(3)),
        (GPT, "[[529]]", Transient, "http_529", None),
        (HAIKU, "[[529]]", Transient, "http_500", None),
        (GPT, "[[400]]", Permanent, "http_400", None),
        (HAIKU, "[[400]]", Permanent, "http_400", None),
        (GPT, "[[too-long]]", Permanent, "context_too_long", None),
        (HAIKU, "[[too-long]]", Permanent, "context_too_long", None),
        (GPT, "[[filter]]", Permanent, "content_filter", None),
        (GPT, "[[content_filter]]", Permanent, "content_filter", None),
        (HAIKU, "[[content_filter]]", Permanent, "content_filter", None),
        (GPT, "[[401]]", Configuration, "http_401", None),
        (HAIKU, "[[401]]", Configuration, "http_401", None),
        (GPT, "[[403]]", Configuration, "http_403", None),
        (HAIKU, "[[403]]", Configuration, "http_403", None),
        (GPT, "[[404]]", Configuration, "unknown_model", None),
        (HAIKU, "[[404]]", Configuration, "unknown_model", None),
        ("no-such-alias", "Hello.", Configuration, "unknown_model", None),
    ];
    let mut wrong = Vec::new();
    for (model, prompt, class, code, pause) in rows {
        let failure = rig.fail(model, prompt).await;
        let found = (failure.error.class, &*failure.error.code, failure.retry_after);
        if found != (class, code, pause.map(Duration::from_secs)) {
            wrong.push(format!("{model} {prompt}: {found:?}: {}", failure.error.message));
        }
        // What LiteLLM lost may be billed; what a provider refused is not.
        let may_be_billed = ["[[500]]", "[[drop]]", "[[garbage]]", "[[html]]"].contains(&prompt);
        if failure.is_ambiguous != may_be_billed {
            wrong.push(format!("{model} {prompt}: end seen: {}", !failure.is_ambiguous));
        }
        assert!(!failure.error.message.contains(LiteLlm::KEY), "{}", failure.error.message);
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test]
#[ignore = "starts the real LiteLLM: make e2e"]
async fn an_alias_that_the_job_itself_named_is_its_own_fault() {
    let Some(rig) = Rig::shared().await else { return };
    let failure = rig.fail_of_job_that_names("no-such-alias").await;
    assert_eq!((failure.error.class, &*failure.error.code), (Permanent, "unknown_model"));
}

#[tokio::test]
#[ignore = "starts the real LiteLLM: make e2e"]
async fn what_the_catalog_says_of_a_tool_is_blamed_for_no_job() {
    let Some(rig) = Rig::shared().await else { return };
    let openai = |message: &str, param: &str| {
        let error = json!({"message": message, "type": "invalid_request_error", "param": param,
                           "code": null});
        Behaviour::json_of(400, json!({ "error": error }).to_string())
    };
    let anthropic = |message: &str| Status::of(400).message(message.to_owned()).into();
    let rows = [
        (
            GPT,
            "Refused schema.",
            openai(
                "Invalid schema for response_format 'answer': In context=(), \
                 'additionalProperties' is required to be supplied and to be false.",
                "response_format",
            ),
        ),
        (
            GPT,
            "Refused name.",
            openai(
                "Unsupported parameter: 'max_tokens' is not supported with this model. Use \
                 'max_completion_tokens' instead.",
                "max_tokens",
            ),
        ),
        (
            GPT,
            "Refused length.",
            openai(
                "max_tokens is too large: 100000. This model supports at most 16384 completion \
                 tokens, whereas you provided 100000.",
                "max_tokens",
            ),
        ),
        (
            GPT,
            "Refused heat.",
            openai(
                "Unsupported value: 'temperature' does not support 0 with this model. Only the \
                 default (1) value is supported.",
                "temperature",
            ),
        ),
        (
            HAIKU,
            "Refused length of Claude's.",
            anthropic(
                "max_tokens: 100000 > 64000, which is the maximum allowed number of output \
                 tokens for claude-haiku-4-5",
            ),
        ),
    ];
    for (model, prompt, refusal) in rows {
        let upstream = if model == GPT { &rig.openai } else { &rig.anthropic };
        upstream.script(prompt, [refusal]);
        let error = rig.fail(model, prompt).await.error;
        let found = (error.class, &*error.code);
        assert_eq!(found, (Configuration, "tool_settings"), "{prompt} {}", error.message);
    }
}

#[tokio::test]
#[ignore = "starts the real LiteLLM: make e2e"]
async fn the_name_of_the_bound_that_a_model_wants_is_litellms_to_know() {
    let Some(rig) = Rig::shared().await else { return };
    rig.answer("reasoning", "Think!").await;
    let sent = rig.asked_of_openai("Think!").json();
    assert_eq!((&sent["max_completion_tokens"], sent.get("max_tokens")), (&json!(1024), None));
}

#[tokio::test]
#[ignore = "starts the real LiteLLM: make e2e"]
async fn a_wrong_key_and_none_are_a_matter_of_configuration() {
    let Some(rig) = Rig::shared().await else { return };
    for key in [Some("sk-wrong"), None] {
        let failure = rig.with_key(key).fail(GPT, "Hello.").await;
        let error = &failure.error;
        assert_eq!((error.class, &*error.code), (Configuration, "api_key"), "{}", error.message);
    }
}

#[tokio::test]
#[ignore = "starts the real LiteLLM: make e2e"]
async fn the_upstream_gives_up_before_we_do_and_bills_nothing_more() {
    let Some(rig) = Rig::shared().await else { return };
    let left = rig.openai.clients_left();
    let failure = rig.within(Duration::from_secs(6)).fail(GPT, "[[hang]]").await;

    // A 408 of LiteLLM's, or on a busy machine our own clock a second later.
    let error = &failure.error;
    assert_eq!((error.class, &*error.code), (Transient, "timeout"), "{}", error.message);
    assert!(failure.is_ambiguous && failure.usage.unpriced_calls == 1, "the provider may bill it");
    // That we left would not have stopped it: LiteLLM hung up by itself.
    rig.openai.wait_for_clients_left(left + 1).await;
}

#[tokio::test]
#[ignore = "starts the real LiteLLM: make e2e"]
async fn a_spent_budget_is_waited_for() {
    let Some(rig) = Rig::shared().await else { return };
    rig.answer("spent", "One.").await;
    let failure = rig.fail_in_the_end("spent").await;
    let error = &failure.error;
    assert_eq!((error.class, &*error.code), (Throttled, "budget_exceeded"), "{}", error.message);
    assert_eq!(failure.retry_after, Some(Duration::from_secs(300)));
}

#[tokio::test]
#[ignore = "starts the real LiteLLM: make e2e"]
async fn limits_of_a_deployment_are_pauses() {
    let Some(rig) = Rig::shared().await else { return };
    let failure = rig.fail_in_the_end("limited").await;
    let error = &failure.error;
    assert_eq!((error.class, &*error.code), (Throttled, "http_429"), "{}", error.message);
    assert_eq!(failure.retry_after, Some(Duration::from_secs(60)), "{}", error.message);

    let (_, failure) = tokio::join!(rig.answer("narrow", "Hold it! [[hold]]"), async {
        wait_until("it is called", || rig.openai.calls_containing("Hold it!") == 1).await;
        let failure = rig.fail("narrow", "Hello.").await;
        rig.openai.release(1);
        failure
    });
    let error = &failure.error;
    assert_eq!((error.class, &*error.code), (Throttled, "http_429"), "{}", error.message);
}

#[tokio::test]
#[ignore = "starts the real LiteLLM: make e2e"]
async fn costs_and_tokens_are_what_the_providers_count() {
    let Some(rig) = Rig::shared().await else { return };
    let gpt = rig.answer(GPT, "[[cached]]").await.usage;
    assert_eq!((gpt.input_tokens, gpt.output_tokens), (1_020, 17));
    assert_eq!((gpt.cached_input_tokens, gpt.reasoning_tokens), (900, 7));
    // 120 × 0.15 + 900 × 0.075 + 17 × 0.6, in millionths.
    assert_eq!((gpt.cost_usd, gpt.unpriced_calls), (Some(0.000_095_7), 0));

    let claude = rig.answer(HAIKU, "[[cached]]").await.usage;
    assert_eq!((claude.input_tokens, claude.output_tokens), (1_020, 17));
    assert_eq!((claude.cached_input_tokens, claude.cache_write_tokens), (900, 100));
    // 20 × 1 + 900 × 0.1 + 100 × 1.25 + 17 × 5, in millionths.
    assert_eq!((claude.cost_usd, claude.unpriced_calls), (Some(0.000_32), 0));

    let unpriced = rig.answer("unpriced", "Hello.").await.usage;
    assert_eq!((unpriced.cost_usd, unpriced.unpriced_calls), (None, 1), "unknown is not zero");
}

#[tokio::test]
#[ignore = "starts the real LiteLLM: make e2e"]
async fn an_answer_that_was_cut_off_is_flagged() {
    let Some(rig) = Rig::shared().await else { return };
    for model in [GPT, HAIKU] {
        let outcome = rig.answer(model, "[[length]]").await;
        assert_eq!(outcome.usage.truncated_results, 1, "{model}");
    }
}

#[tokio::test]
#[ignore = "starts the real LiteLLM: make e2e"]
async fn a_fallback_says_who_answered() {
    let Some(rig) = Rig::shared().await else { return };
    rig.anthropic.script("Fall back!", [Behaviour::from(Status::of(500))]);

    let usage = rig.answer(CLAUDE, "Fall back!").await.usage;

    assert_eq!((usage.requested_model.as_deref(), usage.fallbacks), (Some(CLAUDE), 1));
    assert!(usage.model.as_deref().is_some_and(|model| model.contains("gpt-4o-mini")), "{usage:?}");
    assert!(usage.cost_usd > Some(0.0), "{usage:?}");
}

#[tokio::test]
#[ignore = "starts the real LiteLLM: make e2e"]
async fn of_whose_call_it_is_the_provider_learns_the_user_alone() {
    let Some(rig) = Rig::shared().await else { return };
    rig.answer(GPT, "Who is asking?").await;

    let sent = rig.asked_of_openai("Who is asking?");
    let body = sent.json();
    assert_eq!((&body["user"], &body["max_tokens"]), (&json!("tenant-1"), &json!(1024)));
    for unseen in ["metadata", "timeout"] {
        assert_eq!(body.get(unseen), None, "{body}");
    }
    assert!(!body.to_string().contains("batch-1"), "{body}");
    assert_eq!(sent.header("authorization"), Some(&*format!("Bearer {}", LiteLlm::OPENAI_KEY)));
}

#[tokio::test]
#[ignore = "starts the real LiteLLM: make e2e"]
async fn a_schema_reaches_the_provider_and_a_misfit_is_asked_for_again() {
    let Some(rig) = Rig::shared().await else { return };
    rig.openai.script("Judge!", [Behaviour::answer("Good.")]);
    rig.openai.script("was refused", [Behaviour::Json(json!({"feeling": "good"}))]);

    let outcome = rig.judge("Judge!").await;

    assert_eq!(outcome.result, json!({"feeling": "good"}));
    let asked = rig.asked_of_openai("was refused").json();
    assert_eq!(asked["response_format"]["json_schema"]["schema"]["required"], json!(["feeling"]));
}

#[tokio::test]
#[ignore = "starts the real LiteLLM: make e2e"]
async fn a_whole_run_goes_through_it() {
    let Some(rig) = Rig::shared().await else { return };
    let summary: Value = rig.run(100).await;
    assert_eq!((&summary["exit"], &summary["succeeded"]), (&json!(0), &json!(100)), "{summary}");
    assert!(summary["tools"]["summarize"]["cost_usd"].as_f64() > Some(0.0), "{summary}");
    assert_eq!(summary["tools"]["summarize"]["unpriced_calls"], 0);
}
