//! The alarms and the dashboard of `terraform/` ask for metrics that the program tells, under the
//! very names and dimensions, and `docs/runbook.md` says what to do about them.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::PathBuf,
};

use mcp_batch::telemetry::{
    emf::{self, dimension},
    metric::Metric,
};

use crate::helpers::Folder;

fn terraform(name: &str) -> String {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../terraform");
    fs::read_to_string(folder.join(name)).expect("a file of Terraform's")
}

/// What stands between two places of a text.
fn between<'a>(text: &'a str, from: &str, to: &str) -> &'a str {
    let (_, rest) = text.split_once(from).expect(from);
    rest.split_once(to).expect(to).0
}

/// The texts in quotes.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('"').skip(1).step_by(2)
}

/// By its name, the dimension beside the function that a metric has, if it has one.
fn known() -> BTreeMap<&'static str, Option<&'static str>> {
    let specs = Metric::ALL.map(Metric::spec);
    specs.iter().map(|spec| (spec.name, dimension(spec.label))).collect()
}

#[test]
fn every_alarm_watches_a_metric_that_is_told() {
    let text = terraform("monitoring.tf");
    assert_eq!(quoted(between(&text, "metrics_namespace = ", "\n")).next(), Some(emf::NAMESPACE));
    let alarms = between(&text, "job_alarms = {", "\n  api_alarms = ");
    let watched = alarms.lines().filter_map(|line| line.trim().strip_prefix("metric "));
    let watched: Vec<&str> = watched.flat_map(quoted).collect();
    assert!(watched.len() >= 4, "{watched:?}");
    let known = known();
    for name in watched {
        assert!(known.contains_key(name), "no metric is {name}");
    }
}

#[test]
fn the_dashboard_shows_metrics_that_are_told() {
    let text = terraform("dashboard.tf");
    let known = known();
    let searched = between(&text, "search = { for name, dimension in {", "} :");
    for line in searched.lines().filter(|line| line.contains('=')) {
        let name = line.split('=').next().unwrap_or_default().trim();
        let by = known.get(name).expect(name);
        assert_eq!(quoted(line).next(), *by, "{name}");
    }
    let own: Vec<&str> = quoted(between(&text, "own = { for name in [", "]")).collect();
    assert!(own.len() >= 10, "{own:?}");
    for name in own {
        assert!(known.contains_key(name), "no metric is {name}");
    }
}

/// The names of all alarms.
fn alarms() -> BTreeSet<String> {
    let text = terraform("monitoring.tf");
    let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_".contains(c);
    let mut alarms = BTreeSet::new();
    for (from, to) in [
        ("queue_alarms = {", "function_alarms = "),
        ("job_alarms = {", "sweep_alarms = "),
        ("litellm_alarms = {", " : name => merge(alarm"),
    ] {
        let names = between(&text, from, to).lines().filter_map(|line| {
            let name = line.strip_prefix("    ")?.strip_suffix(" = {")?;
            name.chars().all(is_name).then(|| name.to_owned())
        });
        alarms.extend(names);
    }
    for what in quoted(between(&text, "function_alarms = ", "job_alarms = ")) {
        if let Some(what) = what.strip_prefix("${role}-") {
            alarms.extend(["worker", "sweep", "api"].map(|role| format!("{role}-{what}")));
        }
    }
    // Those that are there under a condition: `{ for name, of in { NAME = …`.
    for line in text.lines().filter(|line| line.contains("_alarms = { for name, ")) {
        let name = line.split(" in { ").nth(1).and_then(|rest| rest.split(" = ").next());
        alarms.extend(name.map(str::to_owned));
    }
    alarms
}

fn runbook() -> String {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/runbook.md");
    fs::read_to_string(file).expect("the runbook")
}

#[test]
fn the_runbook_says_what_to_do_about_each_alarm_and_about_no_other() {
    let text = runbook();
    let headings = text.lines().filter_map(|line| line.strip_prefix("## ").map(str::to_owned));
    let alarms = alarms();
    assert!(alarms.len() >= 19, "{alarms:?}");
    assert_eq!(headings.collect::<BTreeSet<_>>(), alarms);
}

/// What the runbook says to type: the subcommand's words, and the flags after them.
fn typed(line: &str) -> Option<(Vec<&str>, Vec<&str>)> {
    let line = line.split(['`', '#']).next().unwrap_or_default();
    let is_word = |word: &&str| word.chars().all(|c| c.is_ascii_lowercase() || c == '-');
    let words: Vec<&str> = line.split_whitespace().collect();
    let command: Vec<&str> = words
        .iter()
        .copied()
        .take_while(is_word)
        .take_while(|word| !word.starts_with('-'))
        .collect();
    let flags = words.into_iter().filter(|word| word.starts_with("--")).collect();
    (!command.is_empty()).then_some((command, flags))
}

#[tokio::test]
async fn what_the_runbook_says_to_type_can_be_typed() {
    let (text, folder) = (runbook(), Folder::new());
    let mut commands = 0;
    for (command, flags) in text.split("mcp-batch ").skip(1).filter_map(typed) {
        let asked = folder.command(command[0]);
        let asked = command[1..].iter().fold(asked, |asked, word| asked.args([word]));
        let ended = asked.args(["--help"]).finish().await;
        assert_eq!(ended.code, Some(0), "mcp-batch {command:?}: {}", ended.stderr);
        for flag in flags {
            assert!(ended.stdout.contains(flag), "{flag} of mcp-batch {command:?}");
        }
        commands += 1;
    }
    assert!(commands >= 10, "{commands}");
}
