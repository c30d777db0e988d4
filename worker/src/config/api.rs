//! The HTTP face: where it listens, who is let in from where, how often.

use std::{net::SocketAddr, num::NonZeroU32};

use super::source::{ConfigError, Source};

/// Where `serve` listens, where nothing else is said.
const LISTEN: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 8080);

/// Requests a second of one key, where nothing else is said.
const RATE: NonZeroU32 = NonZeroU32::MIN.saturating_add(99);

/// What the HTTP face needs to know beside its keys.
#[derive(Clone, Debug, Default)]
pub struct ApiSettings {
    /// `MCP_BATCH_API_HOSTS`: what requests may call this server (`Host`), without ports. None: on
    /// a loopback address its own names, elsewhere any.
    pub hosts: Vec<String>,
    /// `MCP_BATCH_API_CORS_ORIGINS`: whose pages may use it from a browser. None: nobody's.
    pub origins: Vec<String>,
    /// `MCP_BATCH_API_RATE_PER_SECOND`: requests a second of one key; `None`: any number.
    pub rate_per_second: Option<NonZeroU32>,
}

/// `MCP_BATCH_LISTEN`: where `serve` listens; `127.0.0.1:8080`.
pub fn listen(source: &Source) -> Result<SocketAddr, ConfigError> {
    let expected = "an IP address and a port, such as 127.0.0.1:8080";
    let given = source.parse("MCP_BATCH_LISTEN", expected, |text| {
        text.replace("localhost:", "127.0.0.1:").parse().ok()
    })?;
    Ok(given.unwrap_or(LISTEN))
}

/// `MCP_BATCH_API_HOSTS`, `_CORS_ORIGINS` and `_RATE_PER_SECOND` (100; 0: no limit).
pub fn api(source: &Source) -> Result<ApiSettings, ConfigError> {
    let rate = source.number("MCP_BATCH_API_RATE_PER_SECOND", 0..=1_000_000_u32)?;
    let hosts = "host names without ports, separated by spaces";
    let origins = "origins such as https://app.example.com, separated by spaces";
    Ok(ApiSettings {
        hosts: source
            .parse("MCP_BATCH_API_HOSTS", hosts, |text| every(text, host))?
            .unwrap_or_default(),
        origins: source
            .parse("MCP_BATCH_API_CORS_ORIGINS", origins, |text| every(text, origin))?
            .unwrap_or_default(),
        rate_per_second: rate.map_or(Some(RATE), NonZeroU32::new),
    })
}

fn every(text: &str, one: fn(&str) -> Option<String>) -> Option<Vec<String>> {
    text.split_whitespace().map(one).collect()
}

fn host(text: &str) -> Option<String> {
    url::Host::parse(text).ok().map(|host| host.to_string())
}

fn origin(text: &str) -> Option<String> {
    let url = url::Url::parse(text).ok()?;
    let origin = url.origin().ascii_serialization();
    (matches!(url.scheme(), "http" | "https") && origin == text).then_some(origin)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pairs: &[(&'static str, &str)]) -> Result<ApiSettings, String> {
        let with = |source: Source, pair: &(&'static str, &str)| source.with(pair.0, Some(pair.1));
        api(&pairs.iter().fold(Source::default(), with)).map_err(|error| error.to_string())
    }

    #[test]
    fn hosts_and_origins_are_lists_and_a_rate_of_0_is_no_limit() {
        let settings = of(&[
            ("MCP_BATCH_API_HOSTS", "Jobs.example.com [::1]"),
            ("MCP_BATCH_API_CORS_ORIGINS", "https://app.example.com http://localhost:3000"),
            ("MCP_BATCH_API_RATE_PER_SECOND", "0"),
        ]);
        let settings = settings.expect("sound");
        assert_eq!(settings.hosts, ["jobs.example.com", "[::1]"]);
        assert_eq!(settings.origins, ["https://app.example.com", "http://localhost:3000"]);
        assert_eq!(settings.rate_per_second, None);
        assert_eq!(of(&[]).expect("sound").rate_per_second, NonZeroU32::new(100));
    }

    #[test]
    fn what_is_no_host_origin_or_address_is_refused() {
        for (name, text) in [
            ("MCP_BATCH_API_HOSTS", "https://jobs.example.com"),
            ("MCP_BATCH_API_HOSTS", "jobs.example.com:80"),
            ("MCP_BATCH_API_CORS_ORIGINS", "*"),
            ("MCP_BATCH_API_CORS_ORIGINS", "https://app.example.com/"),
            ("MCP_BATCH_API_RATE_PER_SECOND", "-1"),
        ] {
            let flag = name.trim_start_matches("MCP_BATCH_").to_lowercase().replace('_', "-");
            let error = of(&[(name, text)]).expect_err("refused");
            assert!(error.contains(&flag), "{error}");
        }
        let source = |text: &str| Source::default().with("MCP_BATCH_LISTEN", Some(text));
        assert!(listen(&source("8080")).is_err());
        assert_eq!(listen(&source("localhost:1")).expect("sound").to_string(), "127.0.0.1:1");
    }
}
