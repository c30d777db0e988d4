//! The keys under which jobs, batches and requests lie in ledgers by now, as literals that another
//! program worked out. Whoever changes one loses every record, and has every job paid again.

use mcp_batch::{
    fan_in::BatchKey,
    job::{BodyHash, Job, JobKey, Namespace, PayloadHash, RequestKey},
};

/// Job `order-1` of the namespace `default`.
pub(crate) const JOB: &str = "c61ca12700c96376e7dc8632722799892aefa6834d3cdc4a1f6f88485885a481";

/// `summarize` with `{"text": "One."}`.
pub(crate) const PAYLOAD: &str = "e63ca8989c93624f65b8a3ed4c26821f3ccdb521f16efffb64f7de9cb97ceed6";

/// Batch `nightly-1` of the namespace `default`.
pub(crate) const BATCH: &str = "04edc45965484bbf313817f4050fd07c7bea834d070275e2b1ce03dcf21500ad";

/// Request `nightly-1` of the namespace `default`.
pub(crate) const REQUEST: &str = "19432b70f62f2e6c026bc3ae33761f59c1dc0ca9a3be34ad87c2ce52f614c03e";

/// `one`, posted to `/v1/jobs`.
pub(crate) const BODY: &str = "0aed232343ef0912a12d04b910d69d0a6ba0a47d8d2930bcfa16c15273e7662f";

fn namespace(name: &str) -> Namespace {
    name.parse().expect("a namespace")
}

fn payload(rest: &str) -> PayloadHash {
    let body = format!(r#"{{"id": "order-1", {rest}}}"#);
    Job::parse(&body.into()).expect("a job").payload_hash()
}

#[test]
fn a_job_has_the_key_that_it_always_had() {
    let key = |of: &str| JobKey::of(&namespace(of), &"order-1".parse().expect("an id")).to_string();
    assert_eq!(key("default"), JOB);
    assert_eq!(key("tenant.a"), "a464af09a9d50630d43ddba9b04dc7fdf38b9c66169c1a676bdf85b02517187f");
    assert_eq!(
        JobKey::of_refused(&namespace("default"), b"not a job").to_string(),
        "79bda5382ab52007e099bcaf3be8523893a5fd32daf526bb38ba29260a7ee2c1"
    );
}

#[test]
fn a_payload_has_the_hash_that_it_always_had() {
    let text = payload(r#""tool": "summarize", "input": {"text": "One."}"#);
    assert_eq!(text.to_string(), PAYLOAD);
    let of_all_kinds = payload(
        r#""tool": "summarize", "input": {"text": "Grüße\n", "n": [1, -2.50, true, false, null],
           "o": {"b": "", "a": {}}}"#,
    );
    assert_eq!(
        of_all_kinds.to_string(),
        "5eabfa026d898e50d8e3668b5bf843fa3c7aa4b99fb5f13e54080c351a664452"
    );
    let with_model = payload(r#""tool": "files/read", "input": {}, "model": "gpt-x""#);
    assert_eq!(
        with_model.to_string(),
        "1698509ddec3fafe0053cf1c8f0d5ce8972abfd0cbcc17a8d1dd759a061869db"
    );
    // Of the ids that follow from it, others know as well.
    let ids = [0, 1].map(|nth| with_model.job_id(nth).to_string());
    assert_eq!(
        ids,
        ["e0964454-9754-8938-a476-8c94cb6cbeb0", "a03b8788-5bf0-8905-b504-b7c45db33014"]
    );
}

#[test]
fn a_request_has_the_key_that_it_always_had_and_its_jobs_their_ids() {
    let request = RequestKey::of(&namespace("default"), "nightly-1");
    assert_eq!(request.to_string(), REQUEST);
    let ids = [0, 1].map(|index| request.job_id(index).to_string());
    assert_eq!(
        ids,
        ["d19155b1-b4d9-822a-ba5b-68cfdb4dfa24", "9ebd7b3a-6928-8f8e-be71-11d30f60071d"]
    );
    assert_eq!(BodyHash::of("/v1/jobs", b"one").to_string(), BODY);
}

#[test]
fn a_batch_has_the_key_that_it_always_had() {
    let key = |of: &str| {
        format!("{:?}", BatchKey::of(&namespace(of), &"nightly-1".parse().expect("an id")))
    };
    assert_eq!(key("default"), BATCH);
    assert_eq!(key("tenant.a"), "0d61e5c6b12808b87d2c5d782664537f17e1b1588ad0cef5538d3cd9407b0fe2");
}
