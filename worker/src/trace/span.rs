//! A span: begun, told of, ended when it is dropped.

use std::{borrow::Cow, sync::Arc};

use tokio::task::futures::TaskLocalFuture;

use super::{CURRENT, Current, TraceContext, tracer::Trace};
use crate::clock::Clock;

/// What a span is in the exchange between programs; the numbers are OTLP's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    #[cfg(feature = "api")]
    Server = 2,
    Client = 3,
    #[cfg(feature = "api")]
    Producer = 4,
    Consumer = 5,
}

/// A value of an attribute.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Attribute {
    Text(String),
    Number(i64),
    Truth(bool),
}

impl From<&str> for Attribute {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Attribute {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<u64> for Attribute {
    fn from(number: u64) -> Self {
        Self::Number(number.try_into().unwrap_or(i64::MAX))
    }
}

impl From<bool> for Attribute {
    fn from(truth: bool) -> Self {
        Self::Truth(truth)
    }
}

/// A span that is over.
#[derive(Clone, Debug)]
pub(super) struct Ended {
    pub(super) context: TraceContext,
    pub(super) parent: Option<u64>,
    pub(super) kind: Kind,
    pub(super) name: Cow<'static, str>,
    /// Nanoseconds since the Unix epoch.
    pub(super) start_ns: i128,
    pub(super) end_ns: i128,
    pub(super) attributes: Vec<(&'static str, Attribute)>,
    pub(super) links: Vec<TraceContext>,
    pub(super) is_error: bool,
}

/// A span that goes on, or the place of one where nothing is traced: what came from the sender is then
/// handed on as it is.
pub(crate) struct Span(Live);

enum Live {
    Off(Option<TraceContext>),
    On(Arc<Trace>, Box<Ended>),
}

impl Span {
    /// One that is not recorded.
    pub(super) fn off(sender: Option<TraceContext>) -> Self {
        Self(Live::Off(sender))
    }

    /// The first of `trace` in this process.
    pub(super) fn first(
        trace: Arc<Trace>,
        parent: Option<TraceContext>,
        kind: Kind,
        name: impl Into<Cow<'static, str>>,
    ) -> Self {
        let parent = parent.map(|parent| parent.span_id);
        Self::begin(trace, parent, kind, name.into())
    }

    /// A part of the present span.
    pub(crate) fn child(kind: Kind, name: impl FnOnce() -> Cow<'static, str>) -> Self {
        match Current::get() {
            Current { context: Some(parent), trace: Some(trace) } => {
                Self::begin(trace, Some(parent.span_id), kind, name())
            }
            Current { context, .. } => Self::off(context),
        }
    }

    fn begin(trace: Arc<Trace>, parent: Option<u64>, kind: Kind, name: Cow<'static, str>) -> Self {
        let start_ns = Clock::unix_ns();
        let ended = Ended {
            context: trace.context(),
            parent,
            kind,
            name,
            start_ns,
            end_ns: start_ns,
            attributes: Vec::new(),
            links: Vec::new(),
            is_error: false,
        };
        Self(Live::On(trace, Box::new(ended)))
    }

    /// By which ids it is handed on.
    pub(crate) fn context(&self) -> Option<TraceContext> {
        match &self.0 {
            Live::Off(context) => *context,
            Live::On(_, span) => Some(span.context),
        }
    }

    /// Lets `tell` add what is known of it, where anybody wants to know.
    pub(super) fn tell(&mut self, tell: impl FnOnce(&mut Ended)) {
        if let Live::On(_, span) = &mut self.0 {
            tell(span);
        }
    }

    /// What `work` begins is a part of this span.
    pub(crate) fn scope<F: Future>(&self, work: F) -> TaskLocalFuture<Current, F> {
        let trace = match &self.0 {
            Live::Off(_) => None,
            Live::On(trace, _) => Some(Arc::clone(trace)),
        };
        CURRENT.scope(Current { context: self.context(), trace }, work)
    }
}

impl Ended {
    pub(super) fn set(&mut self, name: &'static str, value: impl Into<Attribute>) {
        self.attributes.push((name, value.into()));
    }

    pub(super) fn set_if(&mut self, name: &'static str, value: Option<impl Into<Attribute>>) {
        self.attributes.extend(value.map(|value| (name, value.into())));
    }

    pub(super) fn link(&mut self, to: Option<TraceContext>) {
        self.links.extend(to);
    }

    /// It failed, for this reason, which is one of few.
    pub(super) fn fail(&mut self, error_type: impl Into<Attribute>) {
        self.is_error = true;
        self.set("error.type", error_type);
    }
}

impl Drop for Span {
    fn drop(&mut self) {
        if let Live::On(trace, span) = &mut self.0 {
            span.end_ns = Clock::unix_ns();
            trace.note(span);
        }
    }
}
