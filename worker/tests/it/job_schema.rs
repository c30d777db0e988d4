//! `fixtures/job.schema.json` says what the parser does: each body is valid to both or to neither.
//! What the schema cannot say, or says otherwise, is listed at the end.

use std::fs;

use jsonschema::Validator;
use mcp_batch::job::{Job, MAX_METADATA_BYTES};
use serde_json::{Value, json};

use crate::helpers::{fixture, json_lines};

fn schema() -> Value {
    let text = fs::read_to_string(fixture("job.schema.json")).expect("the schema");
    serde_json::from_str(&text).expect("a schema in JSON")
}

fn validator() -> Validator {
    let options = jsonschema::options().should_validate_formats(true);
    options.build(&schema()).expect("a sound schema")
}

fn parses(body: &Value) -> bool {
    Job::parse(&body.to_string().into()).is_ok()
}

/// A sound job with `field` set to `value`; a field of the batch by its path.
fn with(field: &str, value: Value) -> Value {
    let mut job = json!({"id": "a", "tool": "summarize", "input": {}});
    match field.strip_prefix("batch.") {
        Some(field) => {
            job["batch"] = json!({"id": "b", "index": 0, "callback": "https://a.example"});
            job["batch"][field] = value;
        }
        None => job[field] = value,
    }
    job
}

fn without(field: &str) -> Value {
    let mut job = with("batch.size", json!(1));
    let parent = if field.starts_with("batch.") { &mut job["batch"] } else { &mut job };
    let name = field.trim_start_matches("batch.");
    parent.as_object_mut().expect("an object").remove(name).expect("the field");
    job
}

fn chars(count: usize) -> Value {
    "x".repeat(count).into()
}

/// Values that a field takes, and values that it does not.
type Values = (Vec<Value>, Vec<Value>);

fn id_values() -> Values {
    let good = vec![json!("a"), json!("AZaz09._:-"), chars(1), chars(128), json!("."), json!("-")];
    let bad = vec![
        chars(0),
        chars(129),
        json!("a b"),
        json!("a/b"),
        json!("é"),
        json!("a\n"),
        json!("\na"),
        json!("a\u{0}"),
        json!(1),
        Value::Null,
        json!(["a"]),
    ];
    (good, bad)
}

fn name_values() -> Values {
    let good = vec![json!("!"), json!("~"), json!("openai/gpt-4o:free"), chars(128)];
    let bad = vec![
        chars(0),
        chars(129),
        json!("a b"),
        json!("ü"),
        json!("a\u{7f}"),
        json!(1),
        Value::Null,
    ];
    (good, bad)
}

fn callback_values() -> Values {
    let good = vec![
        json!("https://a.example"),
        json!("HTTP://a.example:5678/x?y=z"),
        json!("http://127.0.0.1/"),
        json!("http://[::1]:80/"),
        json!({"url": "https://a.example/x"}),
        json!(format!("https://a.example/{}", "x".repeat(2048 - 18))),
    ];
    let bad = vec![
        json!(""),
        json!("a.example"),
        json!("/path"),
        json!("ftp://a.example"),
        json!("https://"),
        json!(format!("https://a.example/{}", "x".repeat(2049 - 18))),
        json!("https:// a.example"),
        json!({}),
        json!({"url": 1}),
        json!({"url": "https://a.example", "method": "PUT"}),
        json!(["https://a.example"]),
        Value::Null,
    ];
    (good, bad)
}

fn time_values() -> Values {
    let good = vec![
        json!("2099-12-31T23:59:59Z"),
        json!("2099-12-31t23:59:59z"),
        json!("2020-02-29T00:00:00.123456+01:00"),
        json!("2099-01-01T00:00:00-12:30"),
    ];
    let bad = vec![
        json!("2099-12-31"),
        json!("2099-12-31T23:59:59"),
        json!("2099-12-31T23:59Z"),
        json!("2099-02-30T00:00:00Z"),
        json!("2099-01-01T25:00:00Z"),
        json!("20991231T235959Z"),
        json!("2099-12-31T23:59:59+01"),
        json!("2099-12-31T23:59:59+01:00[Europe/Paris]"),
        json!("tomorrow"),
        json!(4_000_000_000_u64),
        Value::Null,
    ];
    (good, bad)
}

fn tool_values() -> Values {
    let (part, longer) = ("x".repeat(64), "x".repeat(65));
    let (tool, longer_tool) = ("x".repeat(128), "x".repeat(129));
    let good = vec![
        json!("summarize"),
        json!("docs/search"),
        json!("A.b_c-9"),
        json!(format!("{part}/{tool}")),
        json!(part),
    ];
    let bad = vec![
        chars(0),
        json!(longer),
        json!(format!("{part}/{longer_tool}")),
        json!(format!("{longer}/{part}")),
        json!("/search"),
        json!("docs/"),
        json!("a/b/c"),
        json!("a:b"),
        json!("a b"),
        json!(1),
    ];
    (good, bad)
}

/// Every field with what it takes and what it does not.
fn table() -> Vec<(&'static str, Values)> {
    let not_numbers = [json!("1"), Value::Null, json!([1])];
    let sizes = |good: [u64; 2], bad: [i64; 2]| {
        let bad = bad.map(Value::from).into_iter().chain(not_numbers.clone()).chain([json!(0.5)]);
        (good.map(Value::from).to_vec(), bad.collect())
    };
    let costs = [json!(0), json!(-0.01)].into_iter().chain(not_numbers.clone()).collect();
    vec![
        ("id", id_values()),
        ("tool", tool_values()),
        (
            "input",
            (vec![json!({}), json!({"a": {"b": []}})], vec![json!([]), json!("x"), Value::Null]),
        ),
        ("model", name_values()),
        ("tenant", name_values()),
        ("traceparent", (vec![json!(""), json!("00-x"), chars(300)], vec![json!(1), Value::Null])),
        ("callback", callback_values()),
        ("metadata", (vec![Value::Null, json!(0), json!("x"), json!([]), json!({"a": 1})], vec![])),
        ("expires_at", time_values()),
        ("max_cost_usd", (vec![json!(0.000_001), json!(1), json!(1e300)], costs)),
        ("batch", (vec![], vec![Value::Null, json!({}), json!("b"), json!([])])),
        ("batch.id", id_values()),
        ("batch.index", sizes([0, 999_999], [-1, 1_000_000])),
        ("batch.size", sizes([1, 1_000_000], [0, 1_000_001])),
        ("batch.callback", callback_values()),
        ("batch.expires_at", time_values()),
        ("batch.unknown", (vec![], vec![json!(1)])),
        ("unknown", (vec![], vec![json!(1)])),
    ]
}

#[test]
fn schema_and_parser_take_and_refuse_the_same_values_of_each_field() {
    let validator = validator();
    let (mut bodies, mut wrong) = (0, Vec::new());
    for (field, (good, bad)) in table() {
        let good = good.into_iter().map(|value| (value, true));
        for (value, is_good) in good.chain(bad.into_iter().map(|value| (value, false))) {
            let body = with(field, value.clone());
            if (parses(&body), validator.is_valid(&body)) != (is_good, is_good) {
                let (parser, schema) = (parses(&body), validator.is_valid(&body));
                wrong.push(format!("{field} {value}: parser {parser}, schema {schema}"));
            }
            bodies += 1;
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(bodies >= 60, "{bodies} bodies");
}

#[test]
fn schema_and_parser_require_the_same_fields() {
    let validator = validator();
    let required = ["id", "tool", "input", "batch.id", "batch.index", "batch.callback"];
    for (field, is_good) in
        required.map(|field| (field, false)).into_iter().chain([("batch.size", true)])
    {
        let body = without(field);
        assert_eq!((parses(&body), validator.is_valid(&body)), (is_good, is_good), "{field}");
    }
    for body in [json!([]), json!("a"), json!(1), Value::Null, json!({})] {
        assert_eq!((parses(&body), validator.is_valid(&body)), (false, false), "{body}");
    }
}

#[test]
fn the_schemas_own_examples_and_the_sound_fixtures_are_jobs_to_both() {
    let (schema, validator) = (schema(), validator());
    let examples = schema["examples"].as_array().expect("examples").clone();
    assert!(!examples.is_empty());
    let jobs = fs::read_to_string(fixture("jobs.jsonl")).expect("the fixture");
    let jobs: Vec<Value> =
        jobs.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    for body in examples.iter().chain(&jobs) {
        assert_eq!(parses(body), validator.is_valid(body), "{}", body["id"]);
    }
    for body in &examples {
        assert!(parses(body), "{body}");
    }
}

#[test]
fn the_examples_of_each_field_are_values_of_it() {
    let schema = schema();
    let properties = schema["properties"].as_object().expect("properties");
    for (field, about) in properties {
        for example in about["examples"].as_array().into_iter().flatten() {
            assert!(parses(&with(field, example.clone())), "{field}: {example}");
        }
    }
}

/// What the schema takes and the parser refuses: it cannot be said in JSON Schema, or not well.
#[test]
fn the_parser_is_stricter_than_the_schema_in_known_places_alone() {
    let mut index_of_size = with("batch.index", json!(3));
    index_of_size["batch"]["size"] = json!(3);
    let exceptions = [
        // Sizes in bytes of JSON.
        with("metadata", "x".repeat(MAX_METADATA_BYTES).into()),
        with("input", json!({"text": "x".repeat(1_048_576)})),
        // One field against another.
        index_of_size,
        // What a URL must not hold.
        with("callback", json!("https://user:password@a.example/")),
        with("callback", json!("https://user@a.example/")),
        // A whole number written as a fraction.
        with("batch.index", json!(1.0)),
        with("batch.size", json!(1.0)),
    ];
    let validator = validator();
    for body in exceptions {
        let shown = body.to_string().chars().take(100).collect::<String>();
        assert_eq!((parses(&body), validator.is_valid(&body)), (false, true), "{shown}");
    }
    // As text alone: a field that stands there twice.
    let twice = r#"{"id":"a","id":"a","tool":"summarize","input":{}}"#;
    assert!(Job::parse(&twice.into()).is_err());
    assert!(json_lines(twice).iter().all(|body| validator.is_valid(body)));
}
