//! What nobody should send: refused, and the server goes on.

use serde_json::json;

use super::rig::{Serve, send};

fn head(line: &str, more: &str) -> Vec<u8> {
    format!("{line} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{more}\r\n").into_bytes()
}

fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap_or("nothing")
}

#[tokio::test]
async fn paths_that_climb_or_cannot_be_read_lead_nowhere() {
    let serve = Serve::start().await;
    for path in [
        "/../../etc/passwd",
        "/v1/jobs/../../../etc/passwd",
        "/v1/jobs/..%2f..%2fetc%2fpasswd",
        "/v1/jobs/%ff%fe",
        "/v1/jobs/a%00b",
        "/v1/tools/%2e%2e/%2e%2e/passwd",
        "/v1/batches/%F0%28%8C%28/results",
        "//v1//jobs//a",
    ] {
        let answer = serve.raw(head(&format!("GET {path}"), "")).await;
        assert!(matches!(status(&answer), "400" | "404" | "405"), "{path}: {answer}");
        assert!(!answer.contains("root:"), "{answer}");
    }
    assert!(serve.is_alive().await);
}

#[tokio::test]
async fn heads_that_are_too_large_or_malformed_are_refused() {
    let serve = Serve::start().await;
    let huge = format!("x-huge: {}\r\n", "x".repeat(200_000));
    let many = "x-again: 1\r\n".repeat(1_000);
    let long = format!("GET /{}", "x".repeat(200_000));
    for (head, statuses) in [
        (head("GET /healthz", &huge), &["431"][..]),
        (head("GET /healthz", &many), &["431", "400"]),
        (head(&long, ""), &["414", "431", "400"]),
        (b"GET /healthz HTTP/1.1\r\nconnection: close\r\n\r\n".to_vec(), &["400"]),
        (b"nonsense\r\n\r\n".to_vec(), &["400"]),
        (b"\x16\x03\x01\x02\x00\x01\x00".repeat(50), &["400", "nothing"]),
        (head("GET http://evil.example/healthz", ""), &["400", "403"]),
        (
            b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nhost: evil.example\r\nconnection: close\r\n\r\n".to_vec(),
            &["400"],
        ),
    ] {
        let shown = String::from_utf8_lossy(&head[..head.len().min(60)]).into_owned();
        let answer = serve.raw(head).await;
        assert!(statuses.contains(&status(&answer)), "{shown}: {answer}");
    }
    assert!(serve.is_alive().await);
}

#[tokio::test]
async fn bodies_that_are_bombs_are_refused() {
    let serve = Serve::start().await;
    let deep = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let nested = format!(r#"{{"tool":"summarize","input":{{"text":{}}}}}"#, deep(100_000));
    let number = r#"{"tool":"summarize","input":{"text":1e999999999}}"#.to_owned();
    let digits = format!(r#"{{"tool":"summarize","input":{{"text":{}}}}}"#, "9".repeat(1_000_000));
    let keys =
        format!(r#"{{"tool":"summarize","input":{{{}"text":"x"}}}}"#, r#""a":1,"#.repeat(100_000));
    for path in ["/v1/jobs", "/v1/call"] {
        for body in [
            nested.clone(),
            number.clone(),
            digits.clone(),
            keys.clone(),
            deep(100_000),
            "{\"a\":".repeat(50_000),
        ] {
            let answer = serve.post_text(path, body.clone()).await;
            assert_eq!(answer.status, 400, "{path} {}: {}", &body[..40], answer.text);
        }
        let answer = serve.post_text(path, b"{\"tool\": \"\xff\"}".to_vec()).await;
        assert_eq!(answer.problem(400), "not_utf8");
    }
    let many = format!("[{}0]", "0,".repeat(1_000_000));
    assert_eq!(serve.post_text("/v1/jobs", many).await.problem(400), "too_many_jobs");
    let large = serve.post("/v1/jobs", &json!({"tool": "x".repeat(5 * 1024 * 1024)})).await;
    assert_eq!(large.problem(413), "too_large");
    let form = serve.request(mcp_batch_testkit::Method::POST, "/v1/jobs").body("a=b");
    let form = form.header("content-type", "application/x-www-form-urlencoded");
    assert_eq!(send(form).await.problem(415), "content_type");
    assert!(serve.is_alive().await);
}

#[tokio::test]
async fn clients_that_say_nothing_or_break_off_keep_nobody_waiting() {
    let serve = Serve::start().await;
    let address = serve.base.trim_start_matches("http://").to_owned();
    let mut silent = Vec::new();
    for n in 0..100 {
        let mut stream = tokio::net::TcpStream::connect(&address).await.expect("it listens");
        let begun: &[u8] = match n % 3 {
            0 => b"",
            1 => b"POST /v1/jobs HTTP/1.1\r\nhost: localhost\r\ncontent-le",
            _ => b"POST /v1/jobs HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1000\r\n\r\n{\"tool\"",
        };
        tokio::io::AsyncWriteExt::write_all(&mut stream, begun).await.expect("it is taken");
        silent.push(stream);
    }
    assert!(serve.is_alive().await);
    drop(silent);
    assert!(serve.is_alive().await);
}
