//! CSV and JSON Lines: which jobs they become, under which ids.

use serde_json::{Value, json};

use super::{enqueue, queued};
use crate::helpers::{Folder, summarize};

const TICKETS: &str = "No,Subject,Text,Sentences,Who\r\n\
    17,\"Ferry, late\",\"It said \"\"soon\"\".\nIt never came.\",2,\r\n\
    18,,Kühl & naß — ok?,,Ann\r\n";

const MAPPED: [&str; 10] = [
    "--tool",
    "summarize",
    "--map",
    "text=Text",
    "--map",
    "sentences:json=Sentences",
    "--id-column",
    "No",
    "--metadata",
    "Who",
];

#[tokio::test]
async fn columns_become_fields_ids_and_metadata() {
    let folder = Folder::new();
    folder.write("tickets.csv", TICKETS);

    let sent =
        enqueue(&folder, "tickets.csv").args(MAPPED).args(["--input", r#"{"sentences": 1}"#]);
    let sent = sent.args(["--model", "m", "--callback", "https://n8n.example.com/hook"]).summary();

    assert_eq!(sent.await["accepted"], 2);
    let common = |id: &str, input: Value, who: &str| {
        json!({
            "tool": "summarize", "model": "m", "callback": "https://n8n.example.com/hook",
            "id": id, "input": input, "metadata": {"Who": who},
        })
    };
    let text = "It said \"soon\".\nIt never came.";
    assert_eq!(
        queued(&folder),
        [
            common("17", json!({"sentences": 2, "text": text}), ""),
            common("18", json!({"sentences": 1, "text": "Kühl & naß — ok?"}), "Ann"),
        ]
    );
}

#[tokio::test]
async fn without_a_map_every_column_is_a_field_and_ids_are_made_of_what_is_called() {
    let folder = Folder::new();
    folder.write("a.csv", "text\nOne.\nTwo.\nOne.\n");
    // Another order, and more of them: what was there has its old id.
    folder.write("b.csv", "text\nThree.\nOne.\nTwo.\nOne.\n");
    let of = |file: &'static str| {
        let run = enqueue(&folder, file).args(["--tool", "summarize"]);
        async move { run.summary().await }
    };

    assert_eq!(
        (of("a.csv").await["accepted"].clone(), &of("b.csv").await["repeated"]),
        (3.into(), &0.into())
    );

    let jobs = queued(&folder);
    let id = |place: usize| jobs[place]["id"].as_str().expect("an id");
    assert_eq!([id(0), id(1), id(2)], [id(4), id(5), id(6)]);
    assert_ne!(id(0), id(2));
    assert!(jobs.iter().all(|job| job["tool"] == "summarize" && job.get("metadata").is_none()));
    let prefixed = enqueue(&folder, "a.csv").args(["--tool", "summarize", "--id-prefix", "again-"]);
    prefixed.summary().await;
    assert_eq!(queued(&folder)[7]["id"], format!("again-{}", id(0)));
}

#[tokio::test]
async fn lines_keep_what_they_say_and_get_what_they_lack() {
    let folder = Folder::new();
    let (mut own, mut bare) = (summarize("own", "One."), summarize("x", "Two."));
    (own["model"], own["metadata"]) = ("own-model".into(), json!({"b": 1.50, "a": null}));
    bare.as_object_mut().expect("fields").remove("id");
    bare.as_object_mut().expect("fields").remove("tool");
    folder.jobs(&[own.clone(), bare]);

    let args = ["--tool", "classify", "--model", "m", "--batch", "b", "--batch-callback"];
    let sent = enqueue(&folder, "jobs.jsonl").args(args).args(["https://n8n.example.com/wait"]);
    sent.summary().await;

    let jobs = queued(&folder);
    own["batch"] =
        json!({"id": "b", "index": 0, "size": 2, "callback": "https://n8n.example.com/wait"});
    assert_eq!(jobs[0], own);
    assert_eq!((&jobs[1]["tool"], &jobs[1]["model"]), (&json!("classify"), &json!("m")));
    assert_eq!((&jobs[1]["batch"]["index"], &jobs[1]["batch"]["size"]), (&json!(1), &json!(2)));
    assert_eq!(jobs[1]["id"].as_str().map(str::len), Some(36));
}

#[tokio::test]
async fn standard_input_is_read_once_and_sent_as_one_batch() {
    let folder = Folder::new();
    let lines = format!("{}\nnonsense\n{}\n", summarize("a", "One."), summarize("b", "Two."));
    let args = ["--batch", "b", "--batch-callback", "https://n8n.example.com/wait"];
    let sent = enqueue(&folder, "-").args(args).stdin(lines).summary().await;
    assert_eq!((&sent["accepted"], &sent["bad"], &sent["exit"]), (&2.into(), &1.into(), &1.into()));
    assert_eq!(queued(&folder)[1]["batch"]["size"], 2);
    assert!(!folder.path("-.journal").exists());
}

#[tokio::test]
async fn a_dry_run_judges_and_sends_nothing() {
    let folder = Folder::new();
    folder.write("tickets.csv", TICKETS);
    let judged = enqueue(&folder, "tickets.csv").args(MAPPED).args(["--dry-run"]).finish().await;
    assert_eq!((judged.code, judged.stdout.as_str()), (Some(0), "2 jobs, nothing sent\n"));
    assert!(!folder.path("mcp-batch.db").exists() && !folder.path("tickets.csv.journal").exists());
}

#[tokio::test]
async fn no_more_jobs_a_second_go_than_the_rate_allows() {
    let folder = Folder::new();
    let jobs: Vec<_> = (0..30).map(|n| summarize(&format!("job-{n}"), "One.")).collect();
    folder.jobs(&jobs);
    let began = std::time::Instant::now();
    let sent = enqueue(&folder, "jobs.jsonl").args(["--rate", "10"]).summary().await;
    assert_eq!(sent["accepted"], 30);
    // Groups of ten; the last one need not be waited for.
    assert!(began.elapsed() >= std::time::Duration::from_secs(2));
}
