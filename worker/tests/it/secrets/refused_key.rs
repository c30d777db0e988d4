//! An LLM that refuses the key: it may have been replaced, or be wrong.

use std::time::{Duration, Instant};

use mcp_batch::{error::ErrorClass, tool::Tools};
use mcp_batch_testkit::{Behaviour, FakeLlm, Status};
use serde_json::json;
use tokio::task::JoinSet;

use super::rig::{Hand, Told, call, call_within, catalog, catalog_with, job, llm_key, open};
use crate::helpers::{Folder, Log, summarize};

const OLD: &str = "sk-old-geheim-0123456789";
const NEW: &str = "sk-new-geheim-0123456789";

#[tokio::test]
async fn a_refused_key_is_read_anew_and_the_call_succeeds_with_the_new_one() {
    let llm = FakeLlm::builder().record(true).start().await;
    let vault = Told::new(&llm_key(OLD));
    let secrets = open(&vault, &Hand::default()).await;
    let catalog = catalog(&llm, &secrets);
    llm.require_key(OLD);
    call(&catalog, "before").await.expect("an answer");

    llm.require_key(NEW);
    vault.say(&llm_key(NEW));
    call(&catalog, "during").await.expect("an answer");
    call(&catalog, "after").await.expect("an answer");

    let shown = llm.requests();
    let shown: Vec<_> = shown.iter().filter_map(|call| call.header("authorization")).collect();
    let (old, new) = (format!("Bearer {OLD}"), format!("Bearer {NEW}"));
    assert_eq!(shown, [&old, &old, &new, &new]);
    assert_eq!(vault.reads(), 2, "at the start, and once after the refusal");
}

#[tokio::test]
async fn many_calls_that_are_refused_at_once_share_one_reading() {
    let llm = FakeLlm::start().await;
    let vault = Told::new(&llm_key(OLD));
    let secrets = open(&vault, &Hand::default()).await;
    llm.require_key(NEW);
    vault.say(&llm_key(NEW));

    let mut calls = JoinSet::new();
    for number in 0..50 {
        let catalog = catalog(&llm, &secrets);
        calls.spawn(async move { call(&catalog, &format!("job-{number}")).await });
    }

    for answer in calls.join_all().await {
        answer.expect("an answer with the new key");
    }
    assert_eq!((vault.reads(), llm.calls()), (2, 100));
}

#[tokio::test]
async fn a_key_that_is_simply_wrong_is_read_anew_no_more_than_every_five_seconds() {
    let llm = FakeLlm::start().await;
    let (vault, hand) = (Told::new(&llm_key(OLD)), Hand::default());
    let secrets = open(&vault, &hand).await;
    let catalog = catalog(&llm, &secrets);
    llm.require_key(NEW);

    for number in 0..20 {
        let failure = call(&catalog, &format!("job-{number}")).await.expect_err("refused");
        assert_eq!(failure.error.class, ErrorClass::Configuration);
        hand.turn(Duration::from_secs(1));
    }

    assert_eq!(vault.reads(), 1 + 4, "20 refusals in 20 seconds");
    assert_eq!(llm.calls(), 20, "the same key is not shown twice for one call");
}

#[tokio::test]
async fn a_new_key_that_cannot_be_used_is_as_good_as_the_old_one() {
    let llm = FakeLlm::start().await;
    let vault = Told::new(&llm_key(OLD));
    let secrets = open(&vault, &Hand::default()).await;
    let catalog = catalog(&llm, &secrets);
    llm.require_key(NEW);
    vault.say(&llm_key("two words"));

    let failure = call(&catalog, "a").await.expect_err("refused");

    assert_eq!((failure.error.class, llm.calls()), (ErrorClass::Configuration, 1));
}

#[tokio::test]
async fn a_vault_that_never_answers_keeps_no_call_beyond_its_time() {
    let llm = FakeLlm::start().await;
    let vault = Told::new(&llm_key(OLD));
    let secrets = open(&vault, &Hand::default()).await;
    let catalog = catalog(&llm, &secrets);
    llm.require_key(NEW);
    vault.hang();

    let failure = call_within(&catalog, "a", Duration::from_millis(300)).await;

    let failure = failure.expect_err("refused");
    assert_eq!((failure.error.class, vault.reads()), (ErrorClass::Configuration, 2));
}

#[tokio::test]
async fn a_call_with_a_renewed_key_counts_towards_the_rate_and_is_not_made_beyond_it() {
    // Calls a minute: another may be made 0.2 s later, or a minute.
    for (rate, calls) in [(300, 2), (1, 1)] {
        let llm = FakeLlm::start().await;
        let vault = Told::new(&llm_key(OLD));
        let secrets = open(&vault, &Hand::default()).await;
        let limit = format!("[models.m]\nrate_per_minute = {rate}");
        let catalog = catalog_with(&limit, &llm, &secrets);
        llm.require_key(NEW);
        vault.say(&llm_key(NEW));
        let mut passes = catalog.gates(&job("a")).enter().expect("they are open");
        passes.use_up();
        let began = Instant::now();

        let ended = call_within(&catalog, "a", Duration::from_secs(5)).await;

        assert_eq!((ended.is_ok(), llm.calls()), (calls == 2, calls), "{rate}: {ended:?}");
        assert!(calls == 1 || began.elapsed() > Duration::from_millis(150), "it waits its turn");
    }
}

#[tokio::test]
async fn a_litellm_without_a_database_refuses_keys_in_words_of_its_own() {
    let llm = FakeLlm::start().await;
    let vault = Told::new(&llm_key(OLD));
    let secrets = open(&vault, &Hand::default()).await;
    let catalog = catalog(&llm, &secrets);
    vault.say(&llm_key(NEW));
    let refusal = Status::of(400).kind("no_db_connection");
    llm.script("The text", [refusal.into(), Behaviour::Echo]);

    call(&catalog, "a").await.expect("an answer");

    assert_eq!((llm.calls(), vault.reads()), (2, 2));
}

#[tokio::test]
async fn neither_log_nor_error_repeats_a_key() {
    let log = Log::start();
    let llm = FakeLlm::start().await;
    let vault = Told::new(&llm_key(OLD));
    let secrets = open(&vault, &Hand::default()).await;
    let catalog = catalog(&llm, &secrets);
    vault.say(&llm_key(NEW));
    let repeats = |key: &str| {
        let error = json!({"error": {"message": format!("No such key: {key}"), "type": "auth"}});
        Behaviour::json_of(401, error.to_string())
    };
    llm.script("The text", [repeats(OLD), repeats(NEW)]);

    let failure = call(&catalog, "a").await.expect_err("refused");

    assert!(failure.error.message.contains("No such key: [key]"), "{}", failure.error.message);
    assert_eq!(llm.calls(), 2);
    for text in [format!("{failure:?}"), format!("{secrets:?}"), log.text()] {
        assert!(!text.contains("geheim"), "{text}");
    }
    assert!(log.text().contains("the secret has changed"), "the log was read");
}

#[tokio::test]
async fn the_same_names_work_as_environment_variables() {
    let llm = FakeLlm::start().await;
    llm.require_key(NEW);
    let folder = Folder::new();
    let run = folder.run(folder.jobs(&[summarize("a", "A text.")])).llm(&llm);

    let summary = run.env("MCP_BATCH_LLM_API_KEY", NEW).summary().await;

    assert_eq!(summary["succeeded"], 1);
}
