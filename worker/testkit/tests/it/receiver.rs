//! The callback receiver.

use std::time::Duration;

use mcp_batch_testkit::{Received, Receiver, Reply};

use crate::client::{post, read_all, send};

#[tokio::test]
async fn a_delivery_is_kept_byte_for_byte() {
    let receiver = Receiver::start().await;
    let body = "{ \"a\" :1 }\n";
    let answer =
        post(&receiver.url("/hook?x=1"), "webhook-id: msg_1\r\n", body).expect("an answer");
    assert_eq!((answer.status, answer.body.len()), (204, 0));

    let deliveries = receiver.wait_for(1).await;
    let delivery = &deliveries[0];
    assert_eq!((delivery.path(), delivery.query()), ("/hook", Some("x=1")));
    assert_eq!(delivery.method(), "POST");
    assert_eq!(delivery.header("webhook-id"), Some("msg_1"));
    assert_eq!(delivery.body(), body.as_bytes());
}

#[tokio::test]
async fn scripted_replies_come_in_order_and_then_the_default() {
    let receiver = Receiver::start().await;
    let url = receiver.url("/");
    receiver.respond_with([
        Reply::status(500).body("no"),
        Reply::drop_connection(),
        Reply::status(429).header("retry-after", "2").after(Duration::from_millis(1)),
        Reply::redirect(307, "/elsewhere"),
        Reply::status(200).huge_body(100_000),
    ]);

    let first = post(&url, "webhook-id: a\r\n", "").expect("an answer");
    assert_eq!((first.status, first.body), (500, b"no".to_vec()));
    assert!(post(&url, "webhook-id: a\r\n", "").is_none());
    let third = post(&url, "webhook-id: a\r\n", "").expect("an answer");
    assert_eq!((third.status, third.header("retry-after")), (429, Some("2")));
    let fourth = post(&url, "webhook-id: b\r\n", "").expect("an answer");
    assert_eq!((fourth.status, fourth.header("location")), (307, Some("/elsewhere")));
    assert_eq!(post(&url, "", "").map(|it| it.body.len()), Some(100_000));
    assert_eq!(post(&url, "", "").map(|it| it.status), Some(204));

    assert_eq!(receiver.count(), 6);
    assert_eq!(receiver.distinct_ids(), 2);
    assert_eq!(receiver.deliveries_by_id()["a"], 3);
}

#[tokio::test]
async fn a_hanging_reply_notes_that_its_client_left() {
    let receiver = Receiver::start().await;
    receiver.respond_with([Reply::hang()]);
    let client = send(&receiver.url("/"), "", "{}");
    receiver.wait_for(1).await;
    assert_eq!(receiver.clients_left(), 0);

    drop(client);
    receiver.wait_for_clients_left(1).await;
    let answer = read_all(send(&receiver.url("/"), "", "{}"));
    assert!(answer.starts_with(b"HTTP/1.1 204 "));
}

#[tokio::test]
async fn with_bounded_memory_the_latest_stay_and_counts_are_complete() {
    let receiver = Receiver::builder().keep(2).start().await;
    for path in ["/1", "/2", "/3"] {
        post(&receiver.url(path), &format!("webhook-id: {path}\r\n"), "");
    }
    let deliveries = receiver.wait_for(3).await;
    let paths: Vec<_> = deliveries.iter().map(Received::path).collect();
    assert_eq!(paths, ["/2", "/3"]);
    assert_eq!((receiver.count(), receiver.distinct_ids()), (3, 3));
}
