//! Metrics as lines of the log, in CloudWatch's embedded metric format: what came since the last time,
//! in one object where that is possible. An object has one value for each label, one list of values for
//! each metric, and no more than the format allows; what does not fit goes into another (specification,
//! "Embedded metric format document").

use std::{
    collections::BTreeMap,
    mem,
    sync::{Mutex, MutexGuard, PoisonError},
};

use serde_json::{Map, Value, json};

use super::{
    level,
    metered::Meter,
    metric::{Kind, Label, LabelKind, Metric, Sample},
};
use crate::clock::UnixMs;

/// The namespace in CloudWatch.
pub const NAMESPACE: &str = "McpBatch";

/// The dimension that all metrics have: whose they are.
pub const FUNCTION: &str = "function";

/// The most values of one metric in one object.
const MAX_VALUES: usize = 100;

/// The most metrics of one directive.
const MAX_METRICS: usize = 100;

type Samples = BTreeMap<(Metric, Label), Vec<f64>>;

/// What came since it was last shown.
#[derive(Debug)]
pub struct Emf {
    function: String,
    /// What a line has to bear to pass Lambda's own filter of levels.
    level: &'static str,
    samples: Mutex<Samples>,
}

impl Emf {
    /// The metrics of the function of that name.
    pub fn new(function: String) -> Self {
        Self { function, level: level::that_passes_lambda(), samples: Mutex::default() }
    }

    /// What came since the last time; nothing if that is nothing. Several invocations of one process
    /// may share what they measured.
    pub fn lines(&self, now: UnixMs, request_id: Option<&str>) -> Vec<String> {
        let samples = mem::take(&mut *self.samples());
        let objects = packed(&samples);
        objects.iter().map(|object| self.line(object, now, request_id)).collect()
    }

    fn line(&self, object: &Object<'_>, now: UnixMs, request_id: Option<&str>) -> String {
        let mut line = Map::new();
        let directives = object.directives();
        let aws = json!({"Timestamp": now.0, "CloudWatchMetrics": directives});
        line.insert("_aws".to_owned(), aws);
        line.insert("timestamp".to_owned(), now.rfc3339().into());
        line.insert("level".to_owned(), self.level.into());
        line.insert("message".to_owned(), "metrics".into());
        line.extend(request_id.map(|id| ("request_id".to_owned(), id.into())));
        line.insert(FUNCTION.to_owned(), self.function.as_str().into());
        line.extend(
            object.labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).into())),
        );
        for (metric, _, values) in &object.metrics {
            let value = match values {
                [value] => json!(value),
                values => json!(values),
            };
            line.insert(metric.spec().name.to_owned(), value);
        }
        Value::Object(line).to_string()
    }

    fn samples(&self) -> MutexGuard<'_, Samples> {
        self.samples.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Meter for Emf {
    fn take(&self, Sample { metric, label, value }: Sample) {
        let mut samples = self.samples();
        let is_known = samples.contains_key(&(metric, label.clone()));
        let known = match label {
            Label::Tool(_) => samples.keys().filter(|(of, _)| *of == metric).count(),
            _ => 0,
        };
        let values = samples.entry((metric, label.bounded(is_known, known))).or_default();
        match (metric.spec().kind, values.as_mut_slice()) {
            (Kind::Distribution(_), _) | (_, []) => values.push(value),
            (Kind::Count, [sum, ..]) => *sum += value,
            (Kind::Highest, [highest, ..]) => *highest = highest.max(value),
        }
    }
}

/// One object: each label with one value, each metric with one list.
#[derive(Default)]
struct Object<'a> {
    labels: BTreeMap<&'static str, &'a str>,
    metrics: Vec<(Metric, &'a Label, &'a [f64])>,
}

impl<'a> Object<'a> {
    fn has_room_for(&self, metric: Metric, label: &Label) -> bool {
        let fits =
            |(name, value): (&str, &str)| self.labels.get(name).is_none_or(|it| *it == value);
        self.metrics.len() < MAX_METRICS
            && self.metrics.iter().all(|(of, ..)| *of != metric)
            && label.pair().is_none_or(fits)
    }

    fn add(&mut self, metric: Metric, label: &'a Label, values: &'a [f64]) {
        self.labels.extend(label.pair());
        self.metrics.push((metric, label, values));
    }

    /// One for each set of dimensions: metrics with a label are shown under it, and in all.
    fn directives(&self) -> Vec<Value> {
        let mut by_label: BTreeMap<Option<&str>, Vec<Value>> = BTreeMap::new();
        for (metric, label, _) in &self.metrics {
            let spec = metric.spec();
            let told = json!({"Name": spec.name, "Unit": spec.unit});
            by_label.entry(label.pair().map(|(name, _)| name)).or_default().push(told);
        }
        let directive = |(label, metrics): (Option<&str>, Vec<Value>)| {
            let dimensions = match label {
                None => json!([[FUNCTION]]),
                Some(label) => json!([[FUNCTION], [FUNCTION, label]]),
            };
            json!({"Namespace": NAMESPACE, "Dimensions": dimensions, "Metrics": metrics})
        };
        by_label.into_iter().map(directive).collect()
    }
}

/// As few objects as there must be.
fn packed(samples: &Samples) -> Vec<Object<'_>> {
    let mut objects: Vec<Object<'_>> = Vec::new();
    for ((metric, label), values) in samples {
        // The objects before hold lists of this metric already.
        let mut from = 0;
        for values in values.chunks(MAX_VALUES) {
            let room = objects[from..].iter().position(|it| it.has_room_for(*metric, label));
            let place = room.map_or(objects.len(), |room| from + room);
            if place == objects.len() {
                objects.push(Object::default());
            }
            objects[place].add(*metric, label, values);
            from = place + 1;
        }
    }
    objects
}

/// The name by which CloudWatch tells metrics of this label apart; `None`: by the function alone.
pub fn dimension(label: LabelKind) -> Option<&'static str> {
    match label {
        LabelKind::None => None,
        LabelKind::Class(_) => Some("class"),
        LabelKind::Tool => Some("tool"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMs = UnixMs(1_700_000_000_000);

    fn sample(metric: Metric, label: Label, value: f64) -> Sample {
        Sample { metric, label, value }
    }

    fn emf() -> Emf {
        Emf { function: "jobs-worker".to_owned(), level: "INFO", samples: Mutex::default() }
    }

    fn parsed(emf: &Emf) -> Vec<Value> {
        let lines = emf.lines(NOW, None);
        lines.iter().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }

    fn tool(name: &str) -> Label {
        Label::Tool(name.to_owned())
    }

    #[test]
    fn an_invocation_is_one_line_that_cloudwatch_reads() {
        let emf = emf();
        emf.take(sample(Metric::JobsSucceeded, Label::None, 1.0));
        emf.take(sample(Metric::JobsSucceeded, Label::None, 1.0));
        emf.take(sample(Metric::JobsFailed, Label::Class("permanent"), 1.0));
        emf.take(sample(Metric::ToolLatency, tool("summarize"), 12.5));
        emf.take(sample(Metric::ToolLatency, tool("summarize"), 8.0));
        for in_flight in [3.0, 7.0, 5.0] {
            emf.take(sample(Metric::MaxInFlight, Label::None, in_flight));
        }
        assert_eq!(
            emf.lines(NOW, Some("r-1")),
            [concat!(
                r#"{"_aws":{"Timestamp":1700000000000,"CloudWatchMetrics":["#,
                r#"{"Namespace":"McpBatch","Dimensions":[["function"]],"Metrics":[{"Name":"JobsSucceeded","Unit":"Count"},"#,
                r#"{"Name":"MaxInFlight","Unit":"Count"}]},"#,
                r#"{"Namespace":"McpBatch","Dimensions":[["function"],["function","class"]],"Metrics":[{"Name":"JobsFailed","Unit":"Count"}]},"#,
                r#"{"Namespace":"McpBatch","Dimensions":[["function"],["function","tool"]],"Metrics":[{"Name":"ToolLatency","Unit":"Milliseconds"}]}]},"#,
                r#""timestamp":"2023-11-14T22:13:20.000Z","level":"INFO","message":"metrics","request_id":"r-1","#,
                r#""function":"jobs-worker","class":"permanent","tool":"summarize","#,
                r#""JobsSucceeded":2.0,"JobsFailed":1.0,"ToolLatency":[12.5,8.0],"MaxInFlight":7.0}"#
            )]
        );
        assert_eq!(emf.lines(NOW, None), [""; 0], "what was shown is not shown again");
    }

    #[test]
    fn more_values_than_fit_are_split_and_none_is_dropped() {
        let emf = emf();
        for number in 0..250 {
            emf.take(sample(Metric::ToolLatency, tool("summarize"), f64::from(number)));
            emf.take(sample(Metric::LedgerLatency, Label::None, f64::from(number)));
        }
        emf.take(sample(Metric::JobsSucceeded, Label::None, 250.0));
        let objects = parsed(&emf);
        for metric in ["ToolLatency", "LedgerLatency"] {
            let lengths = objects.iter().map(|object| object[metric].as_array().map(Vec::len));
            assert_eq!(lengths.collect::<Vec<_>>(), [Some(100), Some(100), Some(50)], "{metric}");
        }
        let counted = objects.iter().filter(|object| object.get("JobsSucceeded").is_some());
        assert_eq!(counted.count(), 1, "a count is told once");
    }

    #[test]
    fn another_value_of_a_label_needs_another_object() {
        let emf = emf();
        emf.take(sample(Metric::Duplicates, Label::Class("busy"), 1.0));
        emf.take(sample(Metric::JobsFailed, Label::Class("permanent"), 1.0));
        emf.take(sample(Metric::InputTokens, tool("a"), 1.0));
        emf.take(sample(Metric::InputTokens, tool("b"), 2.0));
        let objects = parsed(&emf);
        assert_eq!(objects.len(), 2);
        let told = |class: &str, metric: &str| {
            objects.iter().any(|it| it["class"] == class && it.get(metric).is_some())
        };
        assert!(told("busy", "Duplicates") && told("permanent", "JobsFailed"));
        let of = |name: &str| objects.iter().find(|it| it["tool"] == name).expect("told");
        assert_eq!((&of("a")["InputTokens"], &of("b")["InputTokens"]), (&1.0.into(), &2.0.into()));
    }

    #[test]
    fn tools_are_not_told_apart_for_ever() {
        let emf = emf();
        for number in 0..10_000 {
            emf.take(sample(Metric::InputTokens, tool(&format!("tool-{number}")), 1.0));
        }
        let objects = parsed(&emf);
        assert_eq!(objects.len(), 101);
        let sum: f64 = objects.iter().filter_map(|object| object["InputTokens"].as_f64()).sum();
        assert!((sum - 10_000.0).abs() < f64::EPSILON);
    }

    #[test]
    fn no_object_is_beyond_the_formats_limits() {
        let most_dimensions = Metric::ALL.map(|it| dimension(it.spec().label).map_or(1, |_| 2));
        assert!(most_dimensions.into_iter().all(|dimensions| dimensions <= 30));
        assert!(Metric::ALL.len() <= MAX_METRICS, "one of each fits");
    }
}
