//! Spans as OTLP has them in JSON ("OTLP/HTTP", "JSON Protobuf Encoding": ids in hexadecimal, 64-bit
//! numbers as texts).

use serde_json::{Value, json};

use super::span::{Attribute, Ended};

/// Who tells: `service.name` and whatever else is said of the process.
pub(super) type Resource = Vec<(String, String)>;

/// The body of one export.
pub(super) fn body(resource: &Resource, spans: &[Ended]) -> String {
    let attributes = resource.iter().map(|(name, value)| attribute(name, &value.as_str().into()));
    let attributes: Vec<_> = attributes.collect();
    let spans: Vec<_> = spans.iter().map(span).collect();
    let scope = json!({"name": "mcp-batch", "version": env!("CARGO_PKG_VERSION")});
    json!({"resourceSpans": [{
        "resource": {"attributes": attributes},
        "scopeSpans": [{"scope": scope, "spans": spans}],
    }]})
    .to_string()
}

fn span(span: &Ended) -> Value {
    let attributes = span.attributes.iter().map(|(name, value)| attribute(name, value));
    let links = span.links.iter().map(|link| {
        let flags = u8::from(link.is_sampled);
        json!({"traceId": link.trace_id(), "spanId": link.span_id(), "flags": flags})
    });
    let mut told = json!({
        "traceId": span.context.trace_id(),
        "spanId": span.context.span_id(),
        "flags": u8::from(span.context.is_sampled),
        "name": span.name,
        "kind": span.kind as u8,
        "startTimeUnixNano": span.start_ns.to_string(),
        "endTimeUnixNano": span.end_ns.to_string(),
        "attributes": attributes.collect::<Vec<_>>(),
        "links": links.collect::<Vec<_>>(),
        "status": if span.is_error { json!({"code": 2}) } else { json!({}) },
    });
    if let Some(parent) = span.parent {
        told["parentSpanId"] = format!("{parent:016x}").into();
    }
    told
}

fn attribute(name: &str, value: &Attribute) -> Value {
    let value = match value {
        Attribute::Text(text) => json!({"stringValue": text}),
        Attribute::Number(number) => json!({"intValue": number.to_string()}),
        Attribute::Truth(truth) => json!({"boolValue": truth}),
    };
    json!({"key": name, "value": value})
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Kind, TraceContext},
        *,
    };

    #[test]
    fn a_span_is_what_collectors_read() {
        let context =
            TraceContext { trace_id: 0xabc, span_id: 0xde, is_sampled: true, is_decided: true };
        let mut ended = Ended {
            context,
            parent: Some(0xf),
            kind: Kind::Client,
            name: "chat gpt".into(),
            start_ns: 1_700_000_000_000_000_001,
            end_ns: 1_700_000_000_000_000_002,
            attributes: Vec::new(),
            links: vec![TraceContext { span_id: 1, ..context }],
            is_error: false,
        };
        ended.set("gen_ai.usage.input_tokens", 800_u64);
        ended.fail("timeout");
        let resource = vec![("service.name".to_owned(), "jobs".to_owned())];
        let body: Value = serde_json::from_str(&body(&resource, &[ended])).expect("JSON");
        let told = &body["resourceSpans"][0];
        assert_eq!(
            told["resource"]["attributes"],
            json!([{"key": "service.name", "value": {"stringValue": "jobs"}}])
        );
        let expected = json!({
            "traceId": "00000000000000000000000000000abc",
            "spanId": "00000000000000de",
            "flags": 1,
            "name": "chat gpt",
            "kind": 3,
            "startTimeUnixNano": "1700000000000000001",
            "endTimeUnixNano": "1700000000000000002",
            "attributes": [
                {"key": "gen_ai.usage.input_tokens", "value": {"intValue": "800"}},
                {"key": "error.type", "value": {"stringValue": "timeout"}},
            ],
            "links": [{
                "traceId": "00000000000000000000000000000abc", "spanId": "0000000000000001", "flags": 1,
            }],
            "status": {"code": 2},
            "parentSpanId": "000000000000000f",
        });
        assert_eq!(told["scopeSpans"][0]["spans"], json!([expected]));
    }
}
