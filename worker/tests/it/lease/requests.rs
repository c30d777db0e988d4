//! Requests of callers that may come twice.

use mcp_batch::{
    job::{BodyHash, Namespace, RequestKey},
    lease::Ledger,
};

use crate::lease_helpers::{START, Store, after_s};

fn key(namespace: &str, name: &str) -> RequestKey {
    RequestKey::of(&namespace.parse::<Namespace>().expect("a namespace"), name)
}

fn body(text: &str) -> BodyHash {
    BodyHash::of("/v1/jobs", text.as_bytes())
}

pub(super) async fn a_request_is_noted_once_and_its_first_body_stands<S: Store>(store: S) {
    let (first, second) = (store.worker(), store.worker());
    let note = async |ledger: &S::Ledger, text: &str| {
        let noted = ledger.note_request(key("default", "a"), body(text), START, after_s(60)).await;
        noted.expect("the ledger answers")
    };
    assert_eq!(note(first.ledger(), "one").await, body("one"));
    assert_eq!(note(second.ledger(), "one").await, body("one"));
    assert_eq!(note(second.ledger(), "two").await, body("one"));
}

pub(super) async fn a_request_whose_time_is_over_is_noted_anew<S: Store>(store: S) {
    let worker = store.worker();
    let ledger = worker.ledger();
    let note = async |text: &str, at_s: i64| {
        let (now, expires) = (after_s(at_s), after_s(at_s + 60));
        let noted = ledger.note_request(key("default", "a"), body(text), now, expires).await;
        noted.expect("the ledger answers")
    };
    assert_eq!(note("one", 0).await, body("one"));
    assert_eq!(note("two", 59).await, body("one"));
    assert_eq!(note("two", 60).await, body("two"));
    assert_eq!(note("one", 61).await, body("two"));
}

pub(super) async fn requests_of_different_namespaces_have_nothing_in_common<S: Store>(store: S) {
    let worker = store.worker();
    for (namespace, text) in [("a", "one"), ("b", "two")] {
        let note =
            worker.ledger().note_request(key(namespace, "x"), body(text), START, after_s(60));
        assert_eq!(note.await.expect("the ledger answers"), body(text));
    }
}
