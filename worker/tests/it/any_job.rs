//! What holds for any bytes and for any job: the parser does not panic, and reads what was written.

use mcp_batch::job::Job;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

/// Any JSON of a few levels.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((".{0,4}", inner), 0..4)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

prop_compose! {
    fn any_job()(
        id in "[A-Za-z0-9._:-]{1,128}",
        tool in "[A-Za-z0-9_.-]{1,64}(/[A-Za-z0-9_.-]{1,128})?",
        input in prop::collection::vec((".{0,6}", any_json()), 0..4),
        model in prop::option::of("[!-~]{1,128}"),
        metadata in prop::option::of(any_json()),
        max_cost_usd in prop::option::of(1e-9..1e9),
        callback in prop::option::of("https?://[a-z]{1,20}\\.example(:[1-9][0-9]{1,3})?/[a-z0-9/]{0,20}"),
    ) -> Value {
        let input: Map<String, Value> = input.into_iter().collect();
        let mut job = json!({"id": id, "tool": tool, "input": input});
        let optional = [
            ("model", model.map(Value::from)),
            ("metadata", metadata),
            ("max_cost_usd", max_cost_usd.map(Value::from)),
            ("callback", callback.map(Value::from)),
        ];
        for (name, value) in optional {
            if let Some(value) = value {
                job[name] = value;
            }
        }
        job
    }
}

/// The same JSON with the fields of all objects the other way round.
fn reversed(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let fields = fields.iter().rev();
            Value::Object(fields.map(|(name, value)| (name.clone(), reversed(value))).collect())
        }
        Value::Array(items) => items.iter().map(reversed).collect(),
        other => other.clone(),
    }
}

proptest! {
    #[test]
    fn the_parser_survives_any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Job::parse(&bytes.into());
    }

    #[test]
    fn the_parser_survives_a_job_with_bytes_changed(
        job in any_job(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut body = job.to_string().into_bytes();
        for (place, byte) in changes {
            let place = place.index(body.len());
            body[place] = byte;
        }
        if let Err(invalid) = Job::parse(&body.into()) {
            prop_assert!(!invalid.problems().is_empty() && !invalid.error().message.is_empty());
        }
    }

    #[test]
    fn the_parser_survives_any_json_in_any_field(
        job in any_job(),
        field in prop::sample::select(vec!["id", "tool", "input", "model", "callback", "batch", "metadata", "expires_at", "max_cost_usd", "tenant", "traceparent"]),
        value in any_json(),
    ) {
        let mut job = job;
        job[field] = value;
        if let Err(invalid) = Job::parse(&job.to_string().into()) {
            let at = invalid.error().field.unwrap_or_default();
            prop_assert!(at.starts_with(field), "{at} is not {field}");
        }
    }

    #[test]
    fn a_job_is_read_as_it_was_written(job in any_job()) {
        let parsed = Job::parse(&job.to_string().into()).map_err(|invalid| invalid.error());
        let parsed = parsed.expect("a sound job");
        prop_assert_eq!(parsed.id().as_str(), &job["id"]);
        prop_assert_eq!(parsed.tool().as_str(), &job["tool"]);
        prop_assert_eq!(parsed.input().to_value(), job["input"].clone());
        prop_assert_eq!(parsed.model().map(|model| model.as_str().into()), job.get("model").cloned());
        prop_assert_eq!(parsed.metadata(), job.get("metadata"));
        prop_assert_eq!(parsed.max_cost_usd().map(Value::from), job.get("max_cost_usd").cloned());
        let callback = parsed.callback().map(|callback| callback.expose_url().into());
        prop_assert_eq!(callback, job.get("callback").cloned());
    }

    #[test]
    fn the_payload_hash_depends_on_what_is_said_and_not_on_the_order_of_fields(job in any_job(), other in any_json()) {
        let hash = |job: &Value| Job::parse(&job.to_string().into()).expect("a sound job").payload_hash();
        let mut changed = job.clone();
        changed["metadata"] = json!("elsewhere");
        prop_assert_eq!(hash(&job), hash(&reversed(&job)));
        prop_assert_eq!(hash(&job), hash(&changed));

        changed["input"]["one more field of the input"] = other;
        prop_assert_ne!(hash(&job), hash(&changed));
    }
}
