//! What calls are said to cost: by the router's headers, by the catalog's prices, or not at all.

use mcp_batch_testkit::{Behaviour, FakeLlm, FakeLlmBuilder, Status};
use serde_json::{Value, json};

use crate::helpers::{Folder, summarize};

/// What the one job of a run used, behind such an LLM, with these tables in the catalog.
async fn used(llm: FakeLlmBuilder, text: &str, tables: &str) -> Value {
    let llm = llm.start().await;
    let folder = Folder::new();
    let catalog = "model = \"asked\"\n[tools.summarize]\ndescription = \"\"\n\
                   user = \"{{ text }}\"\ninput_schema = {}\n";
    folder.write("tools.toml", format!("{catalog}{tables}"));
    let run = folder.run(folder.jobs(&[summarize("a", text)])).llm(&llm);
    run.args(["--tools", "tools.toml", "--max-attempts", "1"]).summary().await;
    folder.results()[0]["usage"].clone()
}

const PRICES: &str = "[models.asked]\ninput_usd_per_million_tokens = 2.0\n\
                      cached_input_usd_per_million_tokens = 0.5\n\
                      output_usd_per_million_tokens = 10.0\n";

#[tokio::test]
async fn a_cost_is_read_without_the_noise_of_binary_fractions() {
    for (told, cost) in [
        ("7.8e-06", "0.0000078"),
        ("2.9999999999999997e-05", "0.00003"),
        ("0.30000000000000004", "0.3"),
        (" 1E-3 ", "0.001"),
        ("0.0", "0.0"),
    ] {
        let llm = FakeLlm::builder().answer_header("x-litellm-response-cost", told);
        let usage = used(llm, "One.", "").await;
        let expected: f64 = cost.parse().expect("a number");
        assert_eq!((&usage["cost_usd"], &usage["unpriced_calls"]), (&json!(expected), &json!(0)));
    }
}

#[tokio::test]
async fn a_cost_that_makes_no_sense_is_unknown() {
    for told in ["-0.01", "NaN", "inf", "-inf", "1e300", "10001", "", "0,5", "None", "0x10"] {
        let llm = FakeLlm::builder().answer_header("x-litellm-response-cost", told);
        let usage = used(llm, "One.", "").await;
        assert_eq!(
            (&usage["cost_usd"], &usage["unpriced_calls"]),
            (&Value::Null, &json!(1)),
            "{told}"
        );
    }
}

#[tokio::test]
async fn without_a_cost_the_catalogs_prices_hold_and_a_told_cost_goes_before_them() {
    // 1,020 tokens, 900 of them cached, and 17 answered: 120 × 2 + 900 × 0.5 + 17 × 10, a million of it.
    let usage = used(FakeLlm::builder(), "[[cached]]", PRICES).await;
    assert_eq!((&usage["cost_usd"], &usage["unpriced_calls"]), (&json!(0.000_86), &json!(0)));

    let told = FakeLlm::builder().cost_usd(0.25);
    assert_eq!(used(told, "[[cached]]", PRICES).await["cost_usd"], 0.25);
    let hit = FakeLlm::builder().cost_usd(0.25).answer_header("x-litellm-cache-key", "k");
    assert_eq!(used(hit, "[[cached]]", PRICES).await["cost_usd"], 0.0);
    let nonsense = FakeLlm::builder().answer_header("x-litellm-response-cost", "NaN");
    assert_eq!(used(nonsense, "[[cached]]", PRICES).await["cost_usd"], 0.000_86);
}

#[tokio::test]
async fn a_fallback_is_told_and_never_priced_as_the_model_that_was_asked() {
    let fallback = || {
        let llm = FakeLlm::builder().answer_header("x-litellm-attempted-fallbacks", "1");
        let llm = llm.answer_header("x-litellm-attempted-retries", "2");
        llm.answer_header("x-litellm-model-group", "other")
    };
    let usage = used(fallback(), "[[cached]]", PRICES).await;
    assert_eq!((&usage["cost_usd"], &usage["unpriced_calls"]), (&Value::Null, &json!(1)));
    assert_eq!((&usage["requested_model"], &usage["fallbacks"]), (&json!("asked"), &json!(1)));
    assert_eq!(usage["retries"], 2);

    let prices = PRICES.replace("models.asked", "models.other");
    assert_eq!(used(fallback(), "[[cached]]", &prices).await["cost_usd"], 0.000_86);
}

#[tokio::test]
async fn every_kind_of_token_is_kept() {
    let usage = used(FakeLlm::builder().cost_usd(0.5), "[[cached]]", "").await;
    let expected = json!({
        "input_tokens": 1020, "cached_input_tokens": 900, "output_tokens": 17,
        "reasoning_tokens": 7, "cost_usd": 0.5, "unpriced_calls": 0, "model": "asked",
        "requested_model": "asked",
    });
    assert_eq!(usage, expected);
}

#[tokio::test]
async fn a_bill_that_makes_no_sense_loses_no_answer() {
    let bills = [
        json!(null),
        json!("free"),
        json!([1]),
        json!({"prompt_tokens": -5, "completion_tokens": 1.5}),
        json!({"prompt_tokens": 1e300, "prompt_tokens_details": {"cached_tokens": "all"}}),
        json!({"prompt_tokens": 5, "prompt_tokens_details": null,
               "cache_read_input_tokens": 18_446_744_073_709_551_615_u64}),
    ];
    for bill in bills {
        let message = json!({"message": {"content": "Fine."}, "finish_reason": "stop"});
        let body = json!({"model": "m".repeat(9_000), "choices": [message], "usage": bill});
        let behaviour = Behaviour::json_of(200, body.to_string());
        let usage = used(FakeLlm::builder().default_behaviour(behaviour), "One.", PRICES).await;
        assert!(usage["model"].as_str().is_some_and(|model| model.len() == 128), "{usage}");
        let cached = usage["cached_input_tokens"].as_u64().unwrap_or(0);
        assert!(usage["input_tokens"].as_u64() >= Some(cached), "{usage}");
        assert!(usage["cost_usd"].as_f64().unwrap_or(0.0) < 0.001, "{usage}");
    }
}

#[tokio::test]
async fn whatever_was_billed_before_the_last_answer_is_added_up() {
    let llm = FakeLlm::builder().cost_usd(0.1).start().await;
    // Cut off in its middle, with a head that told its cost; empty, with no word of it; then good.
    llm.script("One.", [Behaviour::HalfBody, Behaviour::EmptyChoices, Behaviour::Echo]);
    let folder = Folder::new();
    folder.run(folder.jobs(&[summarize("a", "One.")])).llm(&llm).summary().await;

    let result = &folder.results()[0];
    assert_eq!((&result["attempts"], &result["status"]), (&json!(3), &json!("succeeded")));
    let usage = &result["usage"];
    assert_eq!((&usage["cost_usd"], &usage["unpriced_calls"]), (&json!(0.2), &json!(1)), "{usage}");
    assert_eq!(llm.calls(), 3);
}

#[tokio::test]
async fn a_refusal_that_tells_a_cost_was_billed_and_one_that_tells_none_may_have_been() {
    let failed = |cost: &str| Status::of(500).header("x-litellm-response-cost", cost);
    for (cost, known, unpriced) in [("0.25", json!(0.35), 0), ("0.0", json!(0.1), 1)] {
        let llm = FakeLlm::builder().cost_usd(0.1).start().await;
        llm.script("One.", [failed(cost).into(), Behaviour::Echo]);
        let folder = Folder::new();
        folder.run(folder.jobs(&[summarize("a", "One.")])).llm(&llm).summary().await;
        let usage = &folder.results()[0]["usage"];
        assert_eq!((&usage["cost_usd"], &usage["unpriced_calls"]), (&known, &json!(unpriced)));
    }
}
