//! Where traces go to, and which are kept: OpenTelemetry's own variables.

use std::time::Duration;

use hyper::{
    HeaderMap,
    header::{HeaderName, HeaderValue},
};
use url::Url;

use super::{
    llm::http_url,
    source::{ConfigError, Source},
};
use crate::trace::{ExportSettings, Sampling, TraceSettings};

/// The share of traces that are kept, where nothing else is said.
const DEFAULT_RATIO: f64 = 0.05;

const DEFAULT_TIMEOUT_MS: u64 = 10_000;

const DEFAULT_MAX_WAITING: usize = 2_048;

const DEFAULT_EVERY_MS: u64 = 5_000;

const SAMPLERS: &str = "one of always_on, always_off, traceidratio, parentbased_always_on, \
     parentbased_always_off, parentbased_traceidratio";

const HEADERS: &str = "name=value pairs, separated by commas";

/// The variables of traces; `None` without an endpoint of a collector's or X-Ray's, and where
/// `OTEL_SDK_DISABLED` or `OTEL_TRACES_EXPORTER` says so.
pub fn traces(source: &Source) -> Result<Option<TraceSettings>, ConfigError> {
    let is =
        |name, value: &str| source.get(name).is_some_and(|given| given.eq_ignore_ascii_case(value));
    if is("OTEL_SDK_DISABLED", "true") || is("OTEL_TRACES_EXPORTER", "none") {
        return Ok(None);
    }
    let sign_for = xray_region(source)?;
    let Some(endpoint) = endpoint(source, sign_for.as_deref())? else { return Ok(None) };
    protocol(source)?;
    let timeout_ms = match source.number("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", 1..=600_000_u64)? {
        None => source.number("OTEL_EXPORTER_OTLP_TIMEOUT", 1..=600_000_u64)?,
        own => own,
    };
    let max_waiting = source.number("OTEL_BSP_MAX_QUEUE_SIZE", 1..=1_000_000_usize)?;
    let every_ms = source.number("OTEL_BSP_SCHEDULE_DELAY", 100..=600_000_u64)?;
    let export = ExportSettings {
        endpoint,
        headers: headers(source)?,
        sign_for,
        signer: None,
        timeout: Duration::from_millis(timeout_ms.unwrap_or(DEFAULT_TIMEOUT_MS)),
        max_waiting: max_waiting.unwrap_or(DEFAULT_MAX_WAITING),
        every: Duration::from_millis(every_ms.unwrap_or(DEFAULT_EVERY_MS)),
        resource: resource(source),
    };
    Ok(Some(TraceSettings { sampling: sampling(source)?, export }))
}

/// `MCP_BATCH_XRAY_REGION`: traces go straight to X-Ray of this region, signed.
fn xray_region(source: &Source) -> Result<Option<String>, ConfigError> {
    let expected = "a region of AWS such as eu-central-1";
    let is_part = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    source.parse("MCP_BATCH_XRAY_REGION", expected, |text| {
        text.chars().all(is_part).then(|| text.to_owned())
    })
}

/// That of traces as it stands; that of X-Ray; below the common one, `v1/traces`.
fn endpoint(source: &Source, xray: Option<&str>) -> Result<Option<Url>, ConfigError> {
    let expected = "an http or https URL such as http://127.0.0.1:4318";
    if let Some(own) = source.parse("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", expected, http_url)? {
        return Ok(Some(own));
    }
    if let Some(region) = xray {
        return Ok(http_url(&format!("https://xray.{region}.amazonaws.com/v1/traces")));
    }
    let common = source.parse("OTEL_EXPORTER_OTLP_ENDPOINT", expected, http_url)?;
    Ok(common.map(|mut url| {
        let path = format!("{}/v1/traces", url.path().trim_end_matches('/'));
        url.set_path(&path);
        url
    }))
}

/// A collector that takes OTLP over HTTP takes it in JSON; over gRPC it listens elsewhere.
fn protocol(source: &Source) -> Result<(), ConfigError> {
    let is_http = |text: &str| text.starts_with("http/").then_some(());
    let expected = "http/json, or http/protobuf, which is sent as JSON";
    for name in ["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"] {
        if source.get(name).is_some() {
            source.parse(name, expected, is_http)?;
            return Ok(());
        }
    }
    Ok(())
}

fn headers(source: &Source) -> Result<HeaderMap, ConfigError> {
    let own = source.hidden("OTEL_EXPORTER_OTLP_TRACES_HEADERS", HEADERS, parse_headers)?;
    if let Some(own) = own {
        return Ok(own);
    }
    let common = source.hidden("OTEL_EXPORTER_OTLP_HEADERS", HEADERS, parse_headers)?;
    Ok(common.unwrap_or_default())
}

fn parse_headers(text: &str) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs(text) {
        let name = name.parse::<HeaderName>().map_err(|_| "a name that is none".to_owned())?;
        let value = HeaderValue::from_str(&value);
        let mut value = value.map_err(|_| format!("a value of {name} that is none"))?;
        value.set_sensitive(true);
        headers.append(name, value);
    }
    Ok(headers)
}

fn sampling(source: &Source) -> Result<Sampling, ConfigError> {
    let ratio = source.number("OTEL_TRACES_SAMPLER_ARG", 0.0..=1.0_f64)?.unwrap_or(DEFAULT_RATIO);
    let parsed = source.parse("OTEL_TRACES_SAMPLER", SAMPLERS, |name| {
        let (is_parent_based, name) = match name.strip_prefix("parentbased_") {
            Some(name) => (true, name),
            None => (false, name),
        };
        let ratio = match name {
            "always_on" => 1.0,
            "always_off" => 0.0,
            "traceidratio" => ratio,
            _ => return None,
        };
        Some(Sampling { is_parent_based, ratio })
    })?;
    Ok(parsed.unwrap_or(Sampling { is_parent_based: true, ratio }))
}

/// `OTEL_SERVICE_NAME` goes before `service.name` among `OTEL_RESOURCE_ATTRIBUTES`; in Lambda the
/// function's name stands where neither is said.
fn resource(source: &Source) -> Vec<(String, String)> {
    let mut resource: Vec<_> =
        source.get("OTEL_RESOURCE_ATTRIBUTES").map(pairs).into_iter().flatten().collect();
    let function = source.get("AWS_LAMBDA_FUNCTION_NAME");
    let has_name = resource.iter().any(|(name, _)| name == "service.name");
    let name = match source.get("OTEL_SERVICE_NAME") {
        Some(name) => Some(name),
        None if has_name => None,
        None => Some(function.unwrap_or("mcp-batch")),
    };
    if let Some(name) = name {
        resource.retain(|(known, _)| known != "service.name");
        resource.insert(0, ("service.name".to_owned(), name.to_owned()));
    }
    let mut add = |name: &str, value: &str| resource.push((name.to_owned(), value.to_owned()));
    add("telemetry.sdk.name", "mcp-batch");
    add("telemetry.sdk.language", "rust");
    if let Some(function) = function {
        add("cloud.provider", "aws");
        add("cloud.platform", "aws_lambda");
        add("faas.name", function);
    }
    resource
}

/// `name=value,…`, with percent-encoded values.
fn pairs(text: &str) -> impl Iterator<Item = (String, String)> {
    text.split(',').filter_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        // A plus stands for itself here, where forms mean a space by it.
        let query = format!("v={}", value.trim().replace('+', "%2B").replace('&', "%26"));
        let (_, value) = url::form_urlencoded::parse(query.as_bytes()).next()?;
        Some((name.trim().to_owned(), value.into_owned()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(variables: &[(&str, &str)]) -> Source {
        Source::of(variables.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())))
    }

    #[test]
    fn without_an_endpoint_there_are_none() {
        for variables in [
            &[][..],
            &[("OTEL_EXPORTER_OTLP_ENDPOINT", "")],
            &[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://a:4318"), ("OTEL_SDK_DISABLED", "true")],
            &[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://a:4318"), ("OTEL_TRACES_EXPORTER", "none")],
        ] {
            assert!(traces(&source(variables)).expect("sound").is_none(), "{variables:?}");
        }
    }

    #[test]
    fn opentelemetrys_variables_say_where_and_how_much() {
        let settings = traces(&source(&[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://collector.example:4318/otlp/"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20abc+d, x-team=jobs"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
            ("OTEL_TRACES_SAMPLER_ARG", "0.5"),
            ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test"),
        ]));
        let settings = settings.expect("sound").expect("an endpoint");
        let export = settings.export;
        assert_eq!(export.endpoint.as_str(), "https://collector.example:4318/otlp/v1/traces");
        assert_eq!(export.headers["authorization"], "Bearer abc+d");
        assert_eq!(export.headers["x-team"], "jobs");
        assert_eq!(settings.sampling, Sampling { is_parent_based: true, ratio: 0.5 });
        let has = |name: &str, value: &str| {
            export.resource.contains(&(name.to_owned(), value.to_owned()))
        };
        assert!(has("service.name", "mcp-batch") && has("deployment.environment.name", "test"));
    }

    #[test]
    fn xray_is_signed_for_and_has_an_endpoint_in_each_region() {
        let export = |variables: &[_]| {
            traces(&source(variables)).expect("sound").expect("an endpoint").export
        };
        let region = ("MCP_BATCH_XRAY_REGION", "eu-central-1");
        let direct = export(&[region, ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://a:4318")]);
        let endpoint = "https://xray.eu-central-1.amazonaws.com/v1/traces";
        assert_eq!(direct.endpoint.as_str(), endpoint);
        assert_eq!(direct.sign_for.as_deref(), Some("eu-central-1"));
        let own = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "https://vpce-1.example.com/v1/traces");
        let private = export(&[region, own]);
        assert_eq!((private.endpoint.as_str(), private.sign_for), (own.1, direct.sign_for));
        assert_eq!(export(&[own]).sign_for, None);
    }

    #[test]
    fn what_cannot_be_used_is_said_without_secrets() {
        let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://a:4318");
        for (name, value) in [
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
            ("OTEL_TRACES_SAMPLER", "sometimes"),
            ("OTEL_TRACES_SAMPLER_ARG", "5"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "a b=geheim"),
            ("MCP_BATCH_XRAY_REGION", "http://a"),
        ] {
            let error = traces(&source(&[endpoint, (name, value)])).expect_err("unsound");
            let error = error.to_string();
            assert!(error.contains(name) && !error.contains("geheim"), "{error}");
        }
    }
}
