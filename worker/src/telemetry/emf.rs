//! Metrics as lines of the log, in CloudWatch's embedded metric format: what came since the last
//! time, one object for each label, split where the format has no room (specification, "Embedded metric
//! format document").

use std::{
    collections::BTreeMap,
    mem,
    sync::{Mutex, PoisonError},
};

use serde_json::{Map, Value, json};

use super::metrics::{Kind, Label, Meter, Metric, Sample};
use crate::clock::UnixMs;

/// The namespace in CloudWatch.
pub const NAMESPACE: &str = "mcp-batch";

/// The most values of one metric in one object.
const MAX_VALUES: usize = 100;

/// Labels that are told apart; what comes later is shown as `other`. Jobs may name any tool.
const MAX_LABELS: usize = 100;

/// What came since it was last shown.
#[derive(Debug)]
pub struct Emf {
    function: String,
    samples: Mutex<BTreeMap<Label, BTreeMap<Metric, Vec<f64>>>>,
}

impl Emf {
    /// The metrics of the function of that name.
    pub fn new(function: String) -> Self {
        Self { function, samples: Mutex::default() }
    }

    /// What came since the last time, one line each.
    pub fn lines(&self, now: UnixMs) -> Vec<String> {
        let samples = mem::take(&mut *self.samples.lock().unwrap_or_else(PoisonError::into_inner));
        let objects =
            samples.into_iter().flat_map(|(label, metrics)| self.objects(&label, metrics, now));
        objects.collect()
    }

    /// As many objects as the longest list of values needs.
    fn objects(
        &self,
        label: &Label,
        mut metrics: BTreeMap<Metric, Vec<f64>>,
        now: UnixMs,
    ) -> Vec<String> {
        let mut objects = Vec::new();
        while !metrics.is_empty() {
            let part = metrics.iter_mut().map(|(metric, values)| {
                (*metric, values.drain(..values.len().min(MAX_VALUES)).collect())
            });
            objects.push(self.object(label, part.collect(), now));
            metrics.retain(|_, values| !values.is_empty());
        }
        objects
    }

    fn object(&self, label: &Label, metrics: Vec<(Metric, Vec<f64>)>, now: UnixMs) -> String {
        let dimension = dimension(label);
        let mut dimensions = vec![vec!["FunctionName"]];
        dimensions.extend(dimension.as_ref().map(|(name, _)| vec!["FunctionName", *name]));
        let told: Vec<_> = metrics
            .iter()
            .map(|(metric, _)| json!({"Name": metric.name(), "Unit": metric.unit()}))
            .collect();
        let mut object = Map::new();
        object.insert(
            "_aws".to_owned(),
            json!({
                "Timestamp": now.0,
                "CloudWatchMetrics": [{"Namespace": NAMESPACE, "Dimensions": dimensions, "Metrics": told}],
            }),
        );
        object.insert("FunctionName".to_owned(), self.function.as_str().into());
        object.extend(dimension.map(|(name, value)| (name.to_owned(), value.into())));
        for (metric, values) in metrics {
            let value = match values.as_slice() {
                [value] => json!(value),
                values => json!(values),
            };
            object.insert(metric.name().to_owned(), value);
        }
        Value::Object(object).to_string()
    }
}

impl Meter for Emf {
    fn take(&self, sample: Sample) {
        let mut samples = self.samples.lock().unwrap_or_else(PoisonError::into_inner);
        let is_known = samples.contains_key(&sample.label) || samples.len() < MAX_LABELS;
        let label = if is_known { sample.label } else { Label::None };
        let values = samples.entry(label).or_default().entry(sample.metric).or_default();
        match (sample.metric.kind(), values.as_mut_slice()) {
            (Kind::Distribution, _) | (_, []) => values.push(sample.value),
            (Kind::Count, [sum, ..]) => *sum += sample.value,
            (Kind::Highest, [highest, ..]) => *highest = highest.max(sample.value),
        }
    }
}

fn dimension(label: &Label) -> Option<(&'static str, String)> {
    match label {
        Label::None => None,
        Label::Tool(tool) => Some(("Tool", tool.to_string())),
        Label::Class(class) => Some(("Class", class.to_string())),
        Label::State(state) => Some(("State", (*state).to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorClass;

    fn sample(metric: Metric, label: Label, value: f64) -> Sample {
        Sample { metric, label, value }
    }

    fn parsed(emf: &Emf) -> Vec<Value> {
        let lines = emf.lines(UnixMs(1_700_000_000_000));
        lines.iter().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }

    fn summarize() -> Label {
        Label::Tool("summarize".parse().expect("a tool"))
    }

    #[test]
    fn a_line_is_what_cloudwatch_reads() {
        let emf = Emf::new("jobs".to_owned());
        emf.take(sample(Metric::JobsSucceeded, summarize(), 1.0));
        emf.take(sample(Metric::JobsSucceeded, summarize(), 1.0));
        emf.take(sample(Metric::ToolLatency, summarize(), 12.5));
        assert_eq!(
            emf.lines(UnixMs(1_700_000_000_000)),
            [concat!(
                r#"{"_aws":{"Timestamp":1700000000000,"CloudWatchMetrics":[{"Namespace":"mcp-batch","#,
                r#""Dimensions":[["FunctionName"],["FunctionName","Tool"]],"#,
                r#""Metrics":[{"Name":"JobsSucceeded","Unit":"Count"},{"Name":"ToolLatency","Unit":"Milliseconds"}]}]},"#,
                r#""FunctionName":"jobs","Tool":"summarize","JobsSucceeded":2.0,"ToolLatency":12.5}"#
            )]
        );
        assert_eq!(emf.lines(UnixMs(0)), [""; 0], "what was shown is not shown again");
    }

    #[test]
    fn more_values_than_fit_are_split_and_none_is_dropped() {
        let emf = Emf::new("jobs".to_owned());
        for number in 0..250 {
            emf.take(sample(Metric::ToolLatency, summarize(), f64::from(number)));
        }
        emf.take(sample(Metric::JobsSucceeded, summarize(), 250.0));
        let objects = parsed(&emf);
        let lengths = objects.iter().map(|object| object["ToolLatency"].as_array().map(Vec::len));
        assert_eq!(lengths.collect::<Vec<_>>(), [Some(100), Some(100), Some(50)]);
        let counted = objects.iter().filter(|object| object.get("JobsSucceeded").is_some());
        assert_eq!(counted.count(), 1, "a count is told once");
    }

    #[test]
    fn each_label_has_an_object_of_its_own_and_the_highest_stays() {
        let emf = Emf::new("jobs".to_owned());
        emf.take(sample(Metric::JobsFailed, Label::Class(ErrorClass::Permanent), 1.0));
        emf.take(sample(Metric::Duplicates, Label::State("busy"), 1.0));
        for in_flight in [3.0, 7.0, 5.0] {
            emf.take(sample(Metric::MaxInFlight, Label::None, in_flight));
        }
        let objects = parsed(&emf);
        assert_eq!(objects.len(), 3);
        let of = |metric: &str| {
            objects.iter().find(|object| object.get(metric).is_some()).expect("told")
        };
        assert_eq!(of("JobsFailed")["Class"], "permanent");
        assert_eq!(of("Duplicates")["State"], "busy");
        assert_eq!(of("MaxInFlight")["MaxInFlight"], 7.0);
        let dimensions = &of("MaxInFlight")["_aws"]["CloudWatchMetrics"][0]["Dimensions"];
        assert_eq!(*dimensions, json!([["FunctionName"]]));
    }

    #[test]
    fn tools_that_jobs_make_up_are_not_told_apart_for_ever() {
        let emf = Emf::new("jobs".to_owned());
        for number in 0..10_000 {
            let tool = Label::Tool(format!("tool-{number}").parse().expect("a tool"));
            emf.take(sample(Metric::JobsSucceeded, tool, 1.0));
        }
        let objects = parsed(&emf);
        assert!(objects.len() <= MAX_LABELS + 1, "{}", objects.len());
        let sum: f64 = objects.iter().filter_map(|object| object["JobsSucceeded"].as_f64()).sum();
        assert!((sum - 10_000.0).abs() < f64::EPSILON);
    }
}
