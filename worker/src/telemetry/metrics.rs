//! What is measured: from each observation of a job's life to samples under one set of names, whoever
//! shows them, be it CloudWatch by way of the log or Prometheus.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use crate::{
    environment::{End, Observation, Observer},
    error::{ErrorClass, JobError},
    job::ToolName,
    lease::{Record, State},
    run::NOT_STARTED,
};

/// A metric. Some have one label, of few values: nothing that grows with the number of jobs,
/// batches or tenants is ever one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Metric {
    /// Jobs that ended with a result, by tool.
    JobsSucceeded,
    /// Jobs that failed for good, by error class.
    JobsFailed,
    /// Jobs that wait for a person.
    Held,
    /// Messages whose job was done before, or is being run, by which of the two.
    Duplicates,
    /// Messages that came back since there was no time left to begin their job.
    NotStarted,
    /// Jobs that came back since an upstream refuses us as such: its key, model or catalog is wrong.
    ConfigurationErrors,
    /// How long tools took, in milliseconds, by tool.
    ToolLatency,
    /// Tokens of prompts, by tool.
    InputTokens,
    /// Tokens of answers, by tool.
    OutputTokens,
    /// What is known to be spent, in dollars, by tool.
    EstimatedCostUsd,
    /// Messages in a batch.
    BatchSize,
    /// The most jobs that ran at once.
    MaxInFlight,
    /// Processes that began.
    ColdStart,
}

/// What several samples of a metric come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Their sum.
    Count,
    /// Their distribution.
    Distribution,
    /// The highest of them.
    Highest,
}

/// How one metric is shown.
struct Shape {
    name: &'static str,
    kind: Kind,
    unit: &'static str,
}

impl Metric {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::JobsSucceeded,
        Self::JobsFailed,
        Self::Held,
        Self::Duplicates,
        Self::NotStarted,
        Self::ConfigurationErrors,
        Self::ToolLatency,
        Self::InputTokens,
        Self::OutputTokens,
        Self::EstimatedCostUsd,
        Self::BatchSize,
        Self::MaxInFlight,
        Self::ColdStart,
    ];

    fn shape(self) -> Shape {
        let (name, kind, unit) = match self {
            Self::JobsSucceeded => ("JobsSucceeded", Kind::Count, "Count"),
            Self::JobsFailed => ("JobsFailed", Kind::Count, "Count"),
            Self::Held => ("Held", Kind::Count, "Count"),
            Self::Duplicates => ("Duplicates", Kind::Count, "Count"),
            Self::NotStarted => ("NotStarted", Kind::Count, "Count"),
            Self::ConfigurationErrors => ("ConfigurationErrors", Kind::Count, "Count"),
            Self::ToolLatency => ("ToolLatency", Kind::Distribution, "Milliseconds"),
            Self::InputTokens => ("InputTokens", Kind::Count, "Count"),
            Self::OutputTokens => ("OutputTokens", Kind::Count, "Count"),
            Self::EstimatedCostUsd => ("EstimatedCostUSD", Kind::Count, "None"),
            Self::BatchSize => ("BatchSize", Kind::Distribution, "Count"),
            Self::MaxInFlight => ("MaxInFlight", Kind::Highest, "Count"),
            Self::ColdStart => ("ColdStart", Kind::Count, "Count"),
        };
        Shape { name, kind, unit }
    }

    /// Its name in CloudWatch.
    pub fn name(self) -> &'static str {
        self.shape().name
    }

    /// What several samples of it come to.
    pub fn kind(self) -> Kind {
        self.shape().kind
    }

    /// Its unit, in CloudWatch's words.
    pub fn unit(self) -> &'static str {
        self.shape().unit
    }
}

/// What a sample is told apart by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Label {
    /// Nothing.
    None,
    /// The tool that was called.
    Tool(ToolName),
    /// Why a job failed.
    Class(ErrorClass),
    /// `done` or `busy`.
    State(&'static str),
}

/// One measurement.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// Of what.
    pub metric: Metric,
    /// Of which.
    pub label: Label,
    /// How much, in the metric's unit.
    pub value: f64,
}

/// Keeps samples until they are shown. Called from many tasks at once; must not block.
pub trait Meter: Send + Sync + 'static {
    /// Takes one.
    fn take(&self, sample: Sample);
}

/// An observer that measures what it sees.
#[derive(Debug)]
pub struct Metered<M> {
    meter: M,
    in_flight: AtomicU32,
}

impl<M: Meter> Metered<M> {
    /// Hands its samples to `meter`.
    pub fn new(meter: M) -> Self {
        Self { meter, in_flight: AtomicU32::new(0) }
    }

    /// Who has the samples.
    pub fn meter(&self) -> &M {
        &self.meter
    }

    fn count(&self, metric: Metric, label: Label) {
        self.add(metric, label, 1.0);
    }

    fn add(&self, metric: Metric, label: Label, value: f64) {
        self.meter.take(Sample { metric, label, value });
    }

    fn ended(&self, end: &End<'_>) {
        match end {
            End::Fresh(record) => self.settled(record),
            End::Duplicate(_) => self.count(Metric::Duplicates, Label::State("done")),
            End::Rejected(error) => self.count(Metric::JobsFailed, Label::Class(error.class)),
        }
    }

    fn settled(&self, record: &Record) {
        let tool = || Label::Tool(record.tool.clone());
        match &record.state {
            State::Done(_) => self.count(Metric::JobsSucceeded, tool()),
            State::Failed(error) => self.count(Metric::JobsFailed, Label::Class(error.class)),
            State::Held(_) => self.count(Metric::Held, Label::None),
            State::Running { .. } | State::Retry(_) | State::Cancelled => {}
        }
        let usage = &record.usage;
        if usage.input_tokens > 0 {
            self.add(Metric::InputTokens, tool(), whole(usage.input_tokens));
        }
        if usage.output_tokens > 0 {
            self.add(Metric::OutputTokens, tool(), whole(usage.output_tokens));
        }
        if let Some(cost_usd) = usage.cost_usd {
            self.add(Metric::EstimatedCostUsd, tool(), cost_usd);
        }
    }

    fn returned(&self, reason: &JobError) {
        match (reason.class, reason.code.as_ref()) {
            (ErrorClass::Busy, _) => self.count(Metric::Duplicates, Label::State("busy")),
            (ErrorClass::Configuration, _) => self.count(Metric::ConfigurationErrors, Label::None),
            (_, NOT_STARTED) => self.count(Metric::NotStarted, Label::None),
            _ => {}
        }
    }
}

impl<M: Meter> Observer for Metered<M> {
    fn observe(&self, observation: Observation<'_>) {
        match observation {
            Observation::CallBegan => {
                let in_flight = self.in_flight.fetch_add(1, Relaxed) + 1;
                self.add(Metric::MaxInFlight, Label::None, f64::from(in_flight));
            }
            Observation::CallEnded { job, latency } => {
                self.in_flight.fetch_sub(1, Relaxed);
                let tool = Label::Tool(job.tool().clone());
                self.add(Metric::ToolLatency, tool, latency.as_secs_f64() * 1_000.0);
            }
            Observation::Ended { end, .. } => self.ended(&end),
            Observation::Returned { reason, .. } => self.returned(reason),
        }
    }
}

/// Exact up to 2^53, which no sum of tokens reaches.
#[expect(clippy::cast_precision_loss, reason = "exact for all that is counted here")]
fn whole(number: u64) -> f64 {
    number as f64
}
