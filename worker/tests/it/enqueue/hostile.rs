//! Files that are wrong in one place, or all over: what is sound is sent, and the rest is named by
//! its line.

use serde_json::{Value, json};

use super::{enqueue, queued};
use crate::helpers::{Folder, summarize};

/// Sends CSV as jobs of `summarize`; what was done.
async fn sent(folder: &Folder, csv: impl AsRef<[u8]>, more: &[&str]) -> Value {
    folder.write("x.csv", csv);
    let run = enqueue(folder, "x.csv").args(["--tool", "summarize"]);
    more.iter().fold(run, |run, arg| run.args([arg])).summary().await
}

/// The lines that were no jobs, with their reasons.
fn bad(told: &Value) -> Vec<(u64, String)> {
    let lines = told["bad_lines"].as_array().expect("lines").iter();
    let line = |it: &Value| {
        (it["line"].as_u64().expect("a line"), it["message"].as_str().expect("words").to_owned())
    };
    lines.map(line).collect()
}

fn texts(folder: &Folder) -> Vec<Value> {
    queued(folder).into_iter().map(|mut job| job["input"]["text"].take()).collect()
}

#[tokio::test]
async fn quotes_line_ends_marks_and_empty_lines_are_as_rfc_4180_and_excel_have_them() {
    let folder = Folder::new();
    let csv =
        "\u{feff}id;text\r\n\r\na;\"x;y\"\r\n\nb;\"one\r\ntwo\n\n\"\"three\"\"\"\r\nc;\" , \"";
    let told = sent(&folder, csv, &["--id-column", "id", "--delimiter", ";"]).await;
    assert_eq!((&told["accepted"], &told["bad"]), (&3.into(), &0.into()), "{told}");
    assert_eq!(texts(&folder), ["x;y", "one\r\ntwo\n\n\"three\"", " , "]);
}

#[tokio::test]
async fn a_bad_row_is_named_by_its_line_and_costs_no_other() {
    let folder = Folder::new();
    let mut csv = b"id,text,n\n".to_vec();
    csv.extend(b"a,One.,1\n"); // 2
    csv.extend(b"b,\"two\nlines\",2,too many\n"); // 3 and 4
    csv.extend(b"c,few\n"); // 5
    csv.extend(b"d,\xff\xfe,4\n"); // 6
    csv.extend(b",no id,5\n"); // 7
    csv.extend(b"e f,a space,6\n"); // 8
    csv.extend(b"g,no number,[1\n"); // 9
    csv.extend(b"a,another text,1\n"); // 10
    csv.extend(b"a,One.,1\n"); // 11
    csv.extend(b"z,Last.,7"); // 12
    let args = ["--id-column", "id", "--map", "text=text", "--map", "n:json=n"];

    let told = sent(&folder, csv, &args).await;

    assert_eq!(texts(&folder), ["One.", "Last."]);
    assert_eq!((&told["repeated"], &told["exit"]), (&1.into(), &1.into()));
    let expected = [
        (3, "expected 3 cells, found 4"),
        (5, "expected 3 cells, found 2"),
        (6, "expected UTF-8"),
        (7, "id: expected 1 to 128 characters"),
        (8, "found a space at character 2"),
        (9, "input.n: expected JSON"),
        (10, "found the id of line 2"),
    ];
    let bad = bad(&told);
    assert_eq!(bad.len(), expected.len(), "{bad:?}");
    for ((line, why), (at, words)) in bad.iter().zip(expected) {
        assert!(*line == at && why.contains(words), "line {line}: {why}");
    }
}

#[tokio::test]
async fn a_quote_that_is_not_closed_is_told_and_takes_no_row_in_silence() {
    let folder = Folder::new();
    let csv = "id,text\na,One.\nx1,\"open\nx2,hi\nx3,ho\n";
    let told = sent(&folder, csv, &["--id-column", "id"]).await;
    assert_eq!((texts(&folder), &told["exit"]), (vec!["One.".into()], &1.into()));
    let bad = bad(&told);
    assert!(bad.len() == 1 && bad[0].0 == 3 && bad[0].1.contains("closing quote"), "{bad:?}");
    for csv in ["id,text\nb,\"Two.\"", "id,text\nc,\"Three", "id,text\nd,"] {
        let told = sent(&folder, csv, &["--id-column", "id", "--dry-run"]).await;
        assert_eq!(told["bad"], u64::from(csv.ends_with("Three")), "{csv}: {told}");
    }
}

#[tokio::test]
async fn a_row_of_more_than_a_megabyte_and_an_endless_quote_are_bounded() {
    let folder = Folder::new();
    let fits = "x".repeat(1_000_000);
    let large = "y".repeat(1_100_000);
    let endless = format!("\"{}", "never closed\n".repeat(400_000));
    let csv = format!("id,text\na,{fits}\nb,{large}\nc,Small.\nd,{endless}");
    let told = sent(&folder, csv, &["--id-column", "id"]).await;
    assert_eq!(texts(&folder), [Value::from(fits), "Small.".into()]);
    let bad = bad(&told);
    assert_eq!(bad.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [3, 5]);
    assert!(bad[0].1.contains("1048576 bytes") && bad[1].1.contains("closing quote"), "{bad:?}");
}

#[tokio::test]
async fn what_is_wrong_with_all_of_a_file_is_said_before_anything_is_sent() {
    let folder = Folder::new();
    folder.write("t.csv", "Id,Text,Text\na,One.,Two.\n");
    folder.write("semicolons.csv", "Id;Text\na;One.\n");
    folder.write("empty.csv", "");
    folder.write("utf16.csv", [0xff, 0xfe, b'I', 0, b'd', 0]);
    let cases: [(&[&str], &str); 10] = [
        (&["t.csv"], "--tool"),
        (
            &["t.csv", "--tool", "t", "--map", "text=Body"],
            "no column “Body”; there are Id, Text, Text",
        ),
        (
            &["t.csv", "--tool", "t", "--map", "text=Text"],
            "expected one column “Text”, found several",
        ),
        (&["t.csv", "--tool", "t", "--id-column", "ID"], "no column “ID”"),
        (&["t.csv", "--tool", "t", "--map", "a=Id", "--map", "a=Id"], "--map: expected one column"),
        (&["semicolons.csv", "--tool", "t"], "the only column is “Id;Text”; say by --delimiter"),
        (&["empty.csv", "--tool", "t"], "found an empty file"),
        (&["utf16.csv", "--tool", "t"], "expected UTF-8"),
        (&["none.csv", "--tool", "t"], "none.csv: cannot be read"),
        (&["t.csv", "--tool", "t", "--batch", "b"], "--batch-callback"),
    ];
    for (args, words) in cases {
        let run = args.iter().fold(folder.command("enqueue"), |run, arg| run.args([arg]));
        let ended = run.finish().await;
        assert_eq!(ended.code, Some(2), "{args:?}: {}", ended.stderr);
        assert!(ended.stderr.contains(words), "{args:?}: {}", ended.stderr);
    }
    assert!(!folder.path("mcp-batch.db").exists());
}

#[tokio::test]
async fn an_empty_file_of_lines_or_a_lone_header_is_no_job_and_no_error() {
    let folder = Folder::new();
    folder.write("empty.jsonl", "\n\n");
    let told = enqueue(&folder, "empty.jsonl").summary().await;
    assert_eq!((&told["jobs"], &told["exit"]), (&0.into(), &0.into()));
    assert_eq!(sent(&folder, "id,text\n", &[]).await["jobs"], 0);
}

#[tokio::test]
async fn bad_lines_of_json_are_named_and_the_others_sent() {
    let folder = Folder::new();
    let long = "z".repeat(1_048_600);
    let mut placed = summarize("placed", "One.");
    placed["batch"] = json!({"id": "other", "index": 0, "callback": "https://a.example/"});
    let lines = [
        summarize("a", "One.").to_string(),
        "{\"id\": \"b\", \"tool\": ".to_owned(),
        "4711".to_owned(),
        "[1, 2]".to_owned(),
        summarize("c", &long).to_string(),
        "{\"id\": 7, \"tool\": \"summarize\", \"input\": {}}".to_owned(),
        "{\"tool\": \"summarize\", \"input\": {}, \"inputs\": {}}".to_owned(),
        placed.to_string(),
        "{\"id\": \"d\", \"id\": \"e\", \"tool\": \"summarize\", \"input\": {}}".to_owned(),
        summarize("z", "Last.").to_string(),
    ];
    folder.write("jobs.jsonl", lines.join("\n"));
    let args = ["--batch", "b", "--batch-callback", "https://n8n.example.com/wait"];

    let told = enqueue(&folder, "jobs.jsonl").args(args).summary().await;

    assert_eq!(texts(&folder), ["One.", "Last."]);
    let lines: Vec<_> = bad(&told).into_iter().map(|(line, _)| line).collect();
    assert_eq!(lines, [2, 3, 4, 5, 6, 7, 8, 9], "{told}");
    // Not counted in the batch: nobody waits for them.
    assert_eq!(
        queued(&folder)[1]["batch"],
        json!({"id": "b", "index": 1, "size": 2, "callback": "https://n8n.example.com/wait"})
    );
    let text = enqueue(&folder, "jobs.jsonl").args(args).finish().await;
    assert_eq!(text.code, Some(1));
    assert!(text.stderr.starts_with("line 2: "), "{}", text.stderr);
    assert!(text.stdout.contains("Sent 2 jobs") && text.stdout.contains("8 lines are no jobs"));
}

#[tokio::test]
async fn a_job_is_repeated_only_with_the_same_callback_and_the_same_place() {
    let folder = Folder::new();
    let job = summarize("a", "One.");
    let with = |field: &str, value: Value| {
        let mut job = job.clone();
        job[field] = value;
        job
    };
    let place = |batch: &str, index: u64| json!({"id": batch, "index": index, "callback": "https://n8n.example.com/batch"});
    let sent = [
        job.clone(),
        with("callback", json!("https://n8n.example.com/1")),
        with("callback", json!("https://n8n.example.com/2")),
        with("batch", place("one", 0)),
        with("batch", place("one", 1)),
        with("batch", place("two", 0)),
    ];
    let again = [
        with("batch", place("one", 1)),
        with("callback", json!({"url": "https://n8n.example.com/1"})),
        with("metadata", json!(1)),
    ];
    let lines: Vec<_> = sent.iter().chain(&again).map(Value::to_string).collect();
    folder.write("x.jsonl", lines.join("\n"));

    let told = enqueue(&folder, "x.jsonl").summary().await;

    assert_eq!((&told["exit"], &told["accepted"]), (&json!(0), &json!(6)), "{told}");
    assert_eq!((&told["repeated"], queued(&folder).len()), (&json!(3), 6));

    // Places that the command gives are no wish of the line's.
    let folder = Folder::new();
    folder.write("x.jsonl", format!("{job}\n{job}\n"));
    let url = "https://n8n.example.com/batch";
    let args = ["--batch", "b", "--batch-callback", url];
    let told = enqueue(&folder, "x.jsonl").args(args).summary().await;
    assert_eq!((&told["accepted"], &told["repeated"]), (&json!(1), &json!(1)), "{told}");
    assert_eq!(queued(&folder)[0]["batch"]["size"], 1);
}
