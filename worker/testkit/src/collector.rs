//! A collector of traces: takes OTLP over HTTP in JSON, and keeps the spans.

use serde_json::Value;

use crate::{Received, Receiver, wait_until};

/// A collector of traces.
#[derive(Debug)]
pub struct Collector(Receiver);

/// A span that came.
#[derive(Debug, Clone)]
pub struct CollectedSpan(Value);

impl Collector {
    /// Starts one on a free port.
    pub async fn start() -> Self {
        Self(Receiver::start().await)
    }

    /// What `OTEL_EXPORTER_OTLP_ENDPOINT` has to be.
    pub fn url(&self) -> String {
        self.0.url("")
    }

    /// All spans that came so far.
    ///
    /// # Panics
    ///
    /// When something else came.
    pub fn spans(&self) -> Vec<CollectedSpan> {
        let mut spans = Vec::new();
        for export in self.0.deliveries() {
            assert_eq!((export.path(), export.header("content-type")), PLACE);
            let mut body = export.json();
            let resources = body["resourceSpans"].as_array_mut().expect("resources");
            for resource in resources {
                let scopes = resource["scopeSpans"].as_array_mut().expect("scopes").iter_mut();
                let all = scopes
                    .filter_map(|scope| std::mem::take(&mut scope["spans"]).as_array().cloned());
                spans.extend(all.flatten().map(CollectedSpan));
            }
        }
        spans
    }

    /// The requests that brought them.
    pub fn exports(&self) -> Vec<Received> {
        self.0.deliveries()
    }

    /// Waits until a span of each of these names is there; all that are there by then.
    ///
    /// # Panics
    ///
    /// After [`PATIENCE`](crate::PATIENCE).
    pub async fn wait_for(&self, names: &[&str]) -> Vec<CollectedSpan> {
        let has = |name: &&str| self.spans().iter().any(|span| span.name() == *name);
        wait_until(&format!("spans {names:?} came"), || names.iter().all(has)).await;
        self.spans()
    }
}

/// Where exports are to be sent, and as what.
const PLACE: (&str, Option<&str>) = ("/v1/traces", Some("application/json"));

impl CollectedSpan {
    fn text(&self, field: &str) -> &str {
        self.0[field].as_str().unwrap_or_default()
    }

    /// Its name.
    pub fn name(&self) -> &str {
        self.text("name")
    }

    /// Its trace's id.
    pub fn trace_id(&self) -> &str {
        self.text("traceId")
    }

    /// Its own id.
    pub fn span_id(&self) -> &str {
        self.text("spanId")
    }

    /// The id of the span it is a part of; empty without one.
    pub fn parent_id(&self) -> &str {
        self.text("parentSpanId")
    }

    /// The ids of the spans it is linked to.
    pub fn links(&self) -> Vec<&str> {
        let links = self.0["links"].as_array().into_iter().flatten();
        links.filter_map(|link| link["spanId"].as_str()).collect()
    }

    /// Whether it failed.
    pub fn is_error(&self) -> bool {
        self.0["status"]["code"] == 2
    }

    /// The attribute of that name, as text.
    pub fn attribute(&self, name: &str) -> Option<String> {
        let attributes = self.0["attributes"].as_array().into_iter().flatten();
        let value = attributes.into_iter().find(|it| it["key"] == name)?["value"].as_object()?;
        let value = value.values().next()?;
        Some(value.as_str().map_or_else(|| value.to_string(), str::to_owned))
    }

    /// All of it.
    pub fn json(&self) -> &Value {
        &self.0
    }
}
