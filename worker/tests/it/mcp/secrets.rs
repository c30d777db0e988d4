//! What is shown to a server: secrets by their names, as they are now.

use mcp_batch::{clock::Clock, config::Source, error::ErrorClass, secret::Secrets};
use mcp_batch_testkit::FakeMcp;
use serde_json::json;

use super::rig::{call, catalog_of, catalog_with, text};
use crate::secrets::Told;

#[tokio::test]
async fn a_secret_is_shown_by_its_name_with_every_request() {
    let server = FakeMcp::start().await;
    server.require_token("geheim");
    let headers =
        "bearer = \"secret:TOKEN\"\nheaders = { X-Team = \"data\", X-Key = \"secret:KEY\" }";
    let variables = [("TOKEN", "geheim"), ("KEY", "auch geheim")];
    let catalog = catalog_with(&server.url(), headers, &variables);
    call(&catalog, "echo", &json!({})).await.expect("it is let in");
    for method in ["initialize", "notifications/initialized", "tools/list", "tools/call"] {
        let requests = server.requests(method);
        assert!(!requests.is_empty(), "{method}");
        for request in requests {
            assert_eq!(request.header("authorization"), Some("Bearer geheim"), "{method}");
            assert_eq!(request.header("x-team"), Some("data"), "{method}");
            assert_eq!(request.header("x-key"), Some("auch geheim"), "{method}");
        }
    }
}

#[tokio::test]
async fn a_token_that_was_replaced_is_renewed_once_and_the_call_goes_through() {
    let server = FakeMcp::start().await;
    server.require_token("old");
    let vault = Told::new(&json!({"TOKEN": "old"}));
    let secrets = Secrets::open(Source::default(), vault.clone(), Clock::system()).await;
    let secrets = secrets.expect("the vault answers");
    let catalog = catalog_of(&server.url(), "bearer = \"secret:TOKEN\"", &secrets);
    call(&catalog, "echo", &json!({"text": "before"})).await.expect("it is let in");

    server.require_token("new");
    vault.say(&json!({"TOKEN": "new"}));
    let outcome = call(&catalog, "echo", &json!({"text": "after"})).await.expect("it is renewed");
    assert_eq!(outcome.result, text("after"));
    assert_eq!(server.calls("echo"), 2, "a refused request is no call");
    assert_eq!(vault.reads(), 2);
}

#[tokio::test]
async fn a_token_that_is_wrong_or_missing_is_nobodys_fault_and_never_told() {
    let server = FakeMcp::start().await;
    server.require_token("right");
    let cases = [
        (vec![("TOKEN", "wrong-and-secret")], "http_401"),
        (vec![], "no_secret"),
        (vec![("TOKEN", "wrong\nand secret")], "no_secret"),
    ];
    for (variables, code) in cases {
        let catalog = catalog_with(&server.url(), "bearer = \"secret:TOKEN\"", &variables);
        let failure = call(&catalog, "echo", &json!({})).await.expect_err("it is not let in");
        assert_eq!((failure.error.class, &*failure.error.code), (ErrorClass::Configuration, code));
        assert!(!format!("{failure:?}").contains("and secret"), "{failure:?}");
        assert!(!format!("{failure:?}").contains("wrong-and"), "{failure:?}");
    }
}
