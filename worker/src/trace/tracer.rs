//! Which traces are kept. A trace's spans of this process are together until the last of them has ended;
//! then those go to the exporter whose trace is sampled, and those of which one failed.

use std::{
    borrow::Cow,
    mem,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use super::{Kind, Span, TraceContext, export::Exporter, span::Ended};
use crate::batch::Stop;

/// The most spans of one trace that are kept in one process.
const MAX_SPANS: usize = 256;

/// Where messages come from and go to, in the conventions' words.
#[derive(Clone, Debug)]
pub struct Destination {
    /// `messaging.system`.
    pub system: &'static str,
    /// `messaging.destination.name`.
    pub name: String,
}

/// Which traces are kept.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampling {
    /// What the sender of a trace decided holds.
    pub is_parent_based: bool,
    /// The share of the others, from 0 to 1.
    pub ratio: f64,
}

impl Sampling {
    fn keeps(self, trace_id: u128, parent: Option<TraceContext>) -> bool {
        if let Some(parent) = parent.filter(|it| self.is_parent_based && it.is_decided) {
            return parent.is_sampled;
        }
        // 53 of the random bits, which all programs take alike from the trace's end.
        let bits = trace_id & ((1 << 53) - 1);
        #[expect(clippy::cast_precision_loss, reason = "53 bits are exact")]
        let share = bits as f64 / (1_u64 << 53) as f64;
        share < self.ratio
    }
}

/// Begins traces, or does nothing. Clones are the same.
#[derive(Clone, Default)]
pub struct Tracer(Option<Arc<Shared>>);

struct Shared {
    sampling: Sampling,
    destination: Destination,
    exporter: Exporter,
}

impl Tracer {
    pub(super) fn new(sampling: Sampling, destination: Destination, exporter: Exporter) -> Self {
        Self(Some(Arc::new(Shared { sampling, destination, exporter })))
    }

    /// The first span here of the trace that `parent` belongs to, or of a new one.
    pub(super) fn begin(
        &self,
        kind: Kind,
        parent: Option<TraceContext>,
        name: impl FnOnce(&Destination) -> Cow<'static, str>,
    ) -> Span {
        let Some(shared) = &self.0 else { return Span::off(parent) };
        let trace_id = parent.map_or_else(|| fastrand::u128(1..), |parent| parent.trace_id);
        let trace = Arc::new(Trace {
            shared: Arc::clone(shared),
            id: trace_id,
            is_sampled: shared.sampling.keeps(trace_id, parent),
            has_failed: AtomicBool::new(false),
            spans: Mutex::default(),
        });
        Span::first(trace, parent, kind, name(&shared.destination))
    }

    /// Where messages come from and go to, if that is told.
    pub(super) fn destination(&self) -> Option<&Destination> {
        self.0.as_deref().map(|shared| &shared.destination)
    }

    /// Sends what was kept, for at most `time`. What is left is sent the next time.
    pub async fn flush(&self, time: Duration) {
        if let Some(shared) = &self.0 {
            shared.exporter.flush(time).await;
        }
    }

    /// Sends again and again what was kept, until `stop` drains.
    pub async fn flush_until_stopped(self, stop: Stop) {
        if let Some(shared) = &self.0 {
            shared.exporter.flush_until_stopped(&stop).await;
        }
    }
}

/// The part of a trace that is in this process.
pub(super) struct Trace {
    shared: Arc<Shared>,
    id: u128,
    is_sampled: bool,
    has_failed: AtomicBool,
    spans: Mutex<Vec<Ended>>,
}

impl Trace {
    /// The ids of a new span of it.
    pub(super) fn context(&self) -> TraceContext {
        let Self { id: trace_id, is_sampled, .. } = *self;
        TraceContext { trace_id, span_id: fastrand::u64(1..), is_sampled, is_decided: true }
    }

    /// A span has ended.
    pub(super) fn note(&self, span: &Ended) {
        if span.is_error {
            self.has_failed.store(true, Relaxed);
        }
        let mut spans = self.spans.lock().unwrap_or_else(PoisonError::into_inner);
        if spans.len() < MAX_SPANS {
            spans.push(span.clone());
        }
    }
}

/// The last span of it has ended.
impl Drop for Trace {
    fn drop(&mut self) {
        if self.is_sampled || *self.has_failed.get_mut() {
            let spans = self.spans.get_mut().unwrap_or_else(PoisonError::into_inner);
            self.shared.exporter.take(mem::take(spans));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_of_new_traces_is_the_ratio_and_the_senders_decision_holds() {
        let sampling = Sampling { is_parent_based: true, ratio: 0.05 };
        let kept = (0..100_000).filter(|_| sampling.keeps(fastrand::u128(1..), None)).count();
        assert!((4_000..6_000).contains(&kept), "{kept}");
        for is_sampled in [true, false] {
            let parent =
                TraceContext { trace_id: u128::MAX, span_id: 1, is_sampled, is_decided: true };
            assert_eq!(sampling.keeps(u128::MAX, Some(parent)), is_sampled);
            let alone = Sampling { is_parent_based: false, ..sampling };
            assert!(!alone.keeps(u128::MAX, Some(parent)));
        }
        let undecided =
            TraceContext { trace_id: 1, span_id: 1, is_sampled: false, is_decided: false };
        assert!(sampling.keeps(1, Some(undecided)), "it is one of the share");
        assert!(Sampling { ratio: 1.0, ..sampling }.keeps(u128::MAX, None));
        assert!(!Sampling { ratio: 0.0, ..sampling }.keeps(1 << 60, None));
    }
}
