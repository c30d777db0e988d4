//! The fake LLM.

use std::io::Read;
use std::net::TcpStream;

use mcp_batch_testkit::{Behaviour, FakeLlm, Status, wait_until, wait_until_async};
use serde_json::json;

use crate::client::{ask, parse, post, read_all, send_prompt};

#[tokio::test]
async fn a_good_answer_carries_model_usage_cost_and_call_id() {
    let llm = FakeLlm::builder().cost_usd(0.000_007_8).start().await;
    let answer = ask(&llm.url(), "12345678");

    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("x-litellm-response-cost"), Some("7.8e-6"));
    assert_eq!(answer.header("x-litellm-call-id"), Some("job-1"));
    assert_eq!(answer.text(), "Echo: 12345678");
    assert_eq!(answer.json()["model"], "m");
    // 9 + 8 characters asked, 14 answered.
    let usage = json!({"prompt_tokens": 5, "completion_tokens": 4, "total_tokens": 9});
    assert_eq!(answer.json()["usage"], usage);
}

#[tokio::test]
async fn an_unpriced_model_has_no_cost_header() {
    let llm = FakeLlm::start().await;
    assert_eq!(ask(&llm.url(), "hello").header("x-litellm-response-cost"), None);
}

#[tokio::test]
async fn calls_without_the_required_key_are_refused_whatever_they_ask() {
    let llm = FakeLlm::start().await;
    llm.require_key("sk-1");
    let status = |headers: &str| {
        let body = json!({"model": "m", "messages": [{"role": "user", "content": "[[500]]"}]});
        let url = format!("{}/chat/completions", llm.url());
        post(&url, headers, &body.to_string()).expect("an answer").status
    };

    assert_eq!((status(""), status("authorization: Bearer sk-2\r\n")), (401, 401));
    assert_eq!(status("authorization: Bearer sk-1\r\n"), 500);
    assert_eq!(llm.calls(), 3);
}

#[tokio::test]
async fn scripts_are_taken_in_order_and_the_last_entry_repeats() {
    let llm = FakeLlm::start().await;
    llm.script(
        "cats",
        [Behaviour::status(503), Behaviour::throttled("3"), Behaviour::answer("ok")],
    );

    let statuses: Vec<u16> = (0..4)
        .map(|_| {
            assert_eq!(ask(&llm.url(), "about dogs").status, 200);
            ask(&llm.url(), "about cats").status
        })
        .collect();

    assert_eq!(statuses, [503, 429, 200, 200]);
    assert_eq!((llm.calls(), llm.calls_containing("cats")), (8, 4));
    assert_eq!(ask(&llm.url(), "cats").text(), "ok");
}

#[tokio::test]
async fn a_script_goes_before_a_marker_and_a_marker_before_the_default() {
    let llm = FakeLlm::start().await;
    llm.set_default(Behaviour::answer("default"));
    llm.script("scripted", [Behaviour::answer("script")]);

    assert_eq!(ask(&llm.url(), "scripted [[answer:marker]]").text(), "script");
    assert_eq!(ask(&llm.url(), "[[answer:marker]]").text(), "marker");
    assert_eq!(ask(&llm.url(), "[[no such mode]]").text(), "default");
    llm.script("scripted", []);
    assert_eq!(ask(&llm.url(), "scripted").text(), "default");
}

#[tokio::test]
async fn errors_have_the_shape_of_litellm() {
    let llm = FakeLlm::start().await;
    let answer = ask(&llm.url(), "[[provider-429:7]]");
    assert_eq!((answer.status, answer.header("llm_provider-retry-after")), (429, Some("7")));
    assert_eq!(answer.header("retry-after"), None);
    let message = "litellm.RateLimitError: rate limit reached";
    let error =
        json!({"message": message, "type": "throttling_error", "param": null, "code": "429"});
    assert_eq!(answer.json(), json!({ "error": error }));

    llm.set_default(Status::of(401).kind("auth_error").into());
    assert_eq!(ask(&llm.url(), "").json()["error"]["type"], "auth_error");
    assert_eq!(ask(&llm.url(), "[[429:9]]").header("retry-after"), Some("9"));
    assert_eq!(ask(&llm.url(), "[[budget]]").json()["error"]["type"], "budget_exceeded");
    assert_eq!(ask(&llm.url(), "[[html]]").header("content-type"), Some("text/html"));
}

#[tokio::test]
async fn what_is_no_chat_completion_is_refused() {
    let llm = FakeLlm::start().await;
    let url = llm.url();
    let status = |path: &str, body| post(&format!("{url}{path}"), "", body).map(|it| it.status);

    assert_eq!(status("/completions", "{}"), Some(404));
    assert_eq!(llm.calls(), 0);
    assert_eq!(status("/chat/completions", "{"), Some(400));
    assert_eq!(status("/chat/completions", r#"{"model": "m", "messages": []}"#), Some(400));
    assert_eq!(llm.calls(), 2);
}

#[tokio::test]
async fn half_a_body_promises_more_than_it_sends() {
    let llm = FakeLlm::start().await;
    let answer = ask(&llm.url(), "[[half]]");
    let promised: usize =
        answer.header("content-length").and_then(|it| it.parse().ok()).expect("a length");

    assert_eq!(answer.status, 200);
    assert_eq!(answer.body.len(), promised / 2);
    assert!(answer.body.starts_with(br#"{"id":"chatcmpl-1""#));
}

#[tokio::test]
async fn a_dropped_call_gets_not_a_single_byte() {
    let llm = FakeLlm::start().await;
    assert_eq!(read_all(send_prompt(&llm.url(), "[[drop]]")), b"");
    assert_eq!((llm.calls(), llm.clients_left()), (1, 0));
}

#[tokio::test]
async fn a_hanging_call_notes_that_its_client_left() {
    let llm = FakeLlm::start().await;
    let client = send_prompt(&llm.url(), "[[hang]]");
    llm.wait_for_calls(1).await;
    assert_eq!((llm.in_flight(), llm.clients_left()), (1, 0));

    drop(client);
    llm.wait_for_clients_left(1).await;
    assert_eq!((llm.in_flight(), llm.clients_left()), (0, 1));
}

#[tokio::test]
async fn a_client_that_got_its_answer_did_not_leave() {
    let llm = FakeLlm::start().await;
    ask(&llm.url(), "[[slow:0.01]]");
    wait_until("nothing is in flight", || llm.in_flight() == 0).await;
    assert_eq!(llm.clients_left(), 0);
}

#[tokio::test]
async fn held_calls_are_in_flight_until_released() {
    let llm = FakeLlm::start().await;
    let clients: Vec<TcpStream> = (0..5).map(|_| send_prompt(&llm.url(), "[[hold]]")).collect();
    llm.wait_for_calls(5).await;
    assert_eq!((llm.in_flight(), llm.max_in_flight(), llm.connections()), (5, 5, 5));

    llm.release(2);
    wait_until_async("two are answered", async || llm.in_flight() == 3).await;
    llm.release(3);
    for client in clients {
        let answer = parse(&read_all(client)).expect("an answer");
        assert_eq!(answer.text(), "Echo: [[hold]]");
    }
    assert_eq!((llm.in_flight(), llm.max_in_flight()), (0, 5));
}

#[tokio::test]
async fn a_huge_body_is_a_good_answer_of_exactly_that_size() {
    let llm = FakeLlm::start().await;
    let answer = ask(&llm.url(), "[[huge:1000000]]");

    assert_eq!(answer.header("content-length"), None);
    assert_eq!(answer.body.len(), 1_000_000);
    assert!(answer.text().bytes().all(|byte| byte == b'a'));
}

#[tokio::test]
async fn a_trickle_begins_an_answer_and_goes_on_until_its_client_leaves() {
    let llm = FakeLlm::start().await;
    let mut client = send_prompt(&llm.url(), "[[trickle]]");
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n1\r\n \r\n") {
        let mut byte = [0];
        client.read_exact(&mut byte).expect("the next byte");
        bytes.extend(byte);
    }
    assert_eq!((llm.in_flight(), llm.clients_left()), (1, 0));

    drop(client);
    llm.wait_for_clients_left(1).await;
}

#[tokio::test]
async fn answers_for_tools_with_a_schema_are_json_in_a_string() {
    let llm = FakeLlm::start().await;
    let answer = ask(&llm.url(), r#"[[json:{"label":"spam"}]]"#);
    assert_eq!(answer.text(), r#"{"label":"spam"}"#);
}

#[tokio::test]
async fn finish_reasons_are_told() {
    let llm = FakeLlm::start().await;
    let cut_off = ask(&llm.url(), "[[length]]");
    assert_eq!(cut_off.json()["choices"][0]["finish_reason"], "length");
    assert_eq!(ask(&llm.url(), "[[content_filter]]").text(), "");
}

#[tokio::test]
async fn requests_are_kept_as_they_arrived() {
    let llm = FakeLlm::builder().record(true).start().await;
    ask(&llm.url(), "one");
    ask(&llm.url(), "two");

    let prompts: Vec<_> =
        llm.requests().iter().map(|it| it.json()["messages"][1]["content"].clone()).collect();
    assert_eq!(prompts, ["one", "two"]);
    let last = llm.last_request().expect("a request");
    assert_eq!((last.path(), last.header("connection")), ("/v1/chat/completions", Some("close")));
    assert_eq!(llm.calls_by_id(), [("job-1".to_owned(), 2)].into());
}

#[tokio::test]
async fn hundreds_of_clients_connect_at_once() {
    let llm = FakeLlm::start().await;
    let clients: Vec<_> = (0..300).map(|_| send_prompt(&llm.url(), "[[hold]]")).collect();
    llm.wait_for_calls(300).await;
    llm.release(300);
    for client in clients {
        assert_eq!(parse(&read_all(client)).map(|it| it.status), Some(200));
    }
    assert_eq!(llm.max_in_flight(), 300);
}

#[tokio::test]
async fn it_stops_when_dropped() {
    let llm = FakeLlm::builder().threads(2).start().await;
    let hanging = send_prompt(&llm.url(), "[[hang]]");
    llm.wait_for_calls(1).await;

    drop(llm);
    assert_eq!(read_all(hanging), b"");
}
