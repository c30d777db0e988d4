//! Metrics as a page that Prometheus reads: everything since the process began, in its text format
//! ("Exposition formats", version 0.0.4). Series are as many as there are metrics, words of their
//! labels, and tools, of which a hundred are told apart.

use std::{
    collections::BTreeMap,
    fmt::Write,
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::{
    metered::Meter,
    metric::{Kind, Label, LabelKind, Metric, Sample, Spec},
};

/// What the page is served as.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Everything since the process began.
#[derive(Debug)]
pub struct Page {
    metrics: Mutex<BTreeMap<Metric, BTreeMap<Label, Series>>>,
}

/// What the samples of one metric and label came to.
#[derive(Clone, Debug, Default)]
struct Series {
    /// The sum of a count or of a distribution, else the highest.
    value: f64,
    count: u64,
    /// How many samples lie in each bucket alone.
    buckets: Vec<u64>,
}

impl Default for Page {
    /// What is known to come is there from the beginning: a series that appears with its first sample
    /// hides that very sample from rates.
    fn default() -> Self {
        let series = |metric: Metric| {
            let labels = match metric.spec().label {
                LabelKind::None => vec![Label::None],
                LabelKind::Class(words) => words.iter().map(|word| Label::Class(word)).collect(),
                LabelKind::Tool => Vec::new(),
            };
            let zero = || Series::of(metric.spec().kind);
            (metric, labels.into_iter().map(|label| (label, zero())).collect())
        };
        Self { metrics: Mutex::new(Metric::ALL.into_iter().map(series).collect()) }
    }
}

impl Page {
    /// The page as it is now.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for (metric, series) in &*self.metrics() {
            let spec = metric.spec();
            // Writing to a String cannot fail.
            let _ = writeln!(text, "# HELP {} {}", spec.prometheus, spec.help);
            let _ = writeln!(text, "# TYPE {} {}", spec.prometheus, kind(spec.kind));
            for (label, series) in series {
                let _ = series.write(&mut text, &spec, label);
            }
        }
        text
    }

    fn metrics(&self) -> MutexGuard<'_, BTreeMap<Metric, BTreeMap<Label, Series>>> {
        self.metrics.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Meter for Page {
    fn take(&self, Sample { metric, label, value }: Sample) {
        let spec = metric.spec();
        let mut metrics = self.metrics();
        let series = metrics.entry(metric).or_default();
        let label = label.clone().bounded(series.contains_key(&label), series.len());
        series.entry(label).or_insert_with(|| Series::of(spec.kind)).add(&spec, value);
    }
}

impl Series {
    fn of(kind: Kind) -> Self {
        let buckets = match kind {
            Kind::Distribution(ends) => vec![0; ends.len()],
            Kind::Count | Kind::Highest => Vec::new(),
        };
        Self { buckets, ..Self::default() }
    }

    fn add(&mut self, spec: &Spec, value: f64) {
        let value = if spec.unit == "Milliseconds" { value / 1_000.0 } else { value };
        self.count += 1;
        match spec.kind {
            Kind::Highest => self.value = self.value.max(value),
            Kind::Count => self.value += value,
            Kind::Distribution(ends) => {
                self.value += value;
                let place = ends.iter().position(|end| value <= *end);
                if let Some(bucket) = place.and_then(|place| self.buckets.get_mut(place)) {
                    *bucket += 1;
                }
            }
        }
    }

    fn write(&self, text: &mut String, spec: &Spec, label: &Label) -> std::fmt::Result {
        let name = spec.prometheus;
        let own = label.pair().map(|(name, value)| format!("{name}=\"{}\"", escaped(value)));
        let Kind::Distribution(ends) = spec.kind else {
            return writeln!(text, "{name}{} {}", braced(&[own.as_deref()]), self.value);
        };
        let mut so_far = 0;
        for (end, bucket) in ends.iter().zip(&self.buckets) {
            so_far += bucket;
            let end = format!("le=\"{end}\"");
            let labels = braced(&[own.as_deref(), Some(&end)]);
            writeln!(text, "{name}_bucket{labels} {so_far}")?;
        }
        let labels = braced(&[own.as_deref(), Some("le=\"+Inf\"")]);
        writeln!(text, "{name}_bucket{labels} {}", self.count)?;
        let labels = braced(&[own.as_deref()]);
        writeln!(text, "{name}_sum{labels} {}", self.value)?;
        writeln!(text, "{name}_count{labels} {}", self.count)
    }
}

fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Count => "counter",
        Kind::Highest => "gauge",
        Kind::Distribution(_) => "histogram",
    }
}

fn braced(labels: &[Option<&str>]) -> String {
    let labels: Vec<&str> = labels.iter().copied().flatten().collect();
    if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) }
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(samples: &[(Metric, Label, f64)]) -> String {
        let page = Page::default();
        for (metric, label, value) in samples {
            page.take(Sample { metric: *metric, label: label.clone(), value: *value });
        }
        page.text()
    }

    fn lines_of<'a>(page: &'a str, name: &str) -> Vec<&'a str> {
        page.lines().filter(|line| line.contains(name)).collect()
    }

    #[test]
    fn counts_are_there_from_the_beginning_and_grow() {
        let page = page(&[
            (Metric::JobsSucceeded, Label::None, 1.0),
            (Metric::JobsSucceeded, Label::None, 1.0),
            (Metric::JobsFailed, Label::Class("permanent"), 1.0),
        ]);
        assert_eq!(
            lines_of(&page, "jobs_"),
            [
                "# HELP mcp_batch_jobs_succeeded_total Jobs that succeeded.",
                "# TYPE mcp_batch_jobs_succeeded_total counter",
                "mcp_batch_jobs_succeeded_total 2",
                "# HELP mcp_batch_jobs_failed_total Jobs that failed for good.",
                "# TYPE mcp_batch_jobs_failed_total counter",
                "mcp_batch_jobs_failed_total{class=\"exhausted\"} 0",
                "mcp_batch_jobs_failed_total{class=\"invalid\"} 0",
                "mcp_batch_jobs_failed_total{class=\"permanent\"} 1",
            ]
        );
    }

    #[test]
    fn latencies_are_histograms_in_seconds_whose_buckets_add_up() {
        let tool = || Label::Tool("docs/se\"arch".to_owned());
        let latencies = [3.0, 30.0, 700.0, 900_000.0].map(|it| (Metric::ToolLatency, tool(), it));
        let page = page(&latencies);
        let lines = lines_of(&page, "tool_latency");
        assert_eq!(lines[1], "# TYPE mcp_batch_tool_latency_seconds histogram");
        let of = |end: &str, count: u64| {
            let labels = format!("tool=\"docs/se\\\"arch\",le=\"{end}\"");
            let line = format!("mcp_batch_tool_latency_seconds_bucket{{{labels}}} {count}");
            assert!(lines.contains(&&*line), "{line} in {lines:#?}");
        };
        of("0.005", 1);
        of("0.025", 1);
        of("0.05", 2);
        of("1", 3);
        of("300", 3);
        of("+Inf", 4);
        assert!(lines.ends_with(&[
            "mcp_batch_tool_latency_seconds_sum{tool=\"docs/se\\\"arch\"} 900.733",
            "mcp_batch_tool_latency_seconds_count{tool=\"docs/se\\\"arch\"} 4",
        ]));
    }

    #[test]
    fn the_highest_stays_and_tools_are_bounded() {
        let mut samples = vec![
            (Metric::MaxInFlight, Label::None, 3.0),
            (Metric::MaxInFlight, Label::None, 7.0),
            (Metric::MaxInFlight, Label::None, 5.0),
        ];
        let tool = |number| Label::Tool(format!("tool-{number}"));
        samples.extend((0..1_000).map(|number| (Metric::InputTokens, tool(number), 2.0)));
        let page = page(&samples);
        assert!(page.contains("\nmcp_batch_max_in_flight 7\n"));
        assert_eq!(lines_of(&page, "mcp_batch_input_tokens_total{").len(), 101);
        assert!(page.contains("mcp_batch_input_tokens_total{tool=\"other\"} 1800\n"));
    }

    #[test]
    fn each_metric_is_described_once_and_its_lines_stand_together() {
        let page = page(&[]);
        for metric in Metric::ALL {
            let name = metric.spec().prometheus;
            assert_eq!(page.matches(&format!("# TYPE {name} ")).count(), 1, "{name}");
        }
        assert!(page.ends_with('\n') && !page.contains("\n\n"));
    }
}
