//! Who may do what, by which name the server may be called, and how often.

use std::collections::BTreeSet;

use mcp_batch_testkit::Method;
use reqwest::RequestBuilder;
use serde_json::json;

use super::rig::{Answer, Serve, nameless, send};
use crate::helpers::{Folder, summarize};

const SCOPES: [&str; 4] = ["enqueue", "read", "call", "admin"];

/// Every route, and the scopes of which one is enough.
const ROUTES: [(&str, &str, &[&str]); 18] = [
    ("POST", "/v1/jobs", &["enqueue"]),
    ("GET", "/v1/jobs/a", &["read"]),
    ("DELETE", "/v1/jobs/a", &["enqueue"]),
    ("GET", "/v1/batches/a", &["read"]),
    ("DELETE", "/v1/batches/a", &["enqueue"]),
    ("POST", "/v1/batches/a/close", &["enqueue"]),
    ("GET", "/v1/batches/a/results", &["read"]),
    ("GET", "/v1/tools", &["enqueue", "read", "call"]),
    ("POST", "/v1/tools/summarize", &["call"]),
    ("POST", "/v1/tools/server/tool", &["call"]),
    ("POST", "/v1/call", &["call"]),
    ("GET", "/v1/held", &["admin"]),
    ("POST", "/v1/held/a/retry", &["admin"]),
    ("POST", "/v1/held/a/fail", &["admin"]),
    ("POST", "/v1/held/a/succeed", &["admin"]),
    ("POST", "/mcp", &["enqueue", "read", "call"]),
    ("GET", "/openapi.json", &["enqueue", "read", "call", "admin", "nobody"]),
    ("GET", "/healthz", &["enqueue", "read", "call", "admin", "nobody"]),
];

fn key(scope: &str) -> String {
    format!("the-key-for-{scope}-0123456789")
}

fn keys() -> String {
    let entries = SCOPES.map(|scope| format!("{scope}:default:{scope}:{}", key(scope)));
    format!("{} other:elsewhere:enqueue+read:{}", entries.join(" "), key("other"))
}

async fn guarded() -> Serve {
    Serve::with(&[("MCP_BATCH_API_KEYS", &keys()), ("MCP_BATCH_API_RATE_PER_SECOND", "0")]).await
}

fn with_key(request: RequestBuilder, scope: &str) -> RequestBuilder {
    request.header("authorization", format!("Bearer {}", key(scope)))
}

async fn asked(serve: &Serve, method: &str, path: &str, scope: &str) -> Answer {
    let method: Method = method.parse().expect("a method");
    let request = serve.request(method, path).header("content-type", "application/json").body("{}");
    send(if scope == "nobody" { request } else { with_key(request, scope) }).await
}

#[tokio::test]
async fn no_route_answers_without_its_scope() {
    let serve = guarded().await;
    for (method, path, enough) in ROUTES {
        for scope in SCOPES.into_iter().chain(["nobody"]) {
            let answer = asked(&serve, method, path, scope).await;
            let what = format!("{method} {path} for {scope}: {}", answer.status);
            match (enough.contains(&scope), scope) {
                (true, _) => assert!(!matches!(answer.status, 401 | 403), "{what}"),
                (false, "nobody") => assert_eq!(answer.problem(401), "unauthorized", "{what}"),
                (false, _) => assert_eq!(answer.problem(403), "forbidden", "{what}"),
            }
        }
    }
}

#[tokio::test]
async fn every_route_of_the_description_is_in_the_table() {
    let serve = guarded().await;
    let described = asked(&serve, "GET", "/openapi.json", "nobody").await.expect(200);
    let mut table = BTreeSet::new();
    for (method, path, _) in ROUTES {
        let path = path.replace("/a", "/{id}").replace("/v1/tools/summarize", "/v1/tools/{tool}");
        table.insert((method.to_lowercase(), path));
    }
    for (path, methods) in described["paths"].as_object().expect("paths") {
        for method in methods.as_object().expect("methods").keys() {
            let is_open = path == "/readyz";
            assert!(is_open || table.contains(&(method.clone(), path.clone())), "{method} {path}");
        }
    }
}

#[tokio::test]
async fn a_wrong_key_is_told_nothing_of_why() {
    let serve = guarded().await;
    let ask = |value: &str| serve.request(Method::GET, "/v1/jobs/a").header("authorization", value);
    let mut told = BTreeSet::new();
    for value in [
        "",
        "Bearer",
        "Bearer ",
        "Bearer wrong",
        "Basic dXNlcjpwYXNz",
        &key("read"),
        &format!("Bearer {}x", key("read")),
    ] {
        let answer = send(ask(value)).await;
        assert_eq!(answer.problem(401), "unauthorized", "{value}");
        told.insert(answer.text);
    }
    assert_eq!(told.len(), 1);
    assert_eq!(send(ask(&format!("bearer {}", key("read")))).await.status, 404);
}

#[tokio::test]
async fn keys_of_different_namespaces_share_ids_and_see_nothing_of_each_other() {
    let serve = guarded().await;
    let post = |scope: &str, text: &str| {
        let request =
            serve.request(Method::POST, "/v1/jobs").header("content-type", "application/json");
        send(with_key(request.body(summarize("same", text).to_string()), scope))
    };
    post("enqueue", "Mine.").await.expect(202);
    mcp_batch_testkit::wait_until_async("mine is done", async || {
        asked(&serve, "GET", "/v1/jobs/same", "read").await.text.contains("Echo: Mine.")
    })
    .await;

    assert_eq!(asked(&serve, "GET", "/v1/jobs/same", "other").await.problem(404), "not_found");
    post("other", "Theirs.").await.expect(202);
    mcp_batch_testkit::wait_until_async("theirs is done", async || {
        asked(&serve, "GET", "/v1/jobs/same", "other").await.text.contains("Echo: Theirs.")
    })
    .await;
    assert!(asked(&serve, "GET", "/v1/jobs/same", "read").await.text.contains("Echo: Mine."));
    assert_eq!(serve.llm.calls(), 2);
}

#[tokio::test]
async fn a_key_that_asks_too_often_is_told_when_to_come_again() {
    let serve = Serve::with(&[("MCP_BATCH_API_RATE_PER_SECOND", "3")]).await;
    let mut refused = None;
    for _ in 0..200 {
        let answer = serve.get("/v1/jobs/a").await;
        if answer.status == 429 {
            refused = Some(answer);
            break;
        }
    }
    let refused = refused.expect("it was too often");
    assert_eq!(
        (refused.problem(429).as_str(), refused.retry_after.as_deref()),
        ("rate_limit", Some("1"))
    );
    assert_eq!(serve.get("/healthz").await.status, 200);
}

#[tokio::test]
async fn beyond_loopback_it_does_not_start_without_a_key() {
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:0"] {
        let folder = Folder::new();
        let ended = folder.command("serve").args(["--offline", "--listen", address]).finish().await;
        assert_eq!(ended.code, Some(2), "{}", ended.stderr);
        assert!(ended.stderr.contains("MCP_BATCH_API_KEYS"), "{}", ended.stderr);
    }
    let folder = Folder::new();
    let weak =
        folder.command("serve").args(["--offline"]).env("MCP_BATCH_API_KEYS", "a:b:read:weak");
    let ended = weak.finish().await;
    assert!(
        ended.stderr.contains("too short") && !ended.stderr.contains("weak"),
        "{}",
        ended.stderr
    );
}

#[tokio::test]
async fn without_an_llm_it_starts_offline_only_if_asked() {
    let ended = Folder::new().command("serve").args(["--listen", "127.0.0.1:0"]).finish().await;
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
    assert!(ended.stderr.contains("--offline"), "{}", ended.stderr);
}

#[tokio::test]
async fn a_foreign_name_or_page_is_refused_and_browsers_are_told_nothing() {
    let serve = Serve::start().await;
    let port = serve.base.rsplit(':').next().expect("a port").to_owned();
    let ask = |name: &'static str, value: String| {
        send(serve.request(Method::GET, "/v1/tools").header(name, value))
    };
    for host in [
        format!("localhost:{port}"),
        format!("127.0.0.1:{port}"),
        "[::1]".to_owned(),
        "LOCALHOST".to_owned(),
    ] {
        assert_eq!(ask("host", host.clone()).await.status, 200, "{host}");
    }
    for host in [
        "evil.example",
        "127.0.0.1.evil.example",
        "localhost.",
        "127.0.0.1@evil.example",
        "evil@localhost",
    ] {
        let answer = ask("host", host.to_owned()).await;
        assert!(matches!(answer.status, 400 | 403), "{host}: {}", answer.status);
    }
    assert_eq!(ask("origin", "https://evil.example".to_owned()).await.problem(403), "origin");
    assert_eq!(ask("origin", "null".to_owned()).await.problem(403), "origin");
    assert_eq!(ask("origin", serve.base.clone()).await.status, 200);
    let preflight = serve.request(Method::OPTIONS, "/v1/jobs").header("origin", serve.base.clone());
    let preflight = preflight.header("access-control-request-method", "POST").send().await;
    let preflight = preflight.expect("an answer");
    assert!(!preflight.headers().contains_key("access-control-allow-origin"));
}

#[tokio::test]
async fn pages_that_are_listed_may_use_it() {
    let serve = Serve::with(&[
        ("MCP_BATCH_API_CORS_ORIGINS", "https://app.example.com"),
        ("MCP_BATCH_API_HOSTS", "jobs.example.com"),
    ])
    .await;
    let ask = |method, origin: &str| {
        serve
            .request(method, "/v1/tools")
            .header("host", "jobs.example.com")
            .header("origin", origin)
    };
    let answer = ask(Method::GET, "https://app.example.com").send().await.expect("an answer");
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["access-control-allow-origin"], "https://app.example.com");
    let preflight = ask(Method::OPTIONS, "https://app.example.com")
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "authorization,content-type");
    assert_eq!(preflight.send().await.expect("an answer").status(), 200);
    assert_eq!(send(ask(Method::GET, "https://other.example.com")).await.problem(403), "origin");
}

#[tokio::test]
async fn keys_and_inputs_are_in_no_log() {
    let keys = keys();
    let variables = [("MCP_BATCH_API_KEYS", &*keys), ("MCP_BATCH_LOG", "trace")];
    let mut serve = Serve::with(&variables).await;
    let request =
        serve.request(Method::POST, "/v1/jobs").header("content-type", "application/json");
    let sent =
        send(with_key(request.body(nameless("a very private text").to_string()), "enqueue")).await;
    sent.expect(202);
    serve.llm.wait_for_calls(1).await;
    assert_eq!(asked(&serve, "GET", "/v1/jobs/a", "nobody").await.status, 401);
    serve.terminate();
    let said = serve.finish().await.stderr;
    assert!(!said.contains("the-key-for") && !said.contains("very private"), "{said}");
    assert_eq!(json!(serve.llm.calls()), 1);
}
