//! An event as a line for machines: one flat JSON object, `timestamp`, `level` and `message` first,
//! then the fields of the event, then those of the spans around it, the innermost first.
//!
//! Lambda counts every line as INFO that lacks a level or an RFC 3339 timestamp under these very names
//! (developer guide, "Log and application log levels"); its runtime's own subscriber writes neither
//! where Lambda looks.

use std::{fmt, io::Write};

use serde::ser::{SerializeMap, Serializer as _};
use serde_json::{Serializer, Value};
use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
};
use tracing_subscriber::{Layer, fmt::MakeWriter, layer::Context, registry::LookupSpan};

use crate::clock::Clock;

/// The message of an event is a field of this name.
const MESSAGE: &str = "message";

/// Writes each event as a line to what `W` makes.
pub(super) struct JsonLines<W> {
    writer: W,
    clock: Clock,
}

impl<W> JsonLines<W> {
    pub(super) fn new(writer: W, clock: Clock) -> Self {
        Self { writer, clock }
    }

    /// What every line has, before the event's own fields.
    fn head(&self, metadata: &Metadata<'_>, message: Option<Value>) -> Fields {
        let mut head = Fields::default();
        head.put("timestamp", self.clock.now().rfc3339());
        head.put("level", metadata.level().as_str());
        head.put(MESSAGE, message.unwrap_or_default());
        if !metadata.target().starts_with("mcp_batch") {
            head.put("target", metadata.target());
        }
        head
    }

    fn line<S>(&self, event: &Event<'_>, context: &Context<'_, S>) -> serde_json::Result<Vec<u8>>
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let message = fields.take(MESSAGE);
        let mut line = Vec::with_capacity(512);
        let mut map = Serializer::new(&mut line);
        let mut map = map.serialize_map(None)?;
        let mut written = Vec::new();
        self.head(event.metadata(), message).write(&mut map, &mut written)?;
        fields.write(&mut map, &mut written)?;
        for span in context.event_scope(event).into_iter().flatten() {
            if let Some(fields) = span.extensions().get::<Fields>() {
                fields.write(&mut map, &mut written)?;
            }
        }
        map.end()?;
        line.push(b'\n');
        Ok(line)
    }
}

impl<S, W> Layer<S> for JsonLines<W>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'a> MakeWriter<'a> + 'static,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        span.extensions_mut().insert(fields);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        if let Some(fields) = span.extensions_mut().get_mut::<Fields>() {
            values.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        // In one write, so that lines of several threads stay whole; there is nobody to tell of a failure.
        if let Ok(line) = self.line(event, &context) {
            let _ = self.writer.make_writer().write_all(&line);
        }
    }
}

/// Fields as JSON has them, in the order they came. They are few, and their names are the program's own.
#[derive(Default)]
struct Fields(Vec<(&'static str, Value)>);

impl Fields {
    fn put(&mut self, name: &'static str, value: impl Into<Value>) {
        let value = value.into();
        match self.0.iter_mut().find(|(known, _)| *known == name) {
            Some((_, old)) => *old = value,
            None => self.0.push((name, value)),
        }
    }

    fn take(&mut self, name: &str) -> Option<Value> {
        let at = self.0.iter().position(|(known, _)| *known == name)?;
        Some(self.0.remove(at).1)
    }

    /// Writes those that are not there yet: what is nearer to the event stands.
    fn write<M: SerializeMap>(
        &self,
        map: &mut M,
        written: &mut Vec<&'static str>,
    ) -> Result<(), M::Error> {
        for (name, value) in &self.0 {
            if !written.contains(name) {
                written.push(name);
                map.serialize_entry(name, value)?;
            }
        }
        Ok(())
    }
}

impl Visit for Fields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field.name(), value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field.name(), value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field.name(), value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field.name(), value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field.name(), value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field.name(), format!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io,
        sync::{Arc, Mutex},
    };

    use tracing_subscriber::{layer::SubscriberExt, registry};

    use super::*;
    use crate::{
        clock::UnixMs,
        sweep::{HeldJob, Swept},
    };

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("nobody panics with it").write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn lines_of(log: impl FnOnce()) -> Vec<String> {
        let written = Written::default();
        let writer = written.clone();
        let clock = Clock::new(|| UnixMs(1_700_000_000_123));
        let layer = JsonLines::new(move || writer.clone(), clock);
        tracing::subscriber::with_default(registry().with(layer), log);
        let bytes = written.0.lock().expect("nobody panics with it").clone();
        String::from_utf8(bytes).expect("UTF-8").lines().map(str::to_owned).collect()
    }

    #[test]
    fn a_line_is_flat_and_begins_with_what_lambda_reads() {
        let lines = lines_of(|| {
            let _invocation = tracing::error_span!("invocation", request_id = "r-1").entered();
            let span = tracing::error_span!("job", job_id = "a", attempt = tracing::field::Empty);
            let _job = span.clone().entered();
            span.record("attempt", 2_u32);
            tracing::warn!(latency_ms = 1.5, ok = false, "it took \"long\"");
        });
        assert_eq!(
            lines,
            [concat!(
                r#"{"timestamp":"2023-11-14T22:13:20.123Z","level":"WARN","message":"it took \"long\"","#,
                r#""latency_ms":1.5,"ok":false,"job_id":"a","attempt":2,"request_id":"r-1"}"#
            )]
        );
    }

    #[test]
    fn what_a_sweep_did_is_told_by_numbers_and_of_many_held_jobs_ten_are_named() {
        let held = |n: u64| HeldJob { id: format!("job-{n}"), ..HeldJob::default() };
        let held_jobs = (0..12).map(held).collect();
        let swept = Swept { callbacks_sent: 3, held: 12, held_jobs, ..Swept::default() };
        let lines = lines_of(|| swept.note());
        assert_eq!(
            lines,
            [concat!(
                r#"{"timestamp":"2023-11-14T22:13:20.123Z","level":"INFO","message":"swept","batches_expired":0,"#,
                r#""callbacks_sent":3,"callbacks_failed":0,"callbacks_dead":0,"callbacks_put_off":0,"errors":0,"#,
                r#""held":12,"held_ids":"job-0 job-1 job-2 job-3 job-4 job-5 job-6 job-7 job-8 job-9","dead":0}"#
            )]
        );
    }

    #[test]
    fn what_is_nearer_to_the_event_stands_and_a_line_stays_a_line() {
        let lines = lines_of(|| {
            let _outer = tracing::error_span!("outer", tool = "a", tenant = "t").entered();
            let _inner = tracing::error_span!("inner", tool = "b").entered();
            tracing::error!(target: "hyper", tool = "c", "two\nlines");
        });
        assert_eq!(lines.len(), 1, "{lines:?}");
        let line: Value = serde_json::from_str(&lines[0]).expect("JSON");
        assert_eq!((&line["tool"], &line["tenant"]), (&"c".into(), &"t".into()));
        assert_eq!((&line["level"], &line["message"]), (&"ERROR".into(), &"two\nlines".into()));
        assert_eq!(line["target"], "hyper");
    }
}
