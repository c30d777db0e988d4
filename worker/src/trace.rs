//! Traces, as OpenTelemetry has them: what a job went through, from its sender to its callback. Where no
//! collector is set, nothing is recorded, and what a sender handed over is handed on untouched.
//!
//! | file | what lives in it |
//! |---|---|
//! | `context.rs` | by which ids a span is handed from program to program |
//! | `conventions.rs` | what spans are called and what they tell: every name of the conventions |
//! | `span.rs` | a span while it goes on |
//! | `tracer.rs` | which traces are kept |
//! | `export.rs`, `otlp.rs` | on the way to a collector |

mod context;
mod conventions;
mod export;
mod otlp;
mod span;
mod tracer;

use std::sync::Arc;

#[cfg(feature = "api")]
pub(crate) use self::conventions::{answered, enqueue, request};
#[cfg(feature = "lambda")]
pub(crate) use self::conventions::{event, invocation};
pub use self::{
    context::TraceContext,
    export::{ExportSettings, Sign, Signature},
    tracer::{Destination, Sampling, Tracer},
};
pub(crate) use self::{
    conventions::{call, callback, called, delivered, failed, message},
    span::{Kind, Span},
};
use self::{export::Exporter, tracer::Trace};

tokio::task_local! {
    static CURRENT: Current;
}

/// In which span something happens.
#[derive(Clone, Default)]
pub(crate) struct Current {
    context: Option<TraceContext>,
    trace: Option<Arc<Trace>>,
}

impl Current {
    fn get() -> Self {
        CURRENT.try_with(Clone::clone).unwrap_or_default()
    }
}

/// Whether what is begun now is a part of a trace that is recorded.
#[cfg(feature = "api")]
pub(crate) fn is_traced() -> bool {
    Current::get().trace.is_some()
}

/// The present span, to be handed on.
pub(crate) fn current() -> Option<TraceContext> {
    CURRENT.try_with(|current| current.context).ok().flatten()
}

/// How traces are kept, and where they go to.
#[derive(Clone, Debug)]
pub struct TraceSettings {
    /// Which are kept.
    pub sampling: Sampling,
    /// Where they go to.
    pub export: ExportSettings,
}

impl Tracer {
    /// A tracer of jobs of that queue; one that does nothing where there are no settings.
    pub fn open(settings: Option<TraceSettings>, queue: Destination) -> Result<Self, String> {
        let Some(TraceSettings { sampling, export }) = settings else { return Ok(Self::default()) };
        Ok(Self::new(sampling, queue, Exporter::new(export)?))
    }
}
