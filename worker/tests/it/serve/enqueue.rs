//! Jobs go in by `POST /v1/jobs`, and what became of them comes out.

use std::collections::BTreeSet;

use mcp_batch_testkit::{Behaviour, Receiver};
use serde_json::{Value, json};

use super::rig::{Serve, nameless};
use crate::helpers::summarize;

fn rows(answer: &Value) -> Vec<&str> {
    answer["jobs"]
        .as_array()
        .expect("rows")
        .iter()
        .map(|row| row["status"].as_str().expect("a status"))
        .collect()
}

fn ids(answer: &Value) -> Vec<String> {
    let rows = answer["jobs"].as_array().expect("rows").iter();
    rows.map(|row| row["id"].as_str().expect("an id").to_owned()).collect()
}

#[tokio::test]
async fn a_job_is_sent_run_and_told() {
    let serve = Serve::start().await;
    let sent = serve.post("/v1/jobs", &summarize("a", "One. Two.")).await.expect(202);
    assert_eq!(
        sent,
        json!({"accepted": 1, "duplicates": 0, "rejected": 0, "jobs": [{"index": 0, "id": "a", "status": "accepted"}]})
    );

    let told = serve.until("a", "succeeded").await;

    assert_eq!((&told["result"], &told["attempts"]), (&"Echo: One. Two.".into(), &1.into()));
    assert_eq!(told["tool"], "summarize");
    assert!(told["finished_at"].is_string() && told["usage"].is_object(), "{told}");
}

#[tokio::test]
async fn each_job_of_an_array_is_judged_by_itself_and_has_a_row_with_the_reason() {
    let serve = Serve::start().await;
    let jobs = json!([
        summarize("a", "One."),
        summarize("b", ""),
        {"id": "c", "tool": "sumarize", "input": {}},
        {"id": "d", "tool": "summarize", "inputs": {}},
        4711,
        summarize("a", "One."),
        summarize("a", "Another."),
        nameless("No id."),
        {"id": "e", "tool": "summarize", "input": {"text": "x"}, "expires_at": "2001-01-01T00:00:00Z"},
    ]);

    let sent = serve.post("/v1/jobs", &jobs).await.expect(202);

    let told: Vec<_> = sent["jobs"]
        .as_array()
        .expect("rows")
        .iter()
        .map(|row| {
            (
                row["id"].clone(),
                row["status"].as_str().expect("a status"),
                row["error"]["code"].clone(),
                row["error"]["field"].clone(),
            )
        })
        .collect();
    assert_eq!(
        told[..7],
        [
            (json!("a"), "accepted", Value::Null, Value::Null),
            (json!("b"), "rejected", json!("input_schema"), json!("input.text")),
            (json!("c"), "rejected", json!("unknown_tool"), json!("tool")),
            (json!("d"), "rejected", json!("missing_field"), json!("input")),
            (Value::Null, "rejected", json!("not_an_object"), Value::Null),
            (json!("a"), "duplicate", Value::Null, Value::Null),
            (json!("a"), "rejected", json!("id_conflict"), json!("id")),
        ]
    );
    assert_eq!((told[7].1, &told[8].2), ("accepted", &json!("expired")));
    assert_eq!(
        (&sent["accepted"], &sent["duplicates"], &sent["rejected"]),
        (&2.into(), &1.into(), &6.into())
    );
    serve.until(told[7].0.as_str().expect("a made id"), "succeeded").await;
}

#[tokio::test]
async fn a_request_without_a_sound_job_is_refused_with_all_reasons() {
    let serve = Serve::start().await;
    let answer = serve.post("/v1/jobs", &json!([summarize("a", ""), {"id": "b"}])).await;
    assert_eq!(answer.problem(400), "no_sound_job");
    assert_eq!(rows(&answer.json()), ["rejected", "rejected"]);
    for (body, code, field) in [
        ("[]", "no_jobs", json!("jobs")),
        (r#"{"jobs": []}"#, "no_jobs", json!("jobs")),
        ("", "not_json", Value::Null),
        ("[1", "not_json", Value::Null),
        (r#"{"jobs": 1}"#, "invalid_field", Value::Null),
        (r#"{"jobs": [{}], "more": 1}"#, "invalid_field", Value::Null),
        (r#"{"jobs": [{}], "batch": {"idd": 1}}"#, "unknown_field", json!("batch.idd")),
        (
            r#"{"jobs": [{}], "batch": {"callback": "ftp://a"}}"#,
            "invalid_field",
            json!("batch.callback"),
        ),
        (
            r#"{"jobs": [{}], "batch": {"callback": "https://a.b", "first_index": 1}}"#,
            "missing_field",
            json!("batch.size"),
        ),
    ] {
        let answer = serve.post_text("/v1/jobs", body).await;
        assert_eq!(
            (answer.problem(400).as_str(), &answer.json()["field"]),
            (code, &field),
            "{body}"
        );
    }
}

#[tokio::test]
async fn a_known_job_is_a_duplicate_with_its_state_and_is_not_paid_again() {
    let serve = Serve::start().await;
    serve.post("/v1/jobs", &summarize("a", "One.")).await.expect(202);
    serve.until("a", "succeeded").await;

    let sent =
        serve.post("/v1/jobs", &json!([summarize("a", "One."), summarize("b", "Two.")])).await;
    assert_eq!(
        sent.expect(202)["jobs"][0],
        json!({"index": 0, "id": "a", "status": "duplicate", "state": "succeeded"})
    );
    let other = serve.post("/v1/jobs", &summarize("a", "Another.")).await;
    assert_eq!(other.expect(400)["jobs"][0]["error"]["code"], "id_conflict");

    serve.until("b", "succeeded").await;
    assert_eq!(serve.llm.calls(), 2);
}

#[tokio::test]
async fn a_finished_job_with_another_callback_is_told_there_without_a_second_call() {
    let (serve, receiver) = (Serve::start().await, Receiver::start().await);
    serve.post("/v1/jobs", &summarize("a", "One.")).await.expect(202);
    serve.until("a", "succeeded").await;
    let mut again = summarize("a", "One.");
    again["callback"] = receiver.url("/").into();

    assert_eq!(rows(&serve.post("/v1/jobs", &again).await.expect(202)), ["duplicate"]);

    receiver.wait_for(1).await;
    assert_eq!(serve.llm.calls(), 1);
}

#[tokio::test]
async fn a_request_with_an_idempotency_key_makes_the_same_ids_each_time() {
    let serve = Serve::start().await;
    let jobs = json!([nameless("One."), nameless("Two.")]);
    let first = serve.post_named("/v1/jobs", "order-17", &jobs).await.expect(202);
    for id in ids(&first) {
        serve.until(&id, "succeeded").await;
    }

    let second = serve.post_named("/v1/jobs", "order-17", &jobs).await.expect(202);

    assert_eq!((ids(&first), rows(&second)), (ids(&second), vec!["duplicate"; 2]));
    assert_eq!(serve.llm.calls(), 2);
    let other = serve.post_named("/v1/jobs", "order-17", &json!([nameless("One.")])).await;
    assert_eq!(other.problem(422), "idempotency_key");
    let unnamed = serve.post("/v1/jobs", &jobs).await.expect(202);
    let all: BTreeSet<_> = [ids(&first), ids(&unnamed)].concat().into_iter().collect();
    assert_eq!(all.len(), 4);
    for key in ["", " ", "two words", &"k".repeat(256)] {
        assert_eq!(serve.post_named("/v1/jobs", key, &jobs).await.status, 400, "{key:?}");
    }
}

#[tokio::test]
async fn the_jobs_of_a_batch_are_counted_told_once_and_paged_in_order() {
    let (serve, receiver) = (Serve::start().await, Receiver::start().await);
    let jobs: Vec<_> =
        (0..120).map(|n| nameless(&format!("Text {n}. {}", "x".repeat(60)))).collect();
    let request = json!({"batch": {"id": "b", "callback": receiver.url("/batch")}, "jobs": jobs});

    let sent = serve.post("/v1/jobs", &request).await.expect(202);
    assert_eq!(sent["batch"], json!({"id": "b", "size": 120}));
    serve.until_ended("b", 120).await;
    receiver.wait_for(1).await;

    let told = receiver.deliveries()[0].json();
    assert_eq!(
        (&told["type"], &told["data"]["succeeded"]),
        (&"batch.completed".into(), &120.into())
    );
    let batch = serve.get("/v1/batches/b").await.expect(200);
    assert_eq!((&batch["state"], &batch["size"]), (&"complete".into(), &120.into()));
    let page = serve.get("/v1/batches/b/results").await.expect(200);
    let results = page["results"].as_array().expect("results");
    let indexes: Vec<_> =
        results.iter().map(|result| result["index"].as_u64().expect("an index")).collect();
    assert_eq!(indexes, (0..120).collect::<Vec<_>>());
    let told_ids: Vec<_> =
        results.iter().map(|result| result["id"].as_str().expect("an id").to_owned()).collect();
    assert_eq!(told_ids, ids(&sent));
    assert_eq!((&page["next_cursor"], &page["complete"]), (&Value::Null, &true.into()));
}

#[tokio::test]
async fn results_come_in_pages_of_bytes() {
    let (serve, receiver) = (Serve::start().await, Receiver::start().await);
    serve.llm.set_default(Behaviour::answer("r".repeat(150_000)));
    let jobs: Vec<_> = (0..20).map(|n| nameless(&format!("Text {n}."))).collect();
    let request = json!({"batch": {"id": "b", "callback": receiver.url("/")}, "jobs": jobs});
    serve.post("/v1/jobs", &request).await.expect(202);
    serve.until_ended("b", 20).await;

    let (mut indexes, mut cursor, mut pages) = (Vec::new(), String::new(), 0);
    loop {
        let answer = serve.get(&format!("/v1/batches/b/results{cursor}")).await;
        assert!(answer.text.len() < 2_000_000);
        let page = answer.expect(200);
        pages += 1;
        let results = page["results"].as_array().expect("results");
        indexes.extend(results.iter().map(|result| result["index"].as_u64().expect("an index")));
        let Some(next) = page["next_cursor"].as_str() else { break };
        cursor = format!("?cursor={next}");
    }

    assert_eq!((indexes, pages), ((0..20).collect(), 3));
    assert_eq!(
        serve.get("/v1/batches/b/results?cursor=nonsense").await.problem(400),
        "invalid_field"
    );
    assert_eq!(serve.get("/v1/batches/none/results").await.problem(404), "not_found");
}

#[tokio::test]
async fn a_batch_may_come_in_several_requests() {
    let (serve, receiver) = (Serve::start().await, Receiver::start().await);
    for first in [2, 0] {
        let batch =
            json!({"id": "b", "callback": receiver.url("/"), "size": 4, "first_index": first});
        let jobs = [nameless(&format!("{first}.")), nameless(&format!("{first} and one."))];
        serve.post("/v1/jobs", &json!({"batch": batch, "jobs": jobs})).await.expect(202);
    }
    receiver.wait_for(1).await;
    let results = &receiver.deliveries()[0].json()["data"]["results"];
    let texts: Vec<_> =
        results.as_array().expect("results").iter().map(|it| it["result"].clone()).collect();
    assert_eq!(texts, ["Echo: 0.", "Echo: 0 and one.", "Echo: 2.", "Echo: 2 and one."]);
}

#[tokio::test]
async fn what_was_never_sent_is_not_found_and_what_waits_is_queued() {
    let serve = Serve::with(&[("MCP_BATCH_CONCURRENCY", "1")]).await;
    serve.llm.set_default(Behaviour::Hold);
    let jobs: Vec<_> = (0..8).map(|n| summarize(&format!("job-{n}"), "One.")).collect();
    serve.post("/v1/jobs", &jobs.into()).await.expect(202);
    serve.llm.wait_for_calls(1).await;

    let state =
        async |id: &str| serve.get(&format!("/v1/jobs/{id}")).await.expect(200)["state"].clone();
    let mut states = Vec::new();
    for n in 0..8 {
        states.push(state(&format!("job-{n}")).await);
    }
    states.sort_by_key(ToString::to_string);
    assert_eq!((&states[0], &states[7]), (&json!("queued"), &json!("running")));
    assert_eq!(serve.get("/v1/jobs/none").await.problem(404), "not_found");
    serve.llm.set_default(Behaviour::Echo);
    serve.llm.release(8);
}

#[tokio::test]
async fn a_cancelled_job_is_not_run_whether_it_was_sent_before_or_after() {
    let serve = Serve::with(&[("MCP_BATCH_CONCURRENCY", "1")]).await;
    serve.llm.set_default(Behaviour::Hold);
    serve.post("/v1/jobs", &summarize("running", "One.")).await.expect(202);
    serve.llm.wait_for_calls(1).await;
    serve.post("/v1/jobs", &summarize("waiting", "Two.")).await.expect(202);

    for id in ["waiting", "unheard-of", "unheard-of"] {
        assert_eq!(serve.delete(&format!("/v1/jobs/{id}")).await.expect(200)["state"], "cancelled");
    }
    assert_eq!(serve.delete("/v1/jobs/running").await.problem(409), "job_state");
    serve.llm.set_default(Behaviour::Echo);
    serve.llm.release(1);
    serve.until("running", "succeeded").await;
    let sent = serve
        .post("/v1/jobs", &json!([summarize("unheard-of", "Three."), summarize("last", "Four.")]))
        .await;
    assert_eq!(sent.expect(202)["jobs"][0]["state"], "cancelled");
    serve.until("last", "succeeded").await;

    assert_eq!(serve.delete("/v1/jobs/last").await.problem(409), "job_state");
    assert_eq!(serve.until("waiting", "cancelled").await.get("result"), None);
    assert_eq!(serve.llm.calls(), 2);
}
