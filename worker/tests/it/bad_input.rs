//! Bodies and files that are wrong: each is told by name, and harms no neighbour.

use mcp_batch::job::{Callback, Job, JobId};
use serde_json::{Value, json};

use crate::helpers::{Folder, summarize};

/// A bad body, and what is said of it: code, field, and words of the message.
struct Bad {
    body: Vec<u8>,
    code: &'static str,
    field: Option<&'static str>,
    says: &'static str,
}

fn bad(
    body: impl Into<Vec<u8>>,
    code: &'static str,
    field: Option<&'static str>,
    says: &'static str,
) -> Bad {
    Bad { body: body.into(), code, field, says }
}

fn nested(levels: usize) -> String {
    format!("{}1{}", "[".repeat(levels), "]".repeat(levels))
}

/// A job with `extra` text inside of its outer braces.
fn with(extra: &str) -> String {
    format!(r#"{{"id":"bad","tool":"summarize","input":{{"text":"One."}}{extra}}}"#)
}

/// Bodies that the parser refuses.
fn unreadable() -> Vec<Bad> {
    let long = format!(r#","metadata":"{}""#, "x".repeat(2_000_000));
    let deep = nested(10_000);
    vec![
        bad("nonsense", "not_json", None, "expected a JSON object, found a mistake"),
        bad(r#"{"id":"bad","tool""#, "not_json", None, "its text ends at column 18"),
        bad("42", "not_an_object", None, "found a number"),
        bad("\"text\"", "not_an_object", None, "found a string"),
        bad("null", "not_an_object", None, "found null"),
        bad(with("") + "{}", "not_json", None, "expected a JSON object"),
        bad(with(r#","inputs":{}"#), "unknown_field", Some("inputs"), "expected one of id, tool"),
        bad(with(r#","tool":"classify""#), "repeated_field", Some("tool"), "this field once"),
        bad(r#"{"tool":"summarize","input":{}}"#, "missing_field", Some("id"), "required"),
        bad(r#"{"id":"bad","input":{}}"#, "missing_field", Some("tool"), "required"),
        bad(r#"{"id":"bad","tool":"summarize"}"#, "missing_field", Some("input"), "required"),
        bad(
            r#"{"id":"a b","tool":"summarize","input":{}}"#,
            "invalid_field",
            Some("id"),
            "found a space at character 2",
        ),
        bad(
            r#"{"id":"a\u0000b","tool":"summarize","input":{}}"#,
            "invalid_field",
            Some("id"),
            "the control character U+0000 at character 2",
        ),
        bad(
            r#"{"id":"bad","tool":"summarize","input":[]}"#,
            "invalid_field",
            Some("input"),
            "expected a JSON object, found an array",
        ),
        bad(
            with(r#","batch":{"id":"b","index":3,"size":3,"callback":"https://a.example"}"#),
            "invalid_field",
            Some("batch.index"),
            "below the size of 3",
        ),
        bad(with(&long), "too_large", None, "at most 1048576 bytes, found 20000"),
        bad(with(",\"metadata\":\"\0\""), "not_json", None, "mistake in its syntax"),
        bad(b"{\"id\":\"\xff\"}".as_slice(), "not_utf8", None, "an invalid byte at offset 7"),
        bad(with(&format!(r#","metadata":{deep}"#)), "too_deep", None, "127 levels"),
        // What nobody asked for is skipped, however deep.
        bad(with(&format!(r#","unknown":{deep}"#)), "unknown_field", Some("unknown"), "one of"),
        bad(deep, "not_an_object", None, "found an array"),
    ]
}

/// Bodies that are jobs, but cannot be run.
fn unrunnable() -> Vec<Bad> {
    let classify = |categories: &str| {
        format!(
            r#"{{"id":"bad","tool":"classify","input":{{"text":"a","categories":{categories}}}}}"#
        )
    };
    vec![
        bad(with("").replace("summarize", "sing"), "unknown_tool", Some("tool"), "classify, summ"),
        bad(with("").replace("One.", ""), "input_schema", Some("input.text"), "shorter than 1"),
        bad(with("").replace("text", "texts"), "input_schema", Some("input.texts"), "texts"),
        bad(classify(r#"["a",2]"#), "input_schema", Some("input.categories.1"), "string"),
        bad(classify(r#"["a"]"#), "input_schema", Some("input.categories"), "less than 2"),
        bad(
            with(r#","expires_at":"2020-01-01T00:00:00Z""#),
            "expired",
            Some("expires_at"),
            "a time ahead, found 2020",
        ),
    ]
}

#[test]
fn the_parser_names_what_is_wrong_with_a_body() {
    for Bad { body, code, field, says } in unreadable() {
        let shown = String::from_utf8_lossy(&body[..body.len().min(80)]).into_owned();
        let error = Job::parse(&body.into()).expect_err(&shown).error();
        assert_eq!((&*error.code, error.field.as_deref()), (code, field), "{shown}: {error}");
        assert!(error.message.contains(says), "{shown}: {error}");
    }
}

#[test]
fn what_could_be_read_of_a_bad_body_is_kept_so_that_somebody_can_be_told() {
    let body = with(r#","callback":"https://a.example/x","metadata":7,"one":1,"two":2"#);
    let invalid = Job::parse(&body.into()).expect_err("two fields too many");
    assert_eq!(invalid.id.as_ref().map(JobId::as_str), Some("bad"));
    assert_eq!(invalid.callback.as_ref().map(Callback::host), Some("a.example"));
    assert_eq!((invalid.metadata.clone(), invalid.problems().len()), (Some(json!(7)), 2));
    assert!(invalid.error().message.contains("one: expected"), "{}", invalid.error());
    assert!(invalid.error().message.contains("two: expected"), "{}", invalid.error());
}

/// Runs bad items between good ones; every bad one is told by line, on the screen and in the
/// results, and every good one succeeds.
async fn assert_told(bad: &[Bad], file: impl Fn(&[Vec<u8>]) -> Vec<u8>) {
    let good = |n: usize| summarize(&format!("good-{n}"), "One. Two.").to_string().into_bytes();
    let mut items = vec![good(0)];
    for (n, bad) in bad.iter().enumerate() {
        items.extend([bad.body.clone(), good(n + 1)]);
    }
    let folder = Folder::new();

    let ended = folder.run(folder.write("jobs", file(&items))).finish().await;

    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    let results = folder.results();
    assert_eq!(results.len(), items.len());
    for (n, result) in results.iter().enumerate() {
        assert_eq!(result["line"], n + 1);
        let Some(Bad { code, field, says, .. }) = bad.get(n / 2).filter(|_| n % 2 == 1) else {
            assert_eq!(
                (&result["status"], &result["result"]),
                (&json!("succeeded"), &json!("One. Two."))
            );
            continue;
        };
        let error = &result["error"];
        assert_eq!((&result["status"], &error["class"]), (&json!("failed"), &json!("invalid")));
        assert_eq!((&error["code"], &error["field"]), (&json!(code), &json!(field)), "{result}");
        let message = error["message"].as_str().expect("a message");
        assert!(message.contains(says), "{message}");
        let job = result["id"].as_str().map(|id| format!(", job {id}")).unwrap_or_default();
        let told = format!("line {}{job}: {message}", n + 1);
        // Just the first 20 of those that are refused while the file is read.
        let is_shown = n <= 40 && *code != "expired";
        assert_eq!(ended.stderr.contains(&told), is_shown, "{told}: {}", ended.stderr);
    }
}

fn in_lines(items: &[Vec<u8>]) -> Vec<u8> {
    items.join(b"\n".as_slice())
}

/// Each item on the line of its number.
fn in_array(items: &[Vec<u8>]) -> Vec<u8> {
    [b"[".as_slice(), &items.join(b",\n".as_slice()), b"]\n"].concat()
}

#[tokio::test]
async fn bad_lines_are_told_and_their_neighbours_run() {
    assert_told(&unreadable(), in_lines).await;
    assert_told(&unrunnable(), in_lines).await;
}

#[tokio::test]
async fn line_ends_of_windows_and_a_byte_order_mark_change_nothing() {
    let file = |items: &[Vec<u8>]| {
        [b"\xEF\xBB\xBF".as_slice(), &items.join(b"\r\n".as_slice()), b"\r\n\r\n"].concat()
    };
    assert_told(&unrunnable(), file).await;
}

#[tokio::test]
async fn bad_elements_of_an_array_are_told_and_their_neighbours_run() {
    // Brackets that do not pair take their neighbours with them.
    let mut bad = unreadable();
    bad.retain(|bad| bad.code != "not_json" || bad.body.ends_with(b"}") || bad.body == b"nonsense");
    assert_told(&bad, in_array).await;
    assert_told(&unrunnable(), in_array).await;
}

/// Runs a file as it stands; gives the exit code with the statuses, and the last result.
async fn ended(file: impl AsRef<[u8]>) -> (Option<i32>, String, Value) {
    let folder = Folder::new();
    let ended = folder.run(folder.write("jobs", file)).finish().await;
    let results = folder.results();
    let statuses: Vec<_> =
        results.iter().map(|line| line["status"].as_str().unwrap_or("?")).collect();
    (ended.code, statuses.join(" "), results.last().cloned().unwrap_or_default())
}

#[tokio::test]
async fn files_that_hold_nothing_are_no_failure() {
    for nothing in ["", "\n", "\n \r\n\t\n", "[]", " [ \n ] \n", "\u{feff}", "\u{feff}[]"] {
        assert_eq!(ended(nothing).await, (Some(0), String::new(), Value::Null), "{nothing:?}");
    }
}

#[tokio::test]
async fn an_array_that_is_cut_off_is_told_wherever_the_cut_is() {
    let whole = format!("[{},\n{}]", summarize("a", "One."), summarize("b", "Two."));
    let second = whole.find('\n').expect("two elements");
    let cuts = [
        (1, "failed"),
        (20, "failed"),
        (second - 1, "succeeded failed"),
        (second, "succeeded failed"),
        (second + 1, "succeeded failed"),
        (second + 20, "succeeded failed"),
        (whole.len() - 2, "succeeded failed"),
        (whole.len() - 1, "succeeded succeeded failed"),
    ];
    for (cut, expected) in cuts {
        let (code, statuses, last) = ended(&whole[..cut]).await;
        assert_eq!((code, &*statuses), (Some(1), expected), "cut at {cut}");
        assert_eq!(last["error"]["code"], "not_json", "cut at {cut}: {last}");
        let message = last["error"]["message"].as_str().expect("a message");
        assert!(message.contains("found that its text ends"), "cut at {cut}: {message}");
    }
}

#[tokio::test]
async fn what_is_odd_around_the_elements_of_an_array_loses_none() {
    let (a, b) = (summarize("a", "One."), summarize("b", "Two."));
    let files = [
        (format!("[{a},{b},]"), "succeeded succeeded"),
        (format!("[{a},,{b}]"), "succeeded failed succeeded"),
        (format!("[,{a},{b}]"), "failed succeeded succeeded"),
        (format!("[{a}\n{b}]"), "failed"),
        (format!("[{a},{b}] and more"), "succeeded succeeded failed"),
        (format!("[{a}],\n[{b}]"), "succeeded failed"),
        (format!("\u{feff}\r\n[{a},\r\n{b}\r\n]\r\n"), "succeeded succeeded"),
    ];
    for (file, expected) in files {
        let (_, statuses, last) = ended(&file).await;
        assert_eq!(statuses, expected, "{file}: {last}");
    }
}

#[tokio::test]
async fn nul_characters_in_a_text_are_text() {
    let job = summarize("a", "One\u{0}. Two.");
    let (code, _, result) = ended(job.to_string()).await;
    assert_eq!((code, &result["result"]), (Some(0), &json!("One\u{0}. Two.")));
}

#[tokio::test]
async fn an_id_with_another_input_is_refused_within_a_file_and_against_earlier_runs() {
    let folder = Folder::new();
    let (one, other) = (summarize("a", "One."), summarize("a", "Other."));
    let mut with_model = one.clone();
    with_model["model"] = "m".into();

    let first =
        folder.run(folder.jobs(&[one.clone(), other.clone(), with_model.clone(), one.clone()]));
    assert_eq!(first.summary().await["exit"], 1);
    let results = folder.results();
    let statuses: Vec<_> = results.iter().map(|line| &line["status"]).collect();
    assert_eq!(statuses, ["succeeded", "failed", "failed", "duplicate"]);
    for refused in &results[1..3] {
        assert_eq!(refused["error"]["code"], "id_conflict");
        let message = refused["error"]["message"].as_str().expect("a message");
        assert!(message.contains("the id of line 1"), "{message}");
    }

    for conflicting in [other, with_model] {
        let summary =
            folder.run(folder.jobs(&[conflicting, summarize("b", "Two.")])).summary().await;
        assert_eq!((&summary["exit"], &summary["failed"]), (&json!(1), &json!(1)), "{summary}");
        let results = folder.results();
        let error = &results[0]["error"];
        assert_eq!(
            (&error["class"], &error["code"], &error["field"]),
            (&json!("invalid"), &json!("id_conflict"), &json!("id"))
        );
        let message = error["message"].as_str().expect("a message");
        assert!(
            message.starts_with("id: expected an id of its own, found one that was used on 2"),
            "{message}"
        );
        assert_eq!(results[1]["status"], "succeeded");
    }

    let again = folder.run(folder.jobs(&[one])).summary().await;
    assert_eq!((&again["exit"], &again["already_done"]), (&json!(0), &json!(1)));
    assert_eq!(folder.results()[0]["result"], "One.");
}
