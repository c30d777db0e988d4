//! When a secret is read anew, and what comes of values that cannot be used.

use std::{sync::Arc, time::Duration};

use mcp_batch::{
    config::{Keys, Source},
    secret::Secrets,
};
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use super::rig::{Hand, Told, llm_key, open};
use crate::helpers::Log;

const MINUTE: Duration = Duration::from_mins(1);

/// A value of the secret, as a catalog would name it.
fn named(secrets: &Secrets, name: &str) -> Option<String> {
    secrets.current().named(name).map(|value| value.expose_secret().to_owned())
}

#[tokio::test]
async fn values_are_kept_for_five_minutes_and_read_anew_by_the_first_batch_after_that() {
    let (vault, hand) = (Told::new(&json!({"TOKEN": "one"})), Hand::default());
    let secrets = open(&vault, &hand).await;
    vault.say(&json!({"TOKEN": "two"}));

    hand.turn(Duration::from_millis(299_999));
    secrets.keep_fresh().await;
    assert_eq!((named(&secrets, "TOKEN").as_deref(), vault.reads()), (Some("one"), 1));

    hand.turn(Duration::from_millis(1));
    // Batches that come at once do not wait for each other.
    tokio::join!(secrets.keep_fresh(), secrets.keep_fresh(), secrets.keep_fresh());
    assert_eq!((named(&secrets, "TOKEN").as_deref(), vault.reads()), (Some("two"), 2));
}

#[tokio::test]
async fn a_vault_that_cannot_be_read_leaves_the_old_values_and_is_asked_again_soon() {
    let (vault, hand) = (Told::new(&json!({"TOKEN": "one"})), Hand::default());
    let secrets = open(&vault, &hand).await;
    let log = Log::start();
    vault.fall_silent();

    for _ in 0..10 {
        hand.turn(MINUTE);
        secrets.keep_fresh().await;
        secrets.keep_fresh().await;
    }
    assert_eq!((named(&secrets, "TOKEN").as_deref(), vault.reads()), (Some("one"), 1 + 6));
    assert!(log.text().contains("the vault is shut"), "{}", log.text());

    vault.say(&json!({"TOKEN": "two"}));
    hand.turn(MINUTE);
    secrets.keep_fresh().await;
    assert_eq!(named(&secrets, "TOKEN").as_deref(), Some("two"));
}

#[tokio::test]
async fn values_that_cannot_be_used_leave_the_old_ones_and_are_not_told() {
    let sound = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let bad: [(Value, &str); 5] = [
        (json!({"MCP_BATCH_CALLBACK_SECRETS": "whsec_geheim"}), "MCP_BATCH_CALLBACK_SECRETS in"),
        (json!({"MCP_BATCH_LLM_API_KEY": "geheim §"}), "MCP_BATCH_LLM_API_KEY in the secret"),
        (json!({"MCP_BATCH_CALLBACK_HEADER": "geheim"}), "expected Name: value"),
        (json!({"MCP_BATCH_CALLBACK_SECRETS": ["geheim"]}), "found an array in MCP_BATCH_CALLBACK"),
        (json!("geheim"), "expected a JSON object of strings, found a string"),
    ];
    for (values, told) in bad {
        let vault = Told::new(&json!({"MCP_BATCH_CALLBACK_SECRETS": sound, "TOKEN": "one"}));
        let hand = Hand::default();
        let secrets = open(&vault, &hand).await;
        let log = Log::start();

        vault.say(&values);
        hand.turn(MINUTE * 5);
        secrets.keep_fresh().await;

        assert_eq!(named(&secrets, "TOKEN").as_deref(), Some("one"), "{told}");
        assert_eq!(secrets.current().signing.len(), 1, "{told}");
        let text = log.text();
        assert!(text.contains(told) && !text.contains("geheim"), "{text}");

        let start = Secrets::open(Source::default(), vault, hand.clock()).await;
        let error = start.expect_err("nothing to start with").to_string();
        assert!(error.contains(told) && !error.contains("geheim"), "{error}");
    }
}

#[tokio::test]
async fn the_secret_goes_before_flags_and_flags_before_the_environment() {
    let environment = ["TOKEN", "PORT", "HOST"].map(|name| (name.to_owned(), "env".to_owned()));
    let base = Source::of(environment).with("PORT", Some("typed")).with("TOKEN", Some("typed"));
    let vault = Told::new(&json!({"TOKEN": "secret", "PORT": ""}));
    let secrets = Secrets::open(base, vault, Hand::default().clock()).await.expect("opened");

    let names = ["TOKEN", "PORT", "HOST", "NOWHERE"].map(|name| named(&secrets, name));
    let names: Vec<_> = names.iter().map(Option::as_deref).collect();
    assert_eq!(names, [Some("secret"), Some("typed"), Some("env"), None]);
}

#[tokio::test]
async fn a_setting_of_the_secret_that_is_wrong_is_named_but_not_repeated() {
    let vault = Told::new(&json!({"MCP_BATCH_MAX_ATTEMPTS": "geheim"}));
    let secrets = open(&vault, &Hand::default()).await;
    let error = mcp_batch::config::policy(secrets.current().source()).expect_err("no number");
    assert_eq!(
        error.to_string(),
        "MCP_BATCH_MAX_ATTEMPTS in the secret: expected a number from 1 to 1000, found something \
         else"
    );
}

#[test]
fn nothing_that_holds_secrets_shows_them() {
    let names = ["MCP_BATCH_LLM_API_KEY", "MCP_BATCH_CALLBACK_HEADER", "TOKEN"];
    let values = names.map(|name| (name.to_owned(), "X-Key:geheim".to_owned()));
    let source = Source::of(values).with("PASSWORD", Some("geheim"));
    let source = source
        .with("MCP_BATCH_CALLBACK_SECRETS", Some("whsec_Z2VoZWltZ2VoZWltZ2VoZWltZ2VoZWltZ2VoZWlt"));
    let shown = format!("{source:?} {:?}", Keys::read(source.clone()).expect("sound"));
    for hidden in ["geheim", "Z2VoZWlt", "103, 101"] {
        assert!(!shown.contains(hidden), "{shown}");
    }
    assert!(shown.contains("TOKEN"), "{shown}");
}

#[tokio::test]
async fn keys_that_did_not_change_stay_the_same() {
    let (vault, hand) = (Told::new(&llm_key("one")), Hand::default());
    let secrets = open(&vault, &hand).await;
    let before = secrets.current();
    hand.turn(MINUTE * 5);
    secrets.keep_fresh().await;
    assert!(Arc::ptr_eq(&before, &secrets.current()));
}

#[tokio::test]
async fn a_refusal_of_keys_that_were_replaced_meanwhile_reads_nothing() {
    let (vault, hand) = (Told::new(&llm_key("one")), Hand::default());
    let secrets = open(&vault, &hand).await;
    let refused = secrets.current();
    vault.say(&llm_key("two"));
    hand.turn(MINUTE * 5);
    secrets.keep_fresh().await;

    let renewed = secrets.renew(&refused).await;

    assert!(renewed.llm != refused.llm && vault.reads() == 2, "{} readings", vault.reads());
}
