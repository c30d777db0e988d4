//! Every metric, in one place: what it is called in CloudWatch and for Prometheus, what it counts, in
//! what unit, and by which label it is told apart. Alarms and dashboard use these very names.

/// A metric. Nothing that grows with the number of jobs, batches or tenants is ever a label of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Metric {
    /// Jobs that ended with a result.
    JobsSucceeded,
    /// Jobs and messages that failed for good.
    JobsFailed,
    /// Messages whose job had ended before, or is being run.
    Duplicates,
    /// Results that came after somebody else had taken their job over.
    Fenced,
    /// Jobs whose worker was lost, taken over by another.
    LeaseTakeovers,
    /// Jobs that began to wait for a person.
    Held,
    /// Messages that came back since there was no time left to begin their job.
    NotStarted,
    /// Jobs that came back since their upstream asked for a pause, or a budget is spent.
    Throttled,
    /// Refusals of us as such: key, model or catalog are wrong.
    ConfigurationBroken,
    /// How long calls of tools took.
    ToolLatency,
    /// How long claims and settlements took.
    LedgerLatency,
    /// How long receivers took for a callback.
    CallbackLatency,
    /// Callbacks of jobs and of batches that were given up.
    CallbacksDead,
    /// Jobs that came back since nobody knows where their callback's name leads.
    CallbackNamesUnknown,
    /// Jobs that were put with the dead letters.
    DeadLetters,
    /// Tokens of prompts.
    InputTokens,
    /// Tokens of answers.
    OutputTokens,
    /// What is known to be spent.
    EstimatedCostUsd,
    /// Messages in a batch.
    BatchSize,
    /// The most calls that ran at once.
    MaxInFlight,
    /// Processes that began.
    ColdStart,
}

/// What several samples of a metric come to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// Their sum.
    Count,
    /// The highest of them.
    Highest,
    /// Their distribution over buckets with these upper ends, in [`Spec::prometheus`]'s unit.
    Distribution(&'static [f64]),
}

/// By what samples of a metric are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LabelKind {
    /// By nothing.
    None,
    /// By one of these words.
    Class(&'static [&'static str]),
    /// By the tool.
    Tool,
}

/// All there is to know of a metric.
#[derive(Clone, Copy, Debug)]
pub struct Spec {
    /// Its name in CloudWatch.
    pub name: &'static str,
    /// Its unit, in CloudWatch's words: samples are in it.
    pub unit: &'static str,
    /// Its name for Prometheus, whose latencies are in seconds.
    pub prometheus: &'static str,
    /// What it is, in a few words.
    pub help: &'static str,
    /// What samples come to.
    pub kind: Kind,
    /// How they are told apart.
    pub label: LabelKind,
}

const LATENCIES_S: &[f64] =
    &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0];

const SIZES: &[f64] = &[1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 1_000.0, 10_000.0];

/// The error classes of jobs that failed for good.
const FINAL_CLASSES: &[&str] = &["invalid", "permanent", "exhausted"];

/// The word for a duplicate of a job that had ended.
pub(super) const DONE: &str = "done";

/// The word for a duplicate of a job that is being run.
pub(super) const BUSY: &str = "busy";

/// The word for a pause that an upstream asked for.
pub(super) const PAUSE: &str = "pause";

/// The word for a budget or quota that is spent.
pub(super) const BUDGET: &str = "budget";

impl Metric {
    /// All of them.
    pub const ALL: [Self; 21] = [
        Self::JobsSucceeded,
        Self::JobsFailed,
        Self::Duplicates,
        Self::Fenced,
        Self::LeaseTakeovers,
        Self::Held,
        Self::NotStarted,
        Self::Throttled,
        Self::ConfigurationBroken,
        Self::ToolLatency,
        Self::LedgerLatency,
        Self::CallbackLatency,
        Self::CallbacksDead,
        Self::CallbackNamesUnknown,
        Self::DeadLetters,
        Self::InputTokens,
        Self::OutputTokens,
        Self::EstimatedCostUsd,
        Self::BatchSize,
        Self::MaxInFlight,
        Self::ColdStart,
    ];

    /// All there is to know of it.
    pub fn spec(self) -> Spec {
        match self {
            Self::JobsSucceeded => {
                count("JobsSucceeded", "mcp_batch_jobs_succeeded_total", "Jobs that succeeded.")
            }
            Self::JobsFailed => {
                count("JobsFailed", "mcp_batch_jobs_failed_total", "Jobs that failed for good.")
                    .by_class(FINAL_CLASSES)
            }
            Self::Duplicates => count(
                "Duplicates",
                "mcp_batch_duplicates_total",
                "Messages whose job had ended before, or is being run.",
            )
            .by_class(&[DONE, BUSY]),
            Self::Fenced => count(
                "Fenced",
                "mcp_batch_fenced_total",
                "Results dropped because another worker had taken their job over.",
            ),
            Self::LeaseTakeovers => count(
                "LeaseTakeovers",
                "mcp_batch_lease_takeovers_total",
                "Jobs taken over from a worker that was lost.",
            ),
            Self::Held => {
                count("Held", "mcp_batch_held_total", "Jobs that began to wait for a person.")
            }
            Self::NotStarted => count(
                "NotStarted",
                "mcp_batch_not_started_total",
                "Messages that came back for lack of time.",
            ),
            Self::Throttled => count(
                "Throttled",
                "mcp_batch_throttled_total",
                "Jobs that came back for a pause of their upstream, or a spent budget.",
            )
            .by_class(&[PAUSE, BUDGET]),
            Self::ConfigurationBroken => count(
                "ConfigurationBroken",
                "mcp_batch_configuration_broken_total",
                "Refusals of our key, model or catalog.",
            ),
            Self::ToolLatency => latency(
                "ToolLatency",
                "mcp_batch_tool_latency_seconds",
                "How long calls of tools took.",
            )
            .by_tool(),
            Self::LedgerLatency => latency(
                "LedgerLatency",
                "mcp_batch_ledger_latency_seconds",
                "How long claims and settlements took.",
            ),
            Self::CallbackLatency => latency(
                "CallbackLatency",
                "mcp_batch_callback_latency_seconds",
                "How long receivers took for a callback.",
            ),
            Self::CallbacksDead => count(
                "CallbacksDead",
                "mcp_batch_callbacks_dead_total",
                "Callbacks of jobs and of batches that were given up.",
            ),
            Self::CallbackNamesUnknown => count(
                "CallbackNamesUnknown",
                "mcp_batch_callback_names_unknown_total",
                "Jobs that came back because their callback's host cannot be looked up.",
            ),
            Self::DeadLetters => {
                count("DeadLetters", "mcp_batch_dead_letters_total", "Dead letters that were sent.")
            }
            Self::InputTokens => {
                count("InputTokens", "mcp_batch_input_tokens_total", "Tokens of prompts.").by_tool()
            }
            Self::OutputTokens => {
                count("OutputTokens", "mcp_batch_output_tokens_total", "Tokens of answers.")
                    .by_tool()
            }
            Self::EstimatedCostUsd => count(
                "EstimatedCostUSD",
                "mcp_batch_estimated_cost_usd_total",
                "US dollars that are known to be spent.",
            )
            .by_tool()
            .in_unit("None"),
            Self::BatchSize => count("BatchSize", "mcp_batch_batch_size", "Messages in a batch.")
                .of_kind(Kind::Distribution(SIZES)),
            Self::MaxInFlight => count(
                "MaxInFlight",
                "mcp_batch_max_in_flight",
                "The most calls that ran at once since the start.",
            )
            .of_kind(Kind::Highest),
            Self::ColdStart => {
                count("ColdStart", "mcp_batch_cold_starts_total", "Processes that began.")
            }
        }
    }
}

impl Spec {
    fn by_class(self, words: &'static [&'static str]) -> Self {
        Self { label: LabelKind::Class(words), ..self }
    }

    fn by_tool(self) -> Self {
        Self { label: LabelKind::Tool, ..self }
    }

    fn of_kind(self, kind: Kind) -> Self {
        Self { kind, ..self }
    }

    fn in_unit(self, unit: &'static str) -> Self {
        Self { unit, ..self }
    }
}

fn count(name: &'static str, prometheus: &'static str, help: &'static str) -> Spec {
    Spec { name, prometheus, help, unit: "Count", kind: Kind::Count, label: LabelKind::None }
}

fn latency(name: &'static str, prometheus: &'static str, help: &'static str) -> Spec {
    let kind = Kind::Distribution(LATENCIES_S);
    Spec { kind, unit: "Milliseconds", ..count(name, prometheus, help) }
}

/// The most tools that are told apart; what comes later is `other`.
const MAX_TOOLS: usize = 100;

/// What a sample is told apart by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Label {
    /// Nothing.
    None,
    /// A word of the metric's.
    Class(&'static str),
    /// The tool that was called.
    Tool(String),
}

impl Label {
    /// The label's name and value, if it is one.
    pub fn pair(&self) -> Option<(&'static str, &str)> {
        match self {
            Self::None => None,
            Self::Class(class) => Some(("class", class)),
            Self::Tool(tool) => Some(("tool", tool)),
        }
    }

    /// The same, unless it is one tool too many beside `known` ones.
    pub(super) fn bounded(self, is_known: bool, known: usize) -> Self {
        match self {
            Self::Tool(_) if !is_known && known >= MAX_TOOLS => Self::Tool("other".to_owned()),
            label => label,
        }
    }
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_each_others_in_both_worlds() {
        let specs = Metric::ALL.map(Metric::spec);
        for spec in specs {
            let words = spec.prometheus.trim_start_matches("mcp_batch_").replace('_', "");
            assert!(words.starts_with(spec.name.to_lowercase().trim_end_matches('s')), "{spec:?}");
            assert_eq!(
                spec.prometheus.ends_with("_total"),
                spec.kind == Kind::Count,
                "{} is a counter or is not",
                spec.prometheus
            );
            let is_latency = spec.unit == "Milliseconds";
            assert_eq!(spec.prometheus.ends_with("_seconds"), is_latency, "{}", spec.prometheus);
        }
        let names: BTreeSet<_> = specs.iter().map(|spec| spec.name).collect();
        assert_eq!(names.len(), Metric::ALL.len());
    }
}
