//! The alarms and the dashboard of `terraform/` ask for metrics that the program tells, under the
//! very names and dimensions.

use std::{collections::BTreeMap, fs, path::PathBuf};

use mcp_batch::telemetry::{
    emf::{self, dimension},
    metric::Metric,
};

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
    let alarms = between(&text, "job_alarms = {", "api_alarms = ");
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
