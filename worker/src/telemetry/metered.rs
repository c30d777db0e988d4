//! From what happens in the life of a job to samples of metrics, whoever shows them.

use std::{
    sync::atomic::{AtomicU32, Ordering::Relaxed},
    time::Duration,
};

use super::{
    metric::{BUDGET, BUSY, DONE, Label, Metric, PAUSE, Sample},
    rounded_ms,
};
use crate::{
    environment::{End, Observation, Observer},
    error::{ErrorClass, JobError, code},
    job::ToolName,
    lease::{Delivery, Record, State, Usage},
};

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
    /// Hands its samples to `meter`. That a process began is the first of them.
    pub fn new(meter: M) -> Self {
        let metered = Self { meter, in_flight: AtomicU32::new(0) };
        metered.count(Metric::ColdStart, Label::None);
        metered
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

    fn time(&self, metric: Metric, label: Label, latency: Duration) {
        self.add(metric, label, rounded_ms(latency));
    }

    fn used(&self, tool: &ToolName, usage: &Usage) {
        let tell = |metric, value: f64| {
            if value > 0.0 {
                self.add(metric, Label::Tool(tool.to_string()), value);
            }
        };
        tell(Metric::InputTokens, whole(usage.input_tokens));
        tell(Metric::OutputTokens, whole(usage.output_tokens));
        tell(Metric::EstimatedCostUsd, usage.cost_usd.unwrap_or(0.0));
    }

    fn ended(&self, end: &End<'_>) {
        match end {
            // Counted when it was saved.
            End::Fresh(_) | End::HandedOff(_) => {}
            End::Duplicate(_) => self.count(Metric::Duplicates, Label::Class(DONE)),
            End::Rejected(error) => self.failed(error),
        }
    }

    fn settled(&self, record: &Record) {
        match &record.state {
            State::Done(_) => self.count(Metric::JobsSucceeded, Label::None),
            State::Failed(error) => self.failed(error),
            State::Held(_) => self.count(Metric::Held, Label::None),
            State::Running { .. } | State::Retry(_) | State::Cancelled => {}
        }
    }

    fn failed(&self, error: &JobError) {
        self.count(Metric::JobsFailed, Label::Class(error.class.as_str()));
    }

    fn returned(&self, reason: &JobError) {
        match (reason.class, reason.code.as_ref()) {
            (ErrorClass::Busy, code::BUSY) => self.count(Metric::Duplicates, Label::Class(BUSY)),
            (ErrorClass::Busy, code::FENCED) => self.count(Metric::Fenced, Label::None),
            (ErrorClass::Interrupted, code::NOT_STARTED) => {
                self.count(Metric::NotStarted, Label::None);
            }
            (ErrorClass::Throttled, code::BUDGET_EXCEEDED | code::QUOTA_EXCEEDED) => {
                self.count(Metric::Throttled, Label::Class(BUDGET));
            }
            (ErrorClass::Transient, code::CALLBACK_NAME) => {
                self.count(Metric::CallbackNamesUnknown, Label::None);
            }
            (ErrorClass::Throttled, _) => self.count(Metric::Throttled, Label::Class(PAUSE)),
            _ => {}
        }
    }
}

impl<M: Meter> Observer for Metered<M> {
    fn observe(&self, observation: Observation<'_>) {
        match observation {
            Observation::BatchBegan { messages } => {
                self.add(Metric::BatchSize, Label::None, whole(messages as u64));
            }
            Observation::LedgerAnswered { latency } => {
                self.time(Metric::LedgerLatency, Label::None, latency);
            }
            Observation::TakenOver => self.count(Metric::LeaseTakeovers, Label::None),
            Observation::Settled(record) => self.settled(record),
            Observation::CallBegan => {
                let in_flight = self.in_flight.fetch_add(1, Relaxed) + 1;
                self.add(Metric::MaxInFlight, Label::None, f64::from(in_flight));
            }
            Observation::CallEnded { job, latency, usage } => {
                self.in_flight.fetch_sub(1, Relaxed);
                self.time(Metric::ToolLatency, Label::Tool(job.tool().to_string()), latency);
                self.used(job.tool(), usage);
            }
            Observation::Delivered { delivery, latency } => {
                self.time(Metric::CallbackLatency, Label::None, latency);
                if let Delivery::Dead(_) = delivery {
                    self.count(Metric::CallbacksDead, Label::None);
                }
            }
            Observation::Buried => self.count(Metric::DeadLetters, Label::None),
            Observation::Refused { .. } => self.count(Metric::ConfigurationBroken, Label::None),
            Observation::Ended { end, .. } => self.ended(&end),
            Observation::Returned { reason, .. } => self.returned(reason),
            Observation::Waits { .. } => {}
        }
    }
}

/// Exact up to 2^53, which no sum of tokens reaches.
#[expect(clippy::cast_precision_loss, reason = "exact for all that is counted here")]
fn whole(number: u64) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[derive(Default)]
    struct Samples(Mutex<Vec<Sample>>);

    impl Meter for Samples {
        fn take(&self, sample: Sample) {
            self.0.lock().expect("nobody panics with it").push(sample);
        }
    }

    #[test]
    fn a_job_that_waits_for_its_callbacks_name_is_counted() {
        let metered = Metered::new(Samples::default());
        let reason = JobError::new(ErrorClass::Transient, code::CALLBACK_NAME, "nobody knows it");
        let (message_id, after) = ("1", Duration::ZERO);
        metered.observe(Observation::Returned { message_id, key: None, reason: &reason, after });
        let samples = metered.meter().0.lock().expect("nobody panics with it");
        let metrics: Vec<_> = samples.iter().map(|sample| sample.metric).collect();
        assert_eq!(metrics, [Metric::ColdStart, Metric::CallbackNamesUnknown]);
    }
}
