//! Batches over HTTP: what is rejected counts, closing, cancelling.

use mcp_batch_testkit::{Behaviour, Receiver};
use serde_json::{Value, json};

use super::rig::{Serve, nameless};
use crate::helpers::summarize;

#[tokio::test]
async fn a_rejected_job_is_counted_so_that_its_batch_completes() {
    let (serve, receiver) = (Serve::start().await, Receiver::start().await);
    let mut unknown = json!({"tool": "sumarize", "input": {}, "metadata": {"row": 1}});
    unknown["id"] = "typo".into();
    let mut apart = summarize("apart", "Three.");
    apart["batch"] = json!({"id": "own", "index": 0, "callback": receiver.url("/")});
    let jobs = [summarize("a", "One."), unknown, json!(4711), apart];
    let request = json!({"batch": {"id": "b", "callback": receiver.url("/batch")}, "jobs": jobs});

    let sent = serve.post("/v1/jobs", &request).await.expect(202);

    assert_eq!((&sent["accepted"], &sent["rejected"]), (&1.into(), &3.into()));
    receiver.wait_for(1).await;
    let data = &receiver.deliveries()[0].json()["data"];
    assert_eq!((&data["succeeded"], &data["rejected"]), (&1.into(), &3.into()));
    let results = data["results"].as_array().expect("results");
    let codes: Vec<_> = results.iter().map(|result| result["error"]["code"].clone()).collect();
    let expected = [json!(null), json!("unknown_tool"), json!("not_an_object")];
    assert_eq!((&codes[..3], &codes[3]), (&expected[..], &json!("invalid_field")));
    assert_eq!((&results[1]["metadata"], &results[1]["id"]), (&json!({"row": 1}), &json!("typo")));
    let page = serve.get("/v1/batches/b/results").await.expect(200);
    assert_eq!(&page["results"], &data["results"]);
}

#[tokio::test]
async fn a_rejected_job_that_names_its_batch_itself_is_counted_there() {
    let (serve, receiver) = (Serve::start().await, Receiver::start().await);
    let place =
        |index| json!({"id": "b", "index": index, "size": 2, "callback": receiver.url("/")});
    for (index, tool) in [(0, "summarize"), (1, "sumarize")] {
        let mut job = summarize(&format!("job-{index}"), "One.");
        (job["tool"], job["batch"]) = (tool.into(), place(index));
        serve.post("/v1/jobs", &job).await;
    }
    receiver.wait_for(1).await;
    let data = &receiver.deliveries()[0].json()["data"];
    assert_eq!((&data["succeeded"], &data["rejected"]), (&1.into(), &1.into()));
}

#[tokio::test]
async fn a_refused_job_that_has_no_place_by_its_own_size_opens_no_batch() {
    let (serve, receiver) = (Serve::start().await, Receiver::start().await);
    let place =
        |index| json!({"id": "b", "index": index, "size": 2, "callback": receiver.url("/")});
    let jobs: Vec<_> = (0..3)
        .map(|index| {
            let mut job = summarize(&format!("job-{index}"), "One.");
            job["batch"] = place(index);
            job
        })
        .collect();
    assert_eq!(serve.post("/v1/jobs", &jobs[2]).await.problem(400), "no_sound_job");
    assert_eq!(serve.get("/v1/batches/b").await.status, 404);

    let sent = serve.post("/v1/jobs", &json!(jobs)).await.expect(202);
    assert_eq!((&sent["accepted"], &sent["rejected"]), (&2.into(), &1.into()));
    receiver.wait_for(1).await;
    let data = &receiver.deliveries()[0].json()["data"];
    assert_eq!((&data["succeeded"], &data["rejected"]), (&2.into(), &0.into()));
}

#[tokio::test]
async fn a_batch_that_a_rejection_completes_is_told_before_the_request_is_answered() {
    let (serve, receiver) = (Serve::start().await, Receiver::start().await);
    let place =
        |index| json!({"id": "b", "index": index, "size": 2, "callback": receiver.url("/")});
    let (mut sound, mut unknown) = (summarize("sound", "One."), summarize("unknown", "Two."));
    sound["batch"] = place(0);
    (unknown["tool"], unknown["batch"]) = ("sumarize".into(), place(1));
    serve.post("/v1/jobs", &sound).await.expect(202);
    serve.until_ended("b", 1).await;

    serve.post("/v1/jobs", &unknown).await;

    assert_eq!(receiver.deliveries().len(), 1);
}

#[tokio::test]
async fn a_batch_of_which_no_job_is_sound_was_never_begun() {
    let (serve, receiver) = (Serve::start().await, Receiver::start().await);
    let batch = |more: Value| {
        let mut batch = json!({"id": "b", "callback": receiver.url("/")});
        batch.as_object_mut().expect("fields").extend(more.as_object().expect("fields").clone());
        json!({"batch": batch, "jobs": [{"tool": "sumarize", "input": {}}]})
    };
    assert_eq!(serve.post("/v1/jobs", &batch(json!({}))).await.problem(400), "no_sound_job");
    assert_eq!(serve.get("/v1/batches/b").await.problem(404), "not_found");

    // As a part of a larger one, others wait for it.
    let part = batch(json!({"size": 2, "first_index": 1}));
    assert_eq!(serve.post("/v1/jobs", &part).await.problem(400), "no_sound_job");
    assert_eq!(serve.get("/v1/batches/b").await.expect(200)["ended"], 1);
    assert_eq!(serve.post("/v1/jobs", &part).await.problem(400), "no_sound_job");
    assert_eq!(serve.get("/v1/batches/b").await.expect(200)["ended"], 1);
}

#[tokio::test]
async fn a_batch_is_closed_with_its_size_and_told() {
    let (serve, receiver) = (Serve::start().await, Receiver::start().await);
    let batch = json!({"id": "b", "size": null, "callback": receiver.url("/")});
    let jobs = [nameless("One."), nameless("Two.")];
    serve.post("/v1/jobs", &json!({"batch": batch, "jobs": jobs})).await.expect(202);
    serve.until_ended("b", 2).await;

    let close = async |body: Value| serve.post("/v1/batches/b/close", &body).await;
    assert_eq!(close(json!({})).await.problem(400), "missing_field");
    for wrong in [json!({"size": 0}), json!({"size": "2"}), json!({"sise": 2}), json!([])] {
        assert_eq!(close(wrong.clone()).await.problem(400), "invalid_field", "{wrong}");
    }
    assert_eq!(close(json!({"size": 1})).await.problem(409), "batch_size");
    assert_eq!(receiver.count(), 0);

    let closed = close(json!({"size": 2})).await.expect(200);

    assert_eq!((&closed["state"], &closed["callback"]), (&"complete".into(), &"sent".into()));
    assert_eq!(receiver.deliveries()[0].json()["data"]["succeeded"], 2);
    assert_eq!(close(json!({})).await.expect(200)["state"], "complete");
    assert_eq!(close(json!({"size": 3})).await.problem(409), "batch_size");
    assert_eq!(receiver.count(), 1);
    let unknown = serve.post("/v1/batches/none/close", &json!({"size": 1})).await;
    assert_eq!(unknown.problem(404), "not_found");
}

#[tokio::test]
async fn what_of_a_cancelled_batch_has_not_begun_is_not_run() {
    let serve = Serve::with(&[("MCP_BATCH_CONCURRENCY", "1")]).await;
    let receiver = Receiver::start().await;
    serve.llm.set_default(Behaviour::Hold);
    let jobs: Vec<_> = (0..5).map(|n| nameless(&format!("Text {n}."))).collect();
    let request = json!({"batch": {"id": "b", "callback": receiver.url("/")}, "jobs": jobs});
    serve.post("/v1/jobs", &request).await.expect(202);
    serve.llm.wait_for_calls(1).await;

    let cancelled = serve.delete("/v1/batches/b").await.expect(200);

    assert_eq!((&cancelled["cancelled"], &cancelled["state"]), (&true.into(), &"open".into()));
    serve.llm.release(1);
    receiver.wait_for(1).await;
    let data = &receiver.deliveries()[0].json()["data"];
    assert_eq!((&data["succeeded"], &data["cancelled"]), (&1.into(), &4.into()));
    assert_eq!(serve.llm.calls(), 1);
    assert_eq!(serve.delete("/v1/batches/none").await.problem(404), "not_found");
}
