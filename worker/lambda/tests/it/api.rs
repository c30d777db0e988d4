//! The role `api`: what API Gateway hands over, and what the same router answers there.

use std::time::Duration;

use mcp_batch_testkit::RuntimeApi;
use serde_json::{Value, json};

use crate::rig::{Rig, Setup, work_off};

const KEY: &str = "a-key-of-the-lambda-tests";

/// API Gateway's own limit.
const LONG: Duration = Duration::from_secs(30);

async fn api() -> Option<Rig> {
    let keys = format!("test:shop:enqueue+read+call:{KEY}");
    Setup::default().env("MCP_BATCH_ROLE", "api").env("MCP_BATCH_API_KEYS", keys).start().await
}

/// One request of who has the key, as an HTTP API hands it over: status and document.
async fn ask(lambda: &RuntimeApi, method: &str, path: &str, body: Option<Value>) -> (u64, Value) {
    answer(lambda, &event(method, path, body)).await
}

fn event(method: &str, path: &str, body: Option<Value>) -> Value {
    let (raw_path, query) = path.split_once('?').unwrap_or((path, ""));
    json!({
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": raw_path,
        "rawQueryString": query,
        "headers": {
            "host": "abc123.execute-api.eu-central-1.amazonaws.com",
            "authorization": format!("Bearer {KEY}"),
            "content-type": "application/json",
            "accept": "application/json, text/event-stream",
        },
        "requestContext": {
            "accountId": "123456789012",
            "apiId": "abc123",
            "domainName": "abc123.execute-api.eu-central-1.amazonaws.com",
            "domainPrefix": "abc123",
            "http": {"method": method, "path": raw_path, "protocol": "HTTP/1.1", "sourceIp": "192.0.2.1", "userAgent": "test"},
            "requestId": "id",
            "routeKey": "$default",
            "stage": "$default",
            "time": "25/Nov/2026:12:00:00 +0000",
            "timeEpoch": 1_795_608_000_000_u64,
        },
        "body": body.map(|body| body.to_string()),
        "isBase64Encoded": false,
    })
}

async fn answer(lambda: &RuntimeApi, event: &Value) -> (u64, Value) {
    let answer = lambda.invoke(&event.to_string(), LONG).await.json();
    assert_eq!(answer["isBase64Encoded"], false, "{answer}");
    let text = answer["body"].as_str().expect("a text");
    (
        answer["statusCode"].as_u64().expect("a status"),
        serde_json::from_str(text).unwrap_or_else(|_| text.into()),
    )
}

fn job(id: &str, text: &str) -> Value {
    json!({"id": id, "tool": "summarize", "input": {"text": text}})
}

#[tokio::test]
async fn jobs_sent_through_it_are_run_by_the_worker_in_the_keys_namespace() {
    let Some(mut rig) = api().await else { return };
    assert_eq!(ask(&rig.lambda, "GET", "/healthz", None).await, (200, "ok\n".into()));
    let (status, sent) = ask(
        &rig.lambda,
        "POST",
        "/v1/jobs",
        Some(json!([job("a", "One."), job("b", "Two."), job("c", "")])),
    )
    .await;
    assert_eq!(
        (status, &sent["accepted"], &sent["rejected"]),
        (202, &2.into(), &1.into()),
        "{sent}"
    );
    let (status, unseen) = ask(&rig.lambda, "GET", "/v1/jobs/a", None).await;
    assert_eq!((status, &unseen["state"]), (200, &"unknown".into()));

    let worker = RuntimeApi::start(rig.function.clone().envs([("MCP_BATCH_ROLE", "worker")])).await;
    work_off(&mut rig.source, &worker).await;

    for (id, result) in [("a", "Echo: One."), ("b", "Echo: Two.")] {
        let (status, told) = ask(&rig.lambda, "GET", &format!("/v1/jobs/{id}"), None).await;
        assert_eq!(
            (status, &told["state"], &told["result"]),
            (200, &"succeeded".into(), &result.into())
        );
    }
    let (_, again) = ask(&rig.lambda, "POST", "/v1/jobs", Some(job("a", "One."))).await;
    assert_eq!(again["jobs"][0]["status"], "duplicate");
}

#[tokio::test]
async fn a_call_is_answered_and_a_wrong_one_refused() {
    let Some(rig) = api().await else { return };
    let (status, called) =
        ask(&rig.lambda, "POST", "/v1/tools/summarize", Some(json!({"text": "One."}))).await;
    assert_eq!((status, &called["result"]), (200, &"Echo: One.".into()), "{called}");
    let (status, refused) = ask(&rig.lambda, "POST", "/v1/tools/nothing", Some(json!({}))).await;
    assert_eq!((status, &refused["code"]), (400, &"unknown_tool".into()));
    let (status, refused) = ask(&rig.lambda, "GET", "/v1/batches/none", None).await;
    assert_eq!((status, &refused["code"]), (404, &"not_found".into()));
    let (status, refused) =
        ask(&rig.lambda, "POST", "/v1/held/a/fail", Some(json!({"message": "x"}))).await;
    assert_eq!((status, &refused["code"]), (403, &"forbidden".into()));
}

#[tokio::test]
async fn agents_speak_mcp_with_it() {
    let Some(rig) = api().await else { return };
    let hello = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"},
    }});
    let (status, answer) = ask(&rig.lambda, "POST", "/mcp", Some(hello)).await;
    assert_eq!(
        (status, &answer["result"]["serverInfo"]["name"]),
        (200, &"mcp-batch".into()),
        "{answer}"
    );
}

/// A request that bears a token in place of a key, with what the JWT authorizer says of it.
fn with_token(mut event: Value, claims: &Value) -> Value {
    event["headers"]["authorization"] = "Bearer eyJhbGciOiJSUzI1NiJ9.e30.c2ln".into();
    event["requestContext"]["authorizer"] = json!({"jwt": {"claims": claims, "scopes": null}});
    event
}

fn claims(client: &str, scope: &str) -> Value {
    json!({
        "aud": "mcp-batch", "client_id": client, "exp": "1795611600", "iat": "1795608000",
        "iss": "https://login.example.com/", "scope": scope, "sub": "auth0|abc", "token_use": "access",
    })
}

#[tokio::test]
async fn a_token_that_api_gateway_has_checked_is_as_good_as_a_key() {
    let tokens = "shop:shop:enqueue:client_id=shop-client any:other:read:scope=jobs/read";
    let setup = Setup::default().env("MCP_BATCH_ROLE", "api").env("MCP_BATCH_API_TOKENS", tokens);
    let Some(rig) = setup.start().await else { return };
    let enqueue = || event("POST", "/v1/jobs", Some(job("a", "One.")));
    let look = || event("GET", "/v1/jobs/a", None);

    let shop = claims("shop-client", "openid jobs/read");
    let (status, sent) = answer(&rig.lambda, &with_token(enqueue(), &shop)).await;
    assert_eq!((status, &sent["accepted"]), (202, &1.into()), "{sent}");
    let (status, refused) = answer(&rig.lambda, &with_token(look(), &shop)).await;
    assert_eq!((status, &refused["code"]), (403, &"forbidden".into()), "its entry comes first");

    let reader = claims("reader", "openid jobs/read");
    let (status, told) = answer(&rig.lambda, &with_token(look(), &reader)).await;
    assert_eq!((status, &told["state"]), (200, &"unknown".into()), "another namespace: {told}");
    let (status, _) = answer(&rig.lambda, &with_token(enqueue(), &reader)).await;
    assert_eq!(status, 403);

    let (status, refused) =
        answer(&rig.lambda, &with_token(enqueue(), &claims("x", "openid"))).await;
    assert_eq!((status, &refused["code"]), (401, &"unauthorized".into()));
    assert_eq!(answer(&rig.lambda, &enqueue()).await.0, 401, "there is no such key");
}

#[tokio::test]
async fn nothing_that_a_client_sends_is_taken_for_a_checked_token() {
    let keys = format!("test:shop:enqueue+read+call:{KEY}");
    let tokens = "shop:shop:enqueue+read+call+admin:client_id=shop-client";
    let setup = Setup::default().env("MCP_BATCH_ROLE", "api").env("MCP_BATCH_API_KEYS", keys);
    let Some(rig) = setup.env("MCP_BATCH_API_TOKENS", tokens).start().await else { return };
    let said = claims("shop-client", "").to_string();
    let jwt = json!({"jwt": {"claims": claims("shop-client", "")}});
    let mut forged = event("GET", "/v1/tools?client_id=shop-client", None);
    forged["headers"] = json!({
        "host": "abc123.execute-api.eu-central-1.amazonaws.com",
        "authorization": "Bearer eyJhbGciOiJub25lIn0.eyJjbGllbnRfaWQiOiJzaG9wLWNsaWVudCJ9.",
        "client_id": "shop-client",
        "x-amzn-request-context": json!({"authorizer": jwt}).to_string(),
        "x-amzn-oidc-data": said,
    });
    forged["authorizer"] = jwt.clone();
    forged["requestContext"]["jwt"] = jwt["jwt"].clone();
    // What a Lambda authorizer says is no checked token.
    forged["requestContext"]["authorizer"] =
        json!({"lambda": {"jwt": jwt["jwt"], "client_id": "shop-client"}});
    let (status, refused) = answer(&rig.lambda, &forged).await;
    assert_eq!((status, &refused["code"]), (401, &"unauthorized".into()));

    // A key goes before the token, so that neither gives the other more.
    let mut both =
        with_token(event("POST", "/v1/held/a/fail", Some(json!({}))), &claims("shop-client", ""));
    both["headers"]["authorization"] = format!("Bearer {KEY}").into();
    assert_eq!(answer(&rig.lambda, &both).await.0, 403);
}

#[tokio::test]
async fn without_keys_it_does_not_start() {
    let Some(rig) = Setup::default().env("MCP_BATCH_ROLE", "api").start().await else { return };
    let event = json!({"version": "2.0", "rawPath": "/healthz", "requestContext": {"http": {"method": "GET", "path": "/healthz"}}});
    let invocation = rig.lambda.invoke(&event.to_string(), LONG).await;
    assert!(!matches!(invocation, mcp_batch_testkit::Invocation::Response(_)), "{invocation:?}");
}
