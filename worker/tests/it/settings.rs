//! The settings of AWS, and the count of connections.

use std::{collections::BTreeSet, fs, path::Path};

use mcp_batch::config::{
    self, Connections, DEFAULT_CONCURRENCY, Keys, LAMBDA_CONCURRENCY, Role, Source,
};

use crate::helpers::{Folder, summarize};

fn source<const N: usize>(variables: [(&str, &str); N]) -> Source {
    Source::of(variables.map(|(name, value)| (format!("MCP_BATCH_{name}"), value.to_owned())))
}

const QUEUE: &str = "https://sqs.eu-central-1.amazonaws.com/123456789012/jobs.fifo";

#[test]
fn the_worker_knows_its_table_and_its_queue() {
    let least = source([("TABLE", "jobs"), ("QUEUE_URL", QUEUE)]);
    let settings = config::aws(&least).expect("enough");
    assert_eq!(
        (settings.ledger.table.as_str(), settings.queue.queue_url.as_str()),
        ("jobs", QUEUE)
    );
    assert_eq!((settings.queue.dlq_url, settings.ledger.results_bucket), (None, None));

    let all = source([
        ("TABLE", "Jobs_1.a-b"),
        ("QUEUE_URL", QUEUE),
        ("DLQ_URL", "http://127.0.0.1:4566/000000000000/dead.fifo"),
        ("RESULTS_BUCKET", "results.example"),
    ]);
    let settings = config::aws(&all).expect("enough");
    assert!(settings.queue.dlq_url.is_some() && settings.ledger.results_bucket.is_some());
}

#[test]
fn a_setting_of_aws_that_is_missing_or_wrong_says_what_to_write() {
    let table = "MCP_BATCH_TABLE: expected the name of a DynamoDB table";
    let cases = [
        (
            source([("QUEUE_URL", QUEUE)]),
            format!("{table}, 3 to 255 of A-Z a-z 0-9 . _ -, found nothing"),
        ),
        (source([("TABLE", "a b c"), ("QUEUE_URL", QUEUE)]), table.to_owned()),
        (source([("TABLE", "jobs")]), "MCP_BATCH_QUEUE_URL: expected the URL of an SQS".to_owned()),
        (
            source([("TABLE", "jobs"), ("QUEUE_URL", "arn:aws:sqs:eu-central-1:1:jobs")]),
            "found “arn:aws:sqs:eu-central-1:1:jobs”".to_owned(),
        ),
        (
            source([("TABLE", "jobs"), ("QUEUE_URL", QUEUE), ("RESULTS_BUCKET", "A_B")]),
            "MCP_BATCH_RESULTS_BUCKET: expected the name of an S3 bucket".to_owned(),
        ),
    ];
    for (source, told) in cases {
        let error = config::aws(&source).expect_err(&told).to_string();
        assert!(error.contains(&told), "{error}");
    }
}

#[test]
fn a_queue_of_dead_letters_is_another_one_of_the_same_kind() {
    let standard = "https://sqs.eu-central-1.amazonaws.com/123456789012/jobs";
    let itself = "found the queue itself, where each dead letter would be run, and paid, again";
    let other_kind = "found a queue of the other kind";
    let slash = format!("{standard}/");
    let of_old = "https://eu-central-1.queue.amazonaws.com/123456789012/jobs";
    let cases = [
        (standard, standard, itself),
        (standard, &slash, itself),
        (&slash, standard, itself),
        (standard, of_old, itself),
        (QUEUE, QUEUE, itself),
        (standard, QUEUE, other_kind),
        (QUEUE, standard, other_kind),
        (standard, "dead", "found no URL of an SQS queue"),
    ];
    for (queue, dlq, told) in cases {
        let source = source([("TABLE", "jobs"), ("QUEUE_URL", queue), ("DLQ_URL", dlq)]);
        let error = config::aws(&source).expect_err(dlq).to_string();
        assert!(error.starts_with("MCP_BATCH_DLQ_URL: expected the URL of a "), "{error}");
        assert!(error.ends_with(told), "{dlq}: {error}");
    }
    let dead = "https://sqs.eu-central-1.amazonaws.com/123456789012/dead.fifo/";
    let source = source([("TABLE", "jobs"), ("QUEUE_URL", QUEUE), ("DLQ_URL", dead)]);
    assert!(config::aws(&source).is_ok());
}

#[test]
fn roles_that_are_not_built_are_refused() {
    assert_eq!(config::role(&source([])).expect("the default"), Role::Worker);
    assert_eq!(config::role(&source([("ROLE", "worker")])).expect("it is built"), Role::Worker);
    assert_eq!(config::role(&source([("ROLE", "sweep")])).expect("it is built"), Role::Sweep);
    assert_eq!(config::role(&source([("ROLE", "api")])).expect("it is built"), Role::Api);
    for role in ["boss", "Api"] {
        let error = config::role(&source([("ROLE", role)])).expect_err("unknown").to_string();
        assert_eq!(error, format!("MCP_BATCH_ROLE: expected worker, api or sweep, found “{role}”"));
    }
}

#[test]
fn a_lambda_without_an_llm_is_an_error() {
    let error = config::required_llm(&source([])).expect_err("nobody would see it").to_string();
    assert!(error.starts_with("MCP_BATCH_LLM_URL: expected an http or https URL"), "{error}");
    assert!(error.ends_with("found nothing"), "{error}");
}

#[test]
fn callbacks_have_times_of_their_own() {
    let standard = config::courier(&source([])).expect("the defaults");
    assert_eq!((standard.timeout.as_secs(), standard.connect_timeout.as_secs()), (30, 5));
    let schedule = config::policy(&source([])).expect("the defaults").callbacks;
    assert_eq!((schedule.backoff.cap.as_secs(), schedule.max_age.as_secs()), (3_600, 259_200));

    let source_of = |name, value| source([(name, value)]);
    let quick = config::courier(&source_of("CALLBACK_TIMEOUT_S", "0.5")).expect("a number");
    assert_eq!(quick.timeout.as_millis(), 500);
    let short = config::policy(&source_of("CALLBACK_MAX_AGE_S", "60")).expect("a number");
    assert_eq!(short.callbacks.max_age.as_secs(), 60);
    for (name, value) in [("CALLBACK_TIMEOUT_S", "0"), ("CALLBACK_CONNECT_TIMEOUT_S", "301")] {
        let error = config::courier(&source_of(name, value)).expect_err(name).to_string();
        assert!(error.contains("expected a number from 0.01 to 300"), "{error}");
    }
    for (name, value) in [("CALLBACK_MAX_AGE_S", "0"), ("CALLBACK_MAX_PAUSE_S", "3601")] {
        let error = config::policy(&source_of(name, value)).expect_err(name).to_string();
        assert!(error.starts_with(&format!("MCP_BATCH_{name}: expected")), "{error}");
    }
}

#[test]
fn callbacks_to_one_host_have_a_bound() {
    let standard = config::courier(&source([])).expect("the default");
    assert_eq!((standard.per_host, standard.total()), (5, 64));
    let wide = config::courier(&source([("CALLBACK_CONCURRENCY", "200")])).expect("a number");
    assert_eq!((wide.per_host, wide.total()), (200, 128));
    assert!(config::courier(&source([("CALLBACK_CONCURRENCY", "0")])).is_err());
}

#[test]
fn connections_fit_the_open_files_or_the_settings_to_lower_are_named() {
    let callbacks = config::courier(&source([])).expect("the default").total();
    let of = |llm| Connections {
        llm,
        servers: 0,
        ledger: 64,
        bucket: 32,
        queue: 16,
        callbacks,
        invocations: 0,
        clients: 0,
    };
    let llm = |default| config::concurrency(&source([]), default).expect("the default");
    assert!(of(llm(DEFAULT_CONCURRENCY)).check(1024).is_ok());
    assert!(of(llm(LAMBDA_CONCURRENCY)).check(1024).is_ok());
    assert!(of(724).check(1024).is_ok(), "900 of them");

    let error = of(725).check(1024).expect_err("one too many").to_string();
    for told in [
        "at most 900",
        "found 901",
        "725 to the LLM",
        "32 to the bucket",
        "lower MCP_BATCH_CONCURRENCY",
    ] {
        assert!(error.contains(told), "{error}");
    }
    let beside = Connections { invocations: 8, ..of(724) }.check(1024).expect_err("eight too many");
    assert!(beside.to_string().contains("8 to Lambda"), "{beside}");
    assert!(of(10_000).check(u64::MAX).is_ok(), "there is no limit");
    assert!(of(1).check(10).is_err());
}

#[tokio::test]
async fn a_run_with_more_connections_than_files_does_not_begin() {
    let folder = Folder::new();
    let jobs = folder.jobs(&[summarize("a", "A text.")]);
    let run = |concurrency| {
        let command = folder.run(&jobs).args(["--llm-url", "http://127.0.0.1:9/v1"]);
        command.args(["--concurrency", concurrency]).open_files(256)
    };
    let ended = run("100").finish().await;
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.stderr.contains("at most 132 connections"), "{ended:?}");
}

#[test]
fn an_empty_text_in_place_of_the_callback_secrets_is_refused() {
    for given in ["", " ", "\t\n"] {
        let error = Keys::read(source([("CALLBACK_SECRETS", given)]));
        let error = error.expect_err("nobody would notice that nothing is signed").to_string();
        assert!(error.starts_with("MCP_BATCH_CALLBACK_SECRETS: expected whsec_"), "{error}");
    }
    let keys = Keys::read(source([])).expect("it is left out");
    assert!(keys.signing.is_empty());
}

/// The names of variables in the text of a source file, each between quotes.
fn names(text: &str) -> impl Iterator<Item = &str> {
    let is_name = |it: &&str| {
        let rest = it.strip_prefix("MCP_BATCH_").or_else(|| it.strip_prefix("OTEL_"));
        let is_part = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
        rest.is_some_and(|rest| !rest.is_empty() && rest.chars().all(is_part))
    };
    text.split('"').filter(is_name)
}

fn sources(folder: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        match path.is_dir() {
            true => sources(&path, found),
            false if path.extension().is_some_and(|it| it == "rs") => {
                found.push(fs::read_to_string(path).expect("a source file"));
            }
            false => {}
        }
    }
}

/// The names of variables in a text, however they are set off.
fn mentioned(text: &str) -> impl Iterator<Item = &str> {
    let is_part = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    text.split(move |c| !is_part(c)).filter(|word| {
        let is_ours = word.starts_with("MCP_BATCH_") || word.starts_with("OTEL_");
        is_ours && !word.ends_with('_')
    })
}

/// What a function has no use for: the settings of one machine, and of commands.
const NOT_OF_A_FUNCTION: [&str; 7] = [
    "MCP_BATCH_API_KEY",
    "MCP_BATCH_API_KEY_FILE",
    "MCP_BATCH_API_RATE_PER_SECOND",
    "MCP_BATCH_API_URL",
    "MCP_BATCH_DB",
    "MCP_BATCH_LISTEN",
    "MCP_BATCH_VISIBILITY_TIMEOUT_S",
];

#[test]
fn terraform_can_set_every_setting_of_the_documentation_and_no_other() {
    let file = |name: &str| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name);
        fs::read_to_string(path).expect(name)
    };
    let pages = ["settings", "callbacks", "observability", "api"];
    let pages = pages.map(|page| file(&format!("docs/{page}.md"))).concat();
    let settings = file("terraform/settings.tf");
    let documented: BTreeSet<_> = mentioned(&pages).collect();
    let known: BTreeSet<_> = mentioned(&settings).chain(NOT_OF_A_FUNCTION).collect();
    assert!(documented.len() > 50, "{documented:?}");
    let differ: Vec<_> = documented.symmetric_difference(&known).collect();
    assert!(differ.is_empty(), "terraform/settings.tf or the documentation lacks {differ:?}");
}

#[test]
fn the_documentation_names_every_variable_that_is_read() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = |name: &str| fs::read_to_string(crates.join("../docs").join(name)).expect(name);
    let (settings, observability) = (page("settings.md"), page("observability.md"));
    let mut texts = Vec::new();
    sources(&crates.join("src"), &mut texts);
    let read: BTreeSet<_> = texts.iter().flat_map(|text| names(text)).collect();
    assert!(read.len() > 40, "{read:?}");
    for name in read {
        let page = if name.starts_with("OTEL_") { &observability } else { &settings };
        assert!(page.contains(&format!("`{name}")), "{name} is named nowhere");
    }
}
