//! Servers that want an access token: whom it is asked of, how long it is used, what is told of it.

use std::{sync::Arc, time::Duration};

use mcp_batch::error::ErrorClass;
use mcp_batch_testkit::FakeMcp;
use serde_json::json;
use tokio::{task::JoinSet, time::sleep};

use super::rig::{call, catalog_with, text};

const OAUTH: &str =
    "oauth = { client_id = \"batch\", client_secret = \"secret:KEY\", scopes = [\"tools\"] }";

const KEY: &str = "ein-geheimes-wort";

async fn server(expires_in_s: u64) -> FakeMcp {
    FakeMcp::builder().oauth("batch", KEY, expires_in_s).start().await
}

#[tokio::test]
async fn a_token_is_asked_for_once_and_used_by_all_calls_until_it_expires() {
    let server = server(3600).await;
    let catalog = Arc::new(catalog_with(&server.url(), OAUTH, &[("KEY", KEY)]));
    let mut calls = JoinSet::new();
    for _ in 0..20 {
        let catalog = Arc::clone(&catalog);
        calls.spawn(async move { call(&catalog, "echo", &json!({"text": "tea"})).await });
    }
    for outcome in calls.join_all().await {
        assert_eq!(outcome.expect("it is let in").result, text("tea"));
    }
    assert_eq!((server.tokens(), server.calls("echo")), (1, 20));
}

#[tokio::test]
async fn a_token_that_expired_or_was_revoked_is_asked_for_anew() {
    let server = server(1).await;
    let catalog = catalog_with(&server.url(), OAUTH, &[("KEY", KEY)]);
    call(&catalog, "echo", &json!({})).await.expect("it is let in");
    let before = server.tokens();
    sleep(Duration::from_millis(1100)).await;
    call(&catalog, "echo", &json!({})).await.expect("with another token");
    assert!(server.tokens() > before);

    let server = self::server(3600).await;
    let catalog = catalog_with(&server.url(), OAUTH, &[("KEY", KEY)]);
    call(&catalog, "echo", &json!({})).await.expect("it is let in");
    server.revoke_token();
    call(&catalog, "echo", &json!({})).await.expect("with another token");
    assert_eq!((server.tokens(), server.calls("echo")), (2, 2), "a refused request is no call");
}

#[tokio::test]
async fn where_no_token_is_given_one_asks_for_all_who_wait() {
    let server = server(3600).await;
    let catalog = Arc::new(catalog_with(&server.url(), OAUTH, &[("KEY", KEY)]));
    call(&catalog, "echo", &json!({})).await.expect("it is let in");
    server.revoke_token();
    server.give_no_tokens(true);
    let mut calls = JoinSet::new();
    for _ in 0..20 {
        let catalog = Arc::clone(&catalog);
        calls.spawn(async move { call(&catalog, "echo", &json!({})).await });
    }
    assert!(calls.join_all().await.iter().all(Result::is_err));
    assert_eq!((server.tokens(), server.token_requests()), (1, 2));

    server.give_no_tokens(false);
    let is_let_in = async || call(&catalog, "echo", &json!({})).await.is_ok();
    mcp_batch_testkit::wait_until_async("a token is asked for again", is_let_in).await;
    assert_eq!(server.tokens(), 2);
}

#[tokio::test]
async fn a_client_that_is_refused_is_a_matter_of_configuration_and_its_secret_is_not_told() {
    let server = server(3600).await;
    let nobody = FakeMcp::start().await;
    nobody.require_token("another");
    let cases = [
        (&server, vec![("KEY", "ein-falsches-wort")], "no_token"),
        (&server, vec![], "no_secret"),
        // It names no authorization server.
        (&nobody, vec![("KEY", KEY)], "no_token"),
    ];
    for (server, variables, code) in cases {
        let catalog = catalog_with(&server.url(), OAUTH, &variables);
        let failure = call(&catalog, "echo", &json!({})).await.expect_err("it is not let in");
        let told = format!("{failure:?}");
        assert_eq!((failure.error.class, &*failure.error.code), (ErrorClass::Configuration, code));
        assert!(!told.contains("-wort") && !told.contains("geheim"), "{told}");
        assert_eq!(server.tokens(), 0);
    }
}

#[tokio::test]
async fn a_secret_is_not_told_in_any_form_in_which_its_server_repeats_the_request() {
    let secret = "ein+ganz&geheimes=wort 1";
    for (builder, forms) in [
        (FakeMcp::builder(), ["geheimes", "ganz"]),
        // Of `batch:` and the secret, encoded as in a form.
        (FakeMcp::builder().basic(), ["YmF0Y2g6ZWlu", "geheimes"]),
    ] {
        let server = builder.oauth("batch", KEY, 3600).start().await;
        let catalog = catalog_with(&server.url(), OAUTH, &[("KEY", secret)]);
        let failure = call(&catalog, "echo", &json!({})).await.expect_err("it is not let in");
        let message = &failure.error.message;
        assert!(message.contains("not with") && message.contains("[key]"), "{message}");
        assert!(forms.iter().all(|form| !message.contains(form)), "{message}");
    }
}

#[tokio::test]
async fn a_secret_is_shown_to_no_other_authorization_server_than_the_catalog_expects() {
    let server = server(3600).await;
    let own = server.url().replace("/mcp", "");
    for (issuer, is_own) in [("https://login.example.com", false), (own.as_str(), true)] {
        let rest = format!(
            "oauth = {{ client_id = \"batch\", client_secret = \"secret:KEY\", issuer = \"{issuer}\" }}"
        );
        let catalog = catalog_with(&server.url(), &rest, &[("KEY", KEY)]);
        let ended = call(&catalog, "echo", &json!({"text": "tea"})).await;
        assert_eq!((ended.is_ok(), server.token_requests() > 0), (is_own, is_own), "{ended:?}");
        if let Err(failure) = ended {
            assert_eq!(failure.error.class, ErrorClass::Configuration);
            assert!(failure.error.message.contains("the catalog expects"), "{failure:?}");
        }
    }
}

#[test]
fn what_cannot_be_meant_is_refused_by_its_key() {
    use mcp_batch::{clock::Clock, config::Source, secret::Secrets, tool::Catalog};
    let secrets = Secrets::fixed(Source::default()).expect("sound settings");
    for (rest, expected) in [
        (
            "oauth = { client_id = \"a\", client_secret = \"geheim\" }",
            "oauth.client_secret: expected",
        ),
        ("oauth = { client_id = \"\", client_secret = \"secret:A\" }", "oauth.client_id: expected"),
        (
            "oauth = { client_id = \"a\", client_secret = \"secret:A\", issuer = \"nowhere\" }",
            "oauth.issuer: expected",
        ),
        (
            "bearer = \"secret:A\"\noauth = { client_id = \"a\", client_secret = \"secret:A\" }",
            "oauth: there is a bearer",
        ),
    ] {
        let toml = super::rig::toml("https://a.example.com/mcp", rest);
        let Err(error) = Catalog::parse(&toml, None, &secrets, &Clock::system()) else {
            panic!("{rest}")
        };
        let error = error.to_string();
        assert!(error.contains(expected) && !error.contains("geheim"), "{error}");
    }
}
